/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats.h - what the daemon has done since it started: a few counters, each
 * changed atomically by whatever thread serves a request.
 */
#ifndef FS_STATS_H
#define FS_STATS_H

#include <glib.h>

typedef struct {
    gint64 started; /* microseconds since the epoch; set before the first request */
    guint64 bytes_written;
    guint64 writes;
    guint64 bytes_read;
    guint64 reads;
    guint64 errors; /* requests of reading and writing that failed */
} FsStats;

static inline void fs_stats_add(guint64 *counter, guint64 n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static inline guint64 fs_stats_get(const guint64 *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
