/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/handle-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/*
 * How long an open waits. Closing: all writers have flushed, their RELEASE is
 * on its way (asynchronous, a few microseconds). Settling: the stream is parsed.
 * Conflict: a channel that has not written yet and is unlike the one being
 * opened may be a second VMM's main channel, whose truncation will expel it.
 * Return: what looks like a manager that comes back to its header, to a VMM that
 * has flushed and keeps its descriptors; libvirt's saves would all take CLOSING
 * longer.
 */
#define CLOSING_WAIT (1 * G_TIME_SPAN_SECOND)
#define RETURN_WAIT (100 * G_TIME_SPAN_MILLISECOND)
#define SETTLING_WAIT (20 * G_TIME_SPAN_SECOND)
#define CONFLICT_WAIT (200 * G_TIME_SPAN_MILLISECOND)

static gboolean all_flushed(const FdsetSet *set)
{
    for (guint i = 0; i < set->writers->len; i++)
        if (!((const FdsetHandle *)set->writers->pdata[i])->flushed)
            return FALSE;
    return set->writers->len > 0 && !set->shared->policy->one_thread;
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
    gboolean complete =
        manifest->state == FDSET_STATE_COMPLETE && (set->writers->len == 0 || set->header_only);

    return (FdsetOpen){
        .profile = policy->profile,
        .dio = policy->dio,
        .flags = flags,
        .session = set->writers->len > 0 || set->foreign,
        .complete = complete,
        .header = manifest->stream_offset > 0 && !manifest->sealed,
        .sealed = complete && manifest->sealed,
        .n_secondary = n_secondary,
        .peer = !peer          ? FDSET_PEER_NONE
                : peer->direct ? FDSET_PEER_DIRECT
                               : FDSET_PEER_PLAIN,
        .n_readers = set->n_readers,
    };
}

void fdset_set_wait_until_settled(FdsetSet *set, int flags)
{
    FdsetOpen open = facts_of(set, flags);
    gint64 closing = g_get_monotonic_time() +
                     (fdset_rules_is_manager(&open) ? RETURN_WAIT : CLOSING_WAIT);
    gint64 settling = g_get_monotonic_time() + SETTLING_WAIT;

    while (all_flushed(set) || set->settling)
        if (!g_cond_wait_until(&set->changed, &set->lock, set->settling ? settling : closing))
            break;
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
        if (fdset_rules_check(&open) || !g_cond_wait_until(&set->changed, &set->lock, deadline))
            return rule;
    }
}

void fdset_handle_report_rule(FdsetSet *set, const FdsetRule *rule, int flags)
{
    g_autofree char *text = fdset_rule_explain(rule, set->id, flags);

    fdset_set_report(set, -1, fdset_rule_errno(rule), fdset_rule_name(rule), text);
    fdset_set_tell(set, FDSET_EVENT_REFUSED, text);
}

void fdset_handle_report_fdrule(FdsetSet *set, const FdsetFdRule *rule, int flags)
{
    g_autofree char *text = fdset_fdrule_explain(rule, set->id, flags);

    fdset_set_report(set, -1, EACCES, fdset_fdrule_name(rule), text);
    fdset_set_tell(set, FDSET_EVENT_REFUSED, text);
}

int fdset_handle_report_error(FdsetSet *set, const GError *error)
{
    int errnum = fdset_error_to_errno((FdsetError)error->code);

    /* The set is there; a file of it is not. */
    if (errnum == ENOENT)
        errnum = EIO;
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
    return g_strdup_printf("%s/%s/%u-%08x", dirs[(index - 1) % n_dirs], set->shared->uuid, set->id,
                           set->tag);
}

/* From here on a crash is seen in the manifest; one that was durable must not survive as such. */
static gboolean begin_session(FdsetSet *set, GError **error)
{
    gboolean was_durable = set->manifest->durable;
    g_autoptr(GPtrArray) channels = fdset_image_channels(set->image);
    guint16 last = 0;

    for (guint i = 0; i < channels->len; i++)
        last = MAX(last, ((const FdsetChannelInfo *)channels->pdata[i])->number);
    /* The channels of a manager's files are the same in every session. */
    set->session_first = set->manifest->backing == FDSET_BACKING_FILES ? 1 : (guint16)(last + 1);
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
        return fdset_handle_report_error(set, error);
    if (set->writers->len == 0 && !begin_session(set, &error))
        goto fail;
    handle->channel =
        handle->descriptor
            ? fdset_set_channel_of(set, handle->descriptor, &error)
            : fdset_image_add_channel(set->image, handle->direct, directory, &error);
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
    return fdset_handle_report_error(set, error);
}

static int open_reader(FdsetHandle *handle)
{
    g_autoptr(GError) error = NULL;

    if (!fdset_set_use_image(handle->set, FALSE, &error))
        return fdset_handle_report_error(handle->set, error);
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

/*
 * Asks both tables; first what the set's descriptors are for. 0, or the errno
 * (positive), reported; *secondary: it concerns such a channel.
 */
static int check_rules(FdsetSet *set, int flags, gboolean *secondary)
{
    const FdsetFdRule *fdrule;
    const FdsetRule *rule;

    *secondary = (flags & O_ACCMODE) == O_WRONLY && set->writers->len > 0;
    fdrule = fdset_set_check_match(set, flags, *secondary);
    if (fdrule) {
        fdset_handle_report_fdrule(set, fdrule, flags);
        return EACCES;
    }
    rule = check(set, flags);
    if (!rule)
        return 0;
    *secondary = fdset_rule_is_secondary(rule);
    fdset_handle_report_rule(set, rule, flags);
    return fdset_rule_errno(rule);
}

/* Lock held; the rules have let it pass. */
static int open_writer(FdsetHandle *handle, int flags)
{
    FdsetOpen open = facts_of(handle->set, flags);

    handle->header_only = fdset_rules_is_manager(&open);
    return open_channel(handle);
}

/* The gate. Lock held; 'handle' is filled in. */
static int open_locked(FdsetHandle *handle, int flags)
{
    FdsetSet *set = handle->set;
    FdsetDescriptor *descriptor;
    gboolean secondary;
    int r;

    fdset_set_wait_until_settled(set, flags);
    r = check_usable(set, flags);
    if (r < 0)
        return r;
    r = check_rules(set, flags, &secondary);
    if (r > 0 && (!set->shared->policy->refuse_at_write || !secondary))
        return -r;
    handle->refused = r;
    if (r > 0)
        return 0;
    descriptor = fdset_set_match(set, flags);
    if (descriptor)
        handle->descriptor = fdset_descriptor_ref(descriptor);
    return (flags & O_ACCMODE) == O_RDONLY ? open_reader(handle) : open_writer(handle, flags);
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

void fdset_handle_leave_session(FdsetHandle *handle)
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
        fdset_handle_leave_session(handle);
    if (handle->reader) {
        set->n_readers--;
        fdset_set_drop_image(set);
    }
    g_mutex_unlock(&set->lock);
    fdset_descriptor_unref(handle->descriptor);
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
