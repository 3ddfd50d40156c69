/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * child.h - the test program once more, as another process: one that holds a
 * store, or that writes until it is killed. It tells how far it is by one 32-bit
 * number after the other on its standard output.
 */
#ifndef FDSET_CHILD_H
#define FDSET_CHILD_H

#include "core/handle.h"

typedef struct Child Child;

/* Starts /proc/self/exe MODE PATH ARG. */
Child *child_new(const char *mode, const char *path, const char *arg);
GPid child_pid(const Child *child);

/* In the child: what the parent reads. */
void child_tell(guint32 number);
/* The next number the child told; FALSE when there are no more. */
gboolean child_read(Child *child, guint32 *number);

/* Waits for the child's first number. */
void child_wait_ready(Child *child);

/* SIGKILL, and waits for it. What it told before can still be read. */
void child_kill(Child *child);
void child_free(Child *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Child, child_free)

/* In the child, which ends when it cannot do it: set 7 of the store, and a channel of it. */
FdsetSet *child_open_set(const char *path);
FdsetHandle *child_open(FdsetSet *set, int flags);

/* The child of "--hold": opens the store and keeps it until it is killed. Its exit status. */
int child_hold(const char *path);

#endif
