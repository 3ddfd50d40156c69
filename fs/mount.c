/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/mount.h"
#include "core/error.h"
#include "fs/control.h"
#include "fs/daemon.h"
#include "fs/ops.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

/*
 * An open may wait for a session to settle (handle.c), so there are more threads
 * than requests that work at one time; idle ones keep their buffers.
 */
#define THREADS_MAX 64
#define THREADS_IDLE 16

static void context_clear(FsContext *context)
{
    if (context->session)
        fuse_session_destroy(context->session);
    fs_files_free(context->files);
    fs_nodes_free(context->nodes);
    fdset_store_close(context->store);
    fs_events_free(context->events); /* sets that settle until here still tell */
    fs_works_free(context->works);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsContext, context_clear)

/* 255 channels have two descriptors each, and there is more than one set. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static gboolean new_session(FsContext *context, FsOptions *options, GError **error)
{
    g_autofree char *name = g_strescape(options->store, NULL);
    g_autofree char *mount_options =
        g_strdup_printf("-odefault_permissions,subtype=fdsetfs,fsname=%s", name);

    if (fuse_opt_add_arg(&options->session, mount_options) == 0)
        context->session = fuse_session_new(&options->session, &fs_ops, sizeof fs_ops, context);
    if (context->session)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE, "invalid mount options (see above)");
    return FALSE;
}

/*
 * Makes the mount point absolute, as the daemon leaves its directory and has to
 * unmount in the end. /dev/fd/N is a descriptor that somebody else has mounted.
 */
static gboolean find_mountpoint(FsOptions *options, GError **error)
{
    char *real = realpath(options->mountpoint, NULL);
    int errnum = !real ? errno : !g_file_test(real, G_FILE_TEST_IS_DIR) ? ENOTDIR : 0;

    if (g_str_has_prefix(options->mountpoint, "/dev/fd/")) {
        free(real);
        return TRUE;
    }
    if (errnum) {
        fdset_error_set_errno(error, errnum, "%s: cannot mount here", options->mountpoint);
        free(real);
        return FALSE;
    }
    g_free(options->mountpoint);
    options->mountpoint = g_strdup(real);
    free(real);
    return TRUE;
}

static gboolean open_store(FsContext *context, const FsOptions *options, GError **error)
{
    context->nodes = fs_nodes_new();
    context->files = fs_files_new();
    fs_daemon_prepare_cancel();
    context->events = fs_events_new();
    context->works = fs_works_new();
    context->stats.started = g_get_real_time();
    context->store = fdset_store_open(options->store, &options->policy, error);
    if (context->store)
        fdset_store_watch(context->store, fs_events_tell, context->events);
    return context->store != NULL;
}

/*
 * *control stays NULL where there is to be none. The socket that nobody asked
 * for may be missing where the filesystem cannot have one.
 */
static gboolean start_control(FsContext *context, FsOptions *options, FsControl **control,
                              GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *store = g_canonicalize_filename(options->store, NULL);
    gboolean asked = options->control != NULL;

    if (options->no_control || (!asked && options->policy.read_only))
        return TRUE;
    if (!asked)
        options->control = g_build_filename(store, FS_CONTROL_NAME, NULL);
    *control = fs_control_new(context, options->control, options->control_uids, &problem);
    if (*control) {
        context->control = options->control;
        return TRUE;
    }
    if (asked || problem->code != FDSET_ERROR_SYSTEM) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    g_warning("there is no control socket: %s", problem->message);
    return TRUE;
}

static gboolean mount_session(FsContext *context, const FsOptions *options, GError **error)
{
    if (fuse_set_signal_handlers(context->session) < 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM, "cannot set signal handlers");
        return FALSE;
    }
    if (fuse_session_mount(context->session, options->mountpoint) == 0)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM, "%s: cannot mount here (see above)",
                options->mountpoint);
    fuse_remove_signal_handlers(context->session);
    return FALSE;
}

static int loop(FsContext *context, const FsOptions *options)
{
    struct fuse_loop_config *config;
    int r;

    if (options->policy.one_thread)
        return fuse_session_loop(context->session);
    config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_clone_fd(config, 1);
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE);
    r = fuse_session_loop_mt(context->session, config);
    fuse_loop_cfg_destroy(config);
    return r;
}

gboolean fs_serve(FsOptions *options, int ready, GError **error)
{
    g_auto(FsContext) context = {0};
    g_autoptr(FsControl) control = NULL;

    /* What was asked for is checked first: opening an empty directory makes it a store. */
    if (!find_mountpoint(options, error) || !new_session(&context, options, error))
        return FALSE;
    raise_limits();
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an errno, not the end */
    if (!open_store(&context, options, error) ||
        !start_control(&context, options, &control, error) ||
        !mount_session(&context, options, error))
        return FALSE;
    g_info("serving %s at %s", options->store, options->mountpoint);
    if (ready >= 0)
        fs_daemon_ready(ready);
    if (loop(&context, options) < 0)
        g_warning("the request loop ended with an error");
    g_clear_pointer(&control, fs_control_free); /* it sends signals that are handled until here */
    fuse_session_unmount(context.session);
    fuse_remove_signal_handlers(context.session);
    g_info("no longer serving %s", options->store);
    return TRUE;
}
