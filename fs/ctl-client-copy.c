/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export and import. An export is written into a file without a name, synced,
 * and then gets its name, which so never has half a file, and nothing is left
 * behind by an export that is killed. Where a filesystem has no such files it is
 * FILE.PID.part until then. The daemon copies, so that blocks can be
 * shared, and where there is no control socket it goes through the mount. Holes
 * stay holes both ways.
 */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/ctl-client-command.h"
#include "fs/ctl-client-table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COPY_SIZE (1u << 20) /* one FUSE request */

typedef struct {
    const char *what;
    const char *from_name, *to_name;
    int from, to;
    guint64 size;
} Copy;

static gboolean copy_fails(const Copy *copy, const char *name, const char *verb, int errnum,
                           GError **error)
{
    fdset_error_set_errno(error, errnum, "%s: cannot %s", name, verb);
    return FALSE;
}

static gboolean copy_range(const Copy *copy, gpointer buf, guint64 offset, guint64 end,
                           GError **error)
{
    while (offset < end) {
        gssize got = fdset_fd_pread(copy->from, buf, (gsize)MIN(COPY_SIZE, end - offset), offset);
        int r;

        if (got <= 0)
            return copy_fails(copy, copy->from_name, "read", got < 0 ? (int)-got : EIO, error);
        r = fdset_fd_pwrite(copy->to, buf, (gsize)got, offset);
        if (r < 0)
            return copy_fails(copy, copy->to_name, "write", -r, error);
        offset += (guint64)got;
        fs_text_progress(copy->what, offset, copy->size);
    }
    return TRUE;
}

/* What is not in a hole. */
static gboolean copy_data(const Copy *copy, GError **error)
{
    gpointer buf = g_aligned_alloc(1, COPY_SIZE, 4096);
    gboolean done = TRUE;
    off_t data = 0, hole;

    while (done && (data = lseek(copy->from, data, SEEK_DATA)) >= 0) {
        hole = lseek(copy->from, data, SEEK_HOLE);
        if (hole < 0)
            break;
        done = copy_range(copy, buf, (guint64)data, (guint64)hole, error);
        data = hole;
    }
    if (done && errno != ENXIO && data < 0)
        done = copy_fails(copy, copy->from_name, "look for data", errno, error);
    g_aligned_free(buf);
    fs_text_progress_end();
    return done;
}

/* Through the mount, where the daemon cannot be asked. */
static gboolean export_by_mount(FsCtl *ctl, int to, const char *to_name, GError **error)
{
    const char *mount = fs_ctl_mount(ctl, error);
    g_autofree char *from = mount ? g_build_filename(mount, ctl->operands[0], NULL) : NULL;
    autofd fd = from ? open(from, O_RDONLY | O_CLOEXEC) : -1;
    Copy copy = {"export", from, to_name, fd, to, 0};
    struct stat st;

    if (!from)
        return FALSE;
    if (fd < 0 || fstat(fd, &st) < 0)
        return copy_fails(&copy, from, "open", errno, error);
    copy.size = (guint64)st.st_size;
    if (!copy_data(&copy, error))
        return FALSE;
    return ftruncate(to, st.st_size) == 0 || copy_fails(&copy, to_name, "truncate", errno, error);
}

static gboolean export_to(FsCtl *ctl, int fd, const char *name, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(JsonNode) node = NULL;

    if (!fs_ctl_client(ctl, &problem))
        return export_by_mount(ctl, fd, name, error);
    node = fs_ctl_ask_long(ctl, "export", fd, error);
    return node != NULL;
}

/* The name that an export has until it is whole; with O_TMPFILE only for the time of a rename. */
static char *temporary_name(const char *path)
{
    return g_strdup_printf("%s.%d.part", path, getpid());
}

/* *named: it has its temporary name already. */
static int make_file(const char *directory, const char *temporary, gboolean *named, GError **error)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    *named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
    if (*named)
        fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        fdset_error_set_errno(error, errno, "%s: cannot make it", temporary);
    return fd;
}

