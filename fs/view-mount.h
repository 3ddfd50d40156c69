/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view-mount.h - serves the inside of one migration file.
 */
#ifndef FS_VIEW_MOUNT_H
#define FS_VIEW_MOUNT_H

#include "fs/options.h"

/* Whether the first operand is a migration file, or an option was given that only takes one. */
gboolean fs_view_is_wanted(const FsOptions *options);

/*
 * Opens the file, mounts the view and serves it, as fs_serve() does a store.
 * FALSE: it could not be mounted; errors of fdset_inspection_new(), USAGE,
 * NOT_FOUND, SYSTEM.
 */
gboolean fs_view_serve(FsOptions *options, int ready, GError **error);

#endif
