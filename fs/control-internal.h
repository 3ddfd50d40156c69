/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* control-internal.h - what control.c and control-dispatch.c share. */
#ifndef FS_CONTROL_INTERNAL_H
#define FS_CONTROL_INTERNAL_H

#include "fs/control-client.h"
#include "fs/control-command.h"
#include "fs/control-socket.h"
#include "fs/control.h"

struct FsControl {
    FsContext *context; /* borrowed */
    FsControlSocket *socket;
    GArray *uids; /* of uid_t: who is let in besides root and ourselves */
    GThread *thread;
    GThreadPool *workers;      /* of FsControlCall */
    GThreadPool *long_workers; /* of FsControlCall */
    GAsyncQueue *finished;     /* of FsControlCall: back from a worker */
    int wakefd;                /* an eventfd: something is in a queue */
    gint stopping;             /* atomic */
    /* what follows is the control thread's */
    GPtrArray *clients; /* of FsControlClient, owned */
    guint64 last_client;
    GPtrArray *parked; /* of FsControlCall, owned: they wait for a set */
    guint64 serial;    /* counts events: a call that missed one is run again */
    int reserve;       /* a descriptor to give up when there are no others */
    gboolean quitting;
};

/* Runs the commands of a client that have come in whole. */
void fs_control_process(FsControl *control, FsControlClient *client);

/* Answers what the workers have done. */
void fs_control_take_finished(FsControl *control);

/* Calls that wait for a set: runs those again that are due; when the next one is, as for poll(2).
 */
void fs_control_retry_parked(FsControl *control);
int fs_control_timeout(const FsControl *control);

/* A client is gone: nobody waits for its parked calls any more. */
void fs_control_forget_calls(FsControl *control, guint64 client);

/* The work of a worker (GFunc), and how the call comes back; any thread. */
void fs_control_run(gpointer call, gpointer control);
void fs_control_finish(FsControl *control, FsControlCall *call);

void fs_control_call_free(FsControlCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsControlCall, fs_control_call_free)

/* The "data" of an event. */
JsonNode *fs_control_event_data(FsContext *context, const FsEvent *event);

#endif
