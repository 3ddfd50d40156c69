/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/image-internal.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static gboolean open_channels(FdsetImage *image, const FdsetImageOptions *options, GError **error)
{
    guint64 end = 0;

    for (guint i = 0; i < options->channels->len; i++) {
        FdsetChannelInfo info = *(const FdsetChannelInfo *)options->channels->pdata[i];
        FdsetChannel *channel;

        if (options->size == G_MAXUINT64)
            info.size = 0; /* a truncation may have been under way */
        channel = fdset_channel_open(image->dirfd, &info, FALSE, options->writable, error);
        if (!channel)
            return FALSE;
        if (image->channels->len < info.number)
            g_ptr_array_set_size(image->channels, info.number);
        g_clear_pointer((FdsetChannel **)&image->channels->pdata[info.number - 1],
                        fdset_channel_free);
        image->channels->pdata[info.number - 1] = channel;
        end = MAX(end, fdset_channel_size(channel));
    }
    image->size = options->size == G_MAXUINT64 ? end : options->size;
    if (image->size <= FDSET_IMAGE_MAX)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "%" G_GUINT64_FORMAT " bytes, expected at most %" G_GUINT64_FORMAT, image->size,
                FDSET_IMAGE_MAX);
    return FALSE;
}

FdsetImage *fdset_image_open(const FdsetImageOptions *options, GError **error)
{
    g_autoptr(FdsetImage) image = g_new0(FdsetImage, 1);

    image->name = g_strdup(options->name);
    image->key = *options->key;
    image->writable = options->writable;
    image->verify = options->verify;
    g_mutex_init(&image->lock);
    fdset_range_lock_init(&image->ranges);
    image->channels = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_channel_free);
    image->dirfd = fcntl(options->dirfd, F_DUPFD_CLOEXEC, 3);
    if (image->dirfd < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot open its directory", options->name);
        return NULL;
    }
    image->map = fdset_blockmap_open(image->dirfd, options->writable, options->key, options->sums,
                                     error);
    if (!image->map || !open_channels(image, options, error)) {
        g_prefix_error(error, "%s: ", options->name);
        return NULL;
    }
    return g_steal_pointer(&image);
}

void fdset_image_free(FdsetImage *image)
{
    if (!image)
        return;
    fdset_blockmap_free(image->map);
    g_ptr_array_unref(image->channels);
    fdset_range_lock_clear(&image->ranges);
    fdset_fd_clear(&image->dirfd);
    g_mutex_clear(&image->lock);
    g_free(image->problem);
    g_free(image->name);
    g_free(image);
}

guint64 fdset_image_size(const FdsetImage *image)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new((GMutex *)&image->lock);

    return image->size;
}

guint64 fdset_image_written(const FdsetImage *image)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new((GMutex *)&image->lock);

    return image->written;
}

FdsetChannel *fdset_image_channel(FdsetImage *image, guint16 number)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);

    return number >= 1 && number <= image->channels->len ? image->channels->pdata[number - 1]
                                                         : NULL;
}

FdsetChannel *fdset_image_add_channel(FdsetImage *image, gboolean direct, const char *directory,
                                      GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);
    FdsetChannelInfo info = {.direct = direct, .directory = (char *)directory};
    FdsetChannel *channel;

    if (image->channels->len >= FDSET_CHANNEL_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                    "%s: %u channels are the limit of a block map", image->name, FDSET_CHANNEL_MAX);
        return NULL;
    }
    info.number = (guint16)(image->channels->len + 1);
    channel = fdset_channel_open(image->dirfd, &info, TRUE, TRUE, error);
    if (channel)
        g_ptr_array_add(image->channels, channel);
    else
        g_prefix_error(error, "%s: ", image->name);
    return channel;
}

GPtrArray *fdset_image_channels(FdsetImage *image)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);
    GPtrArray *infos =
        g_ptr_array_new_with_free_func((GDestroyNotify)fdset_channel_info_free);

    for (guint i = 0; i < image->channels->len; i++)
        if (image->channels->pdata[i] && !fdset_channel_is_dropped(image->channels->pdata[i]))
            g_ptr_array_add(infos, fdset_channel_info(image->channels->pdata[i]));
    return infos;
}

static guint64 n_blocks(const FdsetImage *image)
{
    return (fdset_image_size(image) + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE;
}

int fdset_image_recover(FdsetImage *image)
{
    guint64 end = n_blocks(image);

    for (guint64 block = 0; block < end;) {
        gint64 data = fdset_blockmap_next(image->map, block, end, TRUE);
        int r;

        if (data < 0)
            return fdset_image_map_problem(image, block, (int)data);
        block = (guint64)data;
        if (block == end)
            break;
        r = fdset_image_redigest(image, block, MIN(FDSET_BATCH_BLOCKS, end - block));
        if (r < 0)
            return r;
        block += MIN(FDSET_BATCH_BLOCKS, end - block);
    }
    return 0;
}

static int sync_channel(FdsetImage *image, FdsetChannel *channel)
{
    int r = fdset_channel_sync(channel);

    if (r < 0)
        fdset_image_fail(image, "%s: cannot sync channel file ch-%03u: %s", image->name,
                         fdset_channel_number(channel) - 1u, g_strerror(-r));
    return r;
}

int fdset_image_sync(FdsetImage *image, FdsetChannel *channel)
{
    g_autoptr(GPtrArray) infos = fdset_image_channels(image);
    int r = channel ? sync_channel(image, channel) : 0;

    for (guint i = 0; r == 0 && !channel && i < infos->len; i++) {
        const FdsetChannelInfo *info = infos->pdata[i];

        r = sync_channel(image, fdset_image_channel(image, info->number));
    }
    return r < 0 ? r : fdset_blockmap_sync(image->map);
}

int fdset_image_sum(FdsetImage *image, GBytes **sums, guint64 *n_data)
{
    return fdset_image_map_problem(
        image, 0, fdset_blockmap_sum(image->map, n_blocks(image), sums, n_data));
}

int fdset_image_fail(FdsetImage *image, const char *format, ...)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);
    va_list args;

    g_free(image->problem);
    va_start(args, format);
    image->problem = g_strdup_vprintf(format, args);
    va_end(args);
    return -EIO;
}

char *fdset_image_problem(FdsetImage *image)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);

    return g_strdup(image->problem);
}
