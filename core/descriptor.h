/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * descriptor.h - one file descriptor that a manager handed over for a set.
 *
 * It owns the descriptor, whose open file description it shares with the
 * manager: flags can change behind our back, so they are asked for whenever
 * they matter. Nothing here reads or writes the file. Reference-counted: a
 * descriptor that was removed is closed with its last user.
 */
#ifndef FDSET_DESCRIPTOR_H
#define FDSET_DESCRIPTOR_H

#include <glib.h>

/* What a descriptor refers to. */
typedef enum {
    FDSET_FILE_REGULAR,
    FDSET_FILE_DIRECTORY,
    FDSET_FILE_PIPE,
    FDSET_FILE_SOCKET,
    FDSET_FILE_DEVICE, /* block or character */
    FDSET_FILE_OTHER,  /* an eventfd, an O_PATH descriptor ... */
    FDSET_FILE_OWN,    /* a file of the mount that asks */
} FdsetFileKind;

typedef struct FdsetDescriptor FdsetDescriptor;

/*
 * Takes 'fd' over, also when it fails. 'own' is the device of a mount of our own,
 * as makedev() makes it, or 0: its files are told apart without asking them, for
 * that would be a request to ourselves. 'opaque' is nullable, and copied.
 * Errors: SYSTEM.
 */
FdsetDescriptor *fdset_descriptor_new(int fd, const char *opaque, guint64 own, GError **error);

FdsetDescriptor *fdset_descriptor_ref(FdsetDescriptor *descriptor);
void fdset_descriptor_unref(FdsetDescriptor *descriptor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetDescriptor, fdset_descriptor_unref)

int fdset_descriptor_fd(const FdsetDescriptor *descriptor);
const char *fdset_descriptor_opaque(const FdsetDescriptor *descriptor);
FdsetFileKind fdset_descriptor_kind(const FdsetDescriptor *descriptor);

/* open(2)'s flags as they are now: access mode, O_DIRECT, O_APPEND. */
int fdset_descriptor_flags(const FdsetDescriptor *descriptor);

/* The device and inode of a regular file, which name it as long as it is open. */
guint64 fdset_descriptor_device(const FdsetDescriptor *descriptor);
guint64 fdset_descriptor_inode(const FdsetDescriptor *descriptor);
gboolean fdset_descriptor_same_file(const FdsetDescriptor *a, const FdsetDescriptor *b);

/*
 * Are these two copies of one open file description, as dup(2) makes them? By
 * kcmp(2), or where that is not allowed by fdset_fds_share_flags().
 */
gboolean fdset_descriptor_is_duplicate(const FdsetDescriptor *a, const FdsetDescriptor *b);

/*
 * Without kcmp(2): switches O_NONBLOCK, which means nothing for a regular file,
 * on one and looks whether it changed on the other; back again afterwards. Done
 * a few times, as somebody else may switch it too. For two regular files only.
 */
gboolean fdset_fds_share_flags(int a, int b);

#endif
