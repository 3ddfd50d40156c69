/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-client.h - a client of the control socket: connect, ask, be told.
 *
 * One connection used by one thread. Every wait ends: at a deadline, or, for
 * commands that take as long as they take (deadline 0), with the daemon. Errors
 * of the daemon come back with the code it gave them, so a program's exit status
 * is the same as if it had failed itself.
 */
#ifndef FS_CTL_CLIENT_H
#define FS_CTL_CLIENT_H

#include <glib.h>
#include <json-glib/json-glib.h>

#define FS_CLIENT_TIMEOUT (30 * G_TIME_SPAN_SECOND) /* a daemon that lives answers in much less */

typedef struct FsClient FsClient;

/* Connects and negotiates. Errors: NOT_FOUND, DENIED, BUSY (it does not answer), SYSTEM, FORMAT. */
FsClient *fs_client_connect(const char *path, GError **error);
void fs_client_free(FsClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsClient, fs_client_free)

/*
 * Sends a command with 'arguments' (taken over, nullable), an id (nullable) and a
 * descriptor (-1: none; it stays the caller's).
 */
gboolean fs_client_send(FsClient *client, const char *command, JsonObject *arguments,
                        const char *id, int fd, GError **error);

/*
 * The next message of any kind; NULL without an error: none came in 'timeout'
 * microseconds (-1: for ever). Caller unrefs.
 */
JsonObject *fs_client_receive(FsClient *client, gint64 timeout, GError **error);

/* What an answer returns (a new reference), or its error. */
JsonNode *fs_client_result(JsonObject *answer, GError **error);

/* Sends a command and waits for its answer; events that come before it are dropped. */
JsonNode *fs_client_ask(FsClient *client, const char *command, JsonObject *arguments, int fd,
                        GError **error);

#endif