/* linkat() cannot replace a file, rename() can. */
static gboolean give_name(int fd, const char *temporary)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);

    return linkat(AT_FDCWD, link, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) == 0;
}

/* The directory too: the name is to survive a crash. */
static gboolean finish_file(int fd, gboolean named, const char *directory, const char *temporary,
                            const char *path, GError **error)
{
    autofd dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fsync(fd) == 0 && (named || give_name(fd, temporary)) && rename(temporary, path) == 0 &&
        dirfd >= 0 && fsync(dirfd) == 0)
        return TRUE;
    fdset_error_set_errno(error, errno, "%s: cannot finish the file", path);
    unlink(temporary);
    return FALSE;
}

gboolean fs_ctl_export(FsCtl *ctl, GError **error)
{
    const char *path = ctl->operands[1];
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *temporary = temporary_name(path);
    autofd fd = -1;
    gboolean named;
    guint32 id;

    if (!fs_ctl_id(ctl, 0, &id, error))
        return FALSE;
    fd = make_file(directory, temporary, &named, error);
    if (fd < 0)
        return FALSE;
    if (export_to(ctl, fd, path, error))
        return finish_file(fd, named, directory, temporary, path, error);
    if (named)
        unlink(temporary);
    return FALSE;
}

/* The daemon's words for what an errno cannot say; NULL: it has none. */
static char *reason_of(const char *path)
{
    char text[4096];
    ssize_t len = getxattr(path, "user.fdsetfs.last_error", text, sizeof text);

    return len > 0 ? g_strndup(text, (gsize)len) : NULL;
}

static FdsetError code_for(int errnum)
{
    switch (errnum) {
    case EBUSY:
        return FDSET_ERROR_BUSY;
    case EACCES:
    case EROFS:
        return FDSET_ERROR_DENIED;
    case ENOENT:
        return FDSET_ERROR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return FDSET_ERROR_NO_SPACE;
    default:
        return FDSET_ERROR_SYSTEM;
    }
}

static int open_target(const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int errnum = errno;
    g_autofree char *reason = NULL;

    if (fd >= 0)
        return fd;
    reason = reason_of(path);
    g_set_error(error, FDSET_ERROR, (int)code_for(errnum), "%s: cannot open: %s%s%s%s", path,
                g_strerror(errnum), reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
    return -1;
}

/* A file that ends in a hole gets its last byte written: ftruncate would say where a stream starts.
 */
static gboolean set_size(const Copy *copy, GError **error)
{
    struct stat st;
    int r = fstat(copy->to, &st) < 0 ? -errno : 0;

    if (r == 0 && (guint64)st.st_size < copy->size)
        r = fdset_fd_pwrite(copy->to, "", 1, copy->size - 1);
    return r == 0 || copy_fails(copy, copy->to_name, "write", -r, error);
}

static gboolean import_file(int from, const char *from_name, const char *to, GError **error)
{
    autofd fd = open_target(to, error);
    Copy copy = {"import", from_name, to, from, fd, 0};
    struct stat st;

    if (fd < 0)
        return FALSE;
    if (fstat(from, &st) < 0)
        return copy_fails(&copy, from_name, "look at it", errno, error);
    copy.size = (guint64)st.st_size;
    return copy_data(&copy, error) && set_size(&copy, error);
}

gboolean fs_ctl_import(FsCtl *ctl, GError **error)
{
    const char *mount = fs_ctl_mount(ctl, error);
    g_autofree char *to = mount ? g_build_filename(mount, ctl->operands[0], NULL) : NULL;
    autofd from = open(ctl->operands[1], O_RDONLY | O_CLOEXEC);
    int errnum = errno;
    guint32 id;

    if (!to || !fs_ctl_id(ctl, 0, &id, error))
        return FALSE;
    if (from < 0) {
        fdset_error_set_errno(error, errnum, "%s: cannot open", ctl->operands[1]);
        return FALSE;
    }
    if (!import_file(from, ctl->operands[1], to, error))
        return FALSE;
    ctl->durable = TRUE;
    return fs_ctl_wait(ctl, error);
}
