/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/stream.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <errno.h>

static const StreamBlock blocks[] = {
    {.name = "pc.ram", .pages = 7, .address = 0},
    {.name = "/rom@etc/acpi", .pages = 2, .address = 0x80000000},
    {.name = "..", .pages = 1, .address = 0x40000000},
};

static const StreamBlock shared_blocks[] = {
    {.name = "pc.ram", .pages = 6, .shared = TRUE, .address = 0x100000},
    {.name = "pc.bios", .pages = 3, .address = 0xfffc0000},
    {.name = "shm", .pages = 4, .shared = TRUE, .address = 0},
};

static const StreamBlock huge_blocks[] = {
    {.name = "pc.ram", .pages = 3, .address = 0x200000, .huge_page = 0x200000},
    {.name = "dimm", .pages = 3, .address = 0x400000, .huge_page = 0x40000000},
};

#define SMALL .page_bits = 10, .pages_align = 1024
#define BLOCKS .blocks = blocks, .n_blocks = G_N_ELEMENTS(blocks)
#define SHARED_BLOCKS .blocks = shared_blocks, .n_blocks = G_N_ELEMENTS(shared_blocks)
#define HUGE_BLOCKS .blocks = huge_blocks, .n_blocks = G_N_ELEMENTS(huge_blocks)

/* Every form that a genuine stream has, small enough to be cut at every byte. */
static const struct {
    const char *name;
    StreamShape shape;
} forms[] = {
    {"mapped-ram", {.capability = "mapped-ram", SMALL, BLOCKS}},
    {"fixed-ram with flush words", {.capability = "fixed-ram", .flush_words = TRUE, SMALL, BLOCKS}},
    {"mapped-ram at an odd offset", {.start = 777, .capability = "mapped-ram", SMALL, BLOCKS}},
    {"mapped-ram with shared blocks left out",
     {.capability = "mapped-ram", .ignore_shared = TRUE, SMALL, SHARED_BLOCKS}},
    {"mapped-ram with a UUID and sections beside ram",
     {.capability = "mapped-ram", .uuid = TRUE, .early = TRUE, .foreign = TRUE, SMALL, BLOCKS}},
    {"mapped-ram with a description whose sizes are wrong",
     {.capability = "mapped-ram", .wrong_sizes = TRUE, SMALL, BLOCKS}},
    {"streaming", {SMALL, BLOCKS}},
    {"streaming with shared blocks", {.ignore_shared = TRUE, SMALL, SHARED_BLOCKS}},
    {"streaming of huge pages", {SMALL, HUGE_BLOCKS}},
    {"streaming of huge pages with guest addresses", {.ignore_shared = TRUE, SMALL, HUGE_BLOCKS}},
    {"streaming with sections beside ram", {.early = TRUE, .foreign = TRUE, SMALL, BLOCKS}},
    {"streaming without footers and configuration",
     {.no_footers = TRUE, .no_configuration = TRUE, BLOCKS}},
    {"mapped-ram without a description",
     {.capability = "mapped-ram", .no_vmdesc = TRUE, SMALL, BLOCKS}},
    {"streaming without a description",
     {.no_vmdesc = TRUE, .early = TRUE, .foreign = TRUE, SMALL, BLOCKS}},
};

static void test_whole(gconstpointer data)
{
    const StreamShape *shape = data;
    g_autoptr(StreamFile) file = stream_file_new(shape);
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    stream = fdset_stream_parse(&source, shape->start, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fdset_stream_start(stream), ==, shape->start);
    g_assert_cmpuint(fdset_stream_end(stream), ==, source.size);
    g_assert_cmpuint(fdset_ram_n_blocks(fdset_stream_ram(stream)), ==, shape->n_blocks);
    for (gsize i = 0; i < shape->n_blocks; i++) {
        const FdsetRamblock *block = fdset_ram_block(fdset_stream_ram(stream), i);
        guint64 address;

        g_assert_cmpstr(fdset_ramblock_name(block), ==, shape->blocks[i].name);
        g_assert_true(fdset_ramblock_guest_address(block, &address) == shape->ignore_shared);
        if (shape->ignore_shared)
            g_assert_cmpuint(address, ==, shape->blocks[i].address);
    }
}

