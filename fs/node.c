/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/node.h"

typedef struct {
    guint64 id;
    FdsetSet *set; /* owned reference; NULL for a place */
    FsPlace place; /* place.place is 0 for a set */
    guint64 lookups;
} Node;

/* The nodes of places that look-ups find, of one set. */
typedef struct {
    guint32 tag;
    GHashTable *nodes; /* place -> Node, borrowed */
} Inside;

struct FsNodes {
    GMutex lock;
    guint64 next;
    GHashTable *by_id;  /* &node->id -> Node, owned */
    GHashTable *shared; /* FdsetSet -> Node, borrowed */
    GHashTable *insides; /* id -> Inside, owned */
};

static void node_free(gpointer data)
{
    Node *node = data;

    fdset_set_unref(node->set); /* NULL is fine */
    g_free(node);
}

static void inside_free(gpointer data)
{
    Inside *inside = data;

    g_hash_table_unref(inside->nodes);
    g_free(inside);
}

FsNodes *fs_nodes_new(void)
{
    FsNodes *nodes = g_new0(FsNodes, 1);

    g_mutex_init(&nodes->lock);
    nodes->next = FS_NODE_FIRST_SET;
    nodes->by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_free);
    nodes->shared = g_hash_table_new(NULL, NULL);
    nodes->insides = g_hash_table_new_full(NULL, NULL, NULL, inside_free);
    return nodes;
}

void fs_nodes_free(FsNodes *nodes)
{
    if (!nodes)
        return;
    g_hash_table_unref(nodes->insides);
    g_hash_table_unref(nodes->shared);
    g_hash_table_unref(nodes->by_id);
    g_mutex_clear(&nodes->lock);
    g_free(nodes);
}

/* Lock held, as for the next. */
static Node *add_node(FsNodes *nodes)
{
    Node *node = g_new0(Node, 1);

    node->id = nodes->next++;
    g_hash_table_insert(nodes->by_id, &node->id, node);
    return node;
}

/* Where the nodes of the place's set are found; those of an earlier set of this number no more. */
static Inside *get_inside(FsNodes *nodes, const FsPlace *place)
{
    Inside *inside = g_hash_table_lookup(nodes->insides, GUINT_TO_POINTER(place->id));

    if (inside && inside->tag == place->tag)
        return inside;
    inside = g_new0(Inside, 1);
    inside->tag = place->tag;
    inside->nodes = g_hash_table_new(NULL, NULL);
    g_hash_table_replace(nodes->insides, GUINT_TO_POINTER(place->id), inside);
    return inside;
}

/* A look-up does not find the node any more. */
static void hide_place(FsNodes *nodes, const Node *node)
{
    Inside *inside = g_hash_table_lookup(nodes->insides, GUINT_TO_POINTER(node->place.id));
    gpointer key = GUINT_TO_POINTER(node->place.place);

    if (!inside || g_hash_table_lookup(inside->nodes, key) != node)
        return;
    g_hash_table_remove(inside->nodes, key);
    if (g_hash_table_size(inside->nodes) == 0)
        g_hash_table_remove(nodes->insides, GUINT_TO_POINTER(node->place.id));
}

guint64 fs_nodes_look_up_place(FsNodes *nodes, const FsPlace *place)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    Inside *inside = get_inside(nodes, place);
    Node *node = g_hash_table_lookup(inside->nodes, GUINT_TO_POINTER(place->place));

    if (!node) {
        node = add_node(nodes);
        node->place = *place;
        g_hash_table_insert(inside->nodes, GUINT_TO_POINTER(place->place), node);
    }
    node->lookups++;
    return node->id;
}

gboolean fs_nodes_get_place(FsNodes *nodes, guint64 id, FsPlace *place)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    const Node *node = g_hash_table_lookup(nodes->by_id, &id);

    if (!node || node->set)
        return FALSE;
    *place = node->place;
    return TRUE;
}

void fs_nodes_renew(FsNodes *nodes, guint32 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);

    g_hash_table_remove(nodes->insides, GUINT_TO_POINTER(id));
}

guint64 fs_nodes_look_up(FsNodes *nodes, FdsetSet *set, gboolean shared)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&nodes->lock);
    Node *node = shared ? g_hash_table_lookup(nodes->shared, set) : NULL;

    if (!node) {
        node = add_node(nodes);
        node->set = fdset_set_ref(set);
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

    if (!node || !node->set)
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
    set = node->set ? fdset_set_ref(node->set) : NULL;
    if (!set)
        hide_place(nodes, node);
    else if (g_hash_table_lookup(nodes->shared, set) == node)
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
