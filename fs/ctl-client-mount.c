/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ctl-client-mount.h"
#include "core/error.h"
#include "fs/xattr.h"

#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* All mounts of fdsetfs, as strings; caller unrefs. */
static GPtrArray *list_mounts(void)
{
    GPtrArray *mounts = g_ptr_array_new_with_free_func(g_free);
    FILE *table = setmntent("/proc/self/mounts", "re");
    const struct mntent *entry;

    while (table && (entry = getmntent(table)))
        if (strcmp(entry->mnt_type, "fuse.fdsetfs") == 0)
            g_ptr_array_add(mounts, g_strdup(entry->mnt_dir));
    if (table)
        endmntent(table);
    return mounts;
}

char *fs_ctl_find_mount(GError **error)
{
    g_autoptr(GPtrArray) mounts = list_mounts();

    if (mounts->len == 1)
        return g_strdup(mounts->pdata[0]);
    if (mounts->len == 0)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "no fdsetfs is mounted; -s names a control socket");
    else
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "%u fdsetfs are mounted (%s, %s, ...): choose one with -m", mounts->len,
                    (const char *)mounts->pdata[0], (const char *)mounts->pdata[1]);
    return NULL;
}

/* The attribute's value, or NULL (errno). */
static char *read_attribute(const char *mount)
{
    char value[PATH_MAX];
    ssize_t len = getxattr(mount, FS_XATTR_CONTROL, value, sizeof value);

    return len < 0 ? NULL : g_strndup(value, (gsize)len);
}

char *fs_ctl_socket_of_mount(const char *mount, GError **error)
{
    char *path = read_attribute(mount);
    int errnum = errno;

    if (path)
        return path;
    if (errnum == ENODATA || errnum == EOPNOTSUPP)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "%s: is not the root of an fdsetfs that has a control socket (one with -o ro "
                    "only has one where control= names it)",
                    mount);
    else
        fdset_error_set_errno(error, errnum, "%s: cannot find its control socket", mount);
    return NULL;
}

char *fs_ctl_mount_of_socket(const char *path, GError **error)
{
    g_autoptr(GPtrArray) mounts = list_mounts();
    struct stat wanted, st;

    for (guint i = 0; i < mounts->len && stat(path, &wanted) == 0; i++) {
        g_autofree char *found = read_attribute(mounts->pdata[i]);

        if (found && stat(found, &st) == 0 && st.st_ino == wanted.st_ino &&
            st.st_dev == wanted.st_dev)
            return g_strdup(mounts->pdata[i]);
    }
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                "%s: the mount of this daemon is not in sight: name it with -m", path);
    return NULL;
}
