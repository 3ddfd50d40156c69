/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/mount.h"
#include "core/error.h"
#include "fs/control.h"
#include "fs/daemon.h"
#include "fs/ops.h"
#include "fs/session.h"

#include <signal.h>
#include <sys/resource.h>

static void context_clear(FsContext *context)
{
    if (context->session)
        fuse_session_destroy(context->session);
    fs_files_free(context->files);
    fs_nodes_free(context->nodes);
    fs_insides_free(context->insides);
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

static gboolean open_store(FsContext *context, const FsOptions *options, GError **error)
{
    context->nodes = fs_nodes_new();
    context->events = fs_events_new();
    context->works = fs_works_new();
    context->insides = fs_insides_new(context->works);
    context->files = fs_files_new(context->insides);
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

gboolean fs_serve(FsOptions *options, int ready, GError **error)
{
    g_auto(FsContext) context = {0};
    g_autoptr(FsControl) control = NULL;

    /* What was asked for is checked first: opening an empty directory makes it a store. */
    if (!fs_session_find_mountpoint(options, error) ||
        !(context.session = fs_session_new(options, &fs_ops, &context, error)))
        return FALSE;
    context.mountpoint = options->mountpoint;
    raise_limits();
    fs_daemon_prepare_cancel();
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an errno, not the end */
    if (!open_store(&context, options, error) ||
        !start_control(&context, options, &control, error) ||
        !fs_session_mount(context.session, options, error))
        return FALSE;
    g_info("serving %s at %s", options->store, options->mountpoint);
    fs_session_run(context.session, options, ready);
    g_clear_pointer(&control, fs_control_free); /* it sends signals that are handled until here */
    fs_session_unmount(context.session);
    g_info("no longer serving %s", options->store);
    return TRUE;
}
