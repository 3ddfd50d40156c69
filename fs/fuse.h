/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuse.h - the one place that says which API of libfuse is used. */
#ifndef FS_FUSE_H
#define FS_FUSE_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#endif
