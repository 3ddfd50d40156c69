/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keyfile.h - the small text files of a store: a GKeyFile with a format number
 * and a checksum.
 *
 * The first group has "format"; the last group is "[end]" with the SHA-256 of
 * all bytes before it, and nothing stands behind it, so that a damaged or
 * half-copied file is told from a valid one. A newer format is reported as such
 * before the checksum is looked at. Files are replaced by rename.
 */
#ifndef FDSET_KEYFILE_H
#define FDSET_KEYFILE_H

#include <glib.h>

#define FDSET_FORMAT 1 /* the newest format of a store that this version knows */

/*
 * Loads 'name' in 'dirfd', which must have the group 'group'. 'path' is what
 * messages call it. Errors: NOT_FOUND, SYSTEM, CORRUPT, VERSION, LIMIT.
 */
GKeyFile *fdset_keyfile_load(int dirfd, const char *name, const char *path, const char *group,
                             GError **error);

/* A new key file with the group 'group' and its format number; caller unrefs. */
GKeyFile *fdset_keyfile_new(const char *group);

/* Replaces 'name' in 'dirfd'; 'durable' as for fdset_fd_replace_file(). */
gboolean fdset_keyfile_save(GKeyFile *keys, int dirfd, const char *name, const char *path,
                            gboolean durable, GError **error);

#endif