/*
 * One cut cannot be told from a stream whose description was left out on
 * purpose: behind the EOF marker, where QEMU has all it needs.
 */
static void check_cut(StreamFile *file, const StreamShape *shape, guint64 size)
{
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    gboolean complete;

    stream_file_source(file, size, &source);
    complete = fdset_stream_is_complete(&source, shape->start, &error);
    if (complete) {
        g_assert_no_error(error);
        g_assert_cmpuint(size, ==, stream_file_at(file, "eof") + 1);
        return;
    }
    g_assert_nonnull(error);
    /* Nobody knows where a device ends when neither description nor footers are left. */
    if (shape->no_footers && g_error_matches(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED))
        return;
    if (!g_error_matches(error, FDSET_ERROR, FDSET_ERROR_TRUNCATED))
        g_error("cut at %" G_GUINT64_FORMAT ": %s", size, error->message);
    g_assert_true(g_str_has_prefix(error->message, "test: "));
    g_assert_nonnull(strstr(error->message, "the save was interrupted"));
}

static void test_cut(gconstpointer data)
{
    const StreamShape *shape = data;
    g_autoptr(StreamFile) file = stream_file_new(shape);

    for (guint64 size = 0; size < file->bytes->len; size++)
        check_cut(file, shape, size);
}

/* Whether the byte is amid a page's content, where no parser looks. */
static gboolean is_content(const StreamFile *file, guint64 at)
{
    const guint8 *bytes = file->bytes->data + at;

    return at >= 8 && at + 8 < file->bytes->len && memcmp(bytes - 8, bytes - 7, 15) == 0;
}

static void test_damage(gconstpointer data)
{
    static const guint8 flips[] = {0x01, 0x80};
    const StreamShape *shape = data;
    g_autoptr(StreamFile) file = stream_file_new(shape);
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    for (guint64 at = 0; at < file->bytes->len; at++) {
        for (gsize i = 0; i < G_N_ELEMENTS(flips) && !is_content(file, at); i++) {
            g_autoptr(GError) error = NULL;

            file->bytes->data[at] ^= flips[i];
            if (!fdset_stream_is_complete(&source, shape->start, &error))
                g_assert_true(error->domain == FDSET_ERROR);
            file->bytes->data[at] ^= flips[i];
        }
    }
}

static const StreamShape mapped = {.capability = "mapped-ram", SMALL, BLOCKS};
static const StreamShape streaming = {SMALL, BLOCKS};

static void assert_refused(StreamFile *file, guint64 start, int code, const char *words)
{
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    g_assert_false(fdset_stream_is_complete(&source, start, &error));
    g_assert_error(error, FDSET_ERROR, code);
    if (strstr(error->message, words) == NULL)
        g_error("expected '%s' in '%s'", words, error->message);
}

static void test_interrupted_says_where(void)
{
    StreamShape shape = mapped;
    g_autoptr(StreamFile) file = NULL;
    g_autofree char *words = NULL;

    shape.unfinished = TRUE;
    file = stream_file_new(&shape);
    words = g_strdup_printf("test: ram section has no end: the save was interrupted (stream ends "
                            "at 0x%x",
                            file->bytes->len);
    assert_refused(file, 0, FDSET_ERROR_TRUNCATED, words);
}

static void test_cancelled_is_not_complete(void)
{
    StreamShape shape = mapped;
    g_autoptr(StreamFile) file = NULL;
    guint old;

    /* The main channel's cursor was ahead: what was not written reads as zeros. */
    shape.unfinished = TRUE;
    file = stream_file_new(&shape);
    old = file->bytes->len;
    g_byte_array_set_size(file->bytes, old + 4096);
    memset(file->bytes->data + old, 0, 4096);
    assert_refused(file, 0, FDSET_ERROR_FORMAT, "ram section has no end: the save was interrupted");
}

