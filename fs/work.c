/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/work.h"

struct FsWorks {
    GMutex lock;
    GHashTable *running; /* id -> FsWorkProgress, owned; protected by lock */
};

FsWorks *fs_works_new(void)
{
    FsWorks *works = g_new0(FsWorks, 1);

    g_mutex_init(&works->lock);
    works->running = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return works;
}

void fs_works_free(FsWorks *works)
{
    if (!works)
        return;
    g_hash_table_unref(works->running);
    g_mutex_clear(&works->lock);
    g_free(works);
}

gboolean fs_works_begin(FsWorks *works, guint32 id, const char *what)
{
    FsWorkProgress *progress;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&works->lock);

    if (g_hash_table_contains(works->running, GUINT_TO_POINTER(id)))
        return FALSE;
    progress = g_new0(FsWorkProgress, 1);
    progress->what = what;
    return g_hash_table_insert(works->running, GUINT_TO_POINTER(id), progress);
}

void fs_works_update(FsWorks *works, guint32 id, guint64 done, guint64 total)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&works->lock);
    FsWorkProgress *progress = g_hash_table_lookup(works->running, GUINT_TO_POINTER(id));

    if (progress)
        *progress = (FsWorkProgress){progress->what, done, total};
}

void fs_works_end(FsWorks *works, guint32 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&works->lock);

    g_hash_table_remove(works->running, GUINT_TO_POINTER(id));
}

gboolean fs_works_get(FsWorks *works, guint32 id, FsWorkProgress *progress)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&works->lock);
    const FsWorkProgress *found = g_hash_table_lookup(works->running, GUINT_TO_POINTER(id));

    if (found)
        *progress = *found;
    return found != NULL;
}
