/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an open handle can do; how it comes to be and to its end is in handle.c. */
#include "config.h"
#include "core/handle-internal.h"

#include <errno.h>
#include <fcntl.h>

/* The errno for a handle that may not write, or 0. Lock held. */
static int refusal(const FdsetHandle *handle)
{
    if (handle->refused)
        return -handle->refused;
    return handle->channel ? 0 : -EBADF;
}

static int channel_index(const FdsetHandle *handle)
{
    return handle->channel ? fdset_channel_number(handle->channel) - 1 : -1;
}

/* Notes the write and checks that it may happen. */
static int begin_write(FdsetHandle *handle, gsize len, guint64 offset)
{
    FdsetSet *set = handle->set;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    guint64 header = set->manifest->stream_offset;
    g_autofree char *text = NULL;
    int r = refusal(handle);

    if (r < 0)
        return r;
    handle->wrote = set->touched = TRUE;
    handle->flushed = FALSE;
    set->last_write = g_get_real_time();
    if (!(set->header_only || handle->header_only) ||
        (offset <= header && len <= header - offset))
        return 0;
    text = g_strdup_printf("%s: a write at offset %" G_GUINT64_FORMAT
                           " %s: only the header, %" G_GUINT64_FORMAT
                           " bytes in front of the stream, may still be rewritten",
                           set->name, offset,
                           set->header_only ? "of a complete set" : "beside channels with O_DIRECT",
                           header);
    fdset_set_report(set, channel_index(handle), EACCES, "header", text);
    return -EACCES;
}

/* Reports a failed request on the data path and returns its errno. */
static int report_failure(FdsetHandle *handle, const char *what, gsize len, guint64 offset, int r)
{
    FdsetSet *set = handle->set;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    g_autofree char *problem = r == -EIO && set->image ? fdset_image_problem(set->image) : NULL;
    g_autofree char *text = g_strdup_printf("%s: channel file ch-%03d: %s of %" G_GSIZE_FORMAT
                                            " bytes at offset %" G_GUINT64_FORMAT " failed: %s",
                                            set->name, channel_index(handle), what, len, offset,
                                            problem ? problem : g_strerror(-r));

    fdset_set_report(set, channel_index(handle), -r, "failure", text);
    return r;
}

int fdset_handle_write(FdsetHandle *handle, gconstpointer buf, gsize len, guint64 offset)
{
    int r = begin_write(handle, len, offset);

    if (r < 0)
        return r;
    r = fdset_image_write(handle->set->image, handle->channel, buf, len, offset);
    return r < 0 ? report_failure(handle, "a write", len, offset, r) : 0;
}

static gboolean being_written(const FdsetSet *set)
{
    return (set->writers->len > 0 && !set->header_only) || set->foreign;
}

gssize fdset_handle_read(FdsetHandle *handle, gpointer buf, gsize len, guint64 offset,
                         gconstpointer *data)
{
    FdsetSet *set = handle->set;
    gboolean busy;
    gssize got;

    if (!handle->reader)
        return -EBADF;
    got = fdset_image_read(set->image, buf, len, offset, handle->direct, data);
    g_mutex_lock(&set->lock);
    busy = being_written(set);
    if (got < 0 && !busy) {
        g_autofree char *problem = fdset_image_problem(set->image);

        fdset_set_report(set, -1, (int)-got, "failure", problem ? problem : g_strerror((int)-got));
    }
    g_mutex_unlock(&set->lock);
    return busy ? -EBUSY : got;
}

/* A second VMM's truncation: it gets EBUSY and no longer counts. Lock held. */
static int expel(FdsetHandle *handle)
{
    const FdsetRule *rule = fdset_rules_truncate_foreign();

    fdset_handle_report_rule(handle->set, rule, O_WRONLY | (handle->direct ? O_DIRECT : 0));
    if (!handle->wrote) {
        handle->refused = fdset_rule_errno(rule);
        fdset_handle_leave_session(handle);
    }
    return -fdset_rule_errno(rule);
}

