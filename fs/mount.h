/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount.h - from options to a served mount, and back.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "fs/options.h"

/*
 * Opens the store, mounts it, serves requests until it is unmounted or a signal
 * (SIGTERM, SIGINT, SIGHUP) ends it, then closes every session and waits until
 * the sets are durable. 'ready' (or -1) is told once it is mounted
 * (fs_daemon_ready). FALSE: it could not be mounted; the store's errors, or SYSTEM.
 */
gboolean fs_serve(FsOptions *options, int ready, GError **error);

#endif
