/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view-cache.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* On a terminal only: the log is told when it is done. */
static void show_progress(gpointer data, guint64 done, guint64 total)
{
    FsViewCache *cache = data;

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rfdsetfs: indexing pages: %3u %%",
            (guint)(total ? done / (double)total * 100 : 100));
    cache->shown = TRUE;
}

void fs_view_cache_open(FsViewCache *cache, const FsOptions *options, const struct stat *file)
{
    g_autofree char *path = options->cache_dir
                                ? g_strdup(options->cache_dir)
                                : g_build_filename(g_get_user_cache_dir(), "fdsetfs", NULL);

    cache->started = g_get_monotonic_time();
    cache->index = (FdsetPageIndexOptions){
        .dirfd = -1,
        .device = file->st_dev,
        .inode = file->st_ino,
        .mtime = file->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + file->st_mtim.tv_nsec,
        .progress = show_progress,
        .data = cache,
    };
    cache->tmp = open(g_get_tmp_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (options->no_cache)
        return;
    if (g_mkdir_with_parents(path, 0700) == 0)
        cache->index.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->index.dirfd < 0)
        g_warning("%s: cannot be the cache directory: %s; what is found out is not kept", path,
                  g_strerror(errno));
}

int fs_view_cache_directory(const FsViewCache *cache)
{
    return cache->index.dirfd >= 0 ? cache->index.dirfd : cache->tmp;
}

void fs_view_cache_report(FsViewCache *cache, const FsOptions *options, const FdsetPageIndex *index)
{
    double seconds = (double)(g_get_monotonic_time() - cache->started) / G_USEC_PER_SEC;

    if (cache->shown)
        fputs("\r\033[K", stderr);
    cache->shown = FALSE;
    if (index)
        g_info("%s: in the streaming format, the index of its pages was %s in %.2f s",
               options->store, fdset_pageindex_is_cached(index) ? "taken from the cache" : "made",
               seconds);
}

void fs_view_cache_clear(FsViewCache *cache)
{
    if (cache->shown)
        fputc('\n', stderr);
    cache->shown = FALSE;
    fdset_fd_clear(&cache->index.dirfd);
    fdset_fd_clear(&cache->tmp);
}
