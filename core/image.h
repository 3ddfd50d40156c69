/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h - the byte sequence a plain file would have held.
 *
 * Channels and block map together. A write goes to the writing channel's own
 * file, then its records go into the map, then it is acknowledged: last write
 * to arrive wins, and a killed daemon leaves each block either old or new. A
 * block that is written in place (its newest bytes are in the same channel)
 * first gets a record with a zero digest, "not yet known", so that a crash
 * between data and record is no mismatch. Reads check every block against its
 * digest. Thread-safe; the data path returns -errno:
 *
 *   -EIO      a backing file failed, or a block does not match its digest;
 *             fdset_image_problem() has the reason in words
 *   -EFBIG    behind FDSET_IMAGE_MAX
 *   -ENOSPC ... as the backing filesystem says
 */
#ifndef FDSET_IMAGE_H
#define FDSET_IMAGE_H

#include "core/blockmap.h"
#include "core/channel.h"
#include "core/source.h"

/* 64 TiB: the map stays below 256 GiB, and its sums, which are read whole, below 4 MiB. */
#define FDSET_IMAGE_MAX (G_GUINT64_CONSTANT(1) << 46)

typedef struct FdsetImage FdsetImage;

/* What there is to know before an image can be opened; borrowed for the call. */
typedef struct {
    const char *name;   /* for messages: "fdset 7" */
    int dirfd;          /* the set's directory; duplicated */
    const FdsetKey *key;
    GPtrArray *channels; /* of FdsetChannelInfo */
    GArray *fds;         /* of int: descriptors a manager handed over; NULL: the files are ours */
    gboolean one_file;   /* ... all of the one file that the image is; else of a file a channel */
    guint64 size;        /* bytes; G_MAXUINT64: find out, as far as any channel's file reaches */
    GBytes *sums;        /* nullable */
    gboolean writable;
    gboolean verify; /* check digests on reads */
} FdsetImageOptions;

FdsetImage *fdset_image_open(const FdsetImageOptions *options, GError **error);
void fdset_image_free(FdsetImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetImage, fdset_image_free)

guint64 fdset_image_size(const FdsetImage *image);

/*
 * Adds a channel with a file of its own in 'directory' (NULL: the set's). The
 * result belongs to the image. Errors: LIMIT (65535 channels), NO_SPACE, SYSTEM.
 */
FdsetChannel *fdset_image_add_channel(FdsetImage *image, gboolean direct, const char *directory,
                                      GError **error);

/*
 * Adds a channel over the file of a manager's descriptor, which is duplicated.
 * 'fd' -1 stands for none. The result belongs to the image. Errors: LIMIT, SYSTEM.
 */
FdsetChannel *fdset_image_adopt_channel(FdsetImage *image, int fd, GError **error);

/* The channel over this file of a manager, or NULL; borrowed. */
FdsetChannel *fdset_image_external_channel(FdsetImage *image, guint64 device, guint64 inode);

/* The channel with this number, or NULL; belongs to the image. */
FdsetChannel *fdset_image_channel(FdsetImage *image, guint16 number);

/* Of FdsetChannelInfo, as they are now; caller unrefs. */
GPtrArray *fdset_image_channels(FdsetImage *image);

/* Writes all 'len' bytes through 'channel'. Returns 0 or -errno. */
int fdset_image_write(FdsetImage *image, FdsetChannel *channel, gconstpointer buf, gsize len,
                      guint64 offset);

/*
 * Sets the size, which 'channel' has from then on as the size of its own file;
 * bytes behind it are gone. Returns 0 or -errno.
 */
int fdset_image_truncate(FdsetImage *image, FdsetChannel *channel, guint64 size);

/*
 * Drops the channels with numbers below 'first_kept' (those of earlier sessions)
 * that no block is in any more: they leave fdset_image_channels(). Returns the
 * FdsetChannelInfo of those dropped; caller unrefs, and removes their files when
 * the manifest no longer names them.
 */
GPtrArray *fdset_image_drop_unused(FdsetImage *image, guint16 first_kept);

/*
 * Drops the channels from number 'first' on that nothing was ever written to. As above.
 */
GPtrArray *fdset_image_drop_unwritten(FdsetImage *image, guint16 first);

/* How many bytes a buffer needs for a read of 'len' bytes at 'offset'. */
gsize fdset_image_span(gsize len, guint64 offset);

/*
 * Reads whole blocks around 'len' bytes at 'offset' into 'buf' (page-aligned, of
 * fdset_image_span() bytes) and sets *data to the first byte asked for. Returns
 * the count, short only at the end of the image, or -errno.
 */
gssize fdset_image_read(FdsetImage *image, gpointer buf, gsize len, guint64 offset, gboolean direct,
                        gconstpointer *data);

/*
 * Reads exactly the range asked for, of any alignment, into any buffer; through
 * the page cache. Returns as fdset_image_read().
 */
gssize fdset_image_pread(FdsetImage *image, gpointer buf, gsize len, guint64 offset);

/* The next offset with data, or hole, as lseek(2) counts them; -ENXIO behind the end. */
gint64 fdset_image_seek(FdsetImage *image, guint64 offset, gboolean data);

/* What a check of blocks has found so far. */
typedef struct {
    guint64 blocks;     /* that have a digest */
    guint64 unknown;    /* that have none: a write was under way when a daemon died */
    guint64 mismatches; /* that do not match it, or cannot be read */
    void (*bad)(gpointer data, guint64 offset, const char *problem); /* told of each of these */
    gpointer data;
} FdsetImageCheck;

/*
 * Checks a batch of blocks from *offset on, past the page cache, whether reads
 * verify or not, and moves *offset behind it. Returns 1: go on, 0: that was the
 * end, or -errno (-EBADMSG: the block map does not match its sums).
 */
int fdset_image_check(FdsetImage *image, guint64 *offset, FdsetImageCheck *check);

/*
 * FALSE: the image is one file of a manager, which can change behind our back,
 * and there are no digests to compare it with.
 */
gboolean fdset_image_has_digests(const FdsetImage *image);

/*
 * Copies a batch of blocks from *offset on into the same place of the file 'fd',
 * checked against their digests, and moves *offset behind it; holes are left
 * out. Returns 1: go on, 0: that was the end, or -errno.
 */
int fdset_image_export(FdsetImage *image, guint64 *offset, int fd);

/* A source over the image for parsers; 'name' is borrowed. */
void fdset_image_source(FdsetImage *image, FdsetSource *source, const char *name);

/*
 * After a crash: gives every block whose write was under way the digest of what
 * is in its file now, old or new. Returns 0 or -errno.
 */
int fdset_image_recover(FdsetImage *image);

/* Waits until 'channel' (NULL: all) and the map are on stable storage. 0 or -errno. */
int fdset_image_sync(FdsetImage *image, FdsetChannel *channel);

/* As fdset_blockmap_sum(), over the image's blocks. */
int fdset_image_sum(FdsetImage *image, GBytes **sums, guint64 *n_data);

/* The reason of the latest -EIO, in words, or NULL; caller frees. */
char *fdset_image_problem(FdsetImage *image);

/* Bytes written since the image was opened. */
guint64 fdset_image_written(const FdsetImage *image);

#endif
