/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/events.h"

struct FsEvents {
    GMutex lock; /* protects all below */
    guint64 counts[FS_EVENT_KINDS];
    GHashTable *times; /* id -> FsEventTimes, owned */
    GQueue queue;      /* of FsEvent, owned */
    gboolean overflow;
    void (*wake)(gpointer data);
    gpointer data;
};

static const char *const names[FS_EVENT_KINDS] = {
    [FDSET_EVENT_SESSION_STARTED] = "SESSION_STARTED",
    [FDSET_EVENT_PARTIAL] = "SET_PARTIAL",
    [FDSET_EVENT_COMPLETE] = "SET_COMPLETE",
    [FDSET_EVENT_DURABLE] = "SET_DURABLE",
    [FDSET_EVENT_REFUSED] = "OPEN_REFUSED",
};

const char *fs_event_name(FdsetEvent kind)
{
    return names[kind];
}

void fs_event_free(FsEvent *event)
{
    if (!event)
        return;
    g_free(event->text);
    g_free(event);
}

FsEvents *fs_events_new(void)
{
    FsEvents *events = g_new0(FsEvents, 1);

    g_mutex_init(&events->lock);
    g_queue_init(&events->queue);
    events->times = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return events;
}

void fs_events_free(FsEvents *events)
{
    if (!events)
        return;
    g_queue_clear_full(&events->queue, (GDestroyNotify)fs_event_free);
    g_hash_table_unref(events->times);
    g_mutex_clear(&events->lock);
    g_free(events);
}

/* Lock held. */
static void keep_time(FsEvents *events, FdsetEvent kind, guint32 id, gint64 now)
{
    FsEventTimes *times = g_hash_table_lookup(events->times, GUINT_TO_POINTER(id));

    if (kind == FDSET_EVENT_REFUSED)
        return;
    if (!times) {
        times = g_new0(FsEventTimes, 1);
        g_hash_table_insert(events->times, GUINT_TO_POINTER(id), times);
    }
    if (kind == FDSET_EVENT_SESSION_STARTED)
        *times = (FsEventTimes){.started = now};
    else if (kind == FDSET_EVENT_DURABLE)
        times->durable = now;
    else
        times->ended = now;
}

/* Lock held. */
static void enqueue(FsEvents *events, FdsetEvent kind, guint32 id, gint64 now, const char *text)
{
    FsEvent *event;

    if (g_queue_get_length(&events->queue) >= FS_EVENTS_QUEUE_MAX) {
        if (!events->overflow)
            g_warning("events come faster than they can be passed on: some are lost");
        events->overflow = TRUE;
        return;
    }
    events->overflow = FALSE;
    event = g_new(FsEvent, 1);
    *event = (FsEvent){kind, id, now, g_strdup(text)};
    g_queue_push_tail(&events->queue, event);
    events->wake(events->data);
}

void fs_events_tell(gpointer data, FdsetEvent kind, guint32 id, const char *text)
{
    FsEvents *events = data;
    gint64 now = g_get_real_time();
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&events->lock);

    events->counts[kind]++;
    keep_time(events, kind, id, now);
    if (events->wake)
        enqueue(events, kind, id, now, text);
}

guint64 fs_events_count(FsEvents *events, FdsetEvent kind)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&events->lock);

    return events->counts[kind];
}

FsEventTimes fs_events_times(FsEvents *events, guint32 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&events->lock);
    const FsEventTimes *times = g_hash_table_lookup(events->times, GUINT_TO_POINTER(id));

    return times ? *times : (FsEventTimes){0};
}

void fs_events_listen(FsEvents *events, void (*wake)(gpointer data), gpointer data)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&events->lock);

    events->wake = wake;
    events->data = data;
}

FsEvent *fs_events_next(FsEvents *events)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&events->lock);

    return g_queue_pop_head(&events->queue);
}
