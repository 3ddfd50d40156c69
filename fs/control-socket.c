/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/control-socket.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128          /* connections that wait until the thread comes to them */
#define LOCK_WAIT_US 2000000 /* another daemon only binds and renames under the lock */
#define LOCK_POLL_US 20000

struct FsControlSocket {
    char *path;
    char *name; /* its last part */
    int fd;
    int dirfd;
    struct stat st; /* of the name, to know it again */
};

/* An address through the descriptor of a directory or, without a name, of the socket itself. */
static struct sockaddr_un address_of(int fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d%s%s", fd,
               name ? "/" : "", name ? name : "");
    return address;
}

static int connect_at(int dirfd, const char *name)
{
    autofd target = openat(dirfd, name, O_PATH | O_CLOEXEC);
    struct sockaddr_un address = address_of(target, NULL);
    int fd = target < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fdset_fd_clear(&fd);
    return fd < 0 ? -errno : fd;
}

int fs_control_connect(const char *path)
{
    return connect_at(AT_FDCWD, path);
}

static gboolean lock_directory(FsControlSocket *control, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + LOCK_WAIT_US;

    while (flock(control->dirfd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == ENOLCK || errno == EOPNOTSUPP || errno == EINVAL)
            return TRUE; /* a filesystem without locks */
        if (g_get_monotonic_time() > deadline) {
            g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                        "%s: another process has locked the directory of the control socket",
                        control->path);
            return FALSE;
        }
        g_usleep(LOCK_POLL_US);
    }
    return TRUE;
}

/* May the name be taken? Only from a socket whose daemon is dead. */
static gboolean check_name(const FsControlSocket *control, GError **error)
{
    struct stat st;
    int fd;

    if (fstatat(control->dirfd, control->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return TRUE;
    if (!S_ISSOCK(st.st_mode)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_DENIED,
                    "%s: there is a file that is not a socket: choose another control= path",
                    control->path);
        return FALSE;
    }
    fd = connect_at(control->dirfd, control->name);
    if (fd == -ECONNREFUSED || fd == -ENOENT)
        return TRUE;
    if (fd >= 0)
        close(fd);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                "%s: another process answers at this control socket: choose another control= path",
                control->path);
    return FALSE;
}

/* Binds under a name of its own and gives it the final one. */
static int bind_and_rename(FsControlSocket *control, mode_t mode)
{
    g_autofree char *temporary = g_strdup_printf(".control-%d", getpid());
    struct sockaddr_un address = address_of(control->dirfd, temporary);
    int r;

    unlinkat(control->dirfd, temporary, 0);
    /* Linux makes the name with the mode of the descriptor, less the umask. */
    if (fchmod(control->fd, mode) < 0 ||
        bind(control->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    if (fchmodat(control->dirfd, temporary, mode, 0) == 0 && listen(control->fd, BACKLOG) == 0 &&
        fstatat(control->dirfd, temporary, &control->st, AT_SYMLINK_NOFOLLOW) == 0 &&
        renameat(control->dirfd, temporary, control->dirfd, control->name) == 0)
        return 0;
    r = -errno;
    unlinkat(control->dirfd, temporary, 0);
    return r;
}

static gboolean open_directory(FsControlSocket *control, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(control->path);

    control->name = g_path_get_basename(control->path);
    control->dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (control->dirfd < 0)
        fdset_error_set_errno(error, errno, "%s: cannot open the control socket's directory",
                              directory);
    return control->dirfd >= 0;
}

FsControlSocket *fs_control_socket_new(const char *path, mode_t mode, GError **error)
{
    g_autoptr(FsControlSocket) control = g_new0(FsControlSocket, 1);
    int r;

    control->dirfd = control->fd = -1;
    control->path = g_strdup(path);
    if (!open_directory(control, error) || !lock_directory(control, error) ||
        !check_name(control, error))
        return NULL;
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    r = control->fd < 0 ? -errno : bind_and_rename(control, mode);
    flock(control->dirfd, LOCK_UN);
    if (r == 0)
        return g_steal_pointer(&control);
    control->st = (struct stat){0};
    fdset_error_set_errno(error, -r, "%s: cannot make the control socket", path);
    return NULL;
}

int fs_control_socket_fd(const FsControlSocket *control)
{
    return control->fd;
}

static void remove_name(const FsControlSocket *control)
{
    struct stat st;

    flock(control->dirfd, LOCK_EX | LOCK_NB);
    if (fstatat(control->dirfd, control->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == control->st.st_ino && st.st_dev == control->st.st_dev)
        unlinkat(control->dirfd, control->name, 0);
}

void fs_control_socket_free(FsControlSocket *control)
{
    if (!control)
        return;
    if (control->st.st_ino)
        remove_name(control);
    fdset_fd_clear(&control->fd);
    fdset_fd_clear(&control->dirfd);
    g_free(control->name);
    g_free(control->path);
    g_free(control);
}
