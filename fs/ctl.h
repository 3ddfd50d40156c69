/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl.h - the files of .ctl: what the daemon says of itself, readable in any
 * container. A table of names, each with a function that renders the text; it
 * is rendered when the file is opened.
 */
#ifndef FS_CTL_H
#define FS_CTL_H

#include "fs/ops.h"

#define FS_CTL_NAME ".ctl"

/* How many files there are; they have the indexes 0 to n - 1. */
guint fs_ctl_count(void);
const char *fs_ctl_name(guint index);

/* The index of a name, or -1. */
int fs_ctl_find(const char *name);

/* The text as it is now; caller unrefs. */
GBytes *fs_ctl_render(guint index, FsContext *context);

#endif
