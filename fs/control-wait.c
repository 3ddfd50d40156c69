/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that take their time. */
#include "config.h"
#include "core/error.h"
#include "core/set-verbs.h"
#include "fs/control-command.h"
#include "fs/report.h"

#include <string.h>

/* Is it what was waited for? FALSE: not yet, or with an error never. */
static gboolean is_reached(FdsetSet *set, gboolean durable, GError **error)
{
    g_autoptr(FdsetSetDetails) details = fdset_set_details(set);

    switch (details->info.status) {
    case FDSET_STATUS_DURABLE:
        return TRUE;
    case FDSET_STATUS_COMPLETE:
        return !durable;
    case FDSET_STATUS_WRITING:
        return FALSE;
    case FDSET_STATUS_DAMAGED:
        g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, details->last_error);
        return FALSE;
    case FDSET_STATUS_PARTIAL:
        break;
    }
    if (details->sessions == 0)
        return FALSE; /* nobody has written it yet */
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_TRUNCATED, "fdset %u: is partial%s%s",
                fdset_set_id(set), details->last_error ? ": " : "",
                details->last_error ? details->last_error : "");
    return FALSE;
}

/* When the client's patience ends, monotonic; 0: never. */
static gint64 deadline_of(const FsControlCall *call)
{
    double timeout;

    if (!json_object_has_member(call->arguments, "timeout"))
        return 0;
    timeout = json_object_get_double_member(call->arguments, "timeout");
    timeout = CLAMP(timeout, 0, (double)G_MAXINT32);
    return call->started + (gint64)(timeout * G_USEC_PER_SEC);
}

JsonNode *fs_control_wait(FsControlCall *call, GError **error)
{
    const char *state = json_object_get_string_member(call->arguments, "state");
    g_autoptr(FdsetSet) set = fs_control_set(call, error);
    g_autoptr(GError) reason = NULL;

    if (!set)
        return NULL;
    if (is_reached(set, strcmp(state, "durable") == 0, &reason))
        return fs_report_set(call->context, set);
    if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    call->deadline = deadline_of(call);
    call->pending = !call->deadline || g_get_monotonic_time() < call->deadline;
    if (!call->pending)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                    "fdset %u: is not %s yet, and the timeout has passed", fdset_set_id(set),
                    state);
    return NULL;
}

typedef struct {
    const FsControlCall *call;
    guint32 id;
} Work;

static gboolean note_progress(gpointer data, guint64 done, guint64 total)
{
    const Work *work = data;

    fs_works_update(work->call->context->works, work->id, done, total);
    return !g_atomic_int_get(work->call->stopping);
}

static JsonNode *node_of_verify(guint32 id, const FdsetVerify *verify)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();
    JsonArray *mismatches = json_array_new();

    json_object_set_int_member(object, "fdset-id", id);
    json_object_set_boolean_member(object, "ok", verify->mismatches == 0);
    json_object_set_int_member(object, "blocks", (gint64)verify->blocks);
    json_object_set_int_member(object, "blocks-without-digest", (gint64)verify->unknown);
    json_object_set_int_member(object, "mismatch-count", (gint64)verify->mismatches);
    for (guint i = 0; i < verify->offsets->len; i++) {
        JsonObject *mismatch = json_object_new();

        json_object_set_int_member(mismatch, "offset",
                                   (gint64)g_array_index(verify->offsets, guint64, i));
        json_object_set_string_member(mismatch, "reason", verify->texts->pdata[i]);
        json_array_add_object_element(mismatches, mismatch);
    }
    json_object_set_array_member(object, "mismatches", mismatches);
    json_node_take_object(node, object);
    return node;
}

/* Work on a whole set: one at a time, with its progress in query-set. */
static FdsetSet *begin_work(Work *work, const char *what, GError **error)
{
    FsWorks *running = work->call->context->works;
    g_autoptr(FdsetSet) set = fs_control_set(work->call, error);

    if (!set)
        return NULL;
    work->id = fdset_set_id(set);
    if (fs_works_begin(running, work->id, what))
        return g_steal_pointer(&set);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                "fdset %u: is being verified or exported already", work->id);
    return NULL;
}

static void end_work(const Work *work)
{
    fs_works_end(work->call->context->works, work->id);
}

JsonNode *fs_control_verify(FsControlCall *call, GError **error)
{
    Work work = {call, 0};
    g_autoptr(FdsetSet) set = begin_work(&work, "verify", error);
    g_autoptr(FdsetVerify) verify = NULL;

    if (!set)
        return NULL;
    verify = fdset_set_verify(set, note_progress, &work, error);
    end_work(&work);
    if (!verify)
        return NULL;
    if (verify->mismatches)
        g_warning("fdset %u: %" G_GUINT64_FORMAT " blocks do not match their digests", work.id,
                  verify->mismatches);
    return node_of_verify(work.id, verify);
}

JsonNode *fs_control_export(FsControlCall *call, GError **error)
{
    Work work = {call, 0};
    int fd = fs_control_fd(call, error);
    g_autoptr(FdsetSet) set = fd < 0 ? NULL : begin_work(&work, "export", error);
    gboolean done;

    if (!set)
        return NULL;
    done = fdset_set_export(set, fd, note_progress, &work, error);
    end_work(&work);
    return done ? fs_report_set(call->context, set) : NULL;
}
