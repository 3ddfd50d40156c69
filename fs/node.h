/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node.h - node ids: what the kernel knows files by.
 *
 * Plain numbers looked up in a table, never pointers, so that a successor can
 * take them over. While a set can be written every look-up of its name gets a
 * fresh node, so that each open has a kernel inode, and an inode lock, of its
 * own; a complete set has one shared node, so that the kernel caches it once,
 * and so has each place inside it.
 * Thread-safe.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include "core/set.h"

#include <sys/stat.h>

/* Fixed nodes; those of sets are counted up from FS_NODE_FIRST_SET. */
enum {
    FS_NODE_ROOT = 1,
    FS_NODE_CTL = 2,
    FS_NODE_CTL_FIRST = 3, /* files in .ctl, in the order of their table */
    FS_NODE_FIRST_SET = 1024,
};

/* A place inside MOUNT/N.d: numbers only, so a node there keeps no set, and no disk space, alive. */
typedef struct {
    guint32 id;    /* N */
    guint32 tag;   /* fdset_set_tag() */
    guint32 place; /* a node of its view; 0: none */
} FsPlace;

typedef struct FsNodes FsNodes;

FsNodes *fs_nodes_new(void);
void fs_nodes_free(FsNodes *nodes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNodes, fs_nodes_free)

/* A node id for one look-up of 'set': its shared node, or a fresh one. Counts the look-up. */
guint64 fs_nodes_look_up(FsNodes *nodes, FdsetSet *set, gboolean shared);

/* Likewise for a place: the same node each time, until fs_nodes_renew(). */
guint64 fs_nodes_look_up_place(FsNodes *nodes, const FsPlace *place);

/* FALSE: it is not the node of a place. */
gboolean fs_nodes_get_place(FsNodes *nodes, guint64 node, FsPlace *place);

/* What is inside set 'id' has changed: look-ups from now on get other nodes. */
void fs_nodes_renew(FsNodes *nodes, guint32 id);

/* The set of a node, a new reference, or NULL. *shared: is it the set's shared node? */
FdsetSet *fs_nodes_get(FsNodes *nodes, guint64 node, gboolean *shared);

/* The kernel forgets 'n' look-ups of the node; with the last one the node goes. */
void fs_nodes_forget(FsNodes *nodes, guint64 node, guint64 n);

/* The set's shared node, or 0. */
guint64 fs_nodes_shared(FsNodes *nodes, const FdsetSet *set);

/* st_ino of a set: one number however many nodes it has; stable over restarts. */
ino_t fs_node_ino(guint32 id);

#endif
