/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-internal.h - what store.c and store-fds.c share. */
#ifndef FDSET_STORE_INTERNAL_H
#define FDSET_STORE_INTERNAL_H

#include "core/store.h"

struct FdsetStore {
    FdsetShared shared;
    FdsetKey key;
    int dirfd;
    int lockfd;
    GMutex lock;      /* protects sets and removals */
    GHashTable *sets; /* id -> FdsetSet, owned reference */
};

/* The set, borrowed, or NULL. One that is spent goes. Lock held. */
FdsetSet *fdset_store_find(FdsetStore *store, guint32 id);

/* As fdset_store_remove(). Lock held. */
int fdset_store_remove_locked(FdsetStore *store, guint32 id);

#endif
