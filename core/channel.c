/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/channel.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SIZE 16

struct FdsetChannel {
    FdsetChannelInfo info; /* size and written are protected by lock, the rest does not change */
    char name[NAME_SIZE];
    int fd;          /* through the page cache */
    gint direct_fd;  /* with O_DIRECT; -1: not open; atomic */
    gint no_direct;  /* the filesystem has no O_DIRECT; atomic */
    gint dropped;    /* atomic */
    gboolean writable;
    GMutex lock;
};

FdsetChannelInfo *fdset_channel_info_copy(const FdsetChannelInfo *info)
{
    FdsetChannelInfo *copy = g_new(FdsetChannelInfo, 1);

    *copy = *info;
    copy->directory = g_strdup(info->directory);
    return copy;
}

void fdset_channel_info_free(FdsetChannelInfo *info)
{
    if (!info)
        return;
    g_free(info->directory);
    g_free(info);
}

/* The directory that holds the file: a new descriptor, or -errno. */
static int open_directory(int set_dirfd, const FdsetChannelInfo *info, gboolean create)
{
    int fd;

    if (!info->directory)
        fd = openat(set_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else if (create && g_mkdir_with_parents(info->directory, 0700) < 0)
        return -errno;
    else
        fd = open(info->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void channel_name(char name[NAME_SIZE], guint16 number)
{
    g_snprintf(name, NAME_SIZE, "ch-%03u", number - 1u);
}

static void set_open_error(GError **error, const FdsetChannelInfo *info, const char *name,
                           int errnum)
{
    fdset_error_set_errno(error, errnum, "channel file %s%s%s: cannot open",
                          info->directory ? info->directory : "", info->directory ? "/" : "", name);
}

FdsetChannel *fdset_channel_open(int set_dirfd, const FdsetChannelInfo *info, gboolean create,
                                 gboolean writable, GError **error)
{
    autofd dirfd = open_directory(set_dirfd, info, create);
    g_autoptr(FdsetChannel) channel = g_new0(FdsetChannel, 1);
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    struct stat st;

    g_mutex_init(&channel->lock);
    channel->fd = channel->direct_fd = -1;
    channel->info = *info;
    channel->info.directory = g_strdup(info->directory);
    channel->writable = writable;
    channel_name(channel->name, info->number);
    if (dirfd < 0) {
        set_open_error(error, info, channel->name, -dirfd);
        return NULL;
    }
    channel->fd = openat(dirfd, channel->name, flags | (create ? O_CREAT | O_TRUNC : 0), 0600);
    if (channel->fd < 0 || fstat(channel->fd, &st) < 0) {
        set_open_error(error, info, channel->name, errno);
        return NULL;
    }
    if ((guint64)st.st_size < info->size) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "channel file %s%s%s: ends at offset %lld, expected at least %" G_GUINT64_FORMAT
                    " bytes",
                    info->directory ? info->directory : "", info->directory ? "/" : "",
                    channel->name, (long long)st.st_size, info->size);
        return NULL;
    }
    channel->info.size = (guint64)st.st_size;
    return g_steal_pointer(&channel);
}

void fdset_channel_free(FdsetChannel *channel)
{
    if (!channel)
        return;
    fdset_fd_clear(&channel->fd);
    fdset_fd_clear(&channel->direct_fd);
    g_mutex_clear(&channel->lock);
    g_free(channel->info.directory);
    g_free(channel);
}

guint16 fdset_channel_number(const FdsetChannel *channel)
{
    return channel->info.number;
}

gboolean fdset_channel_is_direct(const FdsetChannel *channel)
{
    return channel->info.direct;
}

guint64 fdset_channel_size(const FdsetChannel *channel)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new((GMutex *)&channel->lock);

    return channel->info.size;
}

FdsetChannelInfo *fdset_channel_info(const FdsetChannel *channel)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new((GMutex *)&channel->lock);

    return fdset_channel_info_copy(&channel->info);
}

