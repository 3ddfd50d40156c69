/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handle.h - one open of a set: a channel of a session, or a reader.
 *
 * The one gate for every open: the rules are asked here and nowhere else. All
 * calls return -errno; a refusal's or failure's reason is an incident of the
 * set. A write is all or an errno, never -EAGAIN. A handle is used by any number
 * of threads at once, and closed by one when no other uses it.
 */
#ifndef FDSET_HANDLE_H
#define FDSET_HANDLE_H

#include "core/set.h"

typedef struct FdsetHandle FdsetHandle;

/*
 * Opens 'set' with open(2)'s flags. The first writer of a session is its main
 * channel; each writer gets a channel file of its own. Returns 0, -EACCES or
 * -EBUSY (a rule), -EIO (a damaged set), -ENOENT (removed), or what the backing
 * filesystem says.
 */
int fdset_handle_open(FdsetSet *set, int flags, FdsetHandle **handle);

/* Closes it; the session ends with its last writer. NULL is fine. */
void fdset_handle_close(FdsetHandle *handle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetHandle, fdset_handle_close)

FdsetSet *fdset_handle_set(const FdsetHandle *handle);
gboolean fdset_handle_is_writer(const FdsetHandle *handle);

/* Writes all of it: 0 or -errno. */
int fdset_handle_write(FdsetHandle *handle, gconstpointer buf, gsize len, guint64 offset);

/*
 * Reads as fdset_image_read() does, O_DIRECT where the handle has it. -EBUSY
 * while a session writes the set.
 */
gssize fdset_handle_read(FdsetHandle *handle, gpointer buf, gsize len, guint64 offset,
                         gconstpointer *data);

/* The main channel's ftruncate: the stream starts at 'size'. -EBUSY for any other channel. */
int fdset_handle_truncate(FdsetHandle *handle, guint64 size);

/* A descriptor of the handle was closed; the handle itself may live on. Never fails. */
void fdset_handle_flush(FdsetHandle *handle);

/* 0 or -errno. */
int fdset_handle_sync(FdsetHandle *handle);

/* As fdset_image_seek(). */
gint64 fdset_handle_seek(FdsetHandle *handle, guint64 offset, gboolean data);

#endif
