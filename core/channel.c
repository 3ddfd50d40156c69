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
    int fd;          /* for writing, through the page cache; -1: there is none */
    int read_fd;     /* for reading, through the page cache; a file of ours: fd; -1: there is none */
    int read_errno;  /* why not */
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

static FdsetChannel *channel_new(const FdsetChannelInfo *info, gboolean writable)
{
    FdsetChannel *channel = g_new0(FdsetChannel, 1);

    g_mutex_init(&channel->lock);
    channel->fd = channel->read_fd = channel->direct_fd = -1;
    channel->info = *info;
    channel->info.directory = g_strdup(info->directory);
    channel->writable = writable;
    channel_name(channel->name, info->number);
    return channel;
}

FdsetChannel *fdset_channel_open(int set_dirfd, const FdsetChannelInfo *info, gboolean create,
                                 gboolean writable, GError **error)
{
    autofd dirfd = open_directory(set_dirfd, info, create);
    g_autoptr(FdsetChannel) channel = channel_new(info, writable);
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    struct stat st;

    if (dirfd < 0) {
        set_open_error(error, info, channel->name, -dirfd);
        return NULL;
    }
    channel->fd = openat(dirfd, channel->name, flags | (create ? O_CREAT | O_TRUNC : 0), 0600);
    if (channel->fd < 0 || fstat(channel->fd, &st) < 0) {
        set_open_error(error, info, channel->name, errno);
        return NULL;
    }
    channel->read_fd = channel->fd;
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

/* A description of our own of the file of 'fd'; -1 and errno. */
static int reopen(int fd, int flags)
{
    /* Through /proc, so that a file that was moved or removed meanwhile is the same file. */
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    return open(path, flags | O_CLOEXEC);
}

/* Which of the three descriptors 'fd' serves as, and what is opened beside it. */
static void adopt_fd(FdsetChannel *channel, int fd, int flags)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    channel->no_direct = !(flags & O_DIRECT);
    if (flags & O_DIRECT)
        channel->direct_fd = own;
    else if (channel->writable)
        channel->fd = own;
    if (channel->writable && channel->fd < 0)
        channel->fd = reopen(fd, O_WRONLY);
    /* One of our own even so: looking for holes moves the position, which is the manager's, too. */
    channel->read_fd = reopen(fd, O_RDONLY);
    channel->read_errno = channel->read_fd < 0 ? errno : 0;
    if (channel->writable || flags & O_DIRECT)
        return;
    if (channel->read_fd < 0)
        channel->read_fd = own;
    else
        fdset_fd_clear(&own);
}

FdsetChannel *fdset_channel_adopt(const FdsetChannelInfo *info, int fd, GError **error)
{
    int flags = fcntl(fd, F_GETFL);
    g_autoptr(FdsetChannel) channel = channel_new(info, (flags & O_ACCMODE) == O_WRONLY);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0) {
        fdset_error_set_errno(error, errno, "descriptor %d: cannot tell what it is", fd);
        return NULL;
    }
    adopt_fd(channel, fd, flags);
    if (channel->fd < 0 && channel->read_fd < 0 && channel->direct_fd < 0) {
        fdset_error_set_errno(error, errno, "descriptor %d: cannot duplicate it", fd);
        return NULL;
    }
    channel->info.external = TRUE;
    channel->info.direct = (flags & O_DIRECT) != 0;
    channel->info.size = (guint64)st.st_size;
    channel->info.device = st.st_dev;
    channel->info.inode = st.st_ino;
    return g_steal_pointer(&channel);
}

gboolean fdset_channel_is_file(const FdsetChannel *channel, guint64 device, guint64 inode)
{
    return channel->info.external && channel->info.device == device &&
           channel->info.inode == inode;
}

int fdset_channel_can_read(const FdsetChannel *channel)
{
    return -channel->read_errno;
}

