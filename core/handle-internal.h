/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* handle-internal.h - what handle.c and handle-io.c share. The set's lock is held in all of it. */
#ifndef FDSET_HANDLE_INTERNAL_H
#define FDSET_HANDLE_INTERNAL_H

#include "core/set-internal.h"

/* Reports a rule that was broken by an open with 'flags'. */
void fdset_handle_report_rule(FdsetSet *set, const FdsetRule *rule, int flags);

/* The same for a rule about the set's descriptors. */
void fdset_handle_report_fdrule(FdsetSet *set, const FdsetFdRule *rule, int flags);

/* Turns an error of a control call into a report and -errno. */
int fdset_handle_report_error(FdsetSet *set, const GError *error);

/* Takes a writer out of the session; the last one ends it. */
void fdset_handle_leave_session(FdsetHandle *handle);

#endif
