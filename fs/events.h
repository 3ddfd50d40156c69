/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * events.h - what happens to sets, kept for those who ask and for one listener.
 *
 * core/ tells with a set's lock held (FdsetEventFunc), so nothing here calls
 * back or blocks: an event is counted, the time of its kind is kept for its
 * set, and, while a listener is there, it waits in a bounded queue for it.
 * Thread-safe.
 */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include "core/set.h"

#define FS_EVENT_KINDS (FDSET_EVENT_REFUSED + 1)

/* Events that a listener has not fetched; a burst beyond it is dropped and counted. */
#define FS_EVENTS_QUEUE_MAX 4096u

typedef struct {
    FdsetEvent kind;
    guint32 id;
    gint64 time; /* microseconds since the epoch */
    char *text;  /* nullable */
} FsEvent;

void fs_event_free(FsEvent *event);

/* When things last happened to a set: microseconds since the epoch, 0: not since the start. */
typedef struct {
    gint64 started; /* its session */
    gint64 ended;   /* the verdict, complete or partial */
    gint64 durable;
} FsEventTimes;

typedef struct FsEvents FsEvents;

FsEvents *fs_events_new(void);
void fs_events_free(FsEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsEvents, fs_events_free)

/* FdsetEventFunc; 'data' is the FsEvents. */
void fs_events_tell(gpointer data, FdsetEvent kind, guint32 id, const char *text);

/* The name in events and metrics: "SET_COMPLETE". */
const char *fs_event_name(FdsetEvent kind);

guint64 fs_events_count(FsEvents *events, FdsetEvent kind);
FsEventTimes fs_events_times(FsEvents *events, guint32 id);

/* 'wake' is called after each event that was queued, with a lock held; NULL: no listener any more.
 */
void fs_events_listen(FsEvents *events, void (*wake)(gpointer data), gpointer data);

/* The oldest event of the queue, or NULL; caller frees. */
FsEvent *fs_events_next(FsEvents *events);

#endif
