/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/image-internal.h"
#include "core/scratch.h"

#include <errno.h>
#include <string.h>

/* Looking for unused channels reads the map: only where little of the image is left. */
#define DROP_SCAN_BLOCKS 16384u

static const FdsetRecord hole;

/*
 * Before blocks are written in place: records without a digest for those whose
 * newest bytes are in this channel. Returns 1 when there are any, 0, or -errno.
 */
static int mark_in_place(FdsetImage *image, const FdsetChannel *channel, guint64 first, gsize n)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    gboolean any = FALSE;
    int r = fdset_blockmap_get(image->map, first, n, records);

    if (r < 0)
        return r;
    for (gsize i = 0; i < n; i++) {
        if (fdset_record_channel(&records[i]) != fdset_channel_number(channel))
            continue;
        memset(records[i].digest, 0, sizeof records[i].digest);
        any = TRUE;
    }
    if (any)
        r = fdset_blockmap_put(image->map, first, n, records);
    return r < 0 ? r : any;
}

/*
 * Computes the records, and copies the blocks to the aligned 'stage' where one
 * is given, in one pass so that each block is in the cache for both.
 */
static void digest_blocks(const FdsetImage *image, const FdsetChannel *channel, const guint8 *data,
                          gsize n, guint8 *stage, FdsetRecord *records)
{
    for (gsize i = 0; i < n; i++) {
        const guint8 *block = data + i * FDSET_BLOCK_SIZE;

        if (stage)
            block = memcpy(stage + i * FDSET_BLOCK_SIZE, block, FDSET_BLOCK_SIZE);
        fdset_record_set_channel(&records[i], fdset_channel_number(channel));
        fdset_digest_block(&image->key, block, records[i].digest);
    }
}

/* Whole blocks, at most FDSET_BATCH_BLOCKS; 'len' may end within the last one. Range held. */
static int write_batch(FdsetImage *image, FdsetChannel *channel, guint64 first, gsize n,
                       const guint8 *data, gsize len)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    gboolean misaligned = (guintptr)data % FDSET_BLOCK_SIZE != 0;
    guint8 *stage = fdset_channel_is_direct(channel) && misaligned ? fdset_scratch() : NULL;
    int in_place = mark_in_place(image, channel, first, n);
    int r;

    if (in_place < 0)
        return in_place;
    digest_blocks(image, channel, data, n, stage, records);
    r = fdset_channel_pwrite(channel, stage ? stage : data, len, first * FDSET_BLOCK_SIZE);
    if (r == 0)
        r = fdset_blockmap_put(image->map, first, n, records);
    if (r < 0 && in_place)
        fdset_image_redigest(image, first, n);
    return r;
}

static int write_blocks(FdsetImage *image, FdsetChannel *channel, guint64 first, gsize n,
                        const guint8 *data)
{
    int r = 0;

    while (r == 0 && n > 0) {
        gsize batch = MIN(n, FDSET_BATCH_BLOCKS);

        r = write_batch(image, channel, first, batch, data, batch * FDSET_BLOCK_SIZE);
        first += batch;
        n -= batch;
        data += batch * FDSET_BLOCK_SIZE;
    }
    return r;
}

/*
 * A part of one block: merged with the block's newest bytes, from whichever
 * channel, and written up to the image's end within the block. Range held.
 */
static int write_partial(FdsetImage *image, FdsetChannel *channel, guint64 offset,
                         const guint8 *data, gsize len)
{
    guint8 block[FDSET_BLOCK_SIZE] __attribute__((aligned(FDSET_BLOCK_SIZE)));
    guint64 number = offset / FDSET_BLOCK_SIZE;
    guint64 start = number * FDSET_BLOCK_SIZE;
    guint64 end = MAX(fdset_image_size(image), offset + len);
    int r = fdset_image_read_blocks(image, number, 1, block, FALSE, TRUE);

    if (r < 0)
        return r;
    memcpy(block + (offset - start), data, len);
    /* Over what a failed write left in the file behind the image's end, too. */
    end = MAX(end, fdset_channel_size(channel));
    return write_batch(image, channel, number, 1, block, (gsize)MIN(end - start, FDSET_BLOCK_SIZE));
}

