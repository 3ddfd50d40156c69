/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ops-inside.h"
#include "core/error.h"
#include "core/look.h"
#include "fs/ops-internal.h"
#include "fs/view-reply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SUFFIX ".d"

/*
 * Names inside a set do not change, and when what is there does, all of it gets
 * other nodes (fs_nodes_renew). Seconds.
 */
#define NAME_TIMEOUT 86400.0

gboolean fs_inside_parse(const char *name, guint32 *id)
{
    g_autofree char *number = NULL;

    if (!g_str_has_suffix(name, SUFFIX))
        return FALSE;
    number = g_strndup(name, strlen(name) - strlen(SUFFIX));
    return fdset_id_parse(number, id);
}

static int report(FsContext *context, guint32 id, const GError *error)
{
    int errnum = fdset_error_to_errno((FdsetError)error->code);

    if (errnum != ENOENT)
        fdset_incidents_add(fdset_store_incidents(context->store), id, -1, errnum, "views",
                            error->message);
    return -errnum;
}

/* What is inside the set that the place is in, to be given back. 0, -ENOENT or another -errno. */
static int get_inside(FsContext *context, const FsPlace *place, FsInside **inside)
{
    g_autoptr(FdsetSet) set = fdset_store_lookup(context->store, place->id);
    g_autoptr(GError) error = NULL;

    if (!set || fdset_set_tag(set) != place->tag)
        *inside = fs_insides_find(context->insides, place->id, place->tag);
    else if (!(*inside = fs_insides_get(context->insides, set, &error)))
        return report(context, place->id, error);
    return *inside ? 0 : -ENOENT;
}

static double attributes_of_root(FdsetSet *set, struct stat *st)
{
    struct stat of;
    gboolean stable;

    fs_attributes_of_set(set, &of, &stable);
    fs_view_directory_attributes(FS_VIEW_ROOT, &of, st);
    return 0; /* every path leads through here, so a chmod of the set counts at once */
}

static int attributes_of_place(FsInside *inside, guint32 place, gboolean count, struct stat *st,
                               double *timeout)
{
    struct stat of;
    gboolean stable, exact;
    int r;

    fs_attributes_of_set(fs_inside_set(inside), &of, &stable);
    r = fs_view_attributes(fs_inside_view(inside), place, &of, count, st, &exact);
    *timeout = r == 0 && exact ? FS_STABLE_TIMEOUT : 0;
    return r;
}

int fs_inside_look_up_root(FsContext *context, guint32 id, struct fuse_entry_param *entry)
{
    g_autoptr(FdsetSet) set = fdset_store_lookup(context->store, id);
    FsPlace place = {.id = id, .place = FS_VIEW_ROOT};

    if (!set || !fdset_set_is_complete(set))
        return -ENOENT;
    place.tag = fdset_set_tag(set);
    entry->attr_timeout = attributes_of_root(set, &entry->attr);
    entry->ino = fs_nodes_look_up_place(context->nodes, &place);
    return 0;
}

int fs_inside_look_up(FsContext *context, const FsPlace *directory, const char *name,
                      struct fuse_entry_param *entry)
{
    FsPlace found = *directory;
    FsInside *inside;
    int r = get_inside(context, directory, &inside);

    if (r < 0)
        return r;
    found.place = (guint32)fs_view_look_up(fs_inside_view(inside), directory->place, name);
    r = found.place == 0 ? -ENOENT
                         : attributes_of_place(inside, found.place, FALSE, &entry->attr,
                                               &entry->attr_timeout);
    if (r == 0) {
        entry->entry_timeout = NAME_TIMEOUT;
        entry->ino = fs_nodes_look_up_place(context->nodes, &found);
    }
    fs_insides_put(context->insides, inside);
    return r;
}

int fs_inside_attributes(FsContext *context, const FsPlace *place, struct stat *st, double *timeout)
{
    g_autoptr(FdsetSet) set = NULL;
    FsInside *inside;
    int r;

    /* To list the mount it need not be known what is inside each set. */
    if (place->place == FS_VIEW_ROOT)
        set = fdset_store_lookup(context->store, place->id);
    if (set && fdset_set_tag(set) == place->tag) {
        *timeout = attributes_of_root(set, st);
        return 0;
    }
    r = get_inside(context, place, &inside);
    if (r < 0)
        return r;
    r = attributes_of_place(inside, place->place, TRUE, st, timeout);
    fs_insides_put(context->insides, inside);
    return r;
}

int fs_inside_open(FsContext *context, const FsPlace *place, struct fuse_file_info *fi)
{
    FsFile file = {.place = place->place};
    int r;

    if ((fi->flags & O_ACCMODE) != O_RDONLY)
        return -EROFS;
    r = get_inside(context, place, &file.inside);
    if (r < 0)
        return r;
    fi->keep_cache = fi->cache_readdir = 1; /* of a node, nothing changes */
    fi->fh = fs_files_add(context->files, &file);
    return 0;
}
