/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressed files, packed by the tools that libvirt pipes them through: as if
 * they had never been compressed; cut and damaged ones are refused.
 */
#include "config.h"
#include "core/error.h"
#include "core/inspection.h"
#include "core/unpack.h"
#include "t/fixture.h"
#include "t/streamwriter.h"

#include <string.h>

#define FRONT 4188 /* bytes of libvirt's header and its data */

static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 300}};
static const StreamShape shape = {.blocks = blocks, .n_blocks = 1};
static const FdsetPageIndexOptions no_cache = {.dirfd = -1};

static const struct {
    const char *tool;
    FdsetLibvirtFormat format;
} tools[] = {
    {"gzip", FDSET_LIBVIRT_GZIP},
    {"bzip2", FDSET_LIBVIRT_BZIP2},
    {"xz", FDSET_LIBVIRT_XZ},
    {"zstd", FDSET_LIBVIRT_ZSTD},
};

/* FALSE: there is no such tool, or no library for what it makes; the test is skipped. */
static gboolean is_usable(gsize i)
{
    g_autofree char *path = g_find_program_in_path(tools[i].tool);

    if (path && fdset_unpack_is_possible(tools[i].format))
        return TRUE;
    g_test_skip(path ? "no library for it in this build" : "the tool is not installed");
    return FALSE;
}

/* The stream through the tool, in two members, as parallel tools make them. */
static GByteArray *pack(const Dir *dir, gsize i, const guint8 *data, gsize len)
{
    g_autofree char *script = g_strdup_printf(
        "cd '%s' && head -c 5000 plain | %s -c >packed && tail -c +5001 plain | %s -c >>packed",
        dir->path, tools[i].tool, tools[i].tool);
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    GByteArray *bytes = g_byte_array_new();
    g_autoptr(GBytes) packed = NULL;
    int status = -1;

    dir_write(dir, "plain", data, len);
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL,
                               &status, NULL));
    g_assert_cmpint(status, ==, 0);
    packed = dir_read(dir, "packed");
    g_byte_array_append(bytes, g_bytes_get_data(packed, NULL), (guint)g_bytes_get_size(packed));
    return bytes;
}

/* libvirt's header, which says 'format', in front of it. */
static void put_front(GByteArray *bytes, guint32 format)
{
    guint8 front[FRONT] = "LibvirtQemudSave";
    const guint32 words[] = {2, FRONT - 92, 1, format, 0};

    memcpy(front + 16, words, sizeof words);
    memcpy(front + 92, "<domain/>", 9);
    g_byte_array_prepend(bytes, front, FRONT);
}

static void check_content(const FdsetInspection *inspection, guint64 start)
{
    const FdsetStream *stream = fdset_inspection_stream(inspection);
    const FdsetRamblock *block = fdset_ram_block(fdset_stream_ram(stream), 0);

    g_assert_null(fdset_inspection_problem(inspection));
    g_assert_cmpuint(fdset_stream_start(stream), ==, start);
    for (guint64 page = 0; page < 300; page++) {
        guint8 byte;

        g_assert_cmpint(fdset_ramblock_pread(block, &byte, 1, page * 4096 + 77), ==, 1);
        g_assert_cmpuint(byte, ==, stream_page_present(page) ? stream_page_byte("pc.ram", page) : 0);
    }
}

static FdsetInspection *inspect(GByteArray *bytes, GBytes **view, FdsetSource *source,
                                GError **error)
{
    const FdsetInspectionOptions options = {.index = &no_cache};

    *view = g_bytes_new(bytes->data, bytes->len);
    fdset_source_init_memory(source, *view, "FILE");
    return fdset_inspection_new(source, &options, error);
}

static void test_tool(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(GByteArray) packed = NULL;

    if (!is_usable(i))
        return;
    packed = pack(dir, i, file->bytes->data, file->bytes->len);
    for (int front = 0; front < 2; front++) {
        g_autoptr(GBytes) view = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetInspection) inspection = NULL;
        FdsetSource source;

        if (front)
            put_front(packed, tools[i].format);
        inspection = inspect(packed, &view, &source, &error);
        g_assert_no_error(error);
        g_assert_cmpint(fdset_inspection_libvirt(inspection) != NULL, ==, front);
        check_content(inspection, front ? FRONT : 0);
    }
}

/* Wherever it is cut: an error, or the head of what is there. No part is taken for all of it. */
static void test_cut(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(GByteArray) packed = NULL;

    if (!is_usable(i))
        return;
    packed = pack(dir, i, file->bytes->data, file->bytes->len);
    for (guint len = packed->len - 1; len > 8; len -= MIN(len - 8, 97)) {
        g_autoptr(GBytes) view = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetInspection) inspection = NULL;
        FdsetSource source;

        g_byte_array_set_size(packed, len);
        inspection = inspect(packed, &view, &source, &error);
        if (inspection)
            g_assert_nonnull(fdset_inspection_problem(inspection));
        else
            g_assert_true(error->domain == FDSET_ERROR && error->code != FDSET_ERROR_SYSTEM);
    }
}

static void test_damaged(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(GByteArray) packed = NULL;
    guint refused = 0;

    if (!is_usable(i))
        return;
    packed = pack(dir, i, file->bytes->data, file->bytes->len);
    for (guint at = 6; at < packed->len; at += 31) {
        g_autoptr(GBytes) view = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetInspection) inspection = NULL;
        FdsetSource source;

        packed->data[at] ^= 0x10;
        inspection = inspect(packed, &view, &source, &error);
        refused += inspection == NULL;
        if (!inspection)
            g_assert_true(error->domain == FDSET_ERROR);
        packed->data[at] ^= 0x10;
    }
    g_assert_cmpuint(refused, >, 5);
}

static void test_lzop(void)
{
    static const guint8 magic[] = {0x89, 'L', 'Z', 'O', 0, 0x0d, 0x0a, 0x1a, 0x0a};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GBytes) view = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;

    g_byte_array_append(bytes, magic, sizeof magic);
    g_assert_null(inspect(bytes, &view, &source, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "lzop -dc"));
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    for (gsize i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *whole = g_strdup_printf("/unpack/%s/as if never compressed", tools[i].tool);
        g_autofree char *cut = g_strdup_printf("/unpack/%s/cut anywhere", tools[i].tool);
        g_autofree char *damaged = g_strdup_printf("/unpack/%s/changed anywhere", tools[i].tool);

        g_test_add_data_func(whole, GSIZE_TO_POINTER(i), test_tool);
        g_test_add_data_func(cut, GSIZE_TO_POINTER(i), test_cut);
        g_test_add_data_func(damaged, GSIZE_TO_POINTER(i), test_damaged);
    }
    g_test_add_func("/unpack/lzop: the tool is named", test_lzop);
    return g_test_run();
}
