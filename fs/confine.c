/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/confine.h"
#include "core/error.h"

#ifdef HAVE_SECCOMP

#include <errno.h>
#include <fcntl.h>
#include <asm/termbits.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* At exit LeakSanitizer wants to trace its own threads, which is not allowed here. */
static gint confined;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return g_atomic_int_get(&confined);
}
#endif

/* What serving takes: requests, memory, threads, time, and reading what is open. */
static const char *const serving[] = {
    "read", "pread64", "readv", "preadv", "preadv2", "write", "pwrite64", "writev", "pwritev",
    "pwritev2", "lseek", "_llseek", "close", "close_range", "fstat", "fstat64", "statx",
    "newfstatat", "poll", "ppoll", "ppoll_time64", "select",
    "pselect6", "dup", "dup2", "dup3", "pipe2", "eventfd2", "splice", "vmsplice", "tee", "fadvise64",
    "readahead", "copy_file_range", "io_uring_enter",
    /* the log: where it is the journal, with an address, which no filter sees */
    "sendmsg",
    /* memory */
    "munmap", "mremap", "madvise", "brk", "membarrier",
    /* threads and signals */
    "exit", "exit_group", "futex", "futex_time64", "futex_waitv", "rseq",
    "set_robust_list", "set_tid_address", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigpending", "rt_sigtimedwait", "sigaltstack", "gettid", "getpid",
    "restart_syscall", "sched_yield", "sched_getaffinity", "getcpu", "prctl", "arch_prctl",
    /* who and when */
    "getuid", "geteuid", "getgid", "getegid", "getrlimit", "uname", "sysinfo", "getrandom",
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "nanosleep",
    "gettimeofday", "time"};

/* And parsing besides: the index of a file in the streaming format. */
static const char *const parsing[] = {
    "readlinkat", "readlink", "getdents64", "access", "faccessat", "faccessat2",
    "stat", "lstat", "ftruncate", "fallocate", "fsync", "fdatasync", "renameat", "renameat2",
    "unlinkat", "rename", "unlink", "chdir", "fstatfs"};

/* What is allowed only with one argument as it is given here. */
typedef struct {
    const char *name;
    struct scmp_arg_cmp argument;
} Condition;

#define EQUALS(argument, value) {argument, SCMP_CMP_EQ, value, 0}
#define HAS(argument, bits) {argument, SCMP_CMP_MASKED_EQ, bits, bits}
#define LACKS(argument, bits) {argument, SCMP_CMP_MASKED_EQ, bits, 0}

#ifdef __s390__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

static const Condition serving_conditions[] = {
    /* memory, but none that can be run */
    {"mmap", LACKS(2, PROT_EXEC)},
    {"mmap2", LACKS(2, PROT_EXEC)},
    {"mprotect", LACKS(2, PROT_EXEC)},
    /* threads, but no process */
    {"clone", HAS(CLONE_FLAGS, CLONE_THREAD)},
    /* what is sent goes where the socket is connected to */
    {"sendto", EQUALS(4, 0)},
    /* what a terminal or /dev/fuse is asked; not what would type into the terminal */
    {"ioctl", EQUALS(1, TCGETS)},
    {"ioctl", EQUALS(1, FIONREAD)},
    {"ioctl", EQUALS(1, FUSE_DEV_IOC_CLONE)},
    /* not F_SETOWN and F_SETSIG, which send any signal to any process of the user */
    {"fcntl", EQUALS(1, F_DUPFD)},
    {"fcntl", EQUALS(1, F_DUPFD_CLOEXEC)},
    {"fcntl", EQUALS(1, F_GETFD)},
    {"fcntl", EQUALS(1, F_SETFD)},
    {"fcntl", EQUALS(1, F_GETFL)},
    {"fcntl", EQUALS(1, F_SETFL)},
    {"fcntl", EQUALS(1, F_GETPIPE_SZ)},
    {"fcntl", EQUALS(1, F_SETPIPE_SZ)},
    {"fcntl64", EQUALS(1, F_DUPFD)},
    {"fcntl64", EQUALS(1, F_DUPFD_CLOEXEC)},
    {"fcntl64", EQUALS(1, F_GETFD)},
    {"fcntl64", EQUALS(1, F_SETFD)},
    {"fcntl64", EQUALS(1, F_GETFL)},
    {"fcntl64", EQUALS(1, F_SETFL)},
    {"fcntl64", EQUALS(1, F_GETPIPE_SZ)},
    {"fcntl64", EQUALS(1, F_SETPIPE_SZ)},
};

