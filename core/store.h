/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h - a directory that holds sets: STORE/store, STORE/lock, STORE/N/.
 *
 * One process has a store for writing (an open-file-description lock on
 * STORE/lock, which also holds across NFS); any number have it read-only beside
 * it, and see each set as its manifest was last replaced. Thread-safe.
 */
#ifndef FDSET_STORE_H
#define FDSET_STORE_H

#include "core/set.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

/* QEMU's fdset numbers are C ints. */
#define FDSET_ID_MAX G_MAXINT32

/* TRUE when 'name' is a set's number in its one spelling: decimal, no sign, no leading zeros. */
gboolean fdset_id_parse(const char *name, guint32 *id);

typedef struct FdsetStore FdsetStore;

/*
 * Opens the store at 'path'; an empty directory becomes one unless it is opened
 * read-only. 'policy' is borrowed and must outlive the store. Starts threads.
 * Errors: NOT_FOUND, FORMAT (not a store), CORRUPT, VERSION, BUSY (another
 * process has it for writing), SYSTEM.
 */
FdsetStore *fdset_store_open(const char *path, const FdsetPolicy *policy, GError **error);

/* Waits until every set has settled and is durable, then closes the store. */
void fdset_store_close(FdsetStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetStore, fdset_store_close)

/* A new reference, or NULL: there is no such set. */
FdsetSet *fdset_store_lookup(FdsetStore *store, guint32 id);

/*
 * Makes the set, or finds the one that is there. Returns 1 when it was made, 0
 * when it was found, -ENOENT when there is none and create=no, or -errno.
 */
int fdset_store_create(FdsetStore *store, guint32 id, guint32 mode, guint32 uid, guint32 gid,
                       FdsetSet **set);

/* Takes the set out of the store; its space is given back when nobody uses it. 0 or -errno. */
int fdset_store_remove(FdsetStore *store, guint32 id);

/* The numbers of all sets (guint32), ascending; caller unrefs. */
GArray *fdset_store_list(FdsetStore *store);

/* Of the filesystem that the store lies on. 0 or -errno. */
int fdset_store_statfs(FdsetStore *store, struct statvfs *st);

/* Attributes of the store's own directory, which are those of the mount's root. 0 or -errno. */
int fdset_store_stat(FdsetStore *store, struct stat *st);

/* chmod and chown of the store's directory; NULL: as it was. 0 or -errno. */
int fdset_store_change(FdsetStore *store, const guint32 *mode, const guint32 *uid,
                       const guint32 *gid);

/* Who is told what happens from now on; called once, before the first request. */
void fdset_store_watch(FdsetStore *store, FdsetEventFunc func, gpointer data);

FdsetIncidents *fdset_store_incidents(FdsetStore *store);
const FdsetPolicy *fdset_store_policy(const FdsetStore *store);

#endif
