/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding the stream in a file, and what is said of it. */
#include "config.h"
#include "core/elfcore.h"
#include "core/error.h"
#include "core/info.h"
#include "core/inspection.h"
#include "core/lime.h"
#include "core/memraw.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <json-glib/json-glib.h>

static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 70},
                                     {.name = "../\xff", .pages = 1, .shared = TRUE}};

/* 64 pages leave no bits behind them: nothing tells, so it must be told. */
static void test_byte_order_told(void)
{
    static const StreamBlock whole[] = {{.name = "pc.ram", .pages = 64}};

    for (int big = 0; big < 2; big++) {
        const StreamShape shape = {
            .capability = "mapped-ram", .blocks = whole, .n_blocks = 1, .big_endian = big};
        const FdsetInspectionOptions options = {
            .bitmap = big ? FDSET_BYTE_ORDER_BIG : FDSET_BYTE_ORDER_LITTLE};
        const FdsetInspectionOptions untold = {0};
        g_autoptr(StreamFile) file = stream_file_new(&shape);
        g_autoptr(FdsetInspection) inspection = NULL;
        g_autoptr(FdsetInspection) assumed = NULL;
        const FdsetRamblock *block;
        FdsetSource source;

        stream_file_source(file, G_MAXUINT64, &source);
        assumed = fdset_inspection_new(&source, &untold, NULL);
        g_assert_cmpstr(fdset_inspection_byte_order_source(assumed), ==, "assumed");
        inspection = fdset_inspection_new(&source, &options, NULL);
        g_assert_cmpstr(fdset_inspection_byte_order_source(inspection), ==, "told");
        block = fdset_ram_block(fdset_stream_ram(fdset_inspection_stream(inspection)), 0);
        for (guint64 page = 0; page < 64; page++)
            g_assert_cmpint(fdset_ramblock_page_present(block, page), ==,
                            stream_page_present(page));
    }
}

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

/* Without an index its pages cannot be found; with one it is like any other. */
static void test_streaming(void)
{
    const StreamShape shape = {.blocks = blocks, .n_blocks = 1};
    const FdsetPageIndexOptions index = {.dirfd = -1};
    const FdsetInspectionOptions options = {.index = &index};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetInspection) inspection = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    guint8 byte;
    const FdsetRamblock *block;

    g_assert_null(inspect(file, &source, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "mapped-ram"));
    g_clear_error(&error);
    inspection = fdset_inspection_new(&source, &options, &error);
    g_assert_no_error(error);
    g_assert_nonnull(fdset_inspection_index(inspection));
    block = fdset_ram_block(fdset_stream_ram(fdset_inspection_stream(inspection)), 0);
    for (guint64 page = 0; page < 70; page++) {
        g_assert_cmpint(fdset_ramblock_pread(block, &byte, 1, page * 4096 + 9), ==, 1);
        g_assert_cmpuint(byte, ==, stream_page_present(page) ? stream_page_byte("pc.ram", page) : 0);
    }
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
        g_assert_cmpstr(fdset_inspection_byte_order_source(inspection), ==, "derived");
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

/* Reads at both ends and seeks; what comes back is of no interest. */
static void use_view(FdsetMemview *view)
{
    guint8 buf[5000];
    guint64 size;

    if (view == NULL)
        return;
    size = fdset_memview_size(view);
    g_assert_cmpint(fdset_memview_pread(view, buf, sizeof buf, 0), <=, (gssize)sizeof buf);
    fdset_memview_pread(view, buf, sizeof buf, size - MIN(size, 100));
    fdset_memview_pread(view, buf, sizeof buf, size / 2);
    fdset_memview_next_data(view, size / 3);
    fdset_memview_next_hole(view, size / 3);
    g_assert_cmpint(fdset_memview_data_bytes(view), <=, (gint64)size);
}

static void use_all(const FdsetInspection *inspection)
{
    const FdsetGpa *gpa = fdset_inspection_gpa(inspection);
    g_autoptr(FdsetMemview) raw = fdset_memraw_new(gpa, NULL);
    g_autoptr(FdsetMemview) elf = fdset_elfcore_new(gpa, fdset_inspection_notes(inspection), NULL);
    g_autoptr(FdsetMemview) lime = fdset_lime_new(gpa, NULL);
    g_autoptr(GBytes) info = fdset_info_render(inspection);
    g_autoptr(GBytes) devices = fdset_devices_render(fdset_inspection_devices(inspection));
    GBytes *const texts[] = {info, devices};

    use_view(raw);
    use_view(elf);
    use_view(lime);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        gsize len;
        const char *text = g_bytes_get_data(texts[i], &len);
        g_autofree char *copy = g_strndup(text, len);
        g_autoptr(JsonNode) node = json_from_string(copy, NULL);

        g_assert_true(g_utf8_validate(text, (gssize)len, NULL));
        g_assert_nonnull(node);
    }
}

/* A byte of the head or of the end, where everything but pages stands. */
static gsize pick(GRand *random, const GByteArray *bytes)
{
    gsize at = (gsize)g_rand_int_range(random, 0, 2000) % MIN(2000, bytes->len);

    return g_rand_boolean(random) ? at % 450 : bytes->len - 1 - at;
}

static void damage(GRand *random, GByteArray *bytes)
{
    static const guint8 edges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', ']', '9', 5};

    for (gint32 n = g_rand_int_range(random, 1, 4); n > 0; n--) {
        guint8 *byte = &bytes->data[pick(random, bytes)];

        if (g_rand_boolean(random))
            *byte = edges[g_rand_int_range(random, 0, G_N_ELEMENTS(edges))];
        else
            *byte ^= (guint8)(1 << g_rand_int_range(random, 0, 8));
    }
}

static void test_damage(void)
{
    static const StreamBlock small[] = {{.name = "pc.ram", .pages = 3},
                                        {.name = "pc.bios", .pages = 2}};
    const StreamShape shape = {
        .capability = "mapped-ram", .blocks = small, .n_blocks = 2, .pages_align = 4096};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autofree guint8 *whole = g_memdup2(file->bytes->data, file->bytes->len);
    g_autoptr(GRand) random = g_rand_new_with_seed(20240220);
    guint shown = 0, complete = 0;

    for (int round = 0; round < 5000; round++) {
        g_autoptr(FdsetInspection) inspection = NULL;
        g_autoptr(GError) error = NULL;
        FdsetSource source;

        memcpy(file->bytes->data, whole, file->bytes->len);
        damage(random, file->bytes);
        inspection = inspect(file, &source, &error);
        if (inspection == NULL) {
            g_assert_cmpuint(error->domain, ==, FDSET_ERROR);
            continue;
        }
        use_all(inspection);
        shown++;
        complete += fdset_inspection_problem(inspection) == NULL;
    }
    /* Else it looks at nothing but refusals. */
    g_assert_cmpuint(shown, >, 500);
    g_assert_cmpuint(complete, >, 50);
    g_assert_cmpuint(shown, >, complete);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/inspection/the stream is found wherever it starts", test_found);
    g_test_add_func("/inspection/a file without one is refused", test_not_found);
    g_test_add_func("/inspection/the streaming format needs an index", test_streaming);
    g_test_add_func("/inspection/a save that was interrupted is shown with its problem",
                    test_unfinished);
    g_test_add_func("/inspection/the byte order of bitmaps is seen", test_byte_order);
    g_test_add_func("/inspection/the byte order of bitmaps can be told", test_byte_order_told);
    g_test_add_func("/inspection/info.json is valid whatever the names are", test_info);
    g_test_add_func("/inspection/5000 damaged files do no harm", test_damage);
    return g_test_run();
}
