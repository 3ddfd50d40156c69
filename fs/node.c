/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/node.h"

typedef struct {
    guint64 id;
    FdsetSet *set; /* owned reference */
    guint64 lookups;
} Node;

struct FsNodes {
    GMutex lock;
    guint64 next;
    GHashTable *by_id;  /* &node->id -> Node, owned */
    GHashTable *shared; /* FdsetSet -> Node, borrowed */
};

static void node_free(gpointer data)
{
    Node *node = data;

    fdset_set_unref(node->set);
    g_free(node);
}

FsNodes *fs_nodes_new(void)
{
    FsNodes *nodes = g_new0(FsNodes, 1);

    g_mutex_init(&nodes->lock);
    nodes->next = FS_NODE_FIRST_SET;
    nodes->by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_free);
    nodes->shared = g_hash_table_new(NULL, NULL);
    return nodes;
}

void fs_nodes_free(FsNodes *nodes)
{
    if (!nodes)
        return;
    g_hash_table_unref(nodes->shared);
    g_hash_table_unref(nodes->by_id);
    g_mutex_clear(&nodes->lock);
    g_free(nodes);
}

guint64 fs_nodes_look_up(FsNodes *nodes, FdsetSet *set, gboolean shared)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    Node *node = shared ? g_hash_table_lookup(nodes->shared, set) : NULL;

    if (!node) {
        node = g_new0(Node, 1);
        node->id = nodes->next++;
        node->set = fdset_set_ref(set);
        g_hash_table_insert(nodes->by_id, &node->id, node);
        if (shared)
            g_hash_table_insert(nodes->shared, set, node);
    }
    node->lookups++;
    return node->id;
}

FdsetSet *fs_nodes_get(FsNodes *nodes, guint64 id, gboolean *shared)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    const Node *node = g_hash_table_lookup(nodes->by_id, &id);

    if (!node)
        return NULL;
    if (shared)
        *shared = g_hash_table_lookup(nodes->shared, node->set) == node;
    return fdset_set_ref(node->set);
}

void fs_nodes_forget(FsNodes *nodes, guint64 id, guint64 n)
{
    g_autoptr(FdsetSet) set = NULL; /* the last reference may delete files: not under the lock */
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    Node *node = g_hash_table_lookup(nodes->by_id, &id);

    if (!node)
        return;
    node->lookups -= MIN(n, node->lookups);
    if (node->lookups > 0)
        return;
    set = fdset_set_ref(node->set);
    if (g_hash_table_lookup(nodes->shared, set) == node)
        g_hash_table_remove(nodes->shared, set);
    g_hash_table_remove(nodes->by_id, &id);
}

guint64 fs_nodes_shared(FsNodes *nodes, const FdsetSet *set)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    const Node *node = g_hash_table_lookup(nodes->shared, set);

    return node ? node->id : 0;
}

ino_t fs_node_ino(guint32 id)
{
    /* The low bits are for what is inside the set. */
    return (ino_t)(((guint64)id + 1) << 24);
}
