/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/fd.h"
#include "core/image-internal.h"
#include "core/scratch.h"

#include <errno.h>
#include <unistd.h>

/* Through the kernel, which shares the blocks where the filesystem can. FALSE: not possible here.
 */
static gboolean clone_run(FdsetChannel *channel, int fd, guint64 offset, gsize len)
{
    return channel && fdset_channel_copy(channel, fd, offset, len) == 0;
}

/* The blocks, checked, are in 'buf'; holes stay holes. */
static int export_runs(FdsetImage *image, const FdsetRecord *records, guint64 first, gsize n,
                       const guint8 *buf, int fd)
{
    guint64 size = fdset_image_size(image);
    int r = 0;

    for (gsize i = 0; r == 0 && i < n;) {
        guint16 number = fdset_record_channel(&records[i]);
        guint64 offset = (first + i) * FDSET_BLOCK_SIZE;
        gsize run = 1, len;

        while (i + run < n && fdset_record_channel(&records[i + run]) == number)
            run++;
        len = (gsize)MIN(run * FDSET_BLOCK_SIZE, size - offset);
        if (number != 0 && !clone_run(fdset_image_channel(image, number), fd, offset, len))
            r = fdset_fd_pwrite(fd, buf + i * FDSET_BLOCK_SIZE, len, offset);
        i += run;
    }
    return r;
}

int fdset_image_export_blocks(FdsetImage *image, guint64 offset, gsize len, int fd)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    guint64 first = offset / FDSET_BLOCK_SIZE;
    gsize n = (len + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE;
    int r = fdset_blockmap_get(image->map, first, n, records);

    if (r == 0)
        r = fdset_image_read_blocks(image, first, n, fdset_scratch(), FALSE, TRUE);
    return r == 0 ? export_runs(image, records, first, n, fdset_scratch(), fd) : r;
}

int fdset_image_export(FdsetImage *image, guint64 *offset, int fd)
{
    guint64 size = fdset_image_size(image);
    gint64 data = fdset_image_seek(image, *offset, TRUE);
    gsize len;
    int r;

    if (data == -ENXIO) {
        *offset = size;
        return 0;
    }
    if (data < 0)
        return (int)data;
    data -= data % FDSET_BLOCK_SIZE; /* where a manager's file has data in the middle of a block */
    len = (gsize)MIN((guint64)FDSET_BATCH_BLOCKS * FDSET_BLOCK_SIZE, size - (guint64)data);
    r = image->ops->export(image, (guint64)data, len, fd);
    *offset = (guint64)data + len;
    return r < 0 ? r : *offset < size;
}
