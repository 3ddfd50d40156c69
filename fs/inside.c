/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/inside.h"
#include "core/look.h"

struct FsInside {
    FdsetSet *set; /* owned reference */
    FdsetLook *look;
    FdsetInspection *inspection;
    FsView *view;
};

static void add_channels(FsInside *inside)
{
    const FdsetSource *source;
    guint k;

    for (guint i = 0; (source = fdset_look_channel(inside->look, i, &k)); i++)
        fs_view_add_channel(inside->view, k, source);
}

FsInside *fs_inside_new(FdsetSet *set, GError **error)
{
    g_autoptr(FsInside) inside = g_new0(FsInside, 1);
    FdsetInspectionOptions options = {.has_offset = TRUE};

    inside->set = fdset_set_ref(set);
    inside->look = fdset_look_new(set, error);
    if (!inside->look)
        return NULL;
    options.offset = fdset_look_stream_offset(inside->look);
    inside->inspection =
        fdset_inspection_new(fdset_look_source(inside->look), &options, error);
    if (!inside->inspection)
        return NULL;
    inside->view = fs_view_new(inside->inspection);
    add_channels(inside);
    return g_steal_pointer(&inside);
}

FsView *fs_inside_view(const FsInside *inside)
{
    return inside->view;
}

FdsetSet *fs_inside_set(const FsInside *inside)
{
    return inside->set;
}

void fs_inside_free(FsInside *inside)
{
    if (!inside)
        return;
    fs_view_free(inside->view);
    fdset_inspection_free(inside->inspection);
    fdset_look_free(inside->look);
    fdset_set_unref(inside->set);
    g_free(inside);
}
