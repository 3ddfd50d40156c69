/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper.h - a process beside a confined one, which unmounts for it.
 *
 * It is forked before anything is confined or opened, holds nothing but its end
 * of a pipe, and waits. The other one asks it to unmount; when that dies without
 * a word, the keeper unmounts what is dead at the mount point.
 */
#ifndef FS_KEEPER_H
#define FS_KEEPER_H

#include <glib.h>

typedef struct FsKeeper FsKeeper;

/* Forks it; no other thread may run. 'mountpoint' is an absolute path. Errors: SYSTEM. */
FsKeeper *fs_keeper_new(const char *mountpoint, GError **error);

/* Has the mount point unmounted, and returns when it is. */
void fs_keeper_unmount(FsKeeper *keeper);

/* Ends it. NULL is fine. */
void fs_keeper_free(FsKeeper *keeper);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsKeeper, fs_keeper_free)

#endif
