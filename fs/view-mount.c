/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view-mount.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/session.h"
#include "fs/view-cache.h"
#include "fs/view-ops.h"

#include <errno.h>
#include <fcntl.h>

typedef struct {
    int fd;
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
}
typedef Serving AutoServing;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AutoServing, serving_clear)

gboolean fs_view_is_wanted(const FsOptions *options)
{
    struct stat st;

    return options->has_offset || options->gpa->len > 0 || options->domain_xml != NULL ||
           options->vmcoreinfo != FDSET_VMCOREINFO_AUTO ||
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
                    "%s: not a regular file, which the options offset, gpa, domain-xml and vmcoreinfo are for", path);
        return FALSE;
    }
    fdset_source_init_fd(&serving->source, serving->fd, (guint64)st->st_size, path);
    return TRUE;
}

static gboolean inspect(Serving *serving, const FsOptions *options, GError **error)
{
    g_autoptr(GPtrArray) gpa = g_ptr_array_new();
    g_auto(FsViewCache) cache = FS_VIEW_CACHE_INIT;
    FdsetInspectionOptions how = {.has_offset = options->has_offset, .offset = options->offset};

    fs_view_cache_open(&cache, options, &serving->context.file);
    how.index = &cache.index;

    for (guint i = 0; i < options->gpa->len; i++)
        g_ptr_array_add(gpa, options->gpa->pdata[i]);
    g_ptr_array_add(gpa, NULL);
    how.gpa = (const char *const *)gpa->pdata;
    how.domain_xml = options->domain_xml;
    how.vmcoreinfo = options->vmcoreinfo;
    serving->inspection = fdset_inspection_new(&serving->source, &how, error);
    if (!serving->inspection)
        return FALSE;
    fs_view_cache_report(&cache, options, fdset_inspection_index(serving->inspection));
    if (fdset_inspection_problem(serving->inspection))
        g_warning("%s; only what its beginning tells is shown",
                  fdset_inspection_problem(serving->inspection));
    serving->context.file.st_ino = 0; /* nodes are the inode numbers */
    serving->context.view = fs_view_new(serving->inspection);
    return TRUE;
}

gboolean fs_view_serve(FsOptions *options, int ready, GError **error)
{
    g_auto(AutoServing) serving = {.fd = -1};

    if (!fs_session_find_mountpoint(options, error))
        return FALSE;
    fuse_opt_add_arg(&options->session, "-oro"); /* no memory: said by the next */
    serving.session = fs_session_new(options, &fs_view_ops, &serving.context, error);
    if (!serving.session || !open_file(&serving, options->store, error) ||
        !inspect(&serving, options, error) || !fs_session_mount(serving.session, options, error))
        return FALSE;
    g_info("showing what is in %s at %s", options->store, options->mountpoint);
    fs_session_run(serving.session, options, ready);
    fs_session_unmount(serving.session);
    g_info("no longer showing %s", options->store);
    return TRUE;
}
