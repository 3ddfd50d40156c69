/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ramblock.h - one RAM block of a stream, and its content.
 *
 * The block records stand in the START section of "ram" (QEMU migration/ram.c,
 * ram_save_setup, mapped_ram_setup_ramblock; reference 1.3): u8 length and
 * name, be64 used length, an optional be64 page size (huge pages with
 * postcopy-ram), be64 guest address with x-ignore-shared, and with mapped-ram a
 * header of 28 bytes: be32 version 1, be64 target page size, be64 bitmap
 * offset, be64 pages offset, both absolute. One bit a target page; the page is
 * in the file when its bit is set, and all zeros when not, whatever lies at
 * its place (pages that became zero later leave their old bytes there).
 *
 * Invariants of a mapped block: bitmap and pages lie within the source, behind
 * the record, and do not overlap; used length is a multiple of the page size.
 * Nothing of the bitmap is kept in memory. Immutable after the parse but for
 * the bitmap's byte order, so reading is safe from any number of threads.
 */
#ifndef FDSET_RAMBLOCK_H
#define FDSET_RAMBLOCK_H

#include "core/reader.h"

typedef struct FdsetRamblock FdsetRamblock;

typedef enum {
    FDSET_RAMBLOCK_MAPPED,   /* pages at a fixed place, presence by bitmap          */
    FDSET_RAMBLOCK_STREAMED, /* pages in page records, found with an index (pageindex.h) */
    FDSET_RAMBLOCK_SHARED,   /* left out: shared memory, the content is not in the file */
} FdsetRamblockKind;

/* How the block records of one stream look, and where its pages may lie. */
typedef struct {
    gboolean mapped_ram;
    gboolean ignores_shared;
} FdsetRamLayout;

/*
 * Reads one record and leaves the cursor at the next one. 'left' is what the
 * lengths of this block and those behind it add up to, in bytes. The block
 * borrows the reader's source. Errors: FORMAT, TRUNCATED, VERSION.
 */
FdsetRamblock *fdset_ramblock_read(FdsetReader *reader, const FdsetRamLayout *layout, guint64 left,
                                   GError **error);

/* As in the stream: may hold '/', be "..", or not be UTF-8; never empty. */
const char *fdset_ramblock_name(const FdsetRamblock *block);
FdsetRamblockKind fdset_ramblock_kind(const FdsetRamblock *block);

/* Bytes, at most G_MAXINT64. */
guint64 fdset_ramblock_used_length(const FdsetRamblock *block);

/* Bytes of a target page: a power of two; 0 for a shared block, and without an index. */
guint64 fdset_ramblock_page_size(const FdsetRamblock *block);

/* Absolute offsets of bitmap and page 0; 0 for a block that is not mapped. */
guint64 fdset_ramblock_bitmap_offset(const FdsetRamblock *block);
guint64 fdset_ramblock_pages_offset(const FdsetRamblock *block);

/* TRUE with the block's guest-physical address when the stream tells it. */
gboolean fdset_ramblock_guest_address(const FdsetRamblock *block, guint64 *address);

/*
 * Says that a big-endian host wrote the bitmap: its 8-byte words are swapped.
 * Nothing in the file tells for sure. To be set before the block is shared.
 */
void fdset_ramblock_set_big_endian(FdsetRamblock *block, gboolean big_endian);

/*
 * What the bits behind the last page say of the byte order, as they are always
 * zero: 1 for big-endian, 0 for little-endian, -1 when they cannot tell (none
 * there, both orders fit, or the bitmap cannot be read).
 */
int fdset_ramblock_guess_big_endian(const FdsetRamblock *block);

/* Whether page number 'page' is in the file: 1, 0 or -errno (as for pread). */
int fdset_ramblock_page_present(const FdsetRamblock *block, guint64 page);

/*
 * Reads up to 'len' bytes of the block's content at 'offset' in the block;
 * absent pages read as zeros. Returns the count, short only at the end of the
 * block, or -errno: -ENODATA for a shared block, -EOPNOTSUPP for a streamed
 * one without an index, -EIO when the file is shorter than it was.
 */
gssize fdset_ramblock_pread(const FdsetRamblock *block, gpointer buf, gsize len, guint64 offset);

/*
 * The first offset >= 'offset' with data (a present page) or in a hole (an
 * absent one); the end of the block counts as a hole. -ENXIO when there is
 * none or 'offset' is at or behind the end, as lseek(); other -errno as pread.
 */
gint64 fdset_ramblock_next_data(const FdsetRamblock *block, guint64 offset);
gint64 fdset_ramblock_next_hole(const FdsetRamblock *block, guint64 offset);

/*
 * How many of the 'len' bytes at 'offset' lie in present pages; what lies behind
 * the end does not count. -errno as pread.
 */
gint64 fdset_ramblock_data_bytes(const FdsetRamblock *block, guint64 offset, guint64 len);

void fdset_ramblock_free(FdsetRamblock *block);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetRamblock, fdset_ramblock_free)

#endif
