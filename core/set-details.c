/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/set-details.h"
#include "core/set-internal.h"

/* Who has the channel open, or NULL. Lock held. */
static const FdsetHandle *writer_of(const FdsetSet *set, guint16 number)
{
    for (guint i = 0; i < set->writers->len; i++) {
        const FdsetHandle *handle = set->writers->pdata[i];

        if (fdset_channel_number(handle->channel) == number)
            return handle;
    }
    return NULL;
}

/* Lock held. */
static void add_channel(const FdsetSet *set, const FdsetChannelInfo *info, FdsetSetDetails *details)
{
    const FdsetHandle *writer = writer_of(set, info->number);
    FdsetChannelDetails channel = {
        .index = info->number - 1u,
        .direct = info->direct,
        .open = writer != NULL,
        .main = writer && writer->main,
        .size = info->size,
        .written = info->written,
    };

    details->written += info->written;
    if (set->session_first && info->number >= set->session_first)
        details->session_written += info->written;
    g_array_append_val(details->channels, channel);
}

FdsetSetDetails *fdset_set_details(FdsetSet *set)
{
    FdsetSetDetails *details = g_new0(FdsetSetDetails, 1);
    g_autoptr(GPtrArray) channels = NULL;
    g_autoptr(GMutexLocker) locker = NULL;

    fdset_set_info(set, &details->info);
    details->last_error = fdset_set_last_error(set);
    details->channels = g_array_new(FALSE, FALSE, sizeof(FdsetChannelDetails));
    locker = g_mutex_locker_new(&set->lock);
    details->session = set->writers->len > 0 || set->foreign;
    details->sealed = set->manifest->sealed;
    details->backing = fdset_backing_name(set->manifest->backing);
    details->sessions = set->manifest->generation;
    details->n_readers = set->n_readers;
    channels =
        set->image ? fdset_image_channels(set->image) : g_ptr_array_ref(set->manifest->channels);
    for (guint i = 0; i < channels->len; i++)
        add_channel(set, channels->pdata[i], details);
    return details;
}

void fdset_set_details_free(FdsetSetDetails *details)
{
    if (!details)
        return;
    g_free(details->last_error);
    g_array_unref(details->channels);
    g_free(details);
}
