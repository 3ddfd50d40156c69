/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/stream.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <errno.h>

#define PAGE 1024
#define MIB (1024 * 1024)
#define SMALL .page_bits = 10, .pages_align = 1024

/* Page numbers cross words of the bitmap; the last word of the second one is not full. */
static const StreamBlock blocks[] = {
    {.name = "pc.ram", .pages = 192},
    {.name = "vga.vram", .pages = 101},
};

#define BLOCKS .blocks = blocks, .n_blocks = G_N_ELEMENTS(blocks)

static const StreamShape mapped = {.capability = "mapped-ram", SMALL, BLOCKS};

typedef struct {
    StreamFile *file;
    FdsetSource source;
    FdsetStream *stream;
} Fixture;

static void set_up(Fixture *fixture, const StreamShape *shape)
{
    g_autoptr(GError) error = NULL;

    fixture->file = stream_file_new(shape);
    stream_file_source(fixture->file, G_MAXUINT64, &fixture->source);
    fixture->stream = fdset_stream_parse_head(&fixture->source, shape->start, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture)
{
    fdset_stream_free(fixture->stream);
    stream_file_free(fixture->file);
}

static FdsetRamblock *find(const Fixture *fixture, const char *name)
{
    FdsetRamblock *block = fdset_ram_find_block(fdset_stream_ram(fixture->stream), name);

    g_assert_nonnull(block);
    return block;
}

static guint8 expected_byte(const FdsetRamblock *block, guint64 offset)
{
    guint64 page = offset / PAGE;

    return stream_page_present(page) ? stream_page_byte(fdset_ramblock_name(block), page) : 0;
}

/* Reads in pieces of 'step' bytes, so that pieces start and end amid pages. */
static void check_content(const FdsetRamblock *block, gsize step)
{
    guint64 length = fdset_ramblock_used_length(block);
    g_autofree guint8 *buf = g_malloc(step);

    for (guint64 offset = 0; offset < length; offset += step) {
        gsize len = (gsize)MIN(step, length - offset);

        memset(buf, 0x5a, step);
        g_assert_cmpint(fdset_ramblock_pread(block, buf, step, offset), ==, (gssize)len);
        for (gsize i = 0; i < len; i++)
            g_assert_cmpuint(buf[i], ==, expected_byte(block, offset + i));
    }
    g_assert_cmpint(fdset_ramblock_pread(block, buf, step, length), ==, 0);
    g_assert_cmpint(fdset_ramblock_pread(block, buf, step, G_MAXUINT64), ==, 0);
}

static void test_content(void)
{
    static const gsize steps[] = {1, 1000, PAGE, 3 * PAGE + 1, 100000, 1000000};
    Fixture fixture;

    set_up(&fixture, &mapped);
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        check_content(find(&fixture, "pc.ram"), steps[i]);
        check_content(find(&fixture, "vga.vram"), steps[i]);
    }
    tear_down(&fixture);
}

static void test_present(void)
{
    Fixture fixture;
    FdsetRamblock *block;

    set_up(&fixture, &mapped);
    block = find(&fixture, "vga.vram");
    g_assert_cmpint(fdset_ramblock_kind(block), ==, FDSET_RAMBLOCK_MAPPED);
    g_assert_cmpuint(fdset_ramblock_page_size(block), ==, PAGE);
    for (guint64 page = 0; page < 101; page++)
        g_assert_cmpint(fdset_ramblock_page_present(block, page), ==, stream_page_present(page));
    g_assert_cmpint(fdset_ramblock_page_present(block, 101), ==, -ENXIO);
    g_assert_cmpint(fdset_ramblock_page_present(block, G_MAXUINT64), ==, -ENXIO);
    tear_down(&fixture);
}

