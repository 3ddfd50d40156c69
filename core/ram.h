/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ram.h - the "ram" sections of a stream: the list of RAM blocks, and the words
 * that follow each other in START, PART and END (QEMU migration/ram.c,
 * reference 1.3 and 1.5).
 *
 * A word is a be64 of an offset in a block and flags in its low bits. With
 * mapped-ram only the end-of-section word (and a multifd flush before it)
 * occurs; in the old streaming format the pages themselves stand there.
 */
#ifndef FDSET_RAM_H
#define FDSET_RAM_H

#include "core/ramblock.h"

typedef struct FdsetRam FdsetRam;

/* The only version of the section there is. */
#define FDSET_RAM_VERSION 4

typedef enum {
    FDSET_PAGE_FILL,       /* every byte of the page is 'fill', nearly always 0 */
    FDSET_PAGE_PLAIN,      /* its bytes lie at 'data'                          */
    FDSET_PAGE_XBZRLE,     /* a delta to its last content lies at 'data'       */
    FDSET_PAGE_COMPRESSED, /* zlib data lies at 'data'                         */
} FdsetPageEncoding;

/* One page record of the streaming format. A later record of a page replaces an earlier one. */
typedef struct {
    const FdsetRamblock *block;
    guint64 offset; /* of the page, in the block */
    FdsetPageEncoding encoding;
    guint8 fill;
    guint64 data; /* absolute */
    guint32 len;  /* bytes at 'data' */
} FdsetPage;

/* Gets each page record in stream order. Returns FALSE with 'error' set to stop the walk. */
typedef gboolean (*FdsetPageFunc)(const FdsetPage *page, gpointer opaque, GError **error);

/*
 * Reads the START body up to its end-of-section word. 'page_size' in bytes is
 * that of page records. Errors: FORMAT, TRUNCATED, VERSION, LIMIT (too many
 * blocks), UNSUPPORTED (records that only make sense between two hosts).
 */
FdsetRam *fdset_ram_read(FdsetReader *reader, const FdsetRamLayout *layout, guint64 page_size,
                         GError **error);

/*
 * Walks the words of a PART or END body through its end-of-section word; every
 * record is checked against its block. *last is the block of the record before,
 * NULL at first: a record goes on with it also across sections. 'func' may be
 * NULL.
 */
gboolean fdset_ram_walk(const FdsetRam *ram, FdsetReader *reader, const FdsetRamblock **last,
                        FdsetPageFunc func, gpointer opaque, GError **error);

gsize fdset_ram_n_blocks(const FdsetRam *ram);

/* Block 'i' in stream order, or the one called 'name' (NULL when there is none); borrowed. */
FdsetRamblock *fdset_ram_block(const FdsetRam *ram, gsize i);
FdsetRamblock *fdset_ram_find_block(const FdsetRam *ram, const char *name);

/* Bytes of a page in page records. */
guint64 fdset_ram_page_size(const FdsetRam *ram);

void fdset_ram_free(FdsetRam *ram);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetRam, fdset_ram_free)

#endif
