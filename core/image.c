/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/image-internal.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The descriptor of a manager's file that the manifest names; -1: none was handed over. */
static int find_external(const GArray *fds, const FdsetChannelInfo *info)
{
    struct stat st;

    for (guint i = 0; fds && i < fds->len; i++)
        if (fstat(g_array_index(fds, int, i), &st) == 0 && st.st_dev == info->device &&
            st.st_ino == info->inode)
            return g_array_index(fds, int, i);
    return -1;
}

static FdsetChannel *open_external(const FdsetImageOptions *options, const FdsetChannelInfo *info,
                                   GError **error)
{
    int fd = find_external(options->fds, info);
    FdsetChannel *channel;

    if (fd < 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "channel %u is in a file of its manager (device %" G_GUINT64_FORMAT
                    ", inode %" G_GUINT64_FORMAT
                    "): hand over a read-only descriptor of it (add-fd)",
                    info->number - 1u, info->device, info->inode);
        return NULL;
    }
    channel = fdset_channel_adopt(info, fd, error);
    if (!channel || fdset_channel_size(channel) >= info->size)
        return channel;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "channel %u: its manager's file ends at offset %" G_GUINT64_FORMAT
                ", expected at least %" G_GUINT64_FORMAT " bytes",
                info->number - 1u, fdset_channel_size(channel), info->size);
    fdset_channel_free(channel);
    return NULL;
}

static gboolean open_channels(FdsetImage *image, const FdsetImageOptions *options, GError **error)
{
    guint64 end = 0;

    for (guint i = 0; i < options->channels->len; i++) {
        FdsetChannelInfo info = *(const FdsetChannelInfo *)options->channels->pdata[i];
        FdsetChannel *channel;

        if (options->size == G_MAXUINT64)
            info.size = 0; /* a truncation may have been under way */
        channel = info.external
                      ? open_external(options, &info, error)
                      : fdset_channel_open(image->dirfd, &info, FALSE, options->writable, error);
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

static gboolean open_blocks(FdsetImage *image, const FdsetImageOptions *options, GError **error)
{
    image->ops = &fdset_image_block_ops;
    image->map = fdset_blockmap_open(image->dirfd, options->writable, options->key, options->sums,
                                     error);
    return image->map && open_channels(image, options, error);
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
    if (!(options->one_file ? fdset_image_open_file : open_blocks)(image, options, error)) {
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
    fdset_channel_free(image->file);
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

/* The number for one more channel; 0: there is none. Lock held. */
static guint16 next_number(const FdsetImage *image, GError **error)
{
    if (image->channels->len < FDSET_CHANNEL_MAX)
        return (guint16)(image->channels->len + 1);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                "%s: %u channels are the limit of a block map", image->name, FDSET_CHANNEL_MAX);
    return 0;
}

FdsetChannel *fdset_image_add_channel(FdsetImage *image, gboolean direct, const char *directory,
                                      GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);
    FdsetChannelInfo info = {.direct = direct, .directory = (char *)directory};
    FdsetChannel *channel;

    info.number = next_number(image, error);
    if (info.number == 0)
        return NULL;
    channel = fdset_channel_open(image->dirfd, &info, TRUE, TRUE, error);
    if (channel)
        g_ptr_array_add(image->channels, channel);
    else
        g_prefix_error(error, "%s: ", image->name);
    return channel;
}

FdsetChannel *fdset_image_adopt_channel(FdsetImage *image, int fd, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);
    FdsetChannelInfo info = {.number = next_number(image, error)};
    FdsetChannel *channel;

    if (info.number == 0)
        return NULL;
    channel = fdset_channel_adopt(&info, fd, error);
    if (channel)
        g_ptr_array_add(image->channels, channel);
    else
        g_prefix_error(error, "%s: ", image->name);
    return channel;
}

FdsetChannel *fdset_image_external_channel(FdsetImage *image, guint64 device, guint64 inode)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&image->lock);

    for (guint i = 0; i < image->channels->len; i++) {
        FdsetChannel *channel = image->channels->pdata[i];

        if (channel && fdset_channel_is_file(channel, device, inode))
            return channel;
    }
    return NULL;
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

static int recover_blocks(FdsetImage *image)
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
    return r < 0 ? r : image->ops->sync(image);
}

static int sync_map(FdsetImage *image)
{
    return fdset_blockmap_sync(image->map);
}

static int sum_blocks(FdsetImage *image, GBytes **sums, guint64 *n_data)
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

int fdset_image_recover(FdsetImage *image)
{
    return image->ops->recover(image);
}

int fdset_image_sum(FdsetImage *image, GBytes **sums, guint64 *n_data)
{
    return image->ops->sum(image, sums, n_data);
}

gboolean fdset_image_has_digests(const FdsetImage *image)
{
    return image->map != NULL;
}

const FdsetImageOps fdset_image_block_ops = {
    .write = fdset_image_write_range,
    .end_of_failed = fdset_image_end_of_failed,
    .truncate = fdset_image_truncate_blocks,
    .read_blocks = fdset_image_get_blocks,
    .seek = fdset_image_seek_blocks,
    .export = fdset_image_export_blocks,
    .recover = recover_blocks,
    .check = fdset_image_check_blocks,
    .sum = sum_blocks,
    .sync = sync_map,
};
