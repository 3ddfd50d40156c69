/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view-reply.h - what the kernel is told of a node of a view, be the view the
 * root of a mount (view-ops.c) or a directory beside a set (ops-inside.c).
 *
 * Owner, permissions and times of all nodes are those of 'of', the migration
 * file or set; st_ino is of->st_ino plus the node.
 */
#ifndef FS_VIEW_REPLY_H
#define FS_VIEW_REPLY_H

#include "fs/fuse.h"
#include "fs/view.h"

#include <sys/stat.h>

/* The attributes of any directory of a view. */
void fs_view_directory_attributes(guint64 node, const struct stat *of, struct stat *st);

/*
 * The attributes of a node: 0, -ENOENT, or -errno when counting fails. Counting
 * st_blocks reads all bitmaps, so a look-up, which every open begins with, leaves
 * it to a getattr. *exact: it is counted.
 */
int fs_view_attributes(FsView *view, guint64 node, const struct stat *of, gboolean count,
                       struct stat *st, gboolean *exact);

/* Entries from 'offset' on; 'ino' is what each node's st_ino has besides, 'above' that of "..". */
void fs_view_reply_entries(fuse_req_t req, FsView *view, guint64 directory, ino_t ino, ino_t above,
                           size_t size, off_t offset);

/* -errno: nothing was replied. Else the bytes, which were. */
gssize fs_view_reply_read(fuse_req_t req, FsView *view, guint64 node, size_t size, off_t offset);

/* As lseek(2) with SEEK_DATA or SEEK_HOLE; -errno. */
gint64 fs_view_seek(FsView *view, guint64 node, off_t offset, int whence);

#endif
