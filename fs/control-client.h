/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control-client.h - one connection to the control socket: bytes and descriptors
 * in, lines out. Nothing here blocks, and what a client can make us keep is
 * bounded both ways. Used by the control thread alone.
 *
 * Descriptors belong to the commands that came with them: a command that takes
 * one gets the oldest, and those nobody took are closed when all commands of
 * the delivery are done.
 */
#ifndef FS_CONTROL_CLIENT_H
#define FS_CONTROL_CLIENT_H

#include "fs/qmp-frame.h"

#include <sys/types.h>

/* Descriptors of one message; one add-fd takes one, and a set has two. */
#define FS_CONTROL_FDS_MAX 16u

/*
 * Bytes that wait for a client to read them. Events go first: they are not even
 * queued behind FS_CONTROL_EVENTS_MAX. A client for which an answer would have
 * to wait behind FS_CONTROL_OUTPUT_MAX does not read, and is dropped.
 */
#define FS_CONTROL_EVENTS_MAX (64u << 10)
#define FS_CONTROL_OUTPUT_MAX (1u << 20)

typedef struct {
    guint64 number; /* never used again */
    uid_t uid;
    pid_t pid;
    gboolean negotiated; /* qmp_capabilities was said                       */
    gboolean busy;       /* a command runs; the next one waits until it has */
    guint n_calls;       /* commands under way, detached ones included      */
    /* private */
    int fd;
    gboolean eof;  /* nothing more will come                        */
    gboolean gone; /* to be forgotten                               */
    gboolean fds_lost;
    FsQmpFrame *frame;
    GArray *fds; /* of int, owned */
    GString *out;
    gsize sent; /* of out */
    guint64 events_dropped;
} FsControlClient;

/* Takes 'fd' over. */
FsControlClient *fs_control_client_new(int fd, guint64 number);

/* The events to poll its descriptor for. */
short fs_control_client_wants(const FsControlClient *client);

/* Something came in; the lines are for fs_control_client_next(). */
void fs_control_client_receive(FsControlClient *client);

/* The next command, as fs_qmp_frame_next(); FS_QMP_MORE also while it is busy. */
FsQmpResult fs_control_client_next(FsControlClient *client, char **line);

/* The oldest descriptor that came along, now the caller's; -1: there is none, *lost: we had no
 * room. */
int fs_control_client_take_fd(FsControlClient *client, gboolean *lost);

/* Sends an answer, now or when the client reads. */
void fs_control_client_answer(FsControlClient *client, const char *line);
void fs_control_client_event(FsControlClient *client, const char *line);

/* Sends what waits, as far as that goes now. */
void fs_control_client_flush(FsControlClient *client);

/* TRUE when it is done with: it closed, or was dropped. */
gboolean fs_control_client_is_gone(const FsControlClient *client);

void fs_control_client_free(FsControlClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsControlClient, fs_control_client_free)

#endif
