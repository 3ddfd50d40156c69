/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * work.h - what takes long and runs on whole sets now (a check, an export), and
 * how far it is; one thing at a time for each set. Thread-safe.
 */
#ifndef FS_WORK_H
#define FS_WORK_H

#include <glib.h>

typedef struct {
    const char *what; /* static: "verify" */
    guint64 done;     /* bytes of the image */
    guint64 total;
} FsWorkProgress;

typedef struct FsWorks FsWorks;

FsWorks *fs_works_new(void);
void fs_works_free(FsWorks *works);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsWorks, fs_works_free)

/* FALSE: something works on set 'id' already. */
gboolean fs_works_begin(FsWorks *works, guint32 id, const char *what);
void fs_works_update(FsWorks *works, guint32 id, guint64 done, guint64 total);
void fs_works_end(FsWorks *works, guint32 id);

/* FALSE: nothing does. */
gboolean fs_works_get(FsWorks *works, guint32 id, FsWorkProgress *progress);

#endif
