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

int fdset_image_export(FdsetImage *image, guint64 *offset, int fd)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    guint64 size = fdset_image_size(image);
    guint64 end = (size + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE;
    gint64 first = fdset_blockmap_next(image->map, *offset / FDSET_BLOCK_SIZE, end, TRUE);
    gsize n;
    int r;

    if (first < 0)
        return (int)first;
    n = (gsize)MIN(FDSET_BATCH_BLOCKS, end - (guint64)first);
    *offset = MIN(size, ((guint64)first + n) * FDSET_BLOCK_SIZE);
    if (n == 0)
        return 0;
    r = fdset_blockmap_get(image->map, (guint64)first, n, records);
    if (r == 0)
        r = fdset_image_read_blocks(image, (guint64)first, n, fdset_scratch(), FALSE, TRUE);
    if (r == 0)
        r = export_runs(image, records, (guint64)first, n, fdset_scratch(), fd);
    return r < 0 ? r : *offset < size;
}
