/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/descriptor.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Somebody else who switches the same flag in all of these moments is not to be expected. */
#define SHARE_ROUNDS 8

struct FdsetDescriptor {
    gatomicrefcount refs;
    int fd;
    char *opaque; /* nullable */
    FdsetFileKind kind;
    guint64 device;
    guint64 inode;
};

static FdsetFileKind kind_of(const struct statx *st, int flags)
{
    if (flags & O_PATH)
        return FDSET_FILE_OTHER;
    switch (st->stx_mode & S_IFMT) {
    case S_IFREG:
        return FDSET_FILE_REGULAR;
    case S_IFDIR:
        return FDSET_FILE_DIRECTORY;
    case S_IFIFO:
        return FDSET_FILE_PIPE;
    case S_IFSOCK:
        return FDSET_FILE_SOCKET;
    case S_IFBLK:
    case S_IFCHR:
        return FDSET_FILE_DEVICE;
    default:
        return FDSET_FILE_OTHER;
    }
}

FdsetDescriptor *fdset_descriptor_new(int fd, const char *opaque, guint64 own, GError **error)
{
    g_autoptr(FdsetDescriptor) descriptor = g_new0(FdsetDescriptor, 1);
    struct statx st;
    int flags = fcntl(fd, F_GETFL);

    g_atomic_ref_count_init(&descriptor->refs);
    descriptor->fd = fd;
    descriptor->opaque = g_strdup(opaque);
    /* From what the kernel knows already: a file of our own mount would ask us. */
    if (flags < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st)) {
        fdset_error_set_errno(error, errno, "descriptor %d: cannot tell what it is", fd);
        return NULL;
    }
    descriptor->device = makedev(st.stx_dev_major, st.stx_dev_minor);
    descriptor->inode = st.stx_ino;
    descriptor->kind =
        own != 0 && descriptor->device == own ? FDSET_FILE_OWN : kind_of(&st, flags);
    return g_steal_pointer(&descriptor);
}

FdsetDescriptor *fdset_descriptor_ref(FdsetDescriptor *descriptor)
{
    g_atomic_ref_count_inc(&descriptor->refs);
    return descriptor;
}

void fdset_descriptor_unref(FdsetDescriptor *descriptor)
{
    if (!descriptor || !g_atomic_ref_count_dec(&descriptor->refs))
        return;
    fdset_fd_clear(&descriptor->fd);
    g_free(descriptor->opaque);
    g_free(descriptor);
}

int fdset_descriptor_fd(const FdsetDescriptor *descriptor)
{
    return descriptor->fd;
}

const char *fdset_descriptor_opaque(const FdsetDescriptor *descriptor)
{
    return descriptor->opaque;
}

FdsetFileKind fdset_descriptor_kind(const FdsetDescriptor *descriptor)
{
    return descriptor->kind;
}

int fdset_descriptor_flags(const FdsetDescriptor *descriptor)
{
    int flags = fcntl(descriptor->fd, F_GETFL);

    return flags < 0 ? 0 : flags & (O_ACCMODE | O_DIRECT | O_APPEND);
}

guint64 fdset_descriptor_device(const FdsetDescriptor *descriptor)
{
    return descriptor->device;
}

guint64 fdset_descriptor_inode(const FdsetDescriptor *descriptor)
{
    return descriptor->inode;
}

gboolean fdset_descriptor_same_file(const FdsetDescriptor *a, const FdsetDescriptor *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* One look: TRUE when switching the flag on 'a' switches it on 'b'. */
static gboolean switches_both(int a, int b)
{
    int before = fcntl(a, F_GETFL);
    int wanted = before ^ O_NONBLOCK;
    gboolean both;

    if (before < 0 || ((before ^ fcntl(b, F_GETFL)) & O_NONBLOCK))
        return FALSE;
    if (fcntl(a, F_SETFL, wanted) < 0)
        return FALSE;
    both = !((wanted ^ fcntl(b, F_GETFL)) & O_NONBLOCK);
    fcntl(a, F_SETFL, before);
    return both;
}

gboolean fdset_fds_share_flags(int a, int b)
{
    for (int i = 0; i < SHARE_ROUNDS; i++)
        if (!switches_both(a, b) || !switches_both(b, a))
            return FALSE;
    return TRUE;
}

gboolean fdset_descriptor_is_duplicate(const FdsetDescriptor *a, const FdsetDescriptor *b)
{
    pid_t self = getpid();
    long order;

    if (!fdset_descriptor_same_file(a, b))
        return FALSE;
    order = syscall(SYS_kcmp, self, self, KCMP_FILE, a->fd, b->fd);
    if (order >= 0)
        return order == 0;
    return fdset_fds_share_flags(a->fd, b->fd);
}
