/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verify.h - the checks of whole sets that run now, and how far they are.
 * Thread-safe.
 */
#ifndef FS_VERIFY_H
#define FS_VERIFY_H

#include <glib.h>

typedef struct {
    guint64 done; /* bytes of the image */
    guint64 total;
} FsVerifyProgress;

typedef struct FsVerifies FsVerifies;

FsVerifies *fs_verifies_new(void);
void fs_verifies_free(FsVerifies *verifies);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsVerifies, fs_verifies_free)

/* FALSE: set 'id' is being checked already. */
gboolean fs_verifies_begin(FsVerifies *verifies, guint32 id);
void fs_verifies_update(FsVerifies *verifies, guint32 id, guint64 done, guint64 total);
void fs_verifies_end(FsVerifies *verifies, guint32 id);

/* FALSE: it is not being checked. */
gboolean fs_verifies_get(FsVerifies *verifies, guint32 id, FsVerifyProgress *progress);

#endif
