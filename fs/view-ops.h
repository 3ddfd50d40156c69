/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view-ops.h - the FUSE operations of a view: read-only, and nothing ever
 * changes, so the kernel keeps all that it was told. Every callback may run in
 * any thread.
 */
#ifndef FS_VIEW_OPS_H
#define FS_VIEW_OPS_H

#include "fs/fuse.h"
#include "fs/view.h"

#include <sys/stat.h>

/* What the callbacks work on: the session's user data. */
typedef struct {
    FsView *view;
    struct stat file; /* the migration file, with st_ino 0: see view-reply.h */
} FsViewContext;

extern const struct fuse_lowlevel_ops fs_view_ops;

#endif