void fdset_channel_free(FdsetChannel *channel)
{
    if (!channel)
        return;
    if (channel->read_fd == channel->fd)
        channel->read_fd = -1;
    fdset_fd_clear(&channel->fd);
    fdset_fd_clear(&channel->read_fd);
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

gboolean fdset_channel_is_external(const FdsetChannel *channel)
{
    return channel->info.external;
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
    g_autoptr(GMutexLocker) locker = NULL;
    int fd = g_atomic_int_get(&channel->direct_fd);

    if (g_atomic_int_get(&channel->no_direct))
        return -1;
    if (fd >= 0)
        return fd;
    locker = g_mutex_locker_new(&channel->lock);
    if (channel->direct_fd >= 0)
        return channel->direct_fd;
    fd = reopen(channel->fd, (channel->writable ? O_RDWR : O_RDONLY) | O_DIRECT);
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

/* The descriptor for one write. */
static int write_fd(FdsetChannel *channel, gconstpointer buf, gsize len, guint64 offset)
{
    int fd = channel->info.direct && is_aligned(buf, len, offset) ? direct_fd(channel) : -1;

    return fd >= 0 ? fd : channel->fd;
}

/* The descriptor for one read. What writes to a manager's file cannot be read from. */
static int read_fd(FdsetChannel *channel, gboolean direct, gconstpointer buf, gsize len,
                   guint64 offset)
{
    gboolean readable = !channel->info.external || !channel->writable;
    int fd = direct && readable && is_aligned(buf, len, offset) ? direct_fd(channel) : -1;

    return fd >= 0 ? fd : channel->read_fd;
}

/* Any descriptor, for what concerns the file and not its bytes; one for writing where there is. */
static int file_fd(const FdsetChannel *channel)
{
    if (channel->fd >= 0)
        return channel->fd;
    return channel->direct_fd >= 0 ? channel->direct_fd : channel->read_fd;
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

    if (fstat(file_fd(channel), &st) == 0)
        grow(channel, (guint64)st.st_size);
}

int fdset_channel_pwrite(FdsetChannel *channel, gconstpointer buf, gsize len, guint64 offset)
{
    int fd = write_fd(channel, buf, len, offset);
    int r = fd < 0 ? -EINVAL : fdset_fd_pwrite(fd, buf, len, offset);

    if (r == -EINVAL && fd != channel->fd && channel->fd >= 0) {
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
    int fd = read_fd(channel, direct, buf, len, offset);
    gssize got;

    if (fd < 0)
        return -channel->read_errno;
    if (fd == channel->read_fd)
        return fdset_fd_pread(fd, buf, len, offset);
    do
        got = pread(fd, buf, len, (off_t)offset);
    while (got < 0 && errno == EINTR);
    /* A short count is the end of the file, or a device that split the transfer: either way
     * the rest is no longer aligned for O_DIRECT. */
    if ((got < 0 || (gsize)got < len) && channel->read_fd >= 0)
        return fdset_fd_pread(channel->read_fd, buf, len, offset);
    return got < 0 ? -errno : got;
}

int fdset_channel_copy(const FdsetChannel *channel, int fd, guint64 offset, gsize len)
{
    while (len > 0) {
        off64_t from = (off64_t)offset, to = (off64_t)offset;
        ssize_t n = copy_file_range(channel->read_fd, &from, fd, &to, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        offset += (guint64)n;
        len -= (gsize)n;
    }
    return 0;
}

gint64 fdset_channel_file_size(const FdsetChannel *channel)
{
    struct stat st;

    return fstat(file_fd(channel), &st) < 0 ? -errno : st.st_size;
}

gint64 fdset_channel_seek(const FdsetChannel *channel, guint64 offset, gboolean data)
{
    off_t found;

    if (channel->read_fd < 0)
        return -channel->read_errno;
    found = lseek(channel->read_fd, (off_t)offset, data ? SEEK_DATA : SEEK_HOLE);
    return found < 0 ? -errno : found;
}

int fdset_channel_truncate(FdsetChannel *channel, guint64 size)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&channel->lock);

    if (ftruncate(file_fd(channel), (off_t)size) < 0)
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
    int r = fdatasync(file_fd(channel)) < 0 ? -errno : 0;

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
    autofd dirfd = info->external ? -1 : open_directory(set_dirfd, info, FALSE);
    char name[NAME_SIZE];

    if (info->external)
        return 0;
    if (dirfd < 0)
        return dirfd;
    channel_name(name, info->number);
    if (unlinkat(dirfd, name, 0) < 0)
        return -errno;
    if (info->directory)
        g_rmdir(info->directory); /* which fails while there are others in it */
    return 0;
}