static void test_holes(void)
{
    Fixture fixture;
    FdsetRamblock *block;

    set_up(&fixture, &mapped);
    block = find(&fixture, "vga.vram"); /* pages 1, 4, 7, ... 100 are absent */
    g_assert_cmpint(fdset_ramblock_next_data(block, 0), ==, 0);
    g_assert_cmpint(fdset_ramblock_next_data(block, 17), ==, 17);
    g_assert_cmpint(fdset_ramblock_next_hole(block, 0), ==, PAGE);
    g_assert_cmpint(fdset_ramblock_next_hole(block, PAGE + 5), ==, PAGE + 5);
    g_assert_cmpint(fdset_ramblock_next_data(block, PAGE + 5), ==, 2 * PAGE);
    g_assert_cmpint(fdset_ramblock_next_hole(block, 62 * PAGE), ==, 64 * PAGE);
    g_assert_cmpint(fdset_ramblock_next_data(block, 100 * PAGE), ==, -ENXIO);
    g_assert_cmpint(fdset_ramblock_next_hole(block, 101 * PAGE), ==, -ENXIO);
    g_assert_cmpint(fdset_ramblock_next_data(block, 101 * PAGE), ==, -ENXIO);
    block = find(&fixture, "pc.ram"); /* the last page, 191, is there */
    g_assert_cmpint(fdset_ramblock_next_hole(block, 191 * PAGE), ==, 192 * PAGE);
    tear_down(&fixture);
}

static void test_big_endian(void)
{
    StreamShape shape = mapped;
    Fixture fixture;

    shape.big_endian = TRUE;
    set_up(&fixture, &shape);
    g_assert_cmpint(fdset_ramblock_guess_big_endian(find(&fixture, "vga.vram")), ==, 1);
    g_assert_cmpint(fdset_ramblock_guess_big_endian(find(&fixture, "pc.ram")), ==, -1);
    fdset_ramblock_set_big_endian(find(&fixture, "pc.ram"), TRUE);
    fdset_ramblock_set_big_endian(find(&fixture, "vga.vram"), TRUE);
    check_content(find(&fixture, "pc.ram"), 5000);
    check_content(find(&fixture, "vga.vram"), 5000);
    g_assert_cmpint(fdset_ramblock_guess_big_endian(find(&fixture, "vga.vram")), ==, 1);
    tear_down(&fixture);
    set_up(&fixture, &mapped);
    g_assert_cmpint(fdset_ramblock_guess_big_endian(find(&fixture, "vga.vram")), ==, 0);
    tear_down(&fixture);
}

static void test_no_content(void)
{
    static const StreamBlock shared = {.name = "shm", .pages = 2, .shared = TRUE};
    const StreamShape ignored = {
        .capability = "mapped-ram", .ignore_shared = TRUE, SMALL, .blocks = &shared, .n_blocks = 1};
    const StreamShape streaming = {SMALL, BLOCKS};
    Fixture fixture;
    guint8 byte;

    set_up(&fixture, &ignored);
    g_assert_cmpint(fdset_ramblock_kind(find(&fixture, "shm")), ==, FDSET_RAMBLOCK_SHARED);
    g_assert_cmpint(fdset_ramblock_pread(find(&fixture, "shm"), &byte, 1, 0), ==, -ENODATA);
    g_assert_cmpint(fdset_ramblock_next_data(find(&fixture, "shm"), 0), ==, -ENODATA);
    tear_down(&fixture);
    set_up(&fixture, &streaming);
    g_assert_cmpint(fdset_ramblock_kind(find(&fixture, "pc.ram")), ==, FDSET_RAMBLOCK_STREAMED);
    g_assert_cmpint(fdset_ramblock_pread(find(&fixture, "pc.ram"), &byte, 1, 0), ==, -EOPNOTSUPP);
    g_assert_cmpint(fdset_ramblock_page_present(find(&fixture, "pc.ram"), 0), ==, -EOPNOTSUPP);
    tear_down(&fixture);
}

/* --- hostile records --- */

