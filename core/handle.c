/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/set-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/*
 * How long an open waits. Closing: all writers have flushed, their RELEASE is
 * on its way (asynchronous, a few microseconds). Settling: the stream is parsed.
 * Conflict: a channel that has not written yet and is unlike the one being
 * opened may be a second VMM's main channel, whose truncation will expel it.
 */
#define CLOSING_WAIT (1 * G_TIME_SPAN_SECOND)
#define SETTLING_WAIT (20 * G_TIME_SPAN_SECOND)
#define CONFLICT_WAIT (200 * G_TIME_SPAN_MILLISECOND)

static gboolean all_flushed(const FdsetSet *set)
{
    for (guint i = 0; i < set->writers->len; i++)
        if (!((const FdsetHandle *)set->writers->pdata[i])->flushed)
            return FALSE;
    return set->writers->len > 0 && !set->shared->policy->one_thread;
}

static void wait_until_settled(FdsetSet *set)
{
    gint64 closing = g_get_monotonic_time() + CLOSING_WAIT;
    gint64 settling = g_get_monotonic_time() + SETTLING_WAIT;

    while (all_flushed(set) || set->settling)
        if (!g_cond_wait_until(&set->changed, &set->lock, set->settling ? settling : closing))
            break;
}

/* Writers that are not the main channel; *first is the first of them, or NULL. */
static guint count_secondary(const FdsetSet *set, const FdsetHandle **first)
{
    guint n_main = set->writers->len > 0 && ((const FdsetHandle *)set->writers->pdata[0])->main;

    *first = set->writers->len > n_main ? set->writers->pdata[n_main] : NULL;
    return set->writers->len - n_main;
}

static FdsetOpen facts_of(const FdsetSet *set, int flags)
{
    const FdsetPolicy *policy = set->shared->policy;
    const FdsetManifest *manifest = set->manifest;
    const FdsetHandle *peer;
    guint n_secondary = count_secondary(set, &peer);
    gboolean complete = manifest->state == FDSET_STATE_COMPLETE &&
                        (set->writers->len == 0 || set->header_only);

    return (FdsetOpen){
        .profile = policy->profile,
        .dio = policy->dio,
        .flags = flags,
        .session = set->writers->len > 0 || set->foreign,
        .complete = complete,
        .header = complete && manifest->stream_offset > 0 && !manifest->sealed,
        .sealed = complete && manifest->sealed,
        .n_secondary = n_secondary,
        .peer = !peer ? FDSET_PEER_NONE : peer->direct ? FDSET_PEER_DIRECT : FDSET_PEER_PLAIN,
        .n_readers = set->n_readers,
    };
}

/* The rules' verdict; a conflict with a channel that never wrote is given time to resolve. */
static const FdsetRule *check(FdsetSet *set, int flags)
{
    gint64 deadline = g_get_monotonic_time() + CONFLICT_WAIT;

    for (;;) {
        FdsetOpen open = facts_of(set, flags);
        const FdsetRule *rule = fdset_rules_check(&open);
        const FdsetHandle *peer;

        count_secondary(set, &peer);
        if (!rule || !peer || peer->wrote || set->shared->policy->one_thread)
            return rule;
        open.peer = FDSET_PEER_NONE;
        if (fdset_rules_check(&open) ||
            !g_cond_wait_until(&set->changed, &set->lock, deadline))
            return rule;
    }
}

static void report_rule(FdsetSet *set, const FdsetRule *rule, int flags)
{
    g_autofree char *text = fdset_rule_explain(rule, set->id, flags);

    fdset_set_report(set, -1, fdset_rule_errno(rule), fdset_rule_name(rule), text);
    fdset_set_tell(set, FDSET_EVENT_REFUSED, text);
}

/* Turns an error of a control call into a report and -errno. */
static int report_error(FdsetSet *set, const GError *error)
{
    int errnum = fdset_error_to_errno((FdsetError)error->code);

    fdset_set_report(set, -1, errnum, "failure", error->message);
    return -errnum;
}

/* Where the next channel's file goes: the main one into the set, others spread. Caller frees. */
static char *channel_directory(const FdsetSet *set)
{
    char **dirs = set->shared->policy->channel_dirs;
    guint n_dirs = dirs ? g_strv_length(dirs) : 0;
    guint index = set->writers->len;

    if (n_dirs == 0 || index == 0)
        return NULL;
    return g_strdup_printf("%s/%s/%u", dirs[(index - 1) % n_dirs], set->shared->uuid, set->id);
}

/* From here on a crash is seen in the manifest; one that was durable must not survive as such. */
static gboolean begin_session(FdsetSet *set, GError **error)
{
    gboolean was_durable = set->manifest->durable;
    g_autoptr(GPtrArray) channels = fdset_image_channels(set->image);
    guint16 last = 0;

    for (guint i = 0; i < channels->len; i++)
        last = MAX(last, ((const FdsetChannelInfo *)channels->pdata[i])->number);
    set->session_first = (guint16)(last + 1);
    set->header_only = set->manifest->state == FDSET_STATE_COMPLETE;
    set->touched = FALSE;
    set->manifest->session = TRUE;
    set->manifest->durable = FALSE;
    memset(set->manifest->sums, 0, sizeof set->manifest->sums);
    set->manifest->generation++;
    fdset_set_tell(set, FDSET_EVENT_SESSION_STARTED, NULL);
    return fdset_set_save(set, was_durable, error);
}

