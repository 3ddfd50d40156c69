/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-internal.h - what image.c, image-write.c and image-read.c share. */
#ifndef FDSET_IMAGE_INTERNAL_H
#define FDSET_IMAGE_INTERNAL_H

#include "core/image.h"
#include "core/rangelock.h"

/* Records handled at a time: 1 MiB of image, as much as one request has. */
#define FDSET_BATCH_BLOCKS 256u

struct FdsetImage {
    char *name;
    int dirfd;
    FdsetKey key;
    FdsetBlockMap *map;
    FdsetRangeLock ranges;
    gboolean writable;
    gboolean verify;
    GMutex lock;         /* protects what follows */
    GPtrArray *channels; /* owned FdsetChannel; index is number - 1, NULL: not in the manifest */
    guint64 size;
    guint64 written;
    char *problem; /* nullable */
};

/* The channel with this number, or NULL. */
FdsetChannel *fdset_image_channel(FdsetImage *image, guint16 number);

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
