/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/session.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/daemon.h"
#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* More gains nothing, and costs who maps files and touches them here and there. */
#define READ_AHEAD_KIB "256"

gboolean fs_session_find_mountpoint(FsOptions *options, GError **error)
{
    char *real = realpath(options->mountpoint, NULL);
    int errnum = !real ? errno : !g_file_test(real, G_FILE_TEST_IS_DIR) ? ENOTDIR : 0;

    if (g_str_has_prefix(options->mountpoint, "/dev/fd/")) {
        free(real);
        return TRUE;
    }
    if (errnum) {
        fdset_error_set_errno(error, errnum, "%s: cannot mount here", options->mountpoint);
        free(real);
        return FALSE;
    }
    g_free(options->mountpoint);
    options->mountpoint = g_strdup(real);
    free(real);
    return TRUE;
}

struct fuse_session *fs_session_new(FsOptions *options, const struct fuse_lowlevel_ops *ops,
                                    void *data, GError **error)
{
    g_autofree char *name = g_strescape(options->store, NULL);
    g_autofree char *mount_options =
        g_strdup_printf("-odefault_permissions,subtype=fdsetfs,fsname=%s", name);
    struct fuse_session *session = NULL;

    if (fuse_opt_add_arg(&options->session, mount_options) == 0)
        session = fuse_session_new(&options->session, ops, sizeof *ops, data);
    if (!session)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE, "invalid mount options (see above)");
    return session;
}

/*
 * The kernel reads 128 KiB ahead on any FUSE mount, whatever the daemon grants, and only the
 * administrator can say more: then let it. Nothing here asks the daemon, which does not answer yet.
 */
static void raise_read_ahead(const char *mountpoint)
{
    g_autofree char *path = NULL;
    struct statx st;
    autofd fd = -1;
    int r;

    if (g_str_has_prefix(mountpoint, "/dev/fd/") ||
        statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return;
    path = g_strdup_printf("/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    r = fd < 0 ? -errno : fdset_fd_pwrite(fd, READ_AHEAD_KIB, strlen(READ_AHEAD_KIB), 0);
    if (r < 0)
        g_debug("%s: stays as it is: %s", path, g_strerror(-r));
}

gboolean fs_session_mount(struct fuse_session *session, const FsOptions *options, GError **error)
{
    if (fuse_set_signal_handlers(session) < 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM, "cannot set signal handlers");
        return FALSE;
    }
    if (fuse_session_mount(session, options->mountpoint) == 0) {
        raise_read_ahead(options->mountpoint);
        return TRUE;
    }
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM, "%s: cannot mount here (see above)",
                options->mountpoint);
    fuse_remove_signal_handlers(session);
    return FALSE;
}

void fs_session_run(struct fuse_session *session, const FsOptions *options, int ready)
{
    if (ready >= 0)
        fs_daemon_ready(ready, -1);
    if (fs_loop_run(session, options->policy.one_thread) < 0)
        g_warning("the request loop ended with an error");
}

gboolean fs_session_is_mounted(struct fuse_session *session)
{
    struct pollfd fd = {.fd = fuse_session_fd(session), .events = POLLIN};

    return poll(&fd, 1, 0) <= 0 || !(fd.revents & POLLERR);
}

void fs_session_unmount(struct fuse_session *session)
{
    fuse_session_unmount(session);
    fuse_remove_signal_handlers(session);
}
