/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files put together from segments, against a plain copy of what they should hold. */
#include "config.h"
#include "core/memview.h"
#include "core/stream.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <errno.h>

#define PAGE 4096
#define PAGES 100

typedef struct {
    StreamFile *file;
    FdsetSource source;
    FdsetStream *stream;
    const FdsetRamblock *block;
    FdsetMemview *view;
    GByteArray *expected;
} Fixture;

static void expect_ram(Fixture *fixture, guint64 offset, guint64 len)
{
    for (guint64 at = offset; at < offset + len; at++) {
        guint64 page = at / PAGE;
        guint8 byte = stream_page_present(page) ? stream_page_byte("pc.ram", page) : 0;

        g_byte_array_append(fixture->expected, &byte, 1);
    }
}

static void expect_fill(Fixture *fixture, guint8 byte, gsize len)
{
    g_autofree guint8 *bytes = g_malloc(len);

    memset(bytes, byte, len);
    g_byte_array_append(fixture->expected, bytes, (guint)len);
}

/* Bytes, RAM in pieces that do not start at pages, zeros, the source. */
static void set_up(Fixture *fixture, gconstpointer data)
{
    static const StreamBlock block = {.name = "pc.ram", .pages = PAGES};
    static const StreamShape shape = {.capability = "mapped-ram", .blocks = &block, .n_blocks = 1};
    g_autoptr(GBytes) bytes = g_bytes_new_static("head", 4);

    fixture->file = stream_file_new(&shape);
    stream_file_source(fixture->file, G_MAXUINT64, &fixture->source);
    fixture->stream = fdset_stream_parse(&fixture->source, 0, NULL);
    g_assert_nonnull(fixture->stream);
    fixture->block = fdset_ram_block(fdset_stream_ram(fixture->stream), 0);
    fixture->view = fdset_memview_new();
    fixture->expected = g_byte_array_new();

    fdset_memview_add_bytes(fixture->view, bytes);
    g_byte_array_append(fixture->expected, (const guint8 *)"head", 4);
    fdset_memview_add_zeros(fixture->view, 0);
    fdset_memview_pad(fixture->view, PAGE);
    expect_fill(fixture, 0, PAGE - 4);
    fdset_memview_add_ram(fixture->view, fixture->block, 0, 7 * PAGE);
    expect_ram(fixture, 0, 7 * PAGE);
    fdset_memview_add_zeros(fixture->view, 3 * PAGE);
    expect_fill(fixture, 0, 3 * PAGE);
    fdset_memview_add_ram(fixture->view, fixture->block, 50 * PAGE + 1, 50 * PAGE - 1);
    expect_ram(fixture, 50 * PAGE + 1, 50 * PAGE - 1);
    fdset_memview_add_source(fixture->view, &fixture->source, 0, 100);
    g_byte_array_append(fixture->expected, fixture->file->bytes->data, 100);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    g_byte_array_unref(fixture->expected);
    fdset_memview_free(fixture->view);
    fdset_stream_free(fixture->stream);
    stream_file_free(fixture->file);
}

static void test_read(Fixture *fixture, gconstpointer data)
{
    static const gsize lengths[] = {1, 3, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE, 100 * PAGE};
    guint64 size = fixture->expected->len;
    g_autofree guint8 *buf = g_malloc(100 * PAGE);

    g_assert_cmpuint(fdset_memview_size(fixture->view), ==, size);
    for (gsize i = 0; i < G_N_ELEMENTS(lengths); i++) {
        for (guint64 at = 0; at < size; at += i < 2 ? 509 : 1021) {
            gssize want = (gssize)MIN(lengths[i], size - at);

            memset(buf, 0xee, lengths[i]);
            g_assert_cmpint(fdset_memview_pread(fixture->view, buf, lengths[i], at), ==, want);
            g_assert_cmpmem(buf, want, fixture->expected->data + at, want);
        }
    }
    g_assert_cmpint(fdset_memview_pread(fixture->view, buf, 10, size), ==, 0);
    g_assert_cmpint(fdset_memview_pread(fixture->view, buf, 10, G_MAXUINT64), ==, 0);
}

/* From hole to data to hole: everything that is not zero is data, and it adds up. */
static void test_seek(Fixture *fixture, gconstpointer data)
{
    guint64 size = fdset_memview_size(fixture->view), at = 0, total = 0;

    while (at < size) {
        gint64 start = fdset_memview_next_data(fixture->view, at);
        gint64 end;

        if (start == -ENXIO)
            break;
        g_assert_cmpint(start, >=, (gint64)at);
        for (; at < (guint64)start; at++)
            g_assert_cmpint(fixture->expected->data[at], ==, 0);
        end = fdset_memview_next_hole(fixture->view, at);
        g_assert_cmpint(end, >, start);
        total += (guint64)(end - start);
        at = (guint64)end;
    }
    for (; at < size; at++)
        g_assert_cmpint(fixture->expected->data[at], ==, 0);
    g_assert_cmpint(fdset_memview_data_bytes(fixture->view), ==, (gint64)total);
    g_assert_cmpint(fdset_memview_next_data(fixture->view, size), ==, -ENXIO);
    g_assert_cmpint(fdset_memview_next_hole(fixture->view, size), ==, -ENXIO);
}