/* Splits at block boundaries: the rest of a block, whole blocks, the start of a block. */
int fdset_image_write_range(FdsetImage *image, FdsetChannel *channel, const guint8 *data, gsize len,
                            guint64 offset)
{
    gsize head = MIN(len, (FDSET_BLOCK_SIZE - offset % FDSET_BLOCK_SIZE) % FDSET_BLOCK_SIZE);
    gsize middle = (len - head) / FDSET_BLOCK_SIZE;
    gsize tail = (len - head) % FDSET_BLOCK_SIZE;
    int r = 0;

    if (head)
        r = write_partial(image, channel, offset, data, head);
    if (r == 0 && middle)
        r = write_blocks(image, channel, (offset + head) / FDSET_BLOCK_SIZE, middle, data + head);
    if (r == 0 && tail)
        r = write_partial(image, channel, offset + len - tail, data + len - tail, tail);
    return r;
}

static void account(FdsetImage *image, guint64 end, gsize len)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);

    image->size = MAX(image->size, end);
    image->written += len;
}

/* None of the image's blocks may lie behind its end. */
guint64 fdset_image_end_of_failed(FdsetImage *image, const FdsetRange *range, guint64 end)
{
    for (guint64 block = range->last + 1; block-- > range->first;) {
        FdsetRecord record;

        FdsetChannel *channel;

        if (fdset_blockmap_get(image->map, block, 1, &record) < 0)
            return end;
        channel = fdset_image_channel(image, fdset_record_channel(&record));
        if (channel)
            return MIN(end, MIN((block + 1) * FDSET_BLOCK_SIZE, fdset_channel_size(channel)));
    }
    return 0;
}

int fdset_image_write(FdsetImage *image, FdsetChannel *channel, gconstpointer buf, gsize len,
                      guint64 offset)
{
    FdsetRange range;
    int r;

    if (len == 0)
        return 0;
    if (offset >= FDSET_IMAGE_MAX || len > FDSET_IMAGE_MAX - offset)
        return -EFBIG;
    range.first = offset / FDSET_BLOCK_SIZE;
    range.last = (offset + len - 1) / FDSET_BLOCK_SIZE;
    fdset_range_lock_acquire(&image->ranges, &range);
    r = image->ops->write(image, channel, buf, len, offset);
    if (r == 0) {
        account(image, offset + len, len);
        fdset_channel_count(channel, len);
    } else if (r != -EBADMSG) {
        account(image, image->ops->end_of_failed(image, &range, offset + len), 0);
    }
    fdset_range_lock_release(&image->ranges, &range);
    return fdset_image_map_problem(image, range.first, r);
}

/*
 * Zeroes the rest of the block that the new end cuts, where it lies: that needs
 * no space on a disk that may be full. The zeros go up to the old end, so that
 * the record is right whenever the daemon dies before the file is cut.
 */
static int cut_block(FdsetImage *image, guint64 size)
{
    guint8 block[FDSET_BLOCK_SIZE] __attribute__((aligned(FDSET_BLOCK_SIZE)));
    guint64 number = size / FDSET_BLOCK_SIZE;
    gsize keep = size % FDSET_BLOCK_SIZE;
    guint64 end = fdset_image_size(image) - number * FDSET_BLOCK_SIZE;
    FdsetRecord record;
    int r;

    if (keep == 0)
        return 0;
    r = fdset_blockmap_get(image->map, number, 1, &record);
    if (r < 0 || memcmp(&record, &hole, sizeof record) == 0)
        return r;
    r = fdset_image_read_blocks(image, number, 1, block, FALSE, TRUE);
    if (r < 0)
        return r;
    memset(block + keep, 0, FDSET_BLOCK_SIZE - keep);
    return write_batch(image, fdset_image_channel(image, fdset_record_channel(&record)), number, 1,
                       block, (gsize)MIN(end, FDSET_BLOCK_SIZE));
}

