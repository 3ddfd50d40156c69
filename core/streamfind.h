/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * streamfind.h - where in a file the migration stream starts.
 *
 * At the start, behind a manager's header that is known (libvirt's), or behind
 * anything else: then it can be searched for, in a bounded part of the file.
 */
#ifndef FDSET_STREAMFIND_H
#define FDSET_STREAMFIND_H

#include "core/source.h"

/* Does the stream's magic, which is followed by its version, stand at 'offset'? */
gboolean fdset_stream_has_magic(const FdsetSource *source, guint64 offset);

/*
 * Searches the first 64 MiB for a stream whose head parses. *start: its offset.
 * Errors: FORMAT (there is none), SYSTEM.
 */
gboolean fdset_stream_search(const FdsetSource *source, guint64 *start, GError **error);

/*
 * For an image: 'expected' when a stream starts there, else at 0 or behind a
 * libvirt header; 'expected' when there is none.
 */
guint64 fdset_stream_find(const FdsetSource *source, guint64 expected);

#endif
