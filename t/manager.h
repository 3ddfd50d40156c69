/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager.h - a manager with files of its own, which hands descriptors of them
 * over for set 7, for the tests of such sets. What it does fails the test when
 * it is refused, but for what is said to fail.
 */
#ifndef FDSET_TEST_MANAGER_H
#define FDSET_TEST_MANAGER_H

#include "core/set-fds.h"
#include "t/world.h"

/* A store without sets, and a directory of the manager's beside it. */
typedef struct {
    World *world; /* its set is number 7, or NULL */
    Dir *dir;
} Manager;

Manager manager_new(const FdsetPolicy *policy);
void manager_clear(Manager *manager);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Manager, manager_clear)

/* A descriptor of a file of the manager's; caller unrefs. */
FdsetDescriptor *manager_open(const Manager *manager, const char *name, int flags, GError **error);

/* Opens a file and adds the descriptor; refused as DENIED, with these words. */
void manager_add(Manager *manager, const char *name, int flags);
void manager_add_fails(Manager *manager, const char *name, int flags, const char *words);

void manager_remove_all(Manager *manager);

/* The set as another name of it, or a new daemon, sees it. */
void manager_look_again(Manager *manager);

/* The set goes: at once, or when what settled it lets go of it. */
void manager_wait_gone(Manager *manager);

/* The manager's file is this one, byte for byte. */
void manager_check_file(const Manager *manager, const char *name, const StreamFile *file);

/* Progress of a work that is not to be ended (FdsetProgressFunc). */
gboolean manager_goes_on(gpointer data, guint64 done, guint64 total);

#endif