static void test_bytes_behind_the_end(void)
{
    StreamShape shape = mapped;
    g_autoptr(StreamFile) described = stream_file_new(&shape);
    g_autoptr(StreamFile) plain = NULL;

    g_byte_array_append(described->bytes, (const guint8 *)"X", 1);
    assert_refused(described, 0, FDSET_ERROR_FORMAT, "expected one in JSON that ends where");
    shape.no_vmdesc = TRUE;
    plain = stream_file_new(&shape);
    g_byte_array_append(plain->bytes, (const guint8 *)"XY", 2);
    assert_refused(plain, 0, FDSET_ERROR_TRUNCATED, "section 14 at");
}

static void test_header_edges(void)
{
    static const struct {
        const char *mark;
        gint64 delta;
        guint32 value;
        int code;
        const char *words;
    } cases[] = {
        {"magic", 0, 0x5145564e, FDSET_ERROR_FORMAT, "expected 0x5145564d (QEVM)"},
        {"magic", 4, 2, FDSET_ERROR_VERSION, "stream version 2 at 0x4, expected 3"},
        {"configuration", 1, 0, FDSET_ERROR_FORMAT, "machine name at 0xd has 0 bytes"},
        {"configuration", 1, 0xffffffff, FDSET_ERROR_FORMAT, "expected 1 to 255"},
        {"page-bits", 0, 9, FDSET_ERROR_FORMAT, "are 9, expected 10 to 20"},
        {"page-bits", 0, 21, FDSET_ERROR_FORMAT, "are 21, expected 10 to 20"},
        {"page-bits", -4, 2, FDSET_ERROR_UNSUPPORTED, "version 2"},
        {"capabilities:name", 5, 0x41414141, FDSET_ERROR_UNSUPPORTED, "is not known"},
        {"capabilities:count", 0, 65, FDSET_ERROR_LIMIT, "65 capabilities"},
        {"ram", 1 + 4 + 4 + 4, 3, FDSET_ERROR_VERSION, "version 3, expected 4"},
        {"ram:part", 1, 4, FDSET_ERROR_FORMAT, "expected that of a section that has started"},
        {"ram:part", 9, 0x11, FDSET_ERROR_FORMAT, "expected a page record or the end"},
        {"ram:part", 9, 0x08, FDSET_ERROR_FORMAT, "expected none in a mapped-ram stream"},
        {"ram:end", 14, 4, FDSET_ERROR_FORMAT, "no footer of section 3"},
        {"eof", 0, 0x40000000, FDSET_ERROR_TRUNCATED, "section 14 at"},
        {"ram:end", -5, 0x40000b00, FDSET_ERROR_FORMAT, "byte 0x40 at"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(StreamFile) file = stream_file_new(&mapped);

        stream_file_put_be32(file, stream_file_at(file, cases[i].mark) + (guint64)cases[i].delta,
                             cases[i].value);
        assert_refused(file, 0, cases[i].code, cases[i].words);
    }
}

static void test_page_record_edges(void)
{
    static const struct {
        gsize record; /* which be64 word of the first page record gets 'value' */
        guint64 value;
        const char *words;
    } cases[] = {
        {0, 7 * 1024 | 0x08, "is of offset 0x1c00 in a RAM block of 0x1c00 bytes"},
        {0, G_GUINT64_CONSTANT(0xfffffffffffffc08), "is of offset 0xfffffffffffffc00"},
        {0, 0x28, "but there was none before it"},
        {0, 0x80, "expected a page record or the end"},
        {0, 0x01, "expected a page record or the end"},
        {0, 0x40, "has encoding 193, expected 1"},
        {1, G_GUINT64_CONSTANT(0x0670632e58585800), "is of RAM block 'pc.XXX'"},
        {1, 0, "RAM block name of a page record at"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(StreamFile) file = stream_file_new(&streaming);
        guint64 at = stream_file_at(file, "ram:part") + 5;

        if (cases[i].record == 1)
            file->bytes->data[at + 15] = 0;
        stream_file_put_be64(file, at + cases[i].record * 8, cases[i].value);
        if (cases[i].value == 0x40) /* the byte behind the name is page content */
            file->bytes->data[at + 15] = 193;
        assert_refused(file, 0, FDSET_ERROR_FORMAT, cases[i].words);
    }
}

/* --- what a parse tells --- */

static void test_configuration(void)
{
    const StreamShape shape = {.capability = "fixed-ram", .uuid = TRUE, SMALL, BLOCKS};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetStream) stream = NULL;
    const FdsetConfiguration *configuration;
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    stream = fdset_stream_parse_head(&source, 0, NULL);
    g_assert_nonnull(stream);
    configuration = fdset_stream_configuration(stream);
    g_assert_cmpstr(fdset_configuration_machine(configuration), ==, "pc-q35-10.0");
    g_assert_cmpuint(fdset_configuration_page_size(configuration), ==, 1024);
    g_assert_cmpstr(fdset_configuration_capabilities(configuration)[0], ==, "fixed-ram");
    g_assert_null(fdset_configuration_capabilities(configuration)[1]);
    g_assert_true(fdset_configuration_is_mapped_ram(configuration));
    g_assert_false(fdset_configuration_ignores_shared(configuration));
    g_assert_cmpmem(fdset_configuration_uuid(configuration), 16, "0123456789abcdef", 16);
}

static void test_sections_are_accounted_for(void)
{
    const StreamShape shape = {.early = TRUE,
                               .foreign = TRUE,
                               .wrong_sizes = TRUE,
                               .capability = "mapped-ram",
                               SMALL,
                               BLOCKS};
    static const struct {
        const char *name;
        guint32 instance_id;
        gint64 device;
        gboolean exact;
        guint64 length;
    } expected[] = {
        {"virtio-mem-early", 0, 0, TRUE, 3},
        {"dirty-bitmap", 0, -1, FALSE, 22},
        {"ram", 0, -1, TRUE, 0},
        {"timer", 0, 1, TRUE, 16},
        {"cpu", 0, 2, FALSE, 26},
        {"cpu", 1, 3, TRUE, 26},
        {"empty", 0, 4, TRUE, 0},
        {"globalstate", 0, 5, TRUE, 12},
    };
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    stream = fdset_stream_parse(&source, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fdset_stream_n_sections(stream), ==, G_N_ELEMENTS(expected));
    for (gsize i = 0; i < G_N_ELEMENTS(expected); i++) {
        const FdsetSection *section = fdset_stream_section(stream, i);

        g_assert_cmpstr(section->name, ==, expected[i].name);
        g_assert_cmpuint(section->instance_id, ==, expected[i].instance_id);
        g_assert_cmpint(section->device, ==, expected[i].device);
        g_assert_cmpint(section->exact, ==, expected[i].exact);
        if (expected[i].length != 0)
            g_assert_cmpuint(section->length, ==, expected[i].length);
    }
    g_assert_cmpuint(fdset_stream_section(stream, 3)->offset, ==,
                     stream_file_at(file, "body:timer"));
}

typedef struct {
    StreamFile *file;
    guint64 pages, present;
} PageCount;

static gboolean count_page(const FdsetPage *page, gpointer opaque, GError **error)
{
    PageCount *count = opaque;
    const char *name = fdset_ramblock_name(page->block);
    guint64 number = page->offset / 1024;

    count->pages++;
    g_assert_cmpint(page->encoding, ==,
                    stream_page_present(number) ? FDSET_PAGE_PLAIN : FDSET_PAGE_FILL);
    if (page->encoding != FDSET_PAGE_PLAIN)
        return TRUE;
    count->present++;
    g_assert_cmpuint(page->len, ==, 1024);
    g_assert_cmpuint(count->file->bytes->data[page->data], ==, stream_page_byte(name, number));
    return TRUE;
}

static gboolean stop_at_once(const FdsetPage *page, gpointer opaque, GError **error)
{
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_NO_SPACE, "enough");
    return FALSE;
}

