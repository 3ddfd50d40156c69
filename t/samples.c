/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real migration files against QEMU's own dump of the guest's memory. The
 * environment variable FDSETFS_SAMPLES names a directory of unpacked samples;
 * without it everything is skipped.
 */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/libvirt.h"
#include "core/stream.h"
#include "t/tap.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Not RAM on the bus: the VGA window. */
#define WINDOW_START 0xa0000
#define WINDOW_END 0xc0000
#define MIB (1024 * 1024)

typedef struct {
    const char *directory, *file;
    guint64 start;         /* of the stream; 0 with libvirt's header: what that says */
    const char *blocks[3]; /* low memory, in the order of its addresses */
} Sample;

static const Sample samples[] = {
    {"b-multifd4", "mig.bin", 0, {"pc.ram"}}, {"e3-live-multifd4-stale", "mig.bin", 0, {"pc.ram"}},
    {"g-blocks", "mig.bin", 0, {"m0", "m1"}}, {"d2-offset-mapped", "mig.bin", MIB, {"pc.ram"}},
    {"f-stream", "mig.bin", 0, {"pc.ram"}},   {"n-libvirt", "lv-sparse-dio.img", 0, {"pc.ram"}},
};

typedef struct {
    int fd;
    char *path;
    guint64 start;
    FdsetSource source;
} File;

static gboolean open_file(const Sample *sample, const char *name, File *file)
{
    const char *directory = g_getenv("FDSETFS_SAMPLES");
    struct stat st;

    if (directory == NULL) {
        g_test_skip("FDSETFS_SAMPLES names no directory of unpacked samples");
        return FALSE;
    }
    file->path = g_build_filename(directory, sample->directory, name, NULL);
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0) {
        g_test_skip(file->path);
        g_free(file->path);
        return FALSE;
    }
    g_assert_cmpint(fstat(file->fd, &st), ==, 0);
    fdset_source_init_fd(&file->source, file->fd, (guint64)st.st_size, file->path);
    return TRUE;
}

static gboolean open_sample(const Sample *sample, File *file)
{
    g_autoptr(FdsetLibvirt) libvirt = NULL;
    g_autoptr(GError) error = NULL;

    if (!open_file(sample, sample->file, file))
        return FALSE;
    file->start = sample->start;
    if (!fdset_libvirt_probe(&file->source))
        return TRUE;
    libvirt = fdset_libvirt_read(&file->source, &error);
    g_assert_no_error(error);
    g_assert_true(fdset_libvirt_is_finished(libvirt));
    g_assert_cmpint(fdset_libvirt_format(libvirt), ==, FDSET_LIBVIRT_SPARSE);
    file->start = fdset_libvirt_stream_offset(libvirt);
    return TRUE;
}

static void close_file(File *file)
{
    fdset_fd_clear(&file->fd);
    g_free(file->path);
}

static void test_complete(gconstpointer data)
{
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    File file;

    if (!open_sample(data, &file))
        return;
    stream = fdset_stream_parse(&file.source, file.start, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fdset_stream_end(stream), ==, file.source.size);
    g_assert_cmpstr(fdset_configuration_machine(fdset_stream_configuration(stream)), ==,
                    "pc-q35-10.0");
    for (gsize i = 0; i < fdset_stream_n_sections(stream); i++)
        g_assert_true(fdset_stream_section(stream, i)->exact);
    close_file(&file);
}

/* Cuts at every byte of the head, then at steps that get smaller towards the end. */
static void test_cut(gconstpointer data)
{
    const Sample *sample = data;
    File file;

    if (!open_sample(sample, &file))
        return;
    for (guint64 size = file.source.size - 1, cut = 0; cut < size; cut++) {
        g_autoptr(GError) error = NULL;

        if (cut > 4096 && size - cut > 65536)
            cut += (size - cut) / 8;
        else if (cut > 4096)
            cut += 61;
        file.source.size = MIN(cut, size);
        if (fdset_stream_is_complete(&file.source, file.start, &error))
            g_error("%s cut to %" G_GUINT64_FORMAT " bytes is complete", file.path, cut);
        g_assert_error(error, FDSET_ERROR, FDSET_ERROR_TRUNCATED);
    }
    close_file(&file);
}

