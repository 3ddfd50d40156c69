/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/image-internal.h"
#include "core/scratch.h"

#include <errno.h>

/* Notes what is known of one batch: blocks that have a digest, and those that have not yet. */
static int count_records(FdsetImage *image, guint64 first, gsize n, FdsetImageCheck *check)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    int r = fdset_blockmap_get(image->map, first, n, records);

    for (gsize i = 0; r == 0 && i < n; i++) {
        if (fdset_record_channel(&records[i]) == 0)
            continue;
        if (fdset_bytes_are_zero(records[i].digest, sizeof records[i].digest))
            check->unknown++;
        else
            check->blocks++;
    }
    return r;
}

/* The batch has a block that does not match: finds out which. Range held. */
static void find_mismatches(FdsetImage *image, guint64 first, gsize n, FdsetImageCheck *check)
{
    for (guint64 block = first; block < first + n; block++) {
        g_autofree char *problem = NULL;

        if (fdset_image_read_blocks(image, block, 1, fdset_scratch(), TRUE, TRUE) == 0)
            continue;
        problem = fdset_image_problem(image);
        check->mismatches++;
        check->bad(check->data, block * FDSET_BLOCK_SIZE, problem);
    }
}

static int check_batch(FdsetImage *image, guint64 first, gsize n, FdsetImageCheck *check)
{
    FdsetRange range = {first, first + n - 1};
    int r = count_records(image, first, n, check);

    if (r < 0 || fdset_image_read_blocks(image, first, n, fdset_scratch(), TRUE, TRUE) == 0)
        return r;
    /* Between a write's data and its record they do not match: look again when it is done. */
    fdset_range_lock_acquire(&image->ranges, &range);
    find_mismatches(image, first, n, check);
    fdset_range_lock_release(&image->ranges, &range);
    return 0;
}

int fdset_image_check(FdsetImage *image, guint64 *offset, FdsetImageCheck *check)
{
    return image->ops->check(image, offset, check);
}

int fdset_image_check_blocks(FdsetImage *image, guint64 *offset, FdsetImageCheck *check)
{
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
    r = check_batch(image, (guint64)first, n, check);
    return r < 0 ? r : *offset < size;
}
