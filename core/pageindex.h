/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pageindex.h - where each page of a file in the old streaming format lies.
 *
 * Such a file has pages in the order they were sent, some of them several
 * times, the last of which counts. One pass over the file makes the index: a
 * file with 8 bytes for each page of all RAM blocks, in stream order, a hole
 * for zero pages, and the contents of pages that were sent as deltas (XBZRLE).
 * It is kept in a cache directory under the identity of the file, has a
 * checksum over all of it, and is made anew when anything does not fit. Nothing
 * of it is in memory. Immutable and thread-safe once it is open.
 */
#ifndef FDSET_PAGEINDEX_H
#define FDSET_PAGEINDEX_H

#include "core/stream.h"

/* 64 TiB of pages of 4 KiB. */
#define FDSET_PAGEINDEX_PAGES_MAX (G_GUINT64_CONSTANT(1) << 34)

typedef struct FdsetPageIndex FdsetPageIndex;

/* Told every few MiB how far the pass is, in bytes of the source. */
typedef void (*FdsetPageIndexFunc)(gpointer data, guint64 done, guint64 total);

typedef struct {
    int dirfd;       /* of the cache directory; -1: a file without a name that goes with the index */
    guint64 device;  /* what names the file that is indexed, together with its size */
    guint64 inode;
    gint64 mtime;    /* nanoseconds since the epoch */
    FdsetPageIndexFunc progress; /* nullable */
    gpointer data;
} FdsetPageIndexOptions;

/*
 * The index of the stream at 'start', taken from the cache or made. *stream gets
 * the whole stream, with the index attached to its blocks; it borrows the index
 * and the source. When the stream ends too early, *stream is its head, *problem
 * (a GError) says why, and the index has the pages that are there. Errors: those
 * of the stream's head; UNSUPPORTED (compressed pages), LIMIT (more pages than
 * FDSET_PAGEINDEX_PAGES_MAX, deltas that grow beyond measure), NO_SPACE, SYSTEM.
 */
FdsetPageIndex *fdset_pageindex_open(const FdsetPageIndexOptions *options,
                                     const FdsetSource *source, guint64 start,
                                     FdsetStream **stream, GError **problem, GError **error);

/* Was it found in the cache? */
gboolean fdset_pageindex_is_cached(const FdsetPageIndex *index);

/* Whether 'n' pages from 'first' on have content: one bit each in 'bits', lowest first, in words
 * of 64. 'n' is at most FDSET_PAGEINDEX_WINDOW. 0 or -errno. */
#define FDSET_PAGEINDEX_WINDOW 512u
int fdset_pageindex_bits(const FdsetPageIndex *index, guint64 first, gsize n, guint64 *bits);

/* The first page >= 'first' that may have content, as far as holes of the index tell. */
guint64 fdset_pageindex_skip_hole(const FdsetPageIndex *index, guint64 first);

/*
 * Reads 'len' bytes from 'within' (bytes) of page 'first' on, over as many pages
 * as that takes; a page without content reads as zeros. 0 or -errno.
 */
int fdset_pageindex_read(const FdsetPageIndex *index, guint64 first, guint64 within, gpointer buf,
                         gsize len);

void fdset_pageindex_free(FdsetPageIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetPageIndex, fdset_pageindex_free)

#endif