/* Landlock before its third version lets a file be emptied that is opened for reading. */
static const Condition parsing_conditions[] = {
    {"openat", LACKS(2, O_TRUNC)},
    {"open", LACKS(1, O_TRUNC)},
};

static gboolean fail(GError **error, int errnum, const char *what)
{
    fdset_error_set_errno(error, errnum, "cannot confine this process: %s", what);
    return FALSE;
}

/* A system call that this architecture does not have needs no rule. */
static int allow(scmp_filter_ctx filter, const char *const *names, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int r = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);

        if (r < 0 && r != -EDOM)
            return r;
    }
    return 0;
}

static int allow_if(scmp_filter_ctx filter, const Condition *conditions, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        int number = seccomp_syscall_resolve_name(conditions[i].name);
        int r = number == __NR_SCMP_ERROR
                    ? 0
                    : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1,
                                             &conditions[i].argument);

        if (r < 0 && r != -EDOM)
            return r;
    }
    return 0;
}

/*
 * A signal, to a thread of this process. And clone3, whose flags no filter sees,
 * is not there: the C library takes clone then.
 */
static int allow_own(scmp_filter_ctx filter)
{
    const Condition own = {"tgkill", EQUALS(0, (scmp_datum_t)getpid())};
    int r = allow_if(filter, &own, 1);

    return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static gboolean load_filter(gboolean parses, GError **error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = filter ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;

    if (r == 0)
        r = allow(filter, serving, G_N_ELEMENTS(serving));
    if (r == 0)
        r = allow_if(filter, serving_conditions, G_N_ELEMENTS(serving_conditions));
    if (r == 0)
        r = allow_own(filter);
    if (r == 0 && parses)
        r = allow(filter, parsing, G_N_ELEMENTS(parsing));
    if (r == 0 && parses)
        r = allow_if(filter, parsing_conditions, G_N_ELEMENTS(parsing_conditions));
    /* The second step loads one more filter. */
    if (r == 0 && parses)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 0);
    if (r == 0)
        r = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return r == 0 || fail(error, -r, "seccomp");
}

/* --- changes beneath one directory only --- */

#define CHANGES                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |  \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* 0, also where the kernel has no Landlock, or -errno. */
static int restrict_changes(int writable)
{
    const struct landlock_ruleset_attr attributes = {.handled_access_fs = CHANGES};
    const struct landlock_path_beneath_attr beneath = {
        .allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                          LANDLOCK_ACCESS_FS_MAKE_REG,
        .parent_fd = writable,
    };
    int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    int r = 0;

    if (ruleset < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
    if (writable >= 0 &&
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
        r = -errno;
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    close(ruleset);
    return r;
}

/* Of root nothing is left but its number. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    for (unsigned long capability = 0; capability <= CAP_LAST_CAP; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* without CAP_SETPCAP: nothing to drop */
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

gboolean fs_confine_is_built(void)
{
    return TRUE;
}

gboolean fs_confine_parse(int writable, GError **error)
{
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(error, errno, "no new privileges");
    r = restrict_changes(writable);
    if (r < 0)
        return fail(error, -r, "Landlock");
    r = drop_capabilities();
    if (r < 0)
        return fail(error, -r, "capabilities");
#ifdef __SANITIZE_ADDRESS__
    g_atomic_int_set(&confined, 1);
#endif
    return load_filter(TRUE, error);
}

gboolean fs_confine_serve(GError **error)
{
    return load_filter(FALSE, error);
}

#else

gboolean fs_confine_is_built(void)
{
    return FALSE;
}

gboolean fs_confine_parse(int writable, GError **error)
{
    return TRUE;
}

gboolean fs_confine_serve(GError **error)
{
    return TRUE;
}

#endif
