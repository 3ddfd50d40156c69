/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * look.h - a look into a complete set: its image and its channels' files as
 * sources, held open whatever becomes of the set's name.
 *
 * Who looks is no VMM, so the rules are not asked, and do not count it as a
 * reader. The stream of a complete set does not change any more; should the set
 * become a partial one all the same (it could not be synced) and be written
 * again, its reads are -EBUSY. Reads of the image are verified like any other,
 * and what fails is an incident of the set; channels' files are read as they
 * are. Thread-safe.
 */
#ifndef FDSET_LOOK_H
#define FDSET_LOOK_H

#include "core/pageindex.h"
#include "core/set.h"
#include "core/source.h"

typedef struct FdsetLook FdsetLook;

/* Whether there is something to look into. Waits while the set settles, as an open does. */
gboolean fdset_set_is_complete(FdsetSet *set);

/* Keeps a reference to the set. Errors: NOT_FOUND (not complete), CORRUPT (damaged), SYSTEM. */
FdsetLook *fdset_look_new(FdsetSet *set, GError **error);

/* The image; borrowed. */
const FdsetSource *fdset_look_source(const FdsetLook *look);

/* Where its stream starts. */
guint64 fdset_look_stream_offset(const FdsetLook *look);

/*
 * Where an index of its pages is kept, for fdset_inspection_new(): in the set's
 * directory, with which it goes, or with its user where nothing may be written.
 * Progress is for the caller to fill in.
 */
void fdset_look_index_options(const FdsetLook *look, FdsetPageIndexOptions *options);

/*
 * The file of channel i in the order of their numbers, borrowed, and K of its
 * name ch-K; NULL behind the last one.
 */
const FdsetSource *fdset_look_channel(const FdsetLook *look, guint i, guint *k);

void fdset_look_free(FdsetLook *look);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetLook, fdset_look_free)

#endif
