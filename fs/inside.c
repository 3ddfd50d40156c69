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

typedef struct {
    FsWorks *works; /* borrowed */
    guint32 id;
    gboolean tried; /* to say that an index is made */
    gboolean said;
} Indexing;

static void tell_progress(gpointer data, guint64 done, guint64 total)
{
    Indexing *indexing = data;

    if (!indexing->tried)
        indexing->said = fs_works_begin(indexing->works, indexing->id, "index");
    indexing->tried = TRUE;
    if (indexing->said)
        fs_works_update(indexing->works, indexing->id, done, total);
}

static FdsetInspection *inspect(FdsetSet *set, const FdsetLook *look, FsWorks *works,
                                GError **error)
{
    Indexing indexing = {.works = works, .id = fdset_set_id(set)};
    FdsetPageIndexOptions index;
    FdsetInspectionOptions options = {.has_offset = TRUE, .index = &index};
    FdsetInspection *inspection;

    fdset_look_index_options(look, &index);
    index.progress = tell_progress;
    index.data = &indexing;
    options.offset = fdset_look_stream_offset(look);
    inspection = fdset_inspection_new(fdset_look_source(look), &options, error);
    if (indexing.said)
        fs_works_end(works, indexing.id);
    return inspection;
}

FsInside *fs_inside_new(FdsetSet *set, FsWorks *works, GError **error)
{
    g_autoptr(FsInside) inside = g_new0(FsInside, 1);

    inside->set = fdset_set_ref(set);
    inside->look = fdset_look_new(set, error);
    if (!inside->look || !(inside->inspection = inspect(set, inside->look, works, error)))
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
