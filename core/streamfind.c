/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/streamfind.h"
#include "core/error.h"
#include "core/libvirt.h"
#include "core/stream.h"

#include <string.h>

/* Managers' headers are some KiB; a look at this much costs no more than a moment. */
#define SEARCH_MAX (64 * 1024 * 1024)
#define SEARCH_CHUNK (1024 * 1024)
#define MAGIC_BYTES 8

static const guint8 magic[MAGIC_BYTES] = {'Q', 'E', 'V', 'M', 0, 0, 0, 3};

gboolean fdset_stream_has_magic(const FdsetSource *source, guint64 offset)
{
    guint8 found[4];

    return fdset_source_read(source, offset, found, sizeof found, "magic", NULL) &&
           memcmp(found, magic, sizeof found) == 0;
}

static gboolean is_stream(const FdsetSource *source, guint64 offset)
{
    g_autoptr(FdsetStream) stream = fdset_stream_parse_head(source, offset, NULL);

    return stream != NULL;
}

/* Looks at one chunk; pieces overlap, so that a magic across their border is found. */
static gboolean search_chunk(const FdsetSource *source, guint64 at, const guint8 *chunk, gsize len,
                             guint64 *start)
{
    for (gsize i = 0; i + MAGIC_BYTES <= len;) {
        const guint8 *found = memmem(chunk + i, len - i, magic, MAGIC_BYTES);

        if (found == NULL)
            return FALSE;
        *start = at + (guint64)(found - chunk);
        if (is_stream(source, *start))
            return TRUE;
        i = (gsize)(found - chunk) + 1;
    }
    return FALSE;
}

gboolean fdset_stream_search(const FdsetSource *source, guint64 *start, GError **error)
{
    g_autofree guint8 *chunk = g_malloc(SEARCH_CHUNK);
    guint64 end = MIN(source->size, SEARCH_MAX);

    for (guint64 at = 0; at + MAGIC_BYTES <= end; at += SEARCH_CHUNK - MAGIC_BYTES + 1) {
        gsize len = (gsize)MIN(SEARCH_CHUNK, end - at);

        if (!fdset_source_read(source, at, chunk, len, "start of the file", error))
            return FALSE;
        if (search_chunk(source, at, chunk, len, start))
            return TRUE;
    }
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT,
                "%s: no QEMU migration stream in its first %" G_GUINT64_FORMAT
                " bytes; offset=N tells where one is",
                source->name, end);
    return FALSE;
}

guint64 fdset_stream_find(const FdsetSource *source, guint64 expected)
{
    g_autoptr(FdsetLibvirt) header = NULL;

    if (fdset_stream_has_magic(source, expected))
        return expected;
    if (fdset_stream_has_magic(source, 0))
        return 0;
    header = fdset_libvirt_read(source, NULL);
    if (header && fdset_stream_has_magic(source, fdset_libvirt_stream_offset(header)))
        return fdset_libvirt_stream_offset(header);
    return expected;
}