typedef struct {
    const FdsetRamblock *block; /* the one wanted */
    const File *file;
    guint8 *memory;
} Replay;

static gboolean replay_page(const FdsetPage *page, gpointer opaque, GError **error)
{
    Replay *replay = opaque;
    const char *wanted = fdset_ramblock_name(replay->block);

    if (strcmp(fdset_ramblock_name(page->block), wanted) != 0)
        return TRUE;
    if (page->encoding == FDSET_PAGE_FILL) {
        memset(replay->memory + page->offset, page->fill, 4096);
        return TRUE;
    }
    g_assert_cmpint(page->encoding, ==, FDSET_PAGE_PLAIN);
    return fdset_source_read(&replay->file->source, page->data, replay->memory + page->offset,
                             page->len, "page", error);
}

static void read_block(const File *file, const FdsetRamblock *block, guint8 *memory)
{
    guint64 length = fdset_ramblock_used_length(block);
    Replay replay = {block, file, memory};
    const FdsetPageVisitor visitor = {.page = replay_page, .opaque = &replay};
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GError) error = NULL;

    if (fdset_ramblock_kind(block) == FDSET_RAMBLOCK_MAPPED) {
        g_assert_cmpint(fdset_ramblock_pread(block, memory, length, 0), ==, (gssize)length);
        return;
    }
    stream = fdset_stream_parse_pages(&file->source, file->start, &visitor, &error);
    g_assert_no_error(error);
}

static void compare(const guint8 *memory, const guint8 *truth, guint64 from, guint64 to)
{
    for (guint64 offset = from; offset < to; offset += 4096) {
        if (memcmp(memory + offset, truth + offset, 4096) != 0)
            g_error("guest memory at 0x%" G_GINT64_MODIFIER "x differs", offset);
    }
}

static void test_memory(gconstpointer data)
{
    const Sample *sample = data;
    g_autofree guint8 *memory = NULL;
    g_autofree guint8 *expected = NULL;
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GError) error = NULL;
    guint64 length, at = 0;
    File file, truth;

    if (!open_sample(sample, &file) || !open_file(sample, "pmem-low.bin", &truth))
        return;
    stream = fdset_stream_parse_head(&file.source, file.start, &error);
    g_assert_no_error(error);
    length = truth.source.size;
    memory = g_malloc0(length);
    expected = g_malloc(length);
    g_assert_true(fdset_source_read(&truth.source, 0, expected, length, "truth", &error));
    for (gsize i = 0; sample->blocks[i] != NULL; i++) {
        const FdsetRamblock *block =
            fdset_ram_find_block(fdset_stream_ram(stream), sample->blocks[i]);

        g_assert_nonnull(block);
        g_assert_cmpuint(fdset_ramblock_used_length(block), <=, length - at);
        read_block(&file, block, memory + at);
        at += fdset_ramblock_used_length(block);
    }
    g_assert_cmpuint(at, ==, length);
    compare(memory, expected, 0, WINDOW_START);
    compare(memory, expected, WINDOW_END, length);
    close_file(&file);
    close_file(&truth);
}

static void add(const Sample *sample, const char *claim, void (*test)(gconstpointer data))
{
    g_autofree char *name = g_strdup_printf("/samples/%s %s", sample->directory, claim);

    g_test_add_data_func(name, sample, test);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    for (gsize i = 0; i < G_N_ELEMENTS(samples); i++) {
        add(&samples[i], "is complete and all accounted for", test_complete);
        add(&samples[i], "cut short is not complete", test_cut);
        add(&samples[i], "has the memory that QEMU dumped", test_memory);
    }
    return g_test_run();
}
