/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.h - what the kernel has open: file handles.
 *
 * Plain numbers looked up in a table, as node ids are. A file is an open set, a
 * text rendered when it was opened, the list of a directory, or something inside
 * a complete set. The kernel
 * releases a file after its last request, so a file that was found stays valid
 * for that request. Thread-safe.
 */
#ifndef FS_FILE_H
#define FS_FILE_H

#include "core/handle.h"
#include "fs/insides.h"

typedef struct {
    FdsetHandle *handle; /* owned; NULL for the others */
    GBytes *text;        /* owned; a file of .ctl */
    GPtrArray *names;    /* owned strings; a directory's entries, in order */
    FsInside *inside;    /* given back when it is closed; a file or directory in N.d */
    guint32 place;       /* ... and which */
} FsFile;

typedef struct FsFiles FsFiles;

/* 'insides' is borrowed and outlives the table. */
FsFiles *fs_files_new(FsInsides *insides);

/* Closes all that are left. */
void fs_files_free(FsFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsFiles, fs_files_free)

/* Takes over what 'file' owns; returns its number. */
guint64 fs_files_add(FsFiles *files, const FsFile *file);

/* NULL for a number that is not in the table. */
FsFile *fs_files_get(FsFiles *files, guint64 number);

/* Closes one. */
void fs_files_remove(FsFiles *files, guint64 number);

#endif
