/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h - the control socket: QMP's wire format, one thread.
 *
 * The thread moves bytes and never touches a set: commands run in a small pool
 * of workers, so a slow disk or a client that does not read delays nobody else.
 * Commands of one client run one after the other, but for those that take long
 * (wait, verify): their answers come when they are ready.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "fs/ops.h"

typedef struct FsControl FsControl;

/* What control= asks for by default: a socket of this name in the store. */
#define FS_CONTROL_NAME "control"

/*
 * Listens at 'path' and starts the thread. Clients may be root, the daemon's
 * user and those of 'uids' (of uid_t, borrowed, nullable); with any of them the
 * socket's mode is 0666, else 0600. 'context' is borrowed, and its store and
 * session are there until fs_control_free(). Errors: as fs_control_socket_new().
 */
FsControl *fs_control_new(FsContext *context, const char *path, const GArray *uids, GError **error);

/* Ends running commands, closes all connections and removes the socket. NULL is fine. */
void fs_control_free(FsControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsControl, fs_control_free)

#endif
