/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-details.h - all there is to say about a set, for people and monitors.
 *
 * A copy taken at one moment under the set's lock; plain data from then on.
 */
#ifndef FDSET_SET_DETAILS_H
#define FDSET_SET_DETAILS_H

#include "core/set.h"

typedef struct {
    guint index; /* as in the name of its file, ch-KKK */
    gboolean direct;
    gboolean open;   /* a VMM has it open now           */
    gboolean main;   /* the open session's main channel */
    guint64 size;    /* bytes of its file               */
    guint64 written; /* bytes that were written through it */
} FdsetChannelDetails;

typedef struct {
    FdsetSetInfo info;
    gboolean session; /* somebody has it open for writing */
    gboolean sealed;
    const char *backing; /* where its bytes are: "store", "file" or "files" of a manager */
    guint64 sessions;        /* that there were, the open one included           */
    guint64 written;         /* bytes, by all channels that are left             */
    guint64 session_written; /* bytes, by those of the session of now or before; 0: not known */
    guint n_readers;
    char *last_error; /* nullable */
    GArray *channels; /* of FdsetChannelDetails, by number */
} FdsetSetDetails;

FdsetSetDetails *fdset_set_details(FdsetSet *set);
void fdset_set_details_free(FdsetSetDetails *details);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetSetDetails, fdset_set_details_free)

#endif
