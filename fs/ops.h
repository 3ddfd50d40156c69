/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops.h - the FUSE operations: find the object, ask core/, reply. What a request
 * is answered with is decided in core/; here only kernel matters are (node ids,
 * caching, timeouts). Every callback may run in any thread.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "core/store.h"
#include "fs/events.h"
#include "fs/file.h"
#include "fs/fuse.h"
#include "fs/insides.h"
#include "fs/node.h"
#include "fs/stats.h"
#include "fs/work.h"

/* What the callbacks work on: the session's user data. */
typedef struct {
    FdsetStore *store;
    FsNodes *nodes;
    FsFiles *files;
    FsInsides *insides;
    struct fuse_session *session;
    FsEvents *events;
    FsWorks *works;
    FsStats stats;
    const char *mountpoint; /* borrowed */
    const char *control; /* borrowed: path of the control socket; NULL: there is none */
} FsContext;

extern const struct fuse_lowlevel_ops fs_ops;

#endif
