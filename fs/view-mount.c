/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view-mount.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/confine.h"
#include "fs/daemon.h"
#include "fs/keeper.h"
#include "fs/session.h"
#include "fs/view-cache.h"
#include "fs/view-ops.h"

#include <errno.h>
#include <fcntl.h>

typedef struct {
    int fd;
    int null;         /* /dev/null, which can be opened no more when it is wanted */
    FsKeeper *keeper; /* owned; unmounts */
    FdsetSource source;
    FdsetInspection *inspection;  /* owned */
    FsViewContext context;        /* its view is owned */
    struct fuse_session *session; /* owned */
} Serving;

static void serving_clear(Serving *serving)
{
    if (serving->session)
        fuse_session_destroy(serving->session);
    fs_view_free(serving->context.view);
    fdset_inspection_free(serving->inspection);
    fdset_fd_clear(&serving->fd);
    fdset_fd_clear(&serving->null);
    fs_keeper_free(serving->keeper);
}
typedef Serving AutoServing;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AutoServing, serving_clear)

gboolean fs_view_is_wanted(const FsOptions *options)
{
    struct stat st;

    return options->has_offset || options->gpa->len > 0 || options->domain_xml != NULL ||
           options->vmcoreinfo != FDSET_VMCOREINFO_AUTO ||
           options->bitmap != FDSET_BYTE_ORDER_AUTO ||
           (stat(options->store, &st) == 0 && S_ISREG(st.st_mode));
}

static gboolean open_file(Serving *serving, const char *path, GError **error)
{
    struct stat *st = &serving->context.file;

    serving->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (serving->fd < 0 || fstat(serving->fd, st) < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot open", path);
        return FALSE;
    }
    if (!S_ISREG(st->st_mode)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "%s: not a regular file, which the options offset, gpa, domain-xml, vmcoreinfo and "
                    "bitmap are for",
                    path);
        return FALSE;
    }
    fdset_source_init_fd(&serving->source, serving->fd, (guint64)st->st_size, path);
    return TRUE;
}

static gboolean inspect(Serving *serving, const FsOptions *options, FsViewCache *cache,
                        GError **error)
{
    g_autoptr(GPtrArray) gpa = g_ptr_array_new();
    FdsetInspectionOptions how = {.has_offset = options->has_offset, .offset = options->offset};

    how.index = &cache->index;
    for (guint i = 0; i < options->gpa->len; i++)
        g_ptr_array_add(gpa, options->gpa->pdata[i]);
    g_ptr_array_add(gpa, NULL);
    how.gpa = (const char *const *)gpa->pdata;
    how.domain_xml = options->domain_xml;
    how.vmcoreinfo = options->vmcoreinfo;
    how.bitmap = options->bitmap;
    serving->inspection = fdset_inspection_new(&serving->source, &how, error);
    if (!serving->inspection)
        return FALSE;
    fs_view_cache_report(cache, options, fdset_inspection_index(serving->inspection));
    if (fdset_inspection_problem(serving->inspection))
        g_warning("%s; only what its beginning tells is shown",
                  fdset_inspection_problem(serving->inspection));
    serving->context.file.st_ino = 0; /* nodes are the inode numbers */
    serving->context.view = fs_view_new(serving->inspection);
    return TRUE;
}

/*
 * Mounted and confined before a byte of the file is parsed, and confined further
 * before a request is served.
 */
static gboolean serve(Serving *serving, const FsOptions *options, int ready, GError **error)
{
    g_auto(FsViewCache) cache = FS_VIEW_CACHE_INIT;

    fs_view_cache_open(&cache, options, &serving->context.file);
    /* The first line opens the way to the log, which stays open. */
    g_info("%s: looking into it%s", options->store,
           fs_confine_is_built() ? "" : ", not confined: built without libseccomp");
    if (!fs_confine_parse(fs_view_cache_directory(&cache), error) ||
        !inspect(serving, options, &cache, error))
        return FALSE;
    g_info("showing what is in %s at %s", options->store, options->mountpoint);
    if (ready >= 0)
        fs_daemon_ready(ready, g_steal_fd(&serving->null));
    fs_view_cache_clear(&cache);
    if (!fs_confine_serve(error))
        return FALSE;
    fs_session_run(serving->session, options, -1);
    return TRUE;
}

gboolean fs_view_serve(FsOptions *options, int ready, GError **error)
{
    g_auto(AutoServing) serving = {.fd = -1, .null = -1};
    gboolean served;

    if (!fs_session_find_mountpoint(options, error))
        return FALSE;
    fuse_opt_add_arg(&options->session, "-oro"); /* no memory: said by the next */
    serving.session = fs_session_new(options, &fs_view_ops, &serving.context, error);
    if (!serving.session || !open_file(&serving, options->store, error) ||
        !(serving.keeper = fs_keeper_new(options->mountpoint, error)))
        return FALSE;
    serving.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    fs_daemon_prepare_cancel();
    if (!fs_session_mount(serving.session, options, error))
        return FALSE;
    served = serve(&serving, options, ready, error);
    if (fs_session_is_mounted(serving.session))
        fs_keeper_unmount(serving.keeper);
    fuse_remove_signal_handlers(serving.session);
    if (served)
        g_info("no longer showing %s", options->store);
    return served;
}
