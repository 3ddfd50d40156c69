/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd.h - file descriptors that close themselves, and reads and writes that
 * finish. Every call retries EINTR and goes on after a short count, so callers
 * see all of it or an errno.
 */
#ifndef FDSET_FD_H
#define FDSET_FD_H

#include <glib.h>
#include <sys/types.h>

/* Closes *fd when it is open and sets it to -1; errno stays as it was. */
void fdset_fd_clear(int *fd);
#define autofd __attribute__((cleanup(fdset_fd_clear))) int

/* Reads until 'len' bytes or the end of the file. Returns the count or -errno. */
gssize fdset_fd_pread(int fd, gpointer buf, gsize len, guint64 offset);

/* Writes all 'len' bytes. Returns 0 or -errno, never -EAGAIN (EIO instead). */
int fdset_fd_pwrite(int fd, gconstpointer buf, gsize len, guint64 offset);

/*
 * A file without a name, for reading and writing, in the directory 'dirfd' or,
 * when that is negative, in the one for temporary files. -1 and SYSTEM.
 */
int fdset_fd_open_nameless(int dirfd, GError **error);

/* Reads a small file whole; 'limit' bytes at most. Errors: SYSTEM, NOT_FOUND, LIMIT. */
GBytes *fdset_fd_read_file(int dirfd, const char *name, gsize limit, GError **error);

/*
 * Replaces the file 'name' in 'dirfd' with 'data' by rename, so that readers see
 * the old one or the new one. With 'durable' both the file and the directory
 * are synced before it returns. Mode 0600.
 */
gboolean fdset_fd_replace_file(int dirfd, const char *name, gconstpointer data, gsize len,
                               gboolean durable, GError **error);

#endif
