/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.h - the tree of files in which one migration file is shown.
 *
 * Nodes are numbers: the directory in the high bits, the place in it in the low
 * ones. They are what inode numbers are made of, and the same each time a view
 * is made of the same file. What a file is made of is a memview; it is made when the tree is,
 * but where that takes work, when it is first wanted. Thread-safe.
 */
#ifndef FS_VIEW_H
#define FS_VIEW_H

#include "core/inspection.h"
#include "core/memview.h"

#define FS_VIEW_ROOT G_GUINT64_CONSTANT(1)
#define FS_VIEW_NODES (G_GUINT64_CONSTANT(1) << 24) /* all nodes are below it */

typedef struct FsView FsView;

/* The inspection is borrowed. */
FsView *fs_view_new(const FdsetInspection *inspection);

/* Adds channels/K over 'source', which is borrowed. Before the view is shared. */
void fs_view_add_channel(FsView *view, guint k, const FdsetSource *source);

/* The node of a name in a directory, or 0. */
guint64 fs_view_look_up(FsView *view, guint64 directory, const char *name);

gboolean fs_view_is_directory(const FsView *view, guint64 node);

/* Entry number 'i' of a directory: its name, borrowed, and node; FALSE behind the last one. */
gboolean fs_view_entry(const FsView *view, guint64 directory, gsize i, const char **name,
                       guint64 *node);

/* What a file is made of, borrowed; NULL for a directory and what is no node. */
const FdsetMemview *fs_view_content(FsView *view, guint64 node);

/*
 * Bytes of a file that are no hole; counted once and then known. -1 when they
 * are not and 'count' is FALSE; -errno when counting fails.
 */
gint64 fs_view_data_bytes(FsView *view, guint64 node, gboolean count);

void fs_view_free(FsView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsView, fs_view_free)

#endif