static void test_largest(void)
{
    g_autoptr(FdsetMemview) view = fdset_memview_new();
    guint8 byte = 1;

    fdset_memview_add_zeros(view, G_MAXINT64 - 1);
    g_assert_true(fdset_memview_is_whole(view));
    fdset_memview_add_zeros(view, 2);
    g_assert_false(fdset_memview_is_whole(view));
    g_assert_cmpuint(fdset_memview_size(view), ==, G_MAXINT64 - 1);
    g_assert_cmpint(fdset_memview_pread(view, &byte, 10, G_MAXINT64 - 2), ==, 1);
    g_assert_cmpint(byte, ==, 0);
    g_assert_cmpint(fdset_memview_next_data(view, 0), ==, -ENXIO);
    g_assert_cmpint(fdset_memview_next_hole(view, 5), ==, 5);
    g_assert_cmpint(fdset_memview_data_bytes(view), ==, 0);
}

static void test_empty(void)
{
    g_autoptr(FdsetMemview) view = fdset_memview_new();
    guint8 byte;

    g_assert_cmpint(fdset_memview_pread(view, &byte, 1, 0), ==, 0);
    g_assert_cmpint(fdset_memview_next_data(view, 0), ==, -ENXIO);
    g_assert_cmpint(fdset_memview_next_hole(view, 0), ==, -ENXIO);
}

/* The file became shorter: an error, and never zeros. */
static void test_cut(Fixture *fixture, gconstpointer data)
{
    guint8 byte;

    stream_file_source(fixture->file, stream_file_at(fixture->file, "pc.ram:bitmap"),
                       &fixture->source);
    g_assert_cmpint(fdset_memview_pread(fixture->view, &byte, 1, PAGE), ==, -EIO);
    g_assert_cmpint(fdset_memview_next_data(fixture->view, PAGE), ==, -EIO);
    g_assert_cmpint(fdset_memview_data_bytes(fixture->view), ==, -EIO);
}

/* A source of 100 bytes with data at 10 to 20 and 50 to 60. */
static gint64 patchy_next(guint64 offset, gboolean data)
{
    static const guint64 edges[] = {10, 20, 50, 60};
    gsize i = 0;

    while (i < G_N_ELEMENTS(edges) && edges[i] <= offset)
        i++;
    if ((i % 2 == 1) == data)
        return (gint64)offset;
    return i < G_N_ELEMENTS(edges) ? (gint64)edges[i] : data ? -ENXIO : 100;
}

static gint64 patchy_next_data(gpointer opaque, guint64 offset)
{
    return patchy_next(offset, TRUE);
}

static gint64 patchy_next_hole(gpointer opaque, guint64 offset)
{
    return patchy_next(offset, FALSE);
}

static void test_source_holes(void)
{
    FdsetSource source = {
        .size = 100, .next_data = patchy_next_data, .next_hole = patchy_next_hole};
    g_autoptr(FdsetMemview) view = fdset_memview_new();

    fdset_memview_add_zeros(view, 5);
    fdset_memview_add_source(view, &source, 15, 40);
    g_assert_cmpint(fdset_memview_data_bytes(view), ==, 10);
    g_assert_cmpint(fdset_memview_next_data(view, 0), ==, 5);
    g_assert_cmpint(fdset_memview_next_hole(view, 5), ==, 10);
    g_assert_cmpint(fdset_memview_next_data(view, 10), ==, 40);
    g_assert_cmpint(fdset_memview_next_hole(view, 40), ==, 45);
    g_assert_cmpint(fdset_memview_next_data(view, 45), ==, -ENXIO);
    source.next_hole = NULL;
    g_assert_cmpint(fdset_memview_data_bytes(view), ==, 40);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add("/memview/reads are those of a plain file", Fixture, NULL, set_up, test_read,
               tear_down);
    g_test_add("/memview/seeks find all data and count it", Fixture, NULL, set_up, test_seek,
               tear_down);
    g_test_add("/memview/a file that was cut is an error", Fixture, NULL, set_up, test_cut,
               tear_down);
    g_test_add_func("/memview/no view is larger than a file", test_largest);
    g_test_add_func("/memview/holes of the source are holes, where it tells both ends",
                    test_source_holes);
    g_test_add_func("/memview/an empty view has nothing", test_empty);
    return g_test_run();
}
