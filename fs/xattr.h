/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xattr.h - the extended attributes of a set, user.fdsetfs.*: a table of names,
 * each with a function that gives the value.
 */
#ifndef FS_XATTR_H
#define FS_XATTR_H

#include "core/set.h"

/* Of the mount's root: the path of the control socket. */
#define FS_XATTR_CONTROL "user.fdsetfs.control"

/* The value, or NULL when there is no such attribute (now); caller frees. */
char *fs_xattr_get(FdsetSet *set, const char *name);

/* All names that have a value now, each with its NUL, as listxattr(2) gives them; caller unrefs. */
GBytes *fs_xattr_list(FdsetSet *set);

#endif