static void test_pages_are_reported(void)
{
    g_autoptr(StreamFile) file = stream_file_new(&streaming);
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(FdsetStream) stopped = NULL;
    g_autoptr(GError) error = NULL;
    PageCount count = {.file = file};
    const FdsetPageVisitor counting = {.page = count_page, .opaque = &count};
    const FdsetPageVisitor stopping = {.page = stop_at_once};
    FdsetSource source;

    stream_file_source(file, G_MAXUINT64, &source);
    stream = fdset_stream_parse_pages(&source, 0, &counting, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count.pages, ==, 7 + 2 + 1 + 1);
    g_assert_cmpuint(count.present, ==, 5 + 1 + 1 + 1);
    stopped = fdset_stream_parse_pages(&source, 0, &stopping, &error);
    g_assert_null(stopped);
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_NO_SPACE);
}

/* --- the cost of the head --- */

typedef struct {
    const StreamFile *file;
    guint64 gap_at, gap; /* zeros that are not in memory */
    guint64 reads, bytes;
} Sparse;

static gssize sparse_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    Sparse *sparse = opaque;
    guint8 *to = buf;

    sparse->reads++;
    sparse->bytes += len;
    for (gsize i = 0; i < len; i++, offset++) {
        if (offset < sparse->gap_at)
            to[i] = sparse->file->bytes->data[offset];
        else if (offset < sparse->gap_at + sparse->gap)
            to[i] = 0;
        else
            to[i] = sparse->file->bytes->data[offset - sparse->gap];
    }
    return (gssize)len;
}

