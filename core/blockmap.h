/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blockmap.h - which channel holds the newest bytes of each block, and their digest.
 *
 * The file "map" of a set: record b at byte 16 * b, all zero for a hole, so the
 * file is as sparse as the image (4 MiB for each GiB touched). It is read and
 * written with pread and pwrite, not mapped: a full disk is an errno on the
 * write that caused it, and the daemon's memory does not grow with the image.
 *
 * The file "sums" guards the map itself, so that a damaged map cannot turn
 * blocks into silent zeros: one 16-byte digest per chunk of FDSET_CHUNK_BLOCKS
 * records (1 MiB of map, 256 MiB of image), zero for a chunk without a record.
 * It is written when a session has ended; each chunk is checked once, when it
 * is first used.
 *
 * Thread-safe. Records of one block are only changed under its range lock.
 */
#ifndef FDSET_BLOCKMAP_H
#define FDSET_BLOCKMAP_H

#include "core/digest.h"

#define FDSET_CHUNK_BLOCKS 65536u

/* As it lies in the file: little-endian channel number (0: hole), digest (zero: not yet known). */
typedef struct {
    guint8 channel[2];
    guint8 digest[FDSET_DIGEST_SIZE];
} FdsetRecord;

static inline guint16 fdset_record_channel(const FdsetRecord *record)
{
    return (guint16)(record->channel[0] | record->channel[1] << 8);
}

static inline void fdset_record_set_channel(FdsetRecord *record, guint16 channel)
{
    record->channel[0] = (guint8)channel;
    record->channel[1] = (guint8)(channel >> 8);
}

typedef struct FdsetBlockMap FdsetBlockMap;

/* Makes the empty file "map" in 'dirfd' anew. */
gboolean fdset_blockmap_create(int dirfd, GError **error);

/*
 * Opens the file "map" in 'dirfd'. With 'sums', the
 * content of the file "sums", each chunk it covers is checked before its first
 * use; without, the map is taken as it is (a session's own). 'key' is copied.
 */
FdsetBlockMap *fdset_blockmap_open(int dirfd, gboolean writable, const FdsetKey *key, GBytes *sums,
                                   GError **error);
void fdset_blockmap_free(FdsetBlockMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetBlockMap, fdset_blockmap_free)

/* Reads or writes 'n' records from block 'first' on. 0 or -errno; -EBADMSG: the map is damaged. */
int fdset_blockmap_get(FdsetBlockMap *map, guint64 first, gsize n, FdsetRecord *records);
int fdset_blockmap_put(FdsetBlockMap *map, guint64 first, gsize n, const FdsetRecord *records);

/* Makes every block from 'first' on a hole. 0 or -errno. */
int fdset_blockmap_cut(FdsetBlockMap *map, guint64 first);

/*
 * The first block at or behind 'block', before 'end', that has a record (data)
 * or has none (hole); 'end' when there is none. Or -errno.
 */
gint64 fdset_blockmap_next(FdsetBlockMap *map, guint64 block, guint64 end, gboolean data);

/*
 * The sums of the map's first 'n_blocks' records as they are now, and how many
 * of them are not holes. Returns 0 or -errno.
 */
int fdset_blockmap_sum(FdsetBlockMap *map, guint64 n_blocks, GBytes **sums, guint64 *n_data);

/* Waits until the map is on stable storage. 0 or -errno. */
int fdset_blockmap_sync(FdsetBlockMap *map);

#endif
