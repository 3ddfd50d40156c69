/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control-socket.h - the control socket's name in the filesystem.
 *
 * The socket is bound under a temporary name with its final mode and renamed
 * into place, so it never has another one; what stands there before is taken
 * away only when it is a socket that nobody answers. All of that happens under
 * a lock (flock) on the directory, so that of two daemons one wins. Paths are
 * used through descriptors in /proc/self/fd: their length does not matter.
 */
#ifndef FS_CONTROL_SOCKET_H
#define FS_CONTROL_SOCKET_H

#include <glib.h>
#include <sys/types.h>

typedef struct FsControlSocket FsControlSocket;

/*
 * Listens at 'path'. Errors: BUSY (another process answers there, or has the
 * directory locked), DENIED (something is there that is no socket), SYSTEM.
 */
FsControlSocket *fs_control_socket_new(const char *path, mode_t mode, GError **error);

/* The listening descriptor, not blocking; borrowed. */
int fs_control_socket_fd(const FsControlSocket *socket);

/* Closes it, and removes the name when it is still its own. */
void fs_control_socket_free(FsControlSocket *socket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsControlSocket, fs_control_socket_free)

/* A descriptor connected to the socket at 'path', or -errno. */
int fs_control_connect(const char *path);

#endif
