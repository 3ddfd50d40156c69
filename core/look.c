/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/look.h"
#include "core/error.h"
#include "core/set-internal.h"

#include <errno.h>
#include <fcntl.h>

typedef struct {
    FdsetSource source;
    guint k;
} ChannelFile;

struct FdsetLook {
    FdsetSet *set; /* owned reference, and a user of its image */
    FdsetSource source;
    guint64 stream_offset;
    gint64 mtime;
    GArray *channels; /* owned, of ChannelFile */
};

static gboolean is_written(const FdsetSet *set)
{
    return (set->writers->len > 0 && !set->header_only) || set->foreign;
}

/*
 * Complete, and unable to change: what is shown of it is kept. A manager's one
 * file can change, and can be looked into itself. Lock held.
 */
static gboolean is_complete(const FdsetSet *set)
{
    return set->manifest->backing != FDSET_BACKING_FILE && set->manifest->state == FDSET_STATE_COMPLETE && !set->damage && !is_written(set) &&
           (!set->settling || set->header_only);
}

gboolean fdset_set_is_complete(FdsetSet *set)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    fdset_set_wait_until_settled(set, O_RDONLY);
    return is_complete(set);
}

static gssize look_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    FdsetLook *look = opaque;
    FdsetSet *set = look->set;
    gssize got = fdset_image_pread(set->image, buf, len, offset);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    g_autofree char *problem = NULL;

    if (is_written(set))
        return -EBUSY;
    if (got >= 0)
        return got;
    problem = fdset_image_problem(set->image);
    fdset_set_report(set, -1, (int)-got, "failure", problem ? problem : g_strerror((int)-got));
    return got;
}

static gint64 look_next_data(gpointer opaque, guint64 offset)
{
    FdsetLook *look = opaque;

    return fdset_image_seek(look->set->image, offset, TRUE);
}

static gssize channel_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    return fdset_channel_pread(opaque, buf, len, offset, FALSE);
}

static gint64 channel_next_data(gpointer opaque, guint64 offset)
{
    return fdset_channel_seek(opaque, offset, TRUE);
}

static gint64 channel_next_hole(gpointer opaque, guint64 offset)
{
    return fdset_channel_seek(opaque, offset, FALSE);
}

static void add_channels(FdsetLook *look)
{
    g_autoptr(GPtrArray) infos = fdset_image_channels(look->set->image);

    for (guint i = 0; i < infos->len; i++) {
        guint16 number = ((const FdsetChannelInfo *)infos->pdata[i])->number;
        FdsetChannel *channel = fdset_image_channel(look->set->image, number);
        ChannelFile file = {
            .source = {.pread = channel_pread,
                       .opaque = channel,
                       .size = fdset_channel_size(channel),
                       .name = look->set->name,
                       .next_data = channel_next_data,
                       .next_hole = channel_next_hole},
            .k = number - 1u,
        };

        g_array_append_val(look->channels, file);
    }
}

/* Opens the image. Lock held. */
static gboolean use_image(FdsetSet *set, GError **error)
{
    if (set->damage) {
        g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, set->damage);
        return FALSE;
    }
    if (is_complete(set))
        return fdset_set_use_image(set, FALSE, error);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                "%s: is not complete: only a complete set can be looked into", set->name);
    return FALSE;
}

FdsetLook *fdset_look_new(FdsetSet *set, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    FdsetLook *look;

    if (!use_image(set, error))
        return NULL;
    look = g_new0(FdsetLook, 1);
    look->set = fdset_set_ref(set);
    look->stream_offset = set->manifest->stream_offset;
    look->mtime = set->manifest->mtime;
    look->channels = g_array_new(FALSE, FALSE, sizeof(ChannelFile));
    fdset_image_source(set->image, &look->source, set->name);
    look->source.pread = look_pread;
    look->source.opaque = look;
    look->source.next_data = look_next_data;
    add_channels(look);
    return look;
}

const FdsetSource *fdset_look_source(const FdsetLook *look)
{
    return &look->source;
}

guint64 fdset_look_stream_offset(const FdsetLook *look)
{
    return look->stream_offset;
}

/* Another save into the same directory has other channels, as their numbers never return. */
void fdset_look_index_options(const FdsetLook *look, FdsetPageIndexOptions *options)
{
    const FdsetSet *set = look->set;
    guint last = look->channels->len;

    *options = (FdsetPageIndexOptions){
        .dirfd = set->shared->policy->read_only ? -1 : set->dirfd,
        .device = set->id,
        .inode = last > 0 ? g_array_index(look->channels, ChannelFile, last - 1).k : 0,
        .mtime = look->mtime,
    };
}

const FdsetSource *fdset_look_channel(const FdsetLook *look, guint i, guint *k)
{
    const ChannelFile *file;

    if (i >= look->channels->len)
        return NULL;
    file = &g_array_index(look->channels, ChannelFile, i);
    *k = file->k;
    return &file->source;
}

void fdset_look_free(FdsetLook *look)
{
    if (!look)
        return;
    g_mutex_lock(&look->set->lock);
    fdset_set_drop_image(look->set);
    g_mutex_unlock(&look->set->lock);
    fdset_set_unref(look->set);
    g_array_unref(look->channels);
    g_free(look);
}
