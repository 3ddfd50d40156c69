/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/verify.h"

struct FsVerifies {
    GMutex lock;
    GHashTable *running; /* id -> FsVerifyProgress, owned; protected by lock */
};

FsVerifies *fs_verifies_new(void)
{
    FsVerifies *verifies = g_new0(FsVerifies, 1);

    g_mutex_init(&verifies->lock);
    verifies->running = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return verifies;
}

void fs_verifies_free(FsVerifies *verifies)
{
    if (!verifies)
        return;
    g_hash_table_unref(verifies->running);
    g_mutex_clear(&verifies->lock);
    g_free(verifies);
}

gboolean fs_verifies_begin(FsVerifies *verifies, guint32 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&verifies->lock);

    if (g_hash_table_contains(verifies->running, GUINT_TO_POINTER(id)))
        return FALSE;
    return g_hash_table_insert(verifies->running, GUINT_TO_POINTER(id),
                               g_new0(FsVerifyProgress, 1));
}

void fs_verifies_update(FsVerifies *verifies, guint32 id, guint64 done, guint64 total)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&verifies->lock);
    FsVerifyProgress *progress = g_hash_table_lookup(verifies->running, GUINT_TO_POINTER(id));

    if (progress)
        *progress = (FsVerifyProgress){done, total};
}

void fs_verifies_end(FsVerifies *verifies, guint32 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&verifies->lock);

    g_hash_table_remove(verifies->running, GUINT_TO_POINTER(id));
}

gboolean fs_verifies_get(FsVerifies *verifies, guint32 id, FsVerifyProgress *progress)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&verifies->lock);
    const FsVerifyProgress *found = g_hash_table_lookup(verifies->running, GUINT_TO_POINTER(id));

    if (found)
        *progress = *found;
    return found != NULL;
}
