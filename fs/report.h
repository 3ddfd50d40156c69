/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.h - what the daemon says of its sets and of itself, as JSON: what
 * query-sets and the like return, and what .ctl/stats.json holds. Times are
 * seconds since the epoch, sizes bytes, rates bytes a second.
 */
#ifndef FS_REPORT_H
#define FS_REPORT_H

#include "core/set-details.h"
#include "fs/ops.h"

#include <json-glib/json-glib.h>

/* One set; caller unrefs. */
JsonNode *fs_report_set(FsContext *context, FdsetSet *set);

/* All sets, ascending. */
JsonNode *fs_report_sets(FsContext *context);

/* The daemon: its totals since it started. */
JsonNode *fs_report_stats(FsContext *context);

/* The last refusals and failures, oldest first. */
JsonNode *fs_report_incidents(FsContext *context);

/* How long the set's last session took, or takes until now, in seconds; 0: not known. */
double fs_report_duration(FsContext *context, guint32 id, const FdsetSetDetails *details);

/* Bytes a second of that session; 0: not known. */
double fs_report_rate(FsContext *context, guint32 id, const FdsetSetDetails *details);

/* Of all sets, by status: an array indexed by FdsetStatus. */
#define FS_REPORT_STATUSES (FDSET_STATUS_DAMAGED + 1)
void fs_report_count(FsContext *context, guint counts[FS_REPORT_STATUSES]);

#endif