/* The O_DIRECT descriptor, opened on first use; -1 where the filesystem has none. */
static int direct_fd(FdsetChannel *channel)
{
    g_autofree char *path = NULL;
    g_autoptr(GMutexLocker) locker = NULL;
    int fd = g_atomic_int_get(&channel->direct_fd);

    if (g_atomic_int_get(&channel->no_direct))
        return -1;
    if (fd >= 0)
        return fd;
    locker = g_mutex_locker_new(&channel->lock);
    if (channel->direct_fd >= 0)
        return channel->direct_fd;
    /* Through /proc, so that a file that was moved or removed meanwhile is the same file. */
    path = g_strdup_printf("/proc/self/fd/%d", channel->fd);
    fd = open(path, (channel->writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (fd < 0) {
        g_info("channel file %s: no O_DIRECT here (%s), going through the page cache",
               channel->name, g_strerror(errno));
        g_atomic_int_set(&channel->no_direct, 1);
    } else {
        g_atomic_int_set(&channel->direct_fd, fd);
    }
    return fd;
}

static gboolean is_aligned(gconstpointer buf, gsize len, guint64 offset)
{
    return ((guintptr)buf | len | offset) % FDSET_BLOCK_SIZE == 0;
}

/* The descriptor for one transfer. */
static int fd_for(FdsetChannel *channel, gboolean direct, gconstpointer buf, gsize len,
                  guint64 offset)
{
    int fd = direct && is_aligned(buf, len, offset) ? direct_fd(channel) : -1;

    return fd >= 0 ? fd : channel->fd;
}

static void grow(FdsetChannel *channel, guint64 end)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&channel->lock);

    channel->info.size = MAX(channel->info.size, end);
}

/* A write that failed half-way has made the file longer all the same. */
static void grow_after_failure(FdsetChannel *channel)
{
    struct stat st;

    if (fstat(channel->fd, &st) == 0)
        grow(channel, (guint64)st.st_size);
}

int fdset_channel_pwrite(FdsetChannel *channel, gconstpointer buf, gsize len, guint64 offset)
{
    int fd = fd_for(channel, channel->info.direct, buf, len, offset);
    int r = fdset_fd_pwrite(fd, buf, len, offset);

    if (r == -EINVAL && fd != channel->fd) {
        /* Blocks larger than ours, or a filesystem that changed its mind. */
        g_atomic_int_set(&channel->no_direct, 1);
        r = fdset_fd_pwrite(channel->fd, buf, len, offset);
    }
    if (r == 0)
        grow(channel, offset + len);
    else
        grow_after_failure(channel);
    return r;
}

void fdset_channel_count(FdsetChannel *channel, gsize len)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&channel->lock);

    channel->info.written += len;
}

gssize fdset_channel_pread(FdsetChannel *channel, gpointer buf, gsize len, guint64 offset,
                           gboolean direct)
{
    int fd = fd_for(channel, direct, buf, len, offset);
    gssize got;

    if (fd == channel->fd)
        return fdset_fd_pread(fd, buf, len, offset);
    do
        got = pread(fd, buf, len, (off_t)offset);
    while (got < 0 && errno == EINTR);
    /* A short count is the end of the file, or a device that split the transfer: either way
     * the rest is no longer aligned for O_DIRECT. */
    if (got < 0 || (gsize)got < len)
        return fdset_fd_pread(channel->fd, buf, len, offset);
    return got;
}

int fdset_channel_copy(const FdsetChannel *channel, int fd, guint64 offset, gsize len)
{
    while (len > 0) {
        off64_t from = (off64_t)offset, to = (off64_t)offset;
        ssize_t n = copy_file_range(channel->fd, &from, fd, &to, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        offset += (guint64)n;
        len -= (gsize)n;
    }
    return 0;
}

int fdset_channel_truncate(FdsetChannel *channel, guint64 size)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&channel->lock);

    if (ftruncate(channel->fd, (off_t)size) < 0)
        return -errno;
    channel->info.size = size;
    return 0;
}

void fdset_channel_drop(FdsetChannel *channel)
{
    g_atomic_int_set(&channel->dropped, 1);
}

gboolean fdset_channel_is_dropped(FdsetChannel *channel)
{
    return g_atomic_int_get(&channel->dropped);
}

/* A name is on stable storage when its directory is, and so is the directory's own. */
static int sync_directory(const char *path)
{
    autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int fdset_channel_sync(FdsetChannel *channel)
{
    const char *directory = channel->info.directory; /* DIR/UUID/N-TAG: we made all but DIR */
    g_autofree char *store = directory ? g_path_get_dirname(directory) : NULL;
    g_autofree char *dir = directory ? g_path_get_dirname(store) : NULL;
    int r = fdatasync(channel->fd) < 0 ? -errno : 0;

    if (r == 0 && directory)
        r = sync_directory(directory);
    if (r == 0 && directory)
        r = sync_directory(store);
    if (r == 0 && directory)
        r = sync_directory(dir);
    return r;
}

int fdset_channel_unlink(int set_dirfd, const FdsetChannelInfo *info)
{
    autofd dirfd = open_directory(set_dirfd, info, FALSE);
    char name[NAME_SIZE];

    if (dirfd < 0)
        return dirfd;
    channel_name(name, info->number);
    if (unlinkat(dirfd, name, 0) < 0)
        return -errno;
    if (info->directory)
        g_rmdir(info->directory); /* which fails while there are others in it */
    return 0;
}
