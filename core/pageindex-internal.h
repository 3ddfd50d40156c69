/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pageindex-internal.h - the file of an index: pageindex.c reads it,
 * pageindex-build.c writes it.
 *
 * A header, padded to FDSET_PAGEINDEX_HEADER bytes; 8 bytes for each page; 16
 * bytes for each stretch of the ram section that a later parse can skip; from a
 * multiple of the page size on the pages that were deltas. All in host byte
 * order, which the magic tells. An entry is 0 for a page of zeros, or a kind in
 * the two highest bits and an offset (or the byte that fills the page) below.
 */
#ifndef FDSET_PAGEINDEX_INTERNAL_H
#define FDSET_PAGEINDEX_INTERNAL_H

#include "core/pageindex.h"

#define FDSET_PAGEINDEX_MAGIC G_GUINT64_CONSTANT(0x3130584449534446) /* "FDSIDX01" */
#define FDSET_PAGEINDEX_HEADER 4096u
#define FDSET_PAGEINDEX_ENTRY 8u

#define FDSET_ENTRY_KIND_SHIFT 62
#define FDSET_ENTRY_VALUE_MASK ((G_GUINT64_CONSTANT(1) << FDSET_ENTRY_KIND_SHIFT) - 1)

enum {
    FDSET_ENTRY_SOURCE = 1, /* the page lies at this offset of the source */
    FDSET_ENTRY_INDEX = 2,  /* ... of the index                           */
    FDSET_ENTRY_FILL = 3,   /* every byte of it is this                   */
};

typedef struct {
    guint64 magic;
    guint64 device;
    guint64 inode;
    guint64 size;  /* of the source, bytes */
    gint64 mtime;  /* of the source        */
    guint64 start; /* of the stream        */
    guint64 page_size;
    guint64 n_pages;
    guint64 n_stretches;
    guint64 pages_start; /* offset of the pages that were deltas */
    guint64 end;         /* of the file */
    guint64 checksum;    /* XXH3-64 of all of it, this field being 0 */
} FdsetPageIndexHeader;

/* A part of the ram section from 'body' on: nothing but pages up to 'end'. */
typedef struct {
    guint64 body;
    guint64 end;
} FdsetPageStretch;

struct FdsetPageIndex {
    const FdsetSource *source; /* borrowed */
    int fd;
    gboolean cached;
    FdsetPageIndexHeader header;
    GArray *stretches; /* owned, of FdsetPageStretch, ascending */
};

/* The checksum over the file as it is, the field in the header taken as 0. FALSE: cannot read. */
gboolean fdset_pageindex_checksum(int fd, const FdsetPageIndexHeader *header, guint64 *checksum);

/*
 * Fills index->fd, which is empty and writable, from one pass; header and
 * stretches are set. Results and errors as fdset_pageindex_open().
 */
gboolean fdset_pageindex_build(FdsetPageIndex *index, const FdsetPageIndexOptions *options,
                               FdsetStream **stream, GError **problem, GError **error);

/* Tells the blocks of 'ram' where their pages are. FALSE: lengths that are not whole pages. */
gboolean fdset_pageindex_attach(FdsetPageIndex *index, FdsetRam *ram, GError **error);

#endif
