/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-internal.h - what image.c, image-write.c and image-read.c share. */
#ifndef FDSET_IMAGE_INTERNAL_H
#define FDSET_IMAGE_INTERNAL_H

#include "core/image.h"
#include "core/rangelock.h"

/* Records handled at a time: 1 MiB of image, as much as one request has. */
#define FDSET_BATCH_BLOCKS 256u

/*
 * How an image keeps its bytes: as blocks in the files of channels with a map of
 * them (image-*.c), or in the one file of a manager (image-file.c). All of it
 * may be called from several threads; -errno as in image.h.
 */
typedef struct {
    /* Writes all of it. Range held. */
    int (*write)(FdsetImage *image, FdsetChannel *channel, const guint8 *data, gsize len,
                 guint64 offset);
    /* How far the image reaches after a write up to 'end' failed. Range held. */
    guint64 (*end_of_failed)(FdsetImage *image, const FdsetRange *range, guint64 end);
    /* Gives the image and the channel's file this size. Range held. */
    int (*truncate)(FdsetImage *image, FdsetChannel *channel, guint64 size);
    /* As fdset_image_read_blocks(). */
    int (*read_blocks)(FdsetImage *image, guint64 first, gsize n, gpointer buf, gboolean direct,
                       gboolean verify);
    /* As fdset_image_seek(), for an offset within the image. */
    gint64 (*seek)(FdsetImage *image, guint64 offset, gboolean data);
    /* Copies 'len' bytes at 'offset', all data, into 'fd', checked. */
    int (*export)(FdsetImage *image, guint64 offset, gsize len, int fd);
    /* As fdset_image_recover(), fdset_image_check(), fdset_image_sum(); and syncs the map. */
    int (*recover)(FdsetImage *image);
    int (*check)(FdsetImage *image, guint64 *offset, FdsetImageCheck *check);
    int (*sum)(FdsetImage *image, GBytes **sums, guint64 *n_data);
    int (*sync)(FdsetImage *image);
} FdsetImageOps;

extern const FdsetImageOps fdset_image_block_ops;
extern const FdsetImageOps fdset_image_file_ops;

struct FdsetImage {
    const FdsetImageOps *ops;
    char *name;
    int dirfd;
    FdsetKey key;
    FdsetBlockMap *map;  /* NULL: the image is a manager's file */
    FdsetChannel *file;  /* that file, for reading; NULL: there is a map */
    FdsetRangeLock ranges;
    gboolean writable;
    gboolean verify;
    GMutex lock;         /* protects what follows */
    GPtrArray *channels; /* owned FdsetChannel; index is number - 1, NULL: not in the manifest */
    guint64 size;
    guint64 written;
    char *problem; /* nullable */
};

/* The block ops, by file. */
int fdset_image_write_range(FdsetImage *image, FdsetChannel *channel, const guint8 *data, gsize len,
                            guint64 offset);
guint64 fdset_image_end_of_failed(FdsetImage *image, const FdsetRange *range, guint64 end);
int fdset_image_truncate_blocks(FdsetImage *image, FdsetChannel *channel, guint64 size);
int fdset_image_get_blocks(FdsetImage *image, guint64 first, gsize n, gpointer buf, gboolean direct,
                           gboolean verify);
gint64 fdset_image_seek_blocks(FdsetImage *image, guint64 offset, gboolean data);
int fdset_image_export_blocks(FdsetImage *image, guint64 offset, gsize len, int fd);
int fdset_image_check_blocks(FdsetImage *image, guint64 *offset, FdsetImageCheck *check);

/*
 * A manager's file had something in front of the stream: blocks of 'channel' up
 * to 'end' that are holes in the map but not in the file get records. Range held.
 */
int fdset_image_adopt_header(FdsetImage *image, FdsetChannel *channel, guint64 end);

/* Opens what the options say of a manager's one file. */
gboolean fdset_image_open_file(FdsetImage *image, const FdsetImageOptions *options, GError **error);

/* Keeps the reason for -EIO and returns -EIO. */
int fdset_image_fail(FdsetImage *image, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Turns -EBADMSG, a block map that does not match its sums, into -EIO with that reason. */
int fdset_image_map_problem(FdsetImage *image, guint64 first, int r);

/*
 * Reads blocks [first, first + n) whole, zero-filled behind the end of the
 * image; n <= FDSET_BATCH_BLOCKS. Digests are checked when 'verify'. 0 or -errno.
 */
int fdset_image_read_blocks(FdsetImage *image, guint64 first, gsize n, gpointer buf,
                            gboolean direct, gboolean verify);

/* Gives every block of the range that is of 'channel' the digest of its bytes as they are now. */
int fdset_image_redigest(FdsetImage *image, guint64 first, gsize n);

#endif
