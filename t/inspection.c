/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding the stream in a file, and what is said of it. */
#include "config.h"
#include "core/error.h"
#include "core/info.h"
#include "core/inspection.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <json-glib/json-glib.h>

static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 70},
                                     {.name = "../\xff", .pages = 1, .shared = TRUE}};

static FdsetInspection *inspect(StreamFile *file, FdsetSource *source, GError **error)
{
    const FdsetInspectionOptions options = {0};

    stream_file_source(file, G_MAXUINT64, source);
    return fdset_inspection_new(source, &options, error);
}

static void test_found(void)
{
    static const guint64 starts[] = {0, 1, 4096, 1048569, 1048576, 5000000};

    for (gsize i = 0; i < G_N_ELEMENTS(starts); i++) {
        const StreamShape shape = {
            .start = starts[i], .capability = "fixed-ram", .blocks = blocks, .n_blocks = 1};
        g_autoptr(StreamFile) file = stream_file_new(&shape);
        g_autoptr(FdsetInspection) inspection = NULL;
        g_autoptr(GError) error = NULL;
        FdsetSource source;

        /* A magic that is none stands in front. */
        if (starts[i] > 100)
            memcpy(file->bytes->data + 10, "QEVM\0\0\0\3\7", 9);
        inspection = inspect(file, &source, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(fdset_stream_start(fdset_inspection_stream(inspection)), ==, starts[i]);
        g_assert_null(fdset_inspection_problem(inspection));
    }
}

static void test_not_found(void)
{
    g_autoptr(GBytes) bytes = g_bytes_new_take(g_malloc0(3000000), 3000000);
    const FdsetInspectionOptions options = {0}, there = {.has_offset = TRUE, .offset = 5};
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) other = NULL;
    FdsetSource source;

    fdset_source_init_memory(&source, bytes, "test");
    g_assert_null(fdset_inspection_new(&source, &options, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT);
    g_assert_null(fdset_inspection_new(&source, &there, &other));
    g_assert_error(other, FDSET_ERROR, FDSET_ERROR_FORMAT);
}

static void test_streaming(void)
{
    const StreamShape shape = {.blocks = blocks, .n_blocks = 1};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    g_assert_null(inspect(file, &source, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "mapped-ram"));
}

static void test_unfinished(void)
{
    const StreamShape shape = {
        .capability = "mapped-ram", .blocks = blocks, .n_blocks = 1, .unfinished = TRUE};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetInspection) inspection = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    inspection = inspect(file, &source, &error);
    g_assert_no_error(error);
    g_assert_nonnull(fdset_inspection_problem(inspection));
    g_assert_cmpuint(fdset_devices_count(fdset_inspection_devices(inspection)), ==, 0);
    g_assert_cmpuint(fdset_inspection_n_cpus(inspection), ==, 0);
}

/* Little- or big-endian, the content is the same: 70 pages leave bits that tell. */
static void test_byte_order(void)
{
    for (int big = 0; big < 2; big++) {
        const StreamShape shape = {
            .capability = "mapped-ram", .blocks = blocks, .n_blocks = 1, .big_endian = big};
        g_autoptr(StreamFile) file = stream_file_new(&shape);
        g_autoptr(FdsetInspection) inspection = NULL;
        const FdsetRamblock *block;
        FdsetSource source;

        inspection = inspect(file, &source, NULL);
        g_assert_nonnull(inspection);
        g_assert_cmpint(fdset_inspection_is_big_endian(inspection), ==, big);
        block = fdset_ram_block(fdset_stream_ram(fdset_inspection_stream(inspection)), 0);
        for (guint64 page = 0; page < 70; page++)
            g_assert_cmpint(fdset_ramblock_page_present(block, page), ==,
                            stream_page_present(page));
    }
}

static void test_info(void)
{
    const StreamShape shape = {.capability = "mapped-ram",
                               .ignore_shared = TRUE,
                               .machine = "pc-q35-\xff",
                               .uuid = TRUE,
                               .blocks = blocks,
                               .n_blocks = 2};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetInspection) inspection = NULL;
    g_autoptr(JsonNode) root = NULL;
    g_autoptr(GBytes) text = NULL;
    g_autoptr(GError) error = NULL;
    JsonObject *object, *block, *range;
    FdsetSource source;
    gsize len;
    const char *json;
    g_autofree char *copy = NULL;

    inspection = inspect(file, &source, &error);
    g_assert_no_error(error);
    text = fdset_info_render(inspection);
    json = g_bytes_get_data(text, &len);
    copy = g_strndup(json, len);
    g_assert_true(g_utf8_validate(copy, -1, NULL));
    root = json_from_string(copy, &error);
    g_assert_no_error(error);
    object = json_node_get_object(root);
    g_assert_cmpint(json_object_get_int_member(object, "version"), ==, 1);
    block = json_array_get_object_element(json_object_get_array_member(object, "ram"), 1);
    g_assert_cmpstr(json_object_get_string_member(block, "file"), ==, "%2E.%2F%FF");
    g_assert_cmpstr(json_object_get_string_member(block, "kind"), ==, "shared");
    g_assert_cmpstr(json_object_get_string_member(block, "length"), ==, "0x1000");
    object = json_object_get_object_member(object, "memory_map");
    range = json_array_get_object_element(json_object_get_array_member(object, "ranges"), 0);
    g_assert_cmpstr(json_object_get_string_member(range, "address"), ==, "0x0");
    g_assert_cmpstr(json_object_get_string_member(range, "length"), ==, "0x46000");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/inspection/the stream is found wherever it starts", test_found);
    g_test_add_func("/inspection/a file without one is refused", test_not_found);
    g_test_add_func("/inspection/the streaming format is refused", test_streaming);
    g_test_add_func("/inspection/a save that was interrupted is shown with its problem",
                    test_unfinished);
    g_test_add_func("/inspection/the byte order of bitmaps is seen", test_byte_order);
    g_test_add_func("/inspection/info.json is valid whatever the names are", test_info);
    return g_test_run();
}