static void assert_refused(StreamFile *file, int code, const char *words)
{
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    stream = fdset_stream_parse_head(&source, 0, &error);
    g_assert_null(stream);
    g_assert_error(error, FDSET_ERROR, code);
    if (strstr(error->message, words) == NULL)
        g_error("expected '%s' in '%s'", words, error->message);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

static void test_field_edges(void)
{
    const guint64 top = G_GUINT64_CONSTANT(1) << 63;
    const struct {
        const char *mark;
        guint64 value;
        int code;
        const char *words;
    } cases[] = {
        {"ram:total", 0, FDSET_ERROR_FORMAT, "expected the size of all RAM"},
        {"ram:total", 4 + PAGE, FDSET_ERROR_FORMAT, "that are left of all RAM"},
        {"ram:total", G_MAXUINT64, FDSET_ERROR_FORMAT, "expected the size of all RAM"},
        {"pc.ram:length", 192 * PAGE + 1, FDSET_ERROR_FORMAT, "no multiple of its page size"},
        {"pc.ram:length", top, FDSET_ERROR_FORMAT, "that are left of all RAM"},
        {"pc.ram:length", G_MAXUINT64, FDSET_ERROR_FORMAT, "that are left of all RAM"},
        {"pc.ram:page_size", 0, FDSET_ERROR_FORMAT, "expected a power of two"},
        {"pc.ram:page_size", 512, FDSET_ERROR_FORMAT, "expected a power of two"},
        {"pc.ram:page_size", 3 * PAGE, FDSET_ERROR_FORMAT, "expected a power of two"},
        {"pc.ram:page_size", 2 * MIB, FDSET_ERROR_FORMAT, "expected a power of two"},
        {"pc.ram:page_size", top, FDSET_ERROR_FORMAT, "expected a power of two"},
        {"pc.ram:bitmap_offset", 0, FDSET_ERROR_FORMAT, "overlaps what is before it"},
        {"pc.ram:bitmap_offset", MIB, FDSET_ERROR_TRUNCATED, "bitmap at 0x100000"},
        {"pc.ram:bitmap_offset", G_MAXUINT64, FDSET_ERROR_FORMAT, "wrap around"},
        {"pc.ram:bitmap_offset", G_MAXUINT64 - 24, FDSET_ERROR_TRUNCATED, "bitmap at"},
        {"pc.ram:pages_offset", 0, FDSET_ERROR_FORMAT, "overlaps what is before it"},
        {"pc.ram:pages_offset", PAGE + 1, FDSET_ERROR_FORMAT, "expected a multiple"},
        {"pc.ram:pages_offset", MIB, FDSET_ERROR_TRUNCATED, "pages at 0x100000"},
        {"pc.ram:pages_offset", top, FDSET_ERROR_TRUNCATED, "pages at 0x8000000000000000"},
        {"pc.ram:pages_offset", (guint64)-PAGE, FDSET_ERROR_FORMAT, "wrap around"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(StreamFile) file = stream_file_new(&mapped);

        stream_file_put_be64(file, stream_file_at(file, cases[i].mark), cases[i].value);
        assert_refused(file, cases[i].code, cases[i].words);
    }
}

static void test_huge_total(void)
{
    const guint64 top = G_GUINT64_CONSTANT(1) << 63;
    g_autoptr(StreamFile) file = stream_file_new(&mapped);

    stream_file_put_be64(file, stream_file_at(file, "ram:total"), top | 4);
    stream_file_put_be64(file, stream_file_at(file, "pc.ram:length"), top);
    assert_refused(file, FDSET_ERROR_FORMAT, "length 0x8000000000000000");
    stream_file_put_be64(file, stream_file_at(file, "pc.ram:length"), top - PAGE);
    assert_refused(file, FDSET_ERROR_TRUNCATED, "bitmap at");
}

static void test_header_version(void)
{
    g_autoptr(StreamFile) file = stream_file_new(&mapped);

    stream_file_put_be32(file, stream_file_at(file, "pc.ram:header"), 2);
    assert_refused(file, FDSET_ERROR_VERSION, "has version 2, expected 1");
}

static void test_zero_offsets_need_ignore_shared(void)
{
    g_autoptr(StreamFile) file = stream_file_new(&mapped);

    stream_file_put_be64(file, stream_file_at(file, "pc.ram:bitmap_offset"), 0);
    stream_file_put_be64(file, stream_file_at(file, "pc.ram:pages_offset"), 0);
    assert_refused(file, FDSET_ERROR_FORMAT, "bitmap at 0x0 overlaps");
}

static void test_names(void)
{
    static const char *const good[] = {"../../etc/passwd", "a/../b", "..", "\xff\xfe", "a b\nc"};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        const StreamBlock block = {.name = good[i], .pages = 1};
        const StreamShape shape = {
            .capability = "mapped-ram", SMALL, .blocks = &block, .n_blocks = 1};
        Fixture fixture;

        set_up(&fixture, &shape);
        g_assert_cmpstr(fdset_ramblock_name(find(&fixture, good[i])), ==, good[i]);
        tear_down(&fixture);
    }
}

static void test_bad_names(void)
{
    g_autoptr(StreamFile) nul = stream_file_new(&mapped);
    g_autoptr(StreamFile) empty = stream_file_new(&mapped);
    g_autoptr(StreamFile) escaped = stream_file_new(&mapped);

    nul->bytes->data[stream_file_at(nul, "pc.ram:name") + 3] = 0;
    assert_refused(nul, FDSET_ERROR_FORMAT, "holds a NUL byte");
    empty->bytes->data[stream_file_at(empty, "pc.ram:name")] = 0;
    assert_refused(empty, FDSET_ERROR_FORMAT, "has 0 bytes, expected 1 to 255");
    escaped->bytes->data[stream_file_at(escaped, "pc.ram:name") + 3] = 0xff;
    stream_file_put_be64(escaped, stream_file_at(escaped, "pc.ram:page_size"), 0);
    assert_refused(escaped, FDSET_ERROR_FORMAT, "RAM block 'pc\\377ram'");
}

static void test_twice(void)
{
    static const StreamBlock twice[] = {{.name = "m0", .pages = 1}, {.name = "m0", .pages = 2}};
    const StreamShape shape = {.capability = "mapped-ram", SMALL, .blocks = twice, .n_blocks = 2};
    g_autoptr(StreamFile) file = stream_file_new(&shape);

    assert_refused(file, FDSET_ERROR_FORMAT, "a second RAM block 'm0'");
}

/* Records of nothing, each with a name of its own. */
static void test_million_blocks(void)
{
    const StreamBlock block = {.name = "pc.ram", .pages = 1};
    const StreamShape shape = {SMALL, .blocks = &block, .n_blocks = 1};
    g_autoptr(StreamFile) file = stream_file_new(&shape);

    g_byte_array_set_size(file->bytes, (guint)stream_file_at(file, "pc.ram:name"));
    for (guint i = 0; i < 1000000; i++) {
        guint8 record[13] = {4, 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26,
                             'a' + i / 17576 % 57};

        g_byte_array_append(file->bytes, record, sizeof record);
    }
    assert_refused(file, FDSET_ERROR_LIMIT, "than the 8192 expected at most");
}

/* --- trouble while reading --- */

static gssize short_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    const guint64 *end = opaque;

    if (offset >= *end)
        return 0;
    memset(buf, 0xff, len);
    return (gssize)MIN(len, *end - offset);
}

