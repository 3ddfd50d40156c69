/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set-fds.h - sets made of descriptors that a manager hands over, as QEMU's
 * add-fd does.
 *
 * While descriptors are all of one file, that file is the image. Write-only ones
 * of different files are channels, put together with a block map of ours; given
 * read-only ones of the same files later, the map finds every block again.
 * Which descriptor an open gets is decided by access mode and O_DIRECT. What is
 * removed is gone for new opens, and closed with its last user. Descriptors do
 * not outlive the daemon: a set of one file goes with the last of them, a set
 * of several stays, as its map does.
 */
#ifndef FDSET_SET_FDS_H
#define FDSET_SET_FDS_H

#include "core/descriptor.h"
#include "core/store.h"

/*
 * Adds a descriptor to set 'id' (negative: the lowest number that no set has),
 * which is made when there is none, with owner and mode of the file. *added is
 * the set's number. Errors: DENIED (a rule of fdrules.h, a set of files of ours,
 * a save that is there already, a read-only mount), BUSY (the set is being
 * written), SYSTEM; a refusal is an incident of the set, too.
 */
gboolean fdset_store_add_fd(FdsetStore *store, gint64 id, FdsetDescriptor *descriptor,
                            guint32 *added, GError **error);

/*
 * Removes descriptor number 'fd' (negative: all) from a set. Errors: NOT_FOUND,
 * in QEMU's words.
 */
gboolean fdset_store_remove_fd(FdsetStore *store, guint32 id, int fd, GError **error);

/* The descriptors of a set that is made of some, oldest first; NULL for any other set. Caller
 * unrefs. */
GPtrArray *fdset_set_descriptors(FdsetSet *set);

/* --- for store.c --- */

/* Nothing is left of it: no descriptor, no user, and nothing of a save in files of ours. */
gboolean fdset_set_is_spent(FdsetSet *set);

/* The descriptors of 'old', which was retired, are those of 'set', which is new, from now on. */
gboolean fdset_set_inherit(FdsetSet *set, FdsetSet *old, GError **error);

#endif
