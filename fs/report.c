/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/report.h"

static JsonNode *node_of_object(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

static JsonNode *node_of_array(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    return node;
}

static void set_count(JsonObject *object, const char *name, guint64 value)
{
    json_object_set_int_member(object, name, (gint64)value);
}

/* Microseconds since the epoch; 0: there is no such time. */
static void set_time(JsonObject *object, const char *name, gint64 time)
{
    if (time)
        json_object_set_double_member(object, name, (double)time / G_USEC_PER_SEC);
}

double fs_report_duration(FsContext *context, guint32 id, const FdsetSetDetails *details)
{
    FsEventTimes times = fs_events_times(context->events, id);
    gint64 end = details->session || !times.ended ? g_get_real_time() : times.ended;

    if (!times.started || details->sessions == 0)
        return 0;
    return (double)(end - times.started) / G_USEC_PER_SEC;
}

double fs_report_rate(FsContext *context, guint32 id, const FdsetSetDetails *details)
{
    double seconds = fs_report_duration(context, id, details);

    return seconds > 0 ? (double)details->session_written / seconds : 0;
}

static JsonArray *channels_of(const FdsetSetDetails *details)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < details->channels->len; i++) {
        const FdsetChannelDetails *channel =
            &g_array_index(details->channels, FdsetChannelDetails, i);
        g_autofree char *file = g_strdup_printf("ch-%03u", channel->index);
        JsonObject *object = json_object_new();

        set_count(object, "channel", channel->index);
        json_object_set_string_member(object, "file", file);
        json_object_set_boolean_member(object, "direct", channel->direct);
        json_object_set_boolean_member(object, "open", channel->open);
        json_object_set_boolean_member(object, "main", channel->main);
        set_count(object, "size", channel->size);
        set_count(object, "bytes-written", channel->written);
        json_array_add_object_element(array, object);
    }
    return array;
}

static void add_session(FsContext *context, guint32 id, const FdsetSetDetails *details,
                        JsonObject *object)
{
    FsEventTimes times = fs_events_times(context->events, id);

    json_object_set_boolean_member(object, "session", details->session);
    set_count(object, "sessions", details->sessions);
    set_count(object, "readers", details->n_readers);
    if (!times.started || details->sessions == 0)
        return;
    set_time(object, "session-started", times.started);
    set_time(object, "session-ended", times.ended);
    set_time(object, "durable-since", times.durable);
    set_count(object, "session-bytes", details->session_written);
    json_object_set_double_member(object, "session-seconds",
                                  fs_report_duration(context, id, details));
    json_object_set_double_member(object, "rate", fs_report_rate(context, id, details));
}

static void add_work(FsContext *context, guint32 id, JsonObject *object)
{
    FsWorkProgress progress;
    JsonObject *work;

    if (!fs_works_get(context->works, id, &progress))
        return;
    work = json_object_new();
    json_object_set_string_member(work, "what", progress.what);
    set_count(work, "done", progress.done);
    set_count(work, "total", progress.total);
    json_object_set_object_member(object, "work", work);
}

JsonNode *fs_report_set(FsContext *context, FdsetSet *set)
{
    g_autoptr(FdsetSetDetails) details = fdset_set_details(set);
    const FdsetSetInfo *info = &details->info;
    guint32 id = fdset_set_id(set);
    JsonObject *object = json_object_new();

    set_count(object, "fdset-id", id);
    json_object_set_string_member(object, "state", fdset_status_name(info->status));
    json_object_set_boolean_member(object, "sealed", details->sealed);
    json_object_set_string_member(object, "backing", details->backing);
    set_count(object, "size", info->size);
    set_count(object, "data-bytes", info->data_bytes);
    set_count(object, "stream-offset", info->stream_offset);
    set_count(object, "bytes-written", details->written);
    set_time(object, "modified", info->mtime / 1000);
    set_count(object, "mode", info->mode);
    set_count(object, "uid", info->uid);
    set_count(object, "gid", info->gid);
    add_session(context, id, details, object);
    if (details->last_error)
        json_object_set_string_member(object, "last-error", details->last_error);
    add_work(context, id, object);
    json_object_set_array_member(object, "channels", channels_of(details));
    return node_of_object(object);
}

JsonNode *fs_report_sets(FsContext *context)
{
    g_autoptr(GArray) ids = fdset_store_list(context->store);
    JsonArray *array = json_array_new();

    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(FdsetSet) set =
            fdset_store_lookup(context->store, g_array_index(ids, guint32, i));

        if (set) /* or it was removed meanwhile */
            json_array_add_element(array, fs_report_set(context, set));
    }
    return node_of_array(array);
}

void fs_report_count(FsContext *context, guint counts[FS_REPORT_STATUSES])
{
    g_autoptr(GArray) ids = fdset_store_list(context->store);

    for (guint i = 0; i < FS_REPORT_STATUSES; i++)
        counts[i] = 0;
    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(FdsetSet) set =
            fdset_store_lookup(context->store, g_array_index(ids, guint32, i));
        FdsetSetInfo info;

        if (!set)
            continue;
        fdset_set_info(set, &info);
        counts[info.status]++;
    }
}

JsonNode *fs_report_stats(FsContext *context)
{
    JsonObject *object = json_object_new();
    JsonObject *sets = json_object_new();
    JsonObject *events = json_object_new();
    guint counts[FS_REPORT_STATUSES];

    json_object_set_string_member(object, "version", PACKAGE_VERSION);
    set_time(object, "started", context->stats.started);
    json_object_set_double_member(
        object, "uptime", (double)(g_get_real_time() - context->stats.started) / G_USEC_PER_SEC);
    set_count(object, "bytes-written", fs_stats_get(&context->stats.bytes_written));
    set_count(object, "writes", fs_stats_get(&context->stats.writes));
    set_count(object, "bytes-read", fs_stats_get(&context->stats.bytes_read));
    set_count(object, "reads", fs_stats_get(&context->stats.reads));
    set_count(object, "errors", fs_stats_get(&context->stats.errors));
    fs_report_count(context, counts);
    for (guint i = 0; i < FS_REPORT_STATUSES; i++)
        set_count(sets, fdset_status_name((FdsetStatus)i), counts[i]);
    json_object_set_object_member(object, "sets", sets);
    for (guint i = 0; i < FS_EVENT_KINDS; i++)
        set_count(events, fs_event_name((FdsetEvent)i),
                  fs_events_count(context->events, (FdsetEvent)i));
    json_object_set_object_member(object, "events", events);
    return node_of_object(object);
}

JsonNode *fs_report_incidents(FsContext *context)
{
    g_autoptr(GPtrArray) incidents = fdset_incidents_list(fdset_store_incidents(context->store));
    JsonArray *array = json_array_new();

    for (guint i = 0; i < incidents->len; i++) {
        const FdsetIncident *incident = incidents->pdata[i];
        JsonObject *object = json_object_new();

        set_time(object, "time", incident->time);
        set_count(object, "fdset-id", incident->id);
        json_object_set_string_member(object, "rule", incident->rule);
        json_object_set_string_member(object, "errno", g_strerror(incident->errnum));
        json_object_set_string_member(object, "reason", incident->text);
        json_array_add_object_element(array, object);
    }
    return node_of_array(array);
}
