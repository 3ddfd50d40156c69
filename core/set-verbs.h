/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-verbs.h - what an operator does to a whole set, besides opening it.
 */
#ifndef FDSET_SET_VERBS_H
#define FDSET_SET_VERBS_H

#include "core/store.h"

/*
 * Seals a complete set: the header in front of its stream is not writable any
 * more either, now and after a restart. Sealing it again is fine. Errors: BUSY
 * (a session runs), DENIED (not complete, or a read-only mount), CORRUPT, SYSTEM.
 */
gboolean fdset_set_seal(FdsetSet *set, GError **error);

/* The first blocks that do not match; more are only counted. */
#define FDSET_VERIFY_REPORTS 16u

typedef struct {
    guint64 blocks;     /* compared with their digests */
    guint64 unknown;    /* that have no digest (a write was under way when a daemon died) */
    guint64 mismatches; /* blocks that do not match or cannot be read */
    GArray *offsets;    /* of guint64: of the first mismatches in the image, ascending */
    GPtrArray *texts;   /* the reason of each of them; owned strings */
} FdsetVerify;

/* Told now and then how far it is, in bytes of the image; FALSE ends the work. */
typedef gboolean (*FdsetProgressFunc)(gpointer data, guint64 done, guint64 total);

/*
 * Reads every block from its disk (past the page cache, where that can be) and
 * compares it with its digest. NULL: it could not be done, which says nothing
 * of the blocks. Errors: BUSY (a session runs or has begun meanwhile, or
 * 'progress' ended it), CORRUPT (the block map does not match its sums, or the
 * set is damaged), SYSTEM.
 */
FdsetVerify *fdset_set_verify(FdsetSet *set, FdsetProgressFunc progress, gpointer data,
                              GError **error);
void fdset_verify_free(FdsetVerify *verify);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetVerify, fdset_verify_free)

/*
 * Copies the image into 'fd', a regular file open for writing, sparse and as
 * long as the image; blocks are checked, and shared with the channel files where
 * the filesystem can. Not synced. Errors: USAGE (not such a file), BUSY as
 * fdset_set_verify(), CORRUPT (a block does not match, with its reason),
 * NO_SPACE, SYSTEM.
 */
gboolean fdset_set_export(FdsetSet *set, int fd, FdsetProgressFunc progress, gpointer data,
                          GError **error);

/*
 * Takes an idle set out of use: it refuses opens from now on, and its files,
 * whose directory is about to be called 'name', go with its last user. Errors:
 * BUSY (a session runs), DENIED (a read-only mount).
 */
gboolean fdset_set_retire(FdsetSet *set, const char *name, GError **error);

/*
 * Makes set 'id' empty again, with its owner and mode: it takes the set out of
 * the store and puts a new one under its number; who reads the old one keeps
 * it. Errors: NOT_FOUND, BUSY (a session runs), DENIED (a read-only mount), SYSTEM.
 */
gboolean fdset_store_reset(FdsetStore *store, guint32 id, GError **error);

#endif
