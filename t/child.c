/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/child.h"
#include "t/world.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct Child {
    GPid pid; /* 0: it was killed */
    int out;
};

Child *child_new(const char *mode, const char *path, const char *arg)
{
    const char *argv[] = {"/proc/self/exe", mode, path, arg, NULL};
    g_autoptr(GError) error = NULL;
    Child *child = g_new0(Child, 1);

    g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                             &child->pid, NULL, &child->out, NULL, &error);
    g_assert_no_error(error);
    return child;
}

GPid child_pid(const Child *child)
{
    return child->pid;
}

void child_tell(guint32 number)
{
    if (write(STDOUT_FILENO, &number, sizeof number) != sizeof number)
        _exit(1);
}

gboolean child_read(Child *child, guint32 *number)
{
    gssize got;

    do
        got = read(child->out, number, sizeof *number);
    while (got < 0 && errno == EINTR);
    return got == sizeof *number;
}

void child_wait_ready(Child *child)
{
    guint32 number;

    g_assert_true(child_read(child, &number));
}

void child_kill(Child *child)
{
    if (!child->pid)
        return;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    child->pid = 0;
}

void child_free(Child *child)
{
    child_kill(child);
    close(child->out);
    g_free(child);
}

FdsetHandle *child_open(FdsetSet *set, int flags)
{
    FdsetHandle *handle = NULL;

    if (fdset_handle_open(set, flags, &handle) < 0)
        _exit(2);
    return handle;
}

FdsetSet *child_open_set(const char *path)
{
    FdsetStore *store = fdset_store_open(path, &world_defaults, NULL);
    FdsetSet *set = NULL;

    if (!store || fdset_store_create(store, 7, 0600, 0, 0, &set) < 0)
        _exit(2);
    return set;
}

int child_hold(const char *path)
{
    g_autoptr(FdsetStore) store = fdset_store_open(path, &world_defaults, NULL);

    if (!store)
        return 1;
    child_tell(1);
    for (;;)
        pause();
}
