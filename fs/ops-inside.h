/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops-inside.h - the operations on MOUNT/N.d, the directory beside a complete
 * set, and on what is in it. Files and directories have nodes like all others,
 * and what these mean is looked up in what is inside the set (insides.h). Its
 * view answers (view-reply.h). All return 0 or -errno.
 */
#ifndef FS_OPS_INSIDE_H
#define FS_OPS_INSIDE_H

#include "fs/ops.h"

/* TRUE when 'name' is N.d, and its N. */
gboolean fs_inside_parse(const char *name, guint32 *id);

/* N.d in the mount's root: -ENOENT unless N is complete. */
int fs_inside_look_up_root(FsContext *context, guint32 id, struct fuse_entry_param *entry);

/* A name in a directory inside a set. */
int fs_inside_look_up(FsContext *context, const FsPlace *directory, const char *name,
                      struct fuse_entry_param *entry);

/* As for getattr; *timeout in seconds. */
int fs_inside_attributes(FsContext *context, const FsPlace *place, struct stat *st,
                         double *timeout);

/* Opens a file or directory, and sets fi->fh. */
int fs_inside_open(FsContext *context, const FsPlace *place, struct fuse_file_info *fi);

#endif
