/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of a manager's descriptors in a store: which number they get, and when they go. */
#include "config.h"
#include "core/error.h"
#include "core/set-fds.h"
#include "core/set-internal.h"
#include "core/store-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* The lowest number that neither a set nor a directory has. Lock held. */
static guint32 free_id(FdsetStore *store)
{
    for (guint32 id = 0;; id++) {
        g_autofree char *name = g_strdup_printf("%u", id);
        struct stat st;

        if (!fdset_store_find(store, id) &&
            fstatat(store->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return id;
    }
}

/* A new set with owner and mode of the descriptor's file. Lock held. */
static FdsetSet *make_set(FdsetStore *store, guint32 id, const FdsetDescriptor *descriptor,
                          GError **error)
{
    gboolean regular = fdset_descriptor_kind(descriptor) == FDSET_FILE_REGULAR;
    struct stat st = {.st_mode = 0600};
    FdsetSet *set;

    if (regular && fstat(fdset_descriptor_fd(descriptor), &st) < 0) {
        fdset_error_set_errno(error, errno, "fdset %u: cannot tell whose file it is", id);
        return NULL;
    }
    set = fdset_set_create(&store->shared, store->dirfd, id, &store->key, st.st_mode & 0777,
                           st.st_uid, st.st_gid, error);
    if (set)
        g_hash_table_insert(store->sets, GUINT_TO_POINTER(id), set);
    return set;
}

gboolean fdset_store_add_fd(FdsetStore *store, gint64 id, FdsetDescriptor *descriptor,
                            guint32 *added, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&store->lock);
    FdsetSet *set;
    gboolean made;

    if (store->shared.policy->read_only) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_DENIED,
                    "this mount is read-only: no set can be made");
        return FALSE;
    }
    *added = id < 0 ? free_id(store) : (guint32)id;
    set = fdset_store_find(store, *added);
    made = set == NULL;
    if (made)
        set = make_set(store, *added, descriptor, error);
    if (!set)
        return FALSE;
    if (fdset_set_add_descriptor(set, descriptor, error))
        return TRUE;
    if (made)
        fdset_store_remove_locked(store, *added);
    return FALSE;
}

gboolean fdset_store_remove_fd(FdsetStore *store, guint32 id, int fd, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&store->lock);
    FdsetSet *set = fdset_store_find(store, id);

    if (set && fdset_set_remove_descriptor(set, fd)) {
        fdset_store_find(store, id); /* goes, when that was the last */
        return TRUE;
    }
    if (set && fd >= 0)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "File descriptor named 'fdset-id:%u, fd:%d' not found", id, fd);
    else
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "File descriptor named 'fdset-id:%u' not found", id);
    return FALSE;
}