/* An image of one block of 8 TiB of pages, of which only the head and the tail exist. */
static void test_head_of_a_huge_image(void)
{
    const guint64 huge = G_GUINT64_CONSTANT(8) << 40;
    const StreamBlock block = {.name = "pc.ram", .pages = 1};
    const StreamShape shape = {.capability = "mapped-ram", .blocks = &block, .n_blocks = 1};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetStream) head = NULL;
    g_autoptr(FdsetStream) whole = NULL;
    g_autoptr(GError) error = NULL;
    Sparse sparse = {.file = file, .gap_at = 1024 * 1024, .gap = huge - 4096};
    FdsetSource source = {sparse_pread, &sparse, file->bytes->len, "test"};

    sparse.gap += 1024 * 1024 * 512; /* room for the bitmap: 256 MiB */
    source.size += sparse.gap;
    stream_file_put_be64(file, stream_file_at(file, "ram:total"), huge | 4);
    stream_file_put_be64(file, stream_file_at(file, "pc.ram:length"), huge);
    stream_file_put_be64(file, stream_file_at(file, "pc.ram:pages_offset"),
                         1024 * 1024 + 1024 * 1024 * 512);
    head = fdset_stream_parse_head(&source, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(sparse.reads, <=, 4);
    g_assert_cmpuint(sparse.bytes, <=, 16384);
    whole = fdset_stream_parse(&source, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(sparse.bytes, <=, 256 * 1024);
}

static gssize failing_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    return -EIO;
}

static void test_read_error_is_an_error(void)
{
    FdsetSource source = {failing_pread, NULL, 1 << 20, "test"};
    g_autoptr(GError) error = NULL;

    g_assert_false(fdset_stream_is_complete(&source, 0, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM);
}

static void add_forms(const char *claim, void (*test)(gconstpointer data))
{
    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autofree char *name = g_strdup_printf("/stream/%s %s", forms[i].name, claim);

        g_test_add_data_func(name, &forms[i].shape, test);
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    add_forms("is parsed to its end", test_whole);
    add_forms("cut anywhere is not complete", test_cut);
    add_forms("damaged anywhere is survived", test_damage);
    g_test_add_func("/stream/an interrupted save says where it ends", test_interrupted_says_where);
    g_test_add_func("/stream/a cancelled save is not complete", test_cancelled_is_not_complete);
    g_test_add_func("/stream/bytes behind the end are refused", test_bytes_behind_the_end);
    g_test_add_func("/stream/header fields are checked at their edges", test_header_edges);
    g_test_add_func("/stream/page records are checked", test_page_record_edges);
    g_test_add_func("/stream/the configuration is told", test_configuration);
    g_test_add_func("/stream/every section is accounted for", test_sections_are_accounted_for);
    g_test_add_func("/stream/page records are reported in order", test_pages_are_reported);
    g_test_add_func("/stream/the head of 8 TiB costs a few reads", test_head_of_a_huge_image);
    g_test_add_func("/stream/a read error is an error", test_read_error_is_an_error);
    return g_test_run();
}
