/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view-cache.h - where the indexes of files in the streaming format are kept,
 * and who is told how far the making of one is.
 */
#ifndef FS_VIEW_CACHE_H
#define FS_VIEW_CACHE_H

#include "core/pageindex.h"
#include "fs/options.h"

#include <sys/stat.h>

typedef struct {
    FdsetPageIndexOptions index; /* for fdset_inspection_new() */
    int tmp;                     /* the directory for temporary files, or -1 */
    gint64 started;              /* monotonic, microseconds */
    gboolean shown;              /* a line of progress stands on the terminal */
} FsViewCache;

#define FS_VIEW_CACHE_INIT {.index = {.dirfd = -1}, .tmp = -1}

/*
 * Opens the cache directory that the options name and fills in 'cache' for the
 * file with these attributes. Where there is none, an index goes with the mount,
 * and a warning says so. 'cache' must not move from then on.
 */
void fs_view_cache_open(FsViewCache *cache, const FsOptions *options, const struct stat *file);

/* Where files are to be made: the cache directory, or that for temporary files; -1: neither. */
int fs_view_cache_directory(const FsViewCache *cache);

/* Says in the log what came of it; 'index' NULL: none was needed. */
void fs_view_cache_report(FsViewCache *cache, const FsOptions *options,
                          const FdsetPageIndex *index);

void fs_view_cache_clear(FsViewCache *cache);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsViewCache, fs_view_cache_clear)

#endif
