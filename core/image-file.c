/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image that is one file of a manager: its descriptors are channels over the
 * same file, so there is nothing to put together and no map. The manager can
 * change the file at any time, so there are no digests either.
 */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/image-internal.h"
#include "core/scratch.h"

#include <errno.h>
#include <string.h>

#define BATCH_BYTES ((gsize)FDSET_BATCH_BLOCKS * FDSET_BLOCK_SIZE)

gboolean fdset_image_open_file(FdsetImage *image, const FdsetImageOptions *options, GError **error)
{
    FdsetChannelInfo info = {.number = 1};

    image->ops = &fdset_image_file_ops;
    if (options->fds->len == 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "no descriptor of its file is left: hand over a new one (add-fd)");
        return FALSE;
    }
    image->file = fdset_channel_adopt(&info, g_array_index(options->fds, int, 0), error);
    if (!image->file)
        return FALSE;
    image->size = fdset_channel_size(image->file);
    if (image->size <= FDSET_IMAGE_MAX)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                "%" G_GUINT64_FORMAT " bytes, expected at most %" G_GUINT64_FORMAT, image->size,
                FDSET_IMAGE_MAX);
    return FALSE;
}

/* A batch that is to go to O_DIRECT must be aligned in memory, too. */
static int write_batch(FdsetChannel *channel, const guint8 *data, gsize len, guint64 offset)
{
    gboolean is_stageable = fdset_channel_is_direct(channel) &&
                            (offset | len) % FDSET_BLOCK_SIZE == 0 &&
                            (guintptr)data % FDSET_BLOCK_SIZE != 0;

    if (is_stageable)
        data = memcpy(fdset_scratch(), data, len);
    return fdset_channel_pwrite(channel, data, len, offset);
}

static int file_write(FdsetImage *image, FdsetChannel *channel, const guint8 *data, gsize len,
                      guint64 offset)
{
    int r = 0;

    while (r == 0 && len > 0) {
        gsize batch = MIN(len, BATCH_BYTES);

        r = write_batch(channel, data, batch, offset);
        data += batch;
        offset += batch;
        len -= batch;
    }
    return r;
}

static guint64 file_end_of_failed(FdsetImage *image, const FdsetRange *range, guint64 end)
{
    gint64 size = fdset_channel_file_size(image->file);

    return size < 0 ? 0 : (guint64)size;
}

static int file_truncate(FdsetImage *image, FdsetChannel *channel, guint64 size)
{
    return fdset_channel_truncate(channel, size);
}

static int file_read_blocks(FdsetImage *image, guint64 first, gsize n, gpointer buf,
                            gboolean direct, gboolean verify)
{
    gsize len = n * FDSET_BLOCK_SIZE;
    gssize got =
        fdset_channel_pread(image->file, buf, len, first * FDSET_BLOCK_SIZE, direct);

    if (got < 0)
        return fdset_image_fail(image, "%s: its manager's file cannot be read at offset "
                                "%" G_GUINT64_FORMAT ": %s",
                                image->name, first * FDSET_BLOCK_SIZE, g_strerror((int)-got));
    memset((guint8 *)buf + got, 0, len - (gsize)got);
    return 0;
}

static gint64 file_seek(FdsetImage *image, guint64 offset, gboolean data)
{
    return fdset_channel_seek(image->file, offset, data);
}

static int file_export(FdsetImage *image, guint64 offset, gsize len, int fd)
{
    guint8 *buf = fdset_scratch();
    int r;

    if (fdset_channel_copy(image->file, fd, offset, len) == 0)
        return 0;
    r = file_read_blocks(image, offset / FDSET_BLOCK_SIZE,
                         (len + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE, buf, FALSE, FALSE);
    return r < 0 ? r : fdset_fd_pwrite(fd, buf, len, offset);
}

static int file_recover(FdsetImage *image)
{
    return 0;
}

static int file_check(FdsetImage *image, guint64 *offset, FdsetImageCheck *check)
{
    *offset = fdset_image_size(image);
    return 0;
}

/* Blocks with data, as SEEK_DATA sees them. */
static int file_sum(FdsetImage *image, GBytes **sums, guint64 *n_data)
{
    guint64 size = fdset_image_size(image);
    guint64 bytes = 0;

    *sums = NULL;
    for (guint64 at = 0; at < size;) {
        gint64 data = fdset_channel_seek(image->file, at, TRUE);
        gint64 hole = data < 0 ? data : fdset_channel_seek(image->file, (guint64)data, FALSE);

        if (data == -ENXIO)
            break;
        if (hole < 0)
            return (int)hole;
        bytes += (guint64)(hole - data);
        at = (guint64)hole;
    }
    *n_data = bytes / FDSET_BLOCK_SIZE;
    return 0;
}

static int file_sync(FdsetImage *image)
{
    return fdset_channel_sync(image->file);
}

const FdsetImageOps fdset_image_file_ops = {
    .write = file_write,
    .end_of_failed = file_end_of_failed,
    .truncate = file_truncate,
    .read_blocks = file_read_blocks,
    .seek = file_seek,
    .export = file_export,
    .recover = file_recover,
    .check = file_check,
    .sum = file_sum,
    .sync = file_sync,
};
