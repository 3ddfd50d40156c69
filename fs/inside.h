/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inside.h - what is inside one complete set: the view of its image, and all
 * that this is made of. Immutable once made. Who keeps it: insides.h.
 */
#ifndef FS_INSIDE_H
#define FS_INSIDE_H

#include "core/set.h"
#include "fs/view.h"
#include "fs/work.h"

typedef struct FsInside FsInside;

/*
 * Reads the set's stream, and holds its image open. A save in the streaming
 * format is indexed, which takes a pass over it the first time: 'works' tells how
 * far that is. Errors: those of fdset_look_new() and fdset_inspection_new().
 */
FsInside *fs_inside_new(FdsetSet *set, FsWorks *works, GError **error);

FsView *fs_inside_view(const FsInside *inside);

/* Borrowed; it may have been removed from its store. */
FdsetSet *fs_inside_set(const FsInside *inside);

void fs_inside_free(FsInside *inside);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsInside, fs_inside_free)

#endif
