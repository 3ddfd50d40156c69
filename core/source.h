/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source.h - a sequence of bytes of known size that is read at any offset.
 *
 * What every parser reads from: an image of a store, a plain file, or bytes in
 * memory. A parser never opens files itself, so that it can be fuzzed and used
 * on anything. The size does not change while a parser looks at it.
 */
#ifndef FDSET_SOURCE_H
#define FDSET_SOURCE_H

#include <glib.h>
#include <sys/types.h>

typedef struct {
    /*
     * Reads up to 'len' bytes at 'offset'. Returns how many (0 at or behind the
     * end, fewer than 'len' only there) or -errno. May be called from several
     * threads at once.
     */
    gssize (*pread)(gpointer opaque, gpointer buf, gsize len, guint64 offset);
    gpointer opaque;  /* borrowed; lives as long as the source is used */
    guint64 size;     /* bytes */
    const char *name; /* borrowed; what messages call it: a path or "fdset 7" */
    /*
     * The first offset >= 'offset' that is in no hole of the file, -ENXIO when
     * there is none, or another -errno when it cannot tell. May be NULL: it only
     * saves reading zeros.
     */
    gint64 (*next_data)(gpointer opaque, guint64 offset);
    /* Likewise the first one that is in a hole; NULL: it is shown as a file without holes. */
    gint64 (*next_hole)(gpointer opaque, guint64 offset);
} FdsetSource;

/*
 * Reads exactly 'len' bytes at 'offset'. Errors: FDSET_ERROR_TRUNCATED when the
 * range does not lie within the source (checked before anything is read),
 * FDSET_ERROR_SYSTEM when reading fails. 'what' names the thing read, for the
 * message ("RAM block header").
 */
gboolean fdset_source_read(const FdsetSource *source, guint64 offset, gpointer buf, gsize len,
                           const char *what, GError **error);

/* A source over 'len' bytes at 'bytes' (borrowed). */
void fdset_source_init_memory(FdsetSource *source, const GBytes *bytes, const char *name);

/* A source over an open, seekable file of 'size' bytes; the descriptor is borrowed. */
void fdset_source_init_fd(FdsetSource *source, int fd, guint64 size, const char *name);

#endif