/*
 * Of the two descriptors a manager opened, QEMU uses the one added last, also for
 * its main channel: the first to truncate an untouched session is the main one.
 * Lock held.
 */
static void take_over(FdsetHandle *handle)
{
    GPtrArray *writers = handle->set->writers;
    FdsetHandle *first = writers->pdata[0];

    handle->set->touched = TRUE;
    if (handle->main)
        return;
    first->main = FALSE;
    handle->main = TRUE;
    g_ptr_array_remove(writers, handle);
    g_ptr_array_insert(writers, 0, handle);
}

/* The files of earlier sessions' channels that the truncation left without a block. Lock held. */
static int remove_unused_channels(FdsetSet *set)
{
    g_autoptr(GPtrArray) dropped = fdset_image_drop_unused(set->image, set->session_first);
    g_autoptr(GError) error = NULL;

    if (!fdset_set_save(set, FALSE, &error))
        return fdset_handle_report_error(set, error);
    for (guint i = 0; i < dropped->len; i++)
        fdset_channel_unlink(set->dirfd, dropped->pdata[i]);
    return 0;
}

static int check_truncate(FdsetHandle *handle)
{
    FdsetSet *set = handle->set;
    g_autofree char *text = NULL;
    int r = refusal(handle);

    if (r < 0)
        return r;
    if (!handle->main && (set->touched || handle->direct))
        return expel(handle);
    if (!set->header_only) {
        take_over(handle);
        return 0;
    }
    text = g_strdup_printf("%s: a truncation of a complete set: save into another number, or "
                           "remove this one first (rm)",
                           set->name);
    fdset_set_report(set, channel_index(handle), EACCES, "complete", text);
    return -EACCES;
}

int fdset_handle_truncate(FdsetHandle *handle, guint64 size)
{
    FdsetSet *set = handle->set;
    int r;

    g_mutex_lock(&set->lock);
    r = check_truncate(handle);
    g_mutex_unlock(&set->lock);
    if (r < 0)
        return r;
    r = fdset_image_truncate(set->image, handle->channel, size);
    if (r < 0)
        return report_failure(handle, "a truncation", 0, size, r);
    g_mutex_lock(&set->lock);
    handle->flushed = FALSE;
    set->manifest->stream_offset = size;
    set->last_write = g_get_real_time();
    r = remove_unused_channels(set);
    g_mutex_unlock(&set->lock);
    return r;
}

void fdset_handle_flush(FdsetHandle *handle)
{
    g_mutex_lock(&handle->set->lock);
    handle->flushed = TRUE;
    g_cond_broadcast(&handle->set->changed);
    g_mutex_unlock(&handle->set->lock);
}

/* A user of the image for one request: the handle may be expelled meanwhile. */
static FdsetImage *hold_image(FdsetHandle *handle, FdsetChannel **channel)
{
    FdsetSet *set = handle->set;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    *channel = handle->channel;
    if (!handle->reader && !handle->channel)
        return NULL;
    set->image_users++;
    return set->image;
}

static void release_image(FdsetHandle *handle)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&handle->set->lock);

    fdset_set_drop_image(handle->set);
}

int fdset_handle_sync(FdsetHandle *handle)
{
    FdsetChannel *channel;
    FdsetImage *image = hold_image(handle, &channel);
    int r = 0;

    if (!image)
        return 0;
    if (channel)
        r = fdset_image_sync(image, channel);
    if (r < 0)
        report_failure(handle, "a sync", 0, 0, r);
    release_image(handle);
    return r;
}

gint64 fdset_handle_seek(FdsetHandle *handle, guint64 offset, gboolean data)
{
    FdsetChannel *channel;
    FdsetImage *image = hold_image(handle, &channel);
    gint64 r;

    if (!image)
        return -EBADF;
    r = fdset_image_seek(image, offset, data);
    release_image(handle);
    return r;
}
