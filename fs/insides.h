/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * insides.h - what is inside the sets of a store, as far as somebody looks now.
 *
 * Made at the first look, shared by all who look, and kept for some seconds when
 * the last one has gone, as tools look again and again; but never more than a
 * few that nobody uses, so that a walk over all sets costs no memory. While one
 * is in use the set's files stay, also when the set is removed. Thread-safe.
 */
#ifndef FS_INSIDES_H
#define FS_INSIDES_H

#include "fs/inside.h"

/* How many that nobody uses are kept, and how long at most, in seconds. */
#define FS_INSIDES_IDLE_MAX 16
#define FS_INSIDES_IDLE_TIME 5

/* How many requests may make one or wait for that at one time, of the 64 that are served. */
#define FS_INSIDES_WAITING_MAX 24

typedef struct FsInsides FsInsides;

/* 'works' is borrowed, and told of indexes that are made. */
FsInsides *fs_insides_new(FsWorks *works);

/* Everything has been given back. */
void fs_insides_free(FsInsides *insides);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsInsides, fs_insides_free)

/*
 * What is inside a set of the store; made when it is not there yet, which others
 * wait for. To be given back. Errors: those of fs_inside_new(); BUSY when too
 * many requests make and wait already, so that some are left for VMMs.
 */
FsInside *fs_insides_get(FsInsides *insides, FdsetSet *set, GError **error);

/* Likewise, but only one that is there: of a set that may have been removed. NULL: there is none. */
FsInside *fs_insides_find(FsInsides *insides, guint32 id, guint32 tag);

/* Gives one back; NULL is fine. */
void fs_insides_put(FsInsides *insides, FsInside *inside);

/* Set 'id' was removed: what nobody uses goes now, all else when it is given back. */
void fs_insides_drop(FsInsides *insides, guint32 id);

/* Set 'id' has another header now: who looks from now on gets a new one. */
void fs_insides_renew(FsInsides *insides, guint32 id);

#endif
