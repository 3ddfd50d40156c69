/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-client-mount.h - from a mount of fdsetfs to its control socket and back,
 * by the mount table and the attribute user.fdsetfs.control of the mount's root.
 */
#ifndef FS_CTL_CLIENT_MOUNT_H
#define FS_CTL_CLIENT_MOUNT_H

#include <glib.h>

/* The only fdsetfs that is mounted. Errors: NOT_FOUND, USAGE (there are several). Caller frees. */
char *fs_ctl_find_mount(GError **error);

/* The control socket of the fdsetfs at 'mount'. Errors: NOT_FOUND. Caller frees. */
char *fs_ctl_socket_of_mount(const char *mount, GError **error);

/* The mount whose control socket is 'path'. Errors: NOT_FOUND. Caller frees. */
char *fs_ctl_mount_of_socket(const char *path, GError **error);

#endif
