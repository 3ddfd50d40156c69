/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a descriptor is, and which are duplicates: by kcmp(2) and without it. */
#include "config.h"
#include "core/descriptor.h"
#include "core/fd.h"
#include "t/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_ok(const Dir *dir, const char *name, int flags)
{
    g_autofree char *path = dir_path(dir, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static FdsetDescriptor *take(int fd, guint64 own)
{
    g_autoptr(GError) error = NULL;
    FdsetDescriptor *descriptor = fdset_descriptor_new(fd, "a note", own, &error);

    g_assert_no_error(error);
    return descriptor;
}

static void check_kind(int fd, guint64 own, FdsetFileKind kind)
{
    g_autoptr(FdsetDescriptor) descriptor = take(fd, own);

    g_assert_cmpint(fdset_descriptor_kind(descriptor), ==, kind);
}

static void test_kinds(void)
{
    g_autoptr(Dir) dir = dir_new();
    struct stat st;
    int ends[2];

    g_assert_cmpint(fstat(dir->fd, &st), ==, 0);
    check_kind(open_ok(dir, "file", O_WRONLY | O_CREAT), 0, FDSET_FILE_REGULAR);
    check_kind(open_ok(dir, "file", O_PATH), 0, FDSET_FILE_OTHER);
    check_kind(open_ok(dir, "file", O_RDONLY), st.st_dev, FDSET_FILE_OWN);
    check_kind(open_ok(dir, ".", O_RDONLY), 0, FDSET_FILE_DIRECTORY);
    check_kind(open("/dev/null", O_WRONLY), 0, FDSET_FILE_DEVICE);
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    check_kind(ends[0], 0, FDSET_FILE_PIPE);
    check_kind(ends[1], 0, FDSET_FILE_PIPE);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    check_kind(ends[0], 0, FDSET_FILE_SOCKET);
    check_kind(ends[1], 0, FDSET_FILE_SOCKET);
}

static void test_owner(void)
{
    g_autoptr(Dir) dir = dir_new();
    int fd = open_ok(dir, "file", O_WRONLY | O_CREAT);
    FdsetDescriptor *descriptor = take(fd, 0);
    FdsetDescriptor *second = fdset_descriptor_ref(descriptor);

    g_assert_cmpint(fdset_descriptor_fd(descriptor), ==, fd);
    g_assert_cmpstr(fdset_descriptor_opaque(descriptor), ==, "a note");
    fdset_descriptor_unref(descriptor);
    g_assert_cmpint(fcntl(fd, F_GETFD), >=, 0);
    fdset_descriptor_unref(second);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
}

static void test_flags(void)
{
    g_autoptr(Dir) dir = dir_new();
    int fd = open_ok(dir, "file", O_WRONLY | O_CREAT);
    g_autoptr(FdsetDescriptor) descriptor = take(fd, 0);

    g_assert_cmpint(fdset_descriptor_flags(descriptor), ==, O_WRONLY);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_APPEND), ==, 0);
    g_assert_cmpint(fdset_descriptor_flags(descriptor), ==, O_WRONLY | O_APPEND);
}

/* Pairs of one file, of which only the one made by dup(2) is a pair of duplicates. */
static void check_pairs(const Dir *dir)
{
    g_autoptr(FdsetDescriptor) first = take(open_ok(dir, "a", O_WRONLY | O_CREAT), 0);
    g_autoptr(FdsetDescriptor) again = take(open_ok(dir, "a", O_WRONLY), 0);
    g_autoptr(FdsetDescriptor) copy = take(dup(fdset_descriptor_fd(first)), 0);
    g_autoptr(FdsetDescriptor) other = take(open_ok(dir, "b", O_WRONLY | O_CREAT), 0);
    int before = fcntl(fdset_descriptor_fd(first), F_GETFL);

    g_assert_true(fdset_descriptor_is_duplicate(first, copy));
    g_assert_true(fdset_descriptor_is_duplicate(copy, first));
    g_assert_false(fdset_descriptor_is_duplicate(first, again));
    g_assert_false(fdset_descriptor_is_duplicate(first, other));
    g_assert_true(fdset_descriptor_same_file(first, again));
    g_assert_false(fdset_descriptor_same_file(first, other));
    g_assert_cmpint(fcntl(fdset_descriptor_fd(first), F_GETFL), ==, before);
}

static void test_duplicates(void)
{
    g_autoptr(Dir) dir = dir_new();

    check_pairs(dir);
}

/* As in a container: kcmp(2) is answered with EPERM. */
static void forbid_kcmp(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kcmp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {G_N_ELEMENTS(filter), filter};

    g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), ==, 0);
    g_assert_cmpint(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
}

static void test_without_kcmp(void)
{
    g_autoptr(Dir) dir = dir_new();
    int status;
    pid_t child = fork();

    if (child == 0) {
        forbid_kcmp();
        check_pairs(dir);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
}

/* A manager that uses the flag itself: it is as it was afterwards. */
static void test_flag_is_kept(void)
{
    g_autoptr(Dir) dir = dir_new();
    autofd a = open_ok(dir, "a", O_WRONLY | O_CREAT | O_NONBLOCK);
    autofd b = open_ok(dir, "a", O_WRONLY);
    autofd copy = dup(a);

    g_assert_false(fdset_fds_share_flags(a, b));
    g_assert_true(fdset_fds_share_flags(a, copy));
    g_assert_true(fcntl(a, F_GETFL) & O_NONBLOCK);
    g_assert_false(fcntl(b, F_GETFL) & O_NONBLOCK);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/descriptor/what it is", test_kinds);
    g_test_add_func("/descriptor/it is closed with its last user", test_owner);
    g_test_add_func("/descriptor/flags are those of now", test_flags);
    g_test_add_func("/descriptor/duplicates are told from a second open", test_duplicates);
    g_test_add_func("/descriptor/also where kcmp is forbidden", test_without_kcmp);
    g_test_add_func("/descriptor/and no flag is changed by that", test_flag_is_kept);
    return g_test_run();
}
