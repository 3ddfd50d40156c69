/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ramblock-internal.h - what ramblock.c (the record) and ramblock-content.c
 * (bitmap and pages) share, and nobody else includes.
 */
#ifndef FDSET_RAMBLOCK_INTERNAL_H
#define FDSET_RAMBLOCK_INTERNAL_H

#include "core/pageindex.h"
#include "core/ramblock.h"

#define FDSET_BITMAP_WORD_BYTES 8
#define FDSET_BITMAP_WORD_BITS 64

struct FdsetRamblock {
    const FdsetSource *source; /* borrowed */
    char *name;                /* owned */
    FdsetRamblockKind kind;
    guint64 used_length;   /* bytes */
    guint64 page_size;     /* bytes; of a mapped block, and of a streamed one with an index */
    guint64 bitmap_offset; /* absolute; mapped only, like the next */
    guint64 pages_offset;  /* absolute */
    const FdsetPageIndex *index; /* borrowed; of a streamed block, or NULL */
    guint64 index_first;   /* its page 0 in the index */
    gboolean has_address;
    guint64 address;     /* guest-physical */
    gboolean big_endian; /* of the bitmap's words */
};

#endif