static gssize failing_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    return -EUCLEAN;
}

static void test_errno(void)
{
    guint64 end = 0;
    guint8 buf[4 * PAGE];
    Fixture fixture;
    FdsetRamblock *block;

    set_up(&fixture, &mapped);
    block = find(&fixture, "pc.ram");
    fixture.source.pread = short_pread;
    fixture.source.opaque = &end;
    g_assert_cmpint(fdset_ramblock_pread(block, buf, sizeof buf, 0), ==, -EIO);
    end = fdset_ramblock_pages_offset(block) + PAGE;
    g_assert_cmpint(fdset_ramblock_pread(block, buf, sizeof buf, 0), ==, -EIO);
    g_assert_cmpint(fdset_ramblock_pread(block, buf, PAGE, 0), ==, PAGE);
    fixture.source.pread = failing_pread;
    g_assert_cmpint(fdset_ramblock_pread(block, buf, sizeof buf, 0), ==, -EUCLEAN);
    g_assert_cmpint(fdset_ramblock_next_data(block, 0), ==, -EUCLEAN);
    g_assert_cmpint(fdset_ramblock_page_present(block, 0), ==, -EUCLEAN);
    g_assert_cmpint(fdset_ramblock_guess_big_endian(find(&fixture, "vga.vram")), ==, -1);
    tear_down(&fixture);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/ramblock/stale pages are never shown", test_content);
    g_test_add_func("/ramblock/a page is present by its bit", test_present);
    g_test_add_func("/ramblock/data and holes follow the bitmap", test_holes);
    g_test_add_func("/ramblock/a big-endian bitmap is read and guessed", test_big_endian);
    g_test_add_func("/ramblock/content that is not there has an errno", test_no_content);
    g_test_add_func("/ramblock/each field is checked at its edges", test_field_edges);
    g_test_add_func("/ramblock/a length of 2^63 is refused", test_huge_total);
    g_test_add_func("/ramblock/an unknown header version is refused", test_header_version);
    g_test_add_func("/ramblock/zero offsets need x-ignore-shared",
                    test_zero_offsets_need_ignore_shared);
    g_test_add_func("/ramblock/odd names are kept as they are", test_names);
    g_test_add_func("/ramblock/names that are none are refused", test_bad_names);
    g_test_add_func("/ramblock/a name comes once", test_twice);
    g_test_add_func("/ramblock/a million blocks are refused", test_million_blocks);
    g_test_add_func("/ramblock/errors while reading keep their errno", test_errno);
    return g_test_run();
}
