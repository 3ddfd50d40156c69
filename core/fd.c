/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/fd.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void fdset_fd_clear(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

gssize fdset_fd_pread(int fd, gpointer buf, gsize len, guint64 offset)
{
    gsize done = 0;

    while (done < len) {
        gssize n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (gsize)n;
    }
    return (gssize)done;
}

int fdset_fd_pwrite(int fd, gconstpointer buf, gsize len, guint64 offset)
{
    gsize done = 0;

    while (done < len) {
        gssize n = pwrite(fd, (const char *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? -EIO : -errno;
        if (n == 0)
            return -EIO;
        done += (gsize)n;
    }
    return 0;
}

GBytes *fdset_fd_read_file(int dirfd, const char *name, gsize limit, GError **error)
{
    autofd fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    g_autofree char *data = NULL;
    struct stat st;
    gssize got;

    if (fd < 0 || fstat(fd, &st) < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot open", name);
        return NULL;
    }
    if (st.st_size < 0 || (guint64)st.st_size > limit) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                    "%s: %lld bytes, expected at most %" G_GSIZE_FORMAT, name,
                    (long long)st.st_size, limit);
        return NULL;
    }
    data = g_malloc((gsize)st.st_size + 1);
    got = fdset_fd_pread(fd, data, (gsize)st.st_size, 0);
    if (got < 0) {
        fdset_error_set_errno(error, (int)-got, "%s: cannot read", name);
        return NULL;
    }
    data[got] = '\0';
    return g_bytes_new_take(g_steal_pointer(&data), (gsize)got);
}

gboolean fdset_fd_replace_file(int dirfd, const char *name, gconstpointer data, gsize len,
                               gboolean durable, GError **error)
{
    g_autofree char *temp = g_strdup_printf("%s.new", name);
    autofd fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : fdset_fd_pwrite(fd, data, len, 0);

    if (r == 0 && durable && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
        r = -errno;
    if (r == 0 && durable && fsync(dirfd) < 0)
        r = -errno;
    if (r == 0)
        return TRUE;
    unlinkat(dirfd, temp, 0);
    fdset_error_set_errno(error, -r, "%s: cannot replace", name);
    return FALSE;
}

int fdset_fd_open_nameless(int dirfd, GError **error)
{
    const char *directory = dirfd < 0 ? g_get_tmp_dir() : ".";
    int fd = openat(dirfd < 0 ? AT_FDCWD : dirfd, directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        fdset_error_set_errno(error, errno, "%s: cannot make a file without a name",
                              dirfd < 0 ? directory : "cache directory");
    return fd;
}
