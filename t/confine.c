/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a confined process cannot do any more, each in a child, by exact errno; and what it can. */
#include "config.h"
#include "fs/confine.h"
#include "t/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>


typedef struct {
    const Dir *ours;  /* files may be changed here */
    const Dir *other; /* and not here              */
    int socket;       /* connected                 */
    pid_t parent;     /* another process           */
} Places;

/* Each returns the errno that it met, or 0. */
static int try_socket(const Places *places)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_unix_socket(const Places *places)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_execve(const Places *places)
{
    char *const argv[] = {(char *)"true", NULL};

    return execve("/bin/true", argv, argv + 1) < 0 ? errno : 0;
}

static int try_ptrace(const Places *places)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int try_mount(const Places *places)
{
    return mount("none", "/mnt", "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int try_umount(const Places *places)
{
    return umount2("/nowhere", 0) < 0 ? errno : 0;
}

static int try_kill(const Places *places)
{
    return kill(places->parent, 0) < 0 ? errno : 0;
}

static int try_signal_by_thread(const Places *places)
{
    return syscall(SYS_tgkill, places->parent, places->parent, 0) < 0 ? errno : 0;
}

/* The kernel would send it when there is something to read. */
static int try_signal_by_file(const Places *places)
{
    return fcntl(places->ours->fd, F_SETOWN, places->parent) < 0 ? errno : 0;
}

static int try_signal_itself(const Places *places)
{
    return syscall(SYS_tgkill, getpid(), gettid(), 0) < 0 ? errno : 0;
}

static int try_process(const Places *places)
{
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (child == 0)
        _exit(0);
    return child < 0 ? errno : 0;
}

static int try_namespace(const Places *places)
{
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

    if (child == 0)
        _exit(0);
    return child < 0 ? errno : 0;
}

/* Its flags are in memory, which no filter sees. */
static int try_process_by_clone3(const Places *places)
{
    return syscall(SYS_clone3, NULL, (gsize)0) < 0 ? errno : 0;
}

/* Nobody listens there: ECONNREFUSED or so if it were allowed. */
static int try_send_elsewhere(const Places *places)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/nowhere"};

    return sendto(places->socket, "x", 1, 0, (const struct sockaddr *)&address, sizeof address) < 0
               ? errno
               : 0;
}

static int try_send(const Places *places)
{
    return send(places->socket, "x", 1, 0) < 0 ? errno : 0;
}

static int try_run_memory(const Places *places)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
}

static int try_type_into_terminal(const Places *places)
{
    return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x") < 0 ? errno : 0;
}

static int try_read_file(const Places *places)
{
    return openat(places->other->fd, "file", O_RDONLY) < 0 ? errno : 0;
}

static int try_write_other(const Places *places)
{
    return openat(places->other->fd, "file", O_WRONLY) < 0 ? errno : 0;
}

/* It takes permission to write, but is no opening for writing. */
static int try_empty_other(const Places *places)
{
    return openat(places->other->fd, "file", O_RDONLY | O_TRUNC) < 0 ? errno : 0;
}

static int try_make_other(const Places *places)
{
    return openat(places->other->fd, "new", O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
}

static int try_make_ours(const Places *places)
{
    return openat(places->ours->fd, "new", O_RDWR | O_CREAT, 0600) < 0 ? errno : 0;
}

static int try_rename_ours(const Places *places)
{
    return renameat(places->ours->fd, "new", places->ours->fd, "old") < 0 ? errno : 0;
}

static gpointer do_nothing(gpointer data)
{
    return data;
}

static int try_thread(const Places *places)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0
               ? EPERM
               : 0;
}

static const struct {
    const char *what;
    int (*attempt)(const Places *places);
    int parsing; /* errno in the first step  */
    int serving; /* errno in the second step */
} attempts[] = {
    {"a socket", try_socket, EPERM, EPERM},
    {"a local socket", try_unix_socket, EPERM, EPERM},
    {"a program", try_execve, EPERM, EPERM},
    {"ptrace", try_ptrace, EPERM, EPERM},
    {"mount", try_mount, EPERM, EPERM},
    {"umount", try_umount, EPERM, EPERM},
    {"a signal to another process", try_kill, EPERM, EPERM},
    {"a signal to another process's thread", try_signal_by_thread, EPERM, EPERM},
    {"a signal to another process by a file", try_signal_by_file, EPERM, EPERM},
    {"a signal to itself", try_signal_itself, 0, 0},
    {"another process", try_process, EPERM, EPERM},
    {"another process in a namespace of its own", try_namespace, EPERM, EPERM},
    {"another process by clone3", try_process_by_clone3, ENOSYS, ENOSYS},
    {"sending elsewhere", try_send_elsewhere, EPERM, EPERM},
    {"sending to where a socket is connected", try_send, 0, 0},
    {"memory that can be run", try_run_memory, EPERM, EPERM},
    {"typing into the terminal", try_type_into_terminal, EPERM, EPERM},
    {"reading a file", try_read_file, 0, EPERM},
    {"changing a file elsewhere", try_write_other, EACCES, EPERM},
    {"emptying a file elsewhere", try_empty_other, EPERM, EPERM},
    {"making a file elsewhere", try_make_other, EACCES, EPERM},
    {"making a file in the cache", try_make_ours, 0, EPERM},
    {"renaming one there", try_rename_ours, 0, EPERM},
    {"a thread", try_thread, 0, 0},
};

static void say(const char *what, int got, int expected)
{
    if (got == expected)
        return;
    fprintf(stderr, "# %s: errno %d, expected %d\n", what, got, expected);
    _exit(1);
}

static void G_NORETURN confined_child(const Places *places)
{
    g_autoptr(GError) error = NULL;

    if (!fs_confine_parse(places->ours->fd, &error)) {
        fprintf(stderr, "# %s\n", error->message);
        _exit(1);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(attempts); i++)
        say(attempts[i].what, attempts[i].attempt(places), attempts[i].parsing);
    say("no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1, 0);
    if (!fs_confine_serve(&error)) {
        fprintf(stderr, "# %s\n", error->message);
        _exit(2);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(attempts); i++)
        say(attempts[i].what, attempts[i].attempt(places), attempts[i].serving);
    _exit(0);
}

static void test_confined(void)
{
    g_autoptr(Dir) ours = dir_new();
    g_autoptr(Dir) other = dir_new();
    Places places = {ours, other, -1, getpid()};
    int status, sockets[2];
    pid_t child;

    if (!fs_confine_is_built()) {
        g_test_skip("built without libseccomp");
        return;
    }
    dir_write(other, "file", "x", 1);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
    places.socket = sockets[0];
    child = fork();
    if (child == 0)
        confined_child(&places);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    g_assert_true(dir_has(ours, "old"));
    g_assert_false(dir_has(other, "new"));
    close(sockets[0]);
    close(sockets[1]);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/confine/what a confined process may do and what not", test_confined);
    return g_test_run();
}