/* Gives back the space behind 'size'. */
static int cut_channels(FdsetImage *image, guint64 size)
{
    g_autoptr(GPtrArray) infos = fdset_image_channels(image);

    for (guint i = 0; i < infos->len; i++) {
        const FdsetChannelInfo *info = infos->pdata[i];
        FdsetChannel *channel = fdset_image_channel(image, info->number);
        int r = info->size > size ? fdset_channel_truncate(channel, size) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int shrink(FdsetImage *image, guint64 size)
{
    int r = cut_block(image, size);

    if (r == 0)
        r = fdset_blockmap_cut(image->map, (size + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE);
    if (r == 0)
        r = cut_channels(image, size);
    return r;
}

/* A block of a manager's file that the map does not know, up to 'end'. */
static int adopt_block(FdsetImage *image, FdsetChannel *channel, guint64 number, guint64 end)
{
    guint8 block[FDSET_BLOCK_SIZE] __attribute__((aligned(FDSET_BLOCK_SIZE))) = {0};
    guint64 start = number * FDSET_BLOCK_SIZE;
    FdsetRecord record;
    int r = fdset_blockmap_get(image->map, number, 1, &record);
    gssize got;

    if (r < 0 || memcmp(&record, &hole, sizeof record) != 0)
        return r;
    got = fdset_channel_pread(channel, block, (gsize)MIN(FDSET_BLOCK_SIZE, end - start), start,
                              FALSE);
    if (got < 0)
        return (int)got;
    fdset_record_set_channel(&record, fdset_channel_number(channel));
    fdset_digest_block(&image->key, block, record.digest);
    return fdset_blockmap_put(image->map, number, 1, &record);
}

int fdset_image_adopt_header(FdsetImage *image, FdsetChannel *channel, guint64 end)
{
    for (guint64 at = 0; at < end;) {
        gint64 data = fdset_channel_seek(channel, at, TRUE);
        guint64 number = (guint64)data / FDSET_BLOCK_SIZE;
        int r;

        if (data == -ENXIO || (data >= 0 && (guint64)data >= end))
            return 0;
        r = data < 0 ? (int)data : adopt_block(image, channel, number, end);
        if (r < 0)
            return r;
        at = (number + 1) * FDSET_BLOCK_SIZE;
    }
    return 0;
}

int fdset_image_truncate_blocks(FdsetImage *image, FdsetChannel *channel, guint64 size)
{
    int r = size < fdset_image_size(image) ? shrink(image, size) : 0;

    if (r == 0)
        r = fdset_channel_truncate(channel, size);
    if (r == 0 && fdset_channel_is_external(channel))
        r = fdset_image_adopt_header(image, channel, size);
    return r;
}

int fdset_image_truncate(FdsetImage *image, FdsetChannel *channel, guint64 size)
{
    FdsetRange range = {size / FDSET_BLOCK_SIZE, G_MAXUINT64};
    int r;

    if (size > FDSET_IMAGE_MAX)
        return -EFBIG;
    fdset_range_lock_acquire(&image->ranges, &range);
    r = image->ops->truncate(image, channel, size);
    if (r == 0) {
        g_mutex_lock(&image->lock);
        image->size = size;
        g_mutex_unlock(&image->lock);
    }
    fdset_range_lock_release(&image->ranges, &range);
    return fdset_image_map_problem(image, range.first, r);
}

/* Sets used[number - 1] for every channel that a record names. */
static int find_used(FdsetImage *image, guint64 end, guint8 *used, gsize n_used)
{
    for (guint64 block = 0; block < end; block += FDSET_BATCH_BLOCKS) {
        FdsetRecord records[FDSET_BATCH_BLOCKS];
        gsize n = MIN(FDSET_BATCH_BLOCKS, end - block);
        int r = fdset_blockmap_get(image->map, block, n, records);

        if (r < 0)
            return r;
        for (gsize i = 0; i < n; i++) {
            guint16 number = fdset_record_channel(&records[i]);

            if (number >= 1 && number <= n_used)
                used[number - 1] = 1;
        }
    }
    return 0;
}

static void drop(FdsetChannel *channel, GPtrArray *dropped)
{
    fdset_channel_drop(channel);
    g_ptr_array_add(dropped, fdset_channel_info(channel));
}

GPtrArray *fdset_image_drop_unused(FdsetImage *image, guint16 first_kept)
{
    GPtrArray *dropped = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_channel_info_free);
    guint64 end = fdset_image_size(image) / FDSET_BLOCK_SIZE + 1;
    g_autofree guint8 *used = g_malloc0(first_kept);

    if (!image->map || end > DROP_SCAN_BLOCKS || find_used(image, end, used, first_kept - 1u) < 0)
        return dropped;
    for (guint16 number = 1; number < first_kept; number++) {
        FdsetChannel *channel = fdset_image_channel(image, number);

        if (!channel || used[number - 1] || fdset_channel_is_dropped(channel) ||
            fdset_channel_is_external(channel))
            continue;
        drop(channel, dropped);
    }
    return dropped;
}

GPtrArray *fdset_image_drop_unwritten(FdsetImage *image, guint16 first)
{
    GPtrArray *dropped = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_channel_info_free);
    g_autoptr(GPtrArray) infos = fdset_image_channels(image);

    for (guint i = 0; i < infos->len; i++) {
        const FdsetChannelInfo *info = infos->pdata[i];

        if (info->number >= first && (info->external ? !image->map : info->size == 0) &&
            info->written == 0)
            drop(fdset_image_channel(image, info->number), dropped);
    }
    return dropped;
}
