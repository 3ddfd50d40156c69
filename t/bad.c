/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each file of the corpus is refused with its own error, by the parser and by
 * what a mount is made of; and no file that cannot be read, at whichever read,
 * does more than fail.
 */
#include "config.h"
#include "core/devices.h"
#include "core/error.h"
#include "core/info.h"
#include "core/inspection.h"
#include "t/bad/cases.h"
#include "t/tap.h"

#include <errno.h>

static const FdsetPageIndexOptions no_cache = {.dirfd = -1};

static void check_error(const BadCase *bad, const GError *error)
{
    if (!error)
        g_error("%s is taken", bad->name);
    if (!g_error_matches(error, FDSET_ERROR, bad->code) || !strstr(error->message, bad->words))
        g_error("%s: expected code %d and '%s', got code %d and '%s'", bad->name, bad->code,
                bad->words, error->code, error->message);
    g_assert_true(g_str_has_prefix(error->message, "FILE: "));
}

/* What the store asks of a set: is it complete? */
static void check_stream(const BadCase *bad, const FdsetSource *source)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(fdset_stream_is_complete(source, 0, &error));
    if (!g_str_has_prefix(bad->name, "libvirt-"))
        check_error(bad, error);
}

/* What a mount asks: an error, or the head with that as its problem. */
static void check_inspection(const BadCase *bad, const FdsetSource *source)
{
    const FdsetInspectionOptions options = {.index = &no_cache,
                                            .has_offset = !g_str_has_prefix(bad->name, "libvirt-")};
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetInspection) inspection = fdset_inspection_new(source, &options, &error);

    if (!bad->shown) {
        check_error(bad, error);
        return;
    }
    if (!inspection)
        g_error("%s should be shown: %s", bad->name, error->message);
    g_assert_nonnull(strstr(fdset_inspection_problem(inspection), bad->words));
}

static void test_case(gconstpointer data)
{
    const BadCase *bad = bad_case(GPOINTER_TO_SIZE(data));
    g_autoptr(GByteArray) file = bad_file(GPOINTER_TO_SIZE(data));
    g_autoptr(GBytes) bytes = g_bytes_new(file->data, file->len);
    FdsetSource source;

    fdset_source_init_memory(&source, bytes, "FILE");
    check_stream(bad, &source);
    check_inspection(bad, &source);
}

/* --- reads that fail --- */

typedef struct {
    FdsetSource plain;
    guint n;       /* reads so far                  */
    guint fail_at; /* this one does not do its work */
    int how;       /* -errno, or 1: it is short     */
} Faulty;

static gssize faulty_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    Faulty *faulty = opaque;
    gssize got = faulty->plain.pread(faulty->plain.opaque, buf, len, offset);

    if (faulty->n++ != faulty->fail_at)
        return got;
    return faulty->how < 0 ? faulty->how : got / 2;
}

/* Everything that is made of a file. FALSE: one read failed, and was reported. */
static gboolean use_file(Faulty *faulty, GError **error)
{
    const FdsetInspectionOptions options = {.index = &no_cache};
    FdsetSource source = faulty->plain;
    g_autoptr(FdsetInspection) inspection = NULL;
    g_autoptr(GBytes) info = NULL;
    g_autoptr(GBytes) devices = NULL;

    source.pread = faulty_pread;
    source.opaque = faulty;
    inspection = fdset_inspection_new(&source, &options, error);
    if (!inspection)
        return FALSE;
    info = fdset_info_render(inspection);
    devices = fdset_devices_render(fdset_inspection_devices(inspection));
    return TRUE;
}

static void try_reads(StreamFile *file, int how)
{
    Faulty faulty = {.how = how};

    stream_file_source(file, G_MAXUINT64, &faulty.plain);
    for (faulty.fail_at = 0;; faulty.fail_at++) {
        g_autoptr(GError) error = NULL;

        faulty.n = 0;
        if (!use_file(&faulty, &error))
            g_assert_true(error->domain == FDSET_ERROR);
        if (faulty.n <= faulty.fail_at)
            break; /* that was all */
    }
    g_assert_cmpuint(faulty.fail_at, >, 5);
}

static void test_reads(void)
{
    static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 300},
                                         {.name = "vga.vram", .pages = 3}};
    const StreamShape shapes[] = {
        {.capability = "mapped-ram", .pages_align = 4096, .blocks = blocks, .n_blocks = 2},
        {.resent = TRUE, .blocks = blocks, .n_blocks = 2},
        {.start = 5000, .capability = "mapped-ram", .pages_align = 4096, .blocks = blocks,
         .n_blocks = 2},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autoptr(StreamFile) file = stream_file_new(&shapes[i]);

        try_reads(file, -EIO);
        try_reads(file, -EINTR);
        try_reads(file, 1);
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    for (gsize i = 0; i < bad_n_cases(); i++) {
        g_autofree char *path = g_strdup_printf("/bad/%s", bad_case(i)->name);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_case);
    }
    g_test_add_func("/bad/a read that fails, whichever it is", test_reads);
    return g_test_run();
}