/* A channel with a file of its own, in the manifest before its first record. */
static int open_channel(FdsetHandle *handle)
{
    FdsetSet *set = handle->set;
    g_autofree char *directory = channel_directory(set);
    g_autoptr(GError) error = NULL;

    if (!fdset_set_use_image(set, FALSE, &error))
        return report_error(set, error);
    if (set->writers->len == 0 && !begin_session(set, &error))
        goto fail;
    handle->channel = fdset_image_add_channel(set->image, handle->direct, directory, &error);
    if (!handle->channel)
        goto fail;
    handle->main = set->writers->len == 0;
    g_ptr_array_add(set->writers, handle);
    if (fdset_set_save(set, FALSE, &error))
        return 0;
    g_ptr_array_remove(set->writers, handle);
fail:
    handle->channel = NULL;
    if (set->writers->len == 0)
        fdset_set_start_settling(set);
    fdset_set_drop_image(set);
    return report_error(set, error);
}

static int open_reader(FdsetHandle *handle)
{
    g_autoptr(GError) error = NULL;

    if (!fdset_set_use_image(handle->set, FALSE, &error))
        return report_error(handle->set, error);
    handle->set->n_readers++;
    return 0;
}

/* What can be said without asking the rules. */
static int check_usable(FdsetSet *set, int flags)
{
    if (set->removed)
        return -ENOENT;
    if (set->damage) {
        fdset_set_report(set, -1, EIO, "failure", set->damage);
        return -EIO;
    }
    if (set->settling) {
        g_autofree char *text =
            g_strdup_printf("%s: its stream is still being checked: try again later", set->name);

        fdset_set_report(set, -1, EBUSY, "settling", text);
        return -EBUSY;
    }
    if (set->shared->policy->read_only && (flags & O_ACCMODE) != O_RDONLY)
        return -EROFS;
    return 0;
}

/* The gate. Lock held; 'handle' is filled in. */
static int open_locked(FdsetHandle *handle, int flags)
{
    FdsetSet *set = handle->set;
    const FdsetRule *rule;
    int r;

    wait_until_settled(set);
    r = check_usable(set, flags);
    if (r < 0)
        return r;
    rule = check(set, flags);
    if (rule) {
        report_rule(set, rule, flags);
        if (!set->shared->policy->refuse_at_write || !fdset_rule_is_secondary(rule))
            return -fdset_rule_errno(rule);
        handle->refused = rule;
        return 0;
    }
    return (flags & O_ACCMODE) == O_RDONLY ? open_reader(handle) : open_channel(handle);
}

int fdset_handle_open(FdsetSet *set, int flags, FdsetHandle **out)
{
    g_autoptr(FdsetHandle) handle = g_new0(FdsetHandle, 1);
    int r;

    handle->set = fdset_set_ref(set);
    handle->direct = (flags & O_DIRECT) != 0;
    g_mutex_lock(&set->lock);
    r = open_locked(handle, flags);
    handle->reader = r == 0 && !handle->channel && !handle->refused;
    g_mutex_unlock(&set->lock);
    if (r == 0 && handle->channel && flags & O_TRUNC)
        r = fdset_handle_truncate(handle, 0);
    if (r == 0)
        *out = g_steal_pointer(&handle);
    return r;
}

/* Takes a writer out of the session; the last one ends it. Lock held. */
static void leave_session(FdsetHandle *handle)
{
    FdsetSet *set = handle->set;

    g_ptr_array_remove(set->writers, handle);
    if (set->writers->len == 0)
        fdset_set_start_settling(set);
    fdset_set_drop_image(set);
    handle->channel = NULL;
    g_cond_broadcast(&set->changed);
}

void fdset_handle_close(FdsetHandle *handle)
{
    FdsetSet *set;

    if (!handle)
        return;
    set = handle->set;
    g_mutex_lock(&set->lock);
    if (handle->channel)
        leave_session(handle);
    if (handle->reader) {
        set->n_readers--;
        fdset_set_drop_image(set);
    }
    g_mutex_unlock(&set->lock);
    fdset_set_unref(set);
    g_free(handle);
}

FdsetSet *fdset_handle_set(const FdsetHandle *handle)
{
    return handle->set;
}

gboolean fdset_handle_is_writer(const FdsetHandle *handle)
{
    return !handle->reader;
}

/* The errno for a handle that may not write, or 0. Lock held. */
static int refusal(const FdsetHandle *handle)
{
    if (handle->refused)
        return -fdset_rule_errno(handle->refused);
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
    g_autofree char *text = NULL;
    int r = refusal(handle);

    if (r < 0)
        return r;
    handle->wrote = set->touched = TRUE;
    handle->flushed = FALSE;
    set->last_write = g_get_real_time();
    if (!set->header_only || offset + len <= set->manifest->stream_offset)
        return 0;
    text = g_strdup_printf("%s: a write at offset %" G_GUINT64_FORMAT
                           " of a complete set: only the header, %" G_GUINT64_FORMAT
                           " bytes in front of the stream, may still be rewritten",
                           set->name, offset, set->manifest->stream_offset);
    fdset_set_report(set, channel_index(handle), EACCES, "header", text);
    return -EACCES;
}

/* Reports a failed request on the data path and returns its errno. */
static int report_failure(FdsetHandle *handle, const char *what, gsize len, guint64 offset, int r)
{
    FdsetSet *set = handle->set;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    g_autofree char *problem = r == -EIO && set->image ? fdset_image_problem(set->image) : NULL;
    g_autofree char *text = g_strdup_printf(
        "%s: channel file ch-%03d: %s of %" G_GSIZE_FORMAT " bytes at offset %" G_GUINT64_FORMAT
        " failed: %s",
        set->name, channel_index(handle), what, len, offset, problem ? problem : g_strerror(-r));

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

    report_rule(handle->set, rule, O_WRONLY | (handle->direct ? O_DIRECT : 0));
    if (!handle->wrote) {
        handle->refused = rule;
        leave_session(handle);
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
        return report_error(set, error);
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
