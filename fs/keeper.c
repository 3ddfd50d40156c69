/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/keeper.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the keeper is told; nothing: the other one has died. */
#define UNMOUNT 'u'
#define END 'e'

struct FsKeeper {
    int fd; /* a socket; the keeper answers on it when it has unmounted */
};

extern char **environ;

/* As root by the system call, as anybody else by libfuse's helper. */
static void unmount(const char *mountpoint)
{
    char *const helper[] = {(char *)"fusermount3", (char *)"-u",         (char *)"-q",
                            (char *)"-z",          (char *)mountpoint, NULL};
    pid_t child;

    if (umount2(mountpoint, MNT_DETACH) == 0 || errno != EPERM)
        return;
    if (posix_spawnp(&child, helper[0], NULL, NULL, helper, environ) == 0)
        waitpid(child, NULL, 0);
}

/* What was mounted there and has no daemon any more; not what somebody mounted over it. */
static gboolean is_dead(const char *mountpoint)
{
    struct stat st;

    return stat(mountpoint, &st) < 0 && errno == ENOTCONN;
}

static G_NORETURN void keep(int fd, const char *mountpoint)
{
    char word;
    ssize_t n;

    do
        n = read(fd, &word, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1 && word == UNMOUNT)
        unmount(mountpoint);
    else if (n == 0 && is_dead(mountpoint))
        unmount(mountpoint);
    _exit(0);
}

/* Signals that end the other one are not for it; a terminal sends them to both. */
static void ignore_signals(void)
{
    const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};

    for (gsize i = 0; i < G_N_ELEMENTS(ignored); i++)
        signal(ignored[i], SIG_IGN);
}

/* Whoever waits for a pipe or terminal of the other one to end does not wait for this. */
static int leave_all_but(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int kept = dup2(fd, 3);

    for (int i = 0; null >= 0 && i < 3; i++)
        dup2(null, i);
    close_range(4, ~0U, 0);
    return kept;
}

FsKeeper *fs_keeper_new(const char *mountpoint, GError **error)
{
    FsKeeper *keeper;
    int fds[2];
    pid_t child = -1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0)
        child = fork();
    if (child < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot start the process that unmounts it",
                              mountpoint);
        return NULL;
    }
    if (child == 0) {
        ignore_signals();
        keep(leave_all_but(fds[0]), mountpoint);
    }
    close(fds[0]);
    keeper = g_new0(FsKeeper, 1);
    keeper->fd = fds[1];
    return keeper;
}

static void tell(FsKeeper *keeper, char word)
{
    ssize_t n;

    if (keeper->fd < 0)
        return;
    /* Its end is the answer. */
    if (write(keeper->fd, &word, 1) == 1)
        do
            n = read(keeper->fd, &word, 1);
        while (n < 0 && errno == EINTR);
    fdset_fd_clear(&keeper->fd);
}

void fs_keeper_unmount(FsKeeper *keeper)
{
    tell(keeper, UNMOUNT);
}

void fs_keeper_free(FsKeeper *keeper)
{
    if (!keeper)
        return;
    tell(keeper, END);
    g_free(keeper);
}
