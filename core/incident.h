/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * incident.h - the last refusals and failures, in words.
 *
 * An errno carries no reason, so each refusal and each failed request is told
 * three times: a log line, the ring kept here (.ctl/last-error) and, by the set,
 * the xattr user.fdsetfs.last_error. Thread-safe.
 */
#ifndef FDSET_INCIDENT_H
#define FDSET_INCIDENT_H

#include <glib.h>

/* As many as one screen shows; a VMM that retries does not push all others out. */
#define FDSET_INCIDENTS_MAX 64

typedef struct {
    gint64 time; /* microseconds since the epoch */
    guint32 id;  /* of the set */
    int errnum;  /* what the request was answered with, positive */
    char *rule;  /* name of the rule that was broken, or "failure" */
    char *text;  /* one line, in a user's words */
} FdsetIncident;

typedef struct FdsetIncidents FdsetIncidents;

FdsetIncidents *fdset_incidents_new(void);
void fdset_incidents_free(FdsetIncidents *incidents);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetIncidents, fdset_incidents_free)

/* Logs and keeps one incident; 'channel' is the channel's index or -1. */
void fdset_incidents_add(FdsetIncidents *incidents, guint32 id, int channel, int errnum,
                         const char *rule, const char *text);

void fdset_incident_free(FdsetIncident *incident);

/* Copies of all that are kept, oldest first; caller unrefs. */
GPtrArray *fdset_incidents_list(FdsetIncidents *incidents);

/* One line each, oldest first: time, errno name, text. Caller frees. */
char *fdset_incidents_format(FdsetIncidents *incidents);

#endif
