/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.h - the FUSE session of one mount, whatever it serves.
 */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs/options.h"

/*
 * Makes the mount point absolute, as the daemon leaves its directory and has to
 * unmount in the end. /dev/fd/N is a descriptor that somebody else has mounted.
 */
gboolean fs_session_find_mountpoint(FsOptions *options, GError **error);

/* NULL with a USAGE error when an option is not for libfuse either. 'ops' has fuse_lowlevel_ops. */
struct fuse_session *fs_session_new(FsOptions *options, const struct fuse_lowlevel_ops *ops,
                                    void *data, GError **error);

/* Sets signal handlers and mounts. */
gboolean fs_session_mount(struct fuse_session *session, const FsOptions *options, GError **error);

/* Tells 'ready' (or -1), and serves requests until it is unmounted or a signal ends it. */
void fs_session_run(struct fuse_session *session, const FsOptions *options, int ready);

/* FALSE when somebody has unmounted it. */
gboolean fs_session_is_mounted(struct fuse_session *session);

/* Unmounts, and no longer handles signals. */
void fs_session_unmount(struct fuse_session *session);

#endif
