/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rangelock.h - exclusive locks on ranges of blocks.
 *
 * Two writers of one block wait for each other, writers of neighbouring blocks
 * do not. The ranges held at one time are as many as there are requests in
 * flight, so a plain list is searched. A range is held for one request only
 * and a thread holds one at a time, so there is no order to get wrong.
 */
#ifndef FDSET_RANGELOCK_H
#define FDSET_RANGELOCK_H

#include <glib.h>

typedef struct {
    GMutex lock;
    GCond released;
    GList *held; /* FdsetRange of the holders, on their stacks; protected by lock */
} FdsetRangeLock;

typedef struct {
    guint64 first; /* block numbers, both included */
    guint64 last;
} FdsetRange;

void fdset_range_lock_init(FdsetRangeLock *ranges);
void fdset_range_lock_clear(FdsetRangeLock *ranges);

/* Waits until no overlapping range is held, then holds 'range' until it is released. */
void fdset_range_lock_acquire(FdsetRangeLock *ranges, FdsetRange *range);
void fdset_range_lock_release(FdsetRangeLock *ranges, FdsetRange *range);

#endif
