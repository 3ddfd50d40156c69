/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/rangelock.h"

void fdset_range_lock_init(FdsetRangeLock *ranges)
{
    g_mutex_init(&ranges->lock);
    g_cond_init(&ranges->released);
    ranges->held = NULL;
}

void fdset_range_lock_clear(FdsetRangeLock *ranges)
{
    g_assert(ranges->held == NULL);
    g_mutex_clear(&ranges->lock);
    g_cond_clear(&ranges->released);
}

static gboolean overlaps_held(const FdsetRangeLock *ranges, const FdsetRange *range)
{
    for (const GList *l = ranges->held; l; l = l->next) {
        const FdsetRange *held = l->data;

        if (range->first <= held->last && held->first <= range->last)
            return TRUE;
    }
    return FALSE;
}

void fdset_range_lock_acquire(FdsetRangeLock *ranges, FdsetRange *range)
{
    g_mutex_lock(&ranges->lock);
    while (overlaps_held(ranges, range))
        g_cond_wait(&ranges->released, &ranges->lock);
    ranges->held = g_list_prepend(ranges->held, range);
    g_mutex_unlock(&ranges->lock);
}

void fdset_range_lock_release(FdsetRangeLock *ranges, FdsetRange *range)
{
    g_mutex_lock(&ranges->lock);
    ranges->held = g_list_remove(ranges->held, range);
    g_cond_broadcast(&ranges->released);
    g_mutex_unlock(&ranges->lock);
}
