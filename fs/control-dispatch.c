/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a line to a call, and from a call to an answer. */
#include "config.h"
#include "core/error.h"
#include "fs/control-internal.h"

#include <string.h>
#include <unistd.h>

/* A manager waits for a few sets at a time. */
#define CALLS_MAX 64u

/* A call that waits is run again this often: no event tells that a set was removed. */
#define RETRY_INTERVAL (1 * G_TIME_SPAN_SECOND)

#define GENERIC "GenericError"
#define NOT_FOUND "CommandNotFound"

void fs_control_call_free(FsControlCall *call)
{
    if (!call)
        return;
    if (call->fd >= 0)
        close(call->fd);
    g_clear_pointer(&call->arguments, json_object_unref);
    g_clear_pointer(&call->id, json_node_unref);
    g_clear_pointer(&call->result, json_node_unref);
    g_clear_error(&call->error);
    g_free(call);
}

static void answer_error(FsControlClient *client, const char *class, const char *desc, JsonNode *id)
{
    g_autofree char *line = fs_qmp_error(class, fs_qmp_code_name(FDSET_ERROR_USAGE), desc, id);

    fs_control_client_answer(client, line);
}

static void answer_call(FsControlClient *client, FsControlCall *call)
{
    const GError *error = call->error;
    g_autofree char *line = error ? fs_qmp_error(GENERIC, fs_qmp_code_name((FdsetError)error->code),
                                                 error->message, call->id)
                                  : fs_qmp_return(g_steal_pointer(&call->result), call->id);

    fs_control_client_answer(client, line);
}

void fs_control_run(gpointer data, gpointer control)
{
    FsControlCall *call = data;

    call->pending = FALSE;
    call->result = call->command->run(call, &call->error);
    fs_control_finish(control, call);
}

static void start_call(FsControl *control, FsControlCall *call)
{
    gboolean is_long = (call->command->flags & FS_CONTROL_LONG) != 0;

    call->serial = control->serial;
    g_thread_pool_push(is_long ? control->long_workers : control->workers, call, NULL);
}

/* Negotiation, in the thread itself: it only concerns the connection. */
static void negotiate(FsControlClient *client, JsonObject *arguments, JsonNode *id)
{
    static const FsQmpArgument table[] = {{"enable", FS_QMP_ARRAY, TRUE, NULL}, {NULL}};
    g_autoptr(GError) error = NULL;
    g_autofree char *line = NULL;
    JsonArray *wanted;

    if (!fs_qmp_arguments_check(table, arguments, &error)) {
        answer_error(client, GENERIC, error->message, id);
        return;
    }
    wanted = json_object_has_member(arguments, "enable")
                 ? json_object_get_array_member(arguments, "enable")
                 : NULL;
    if (wanted && json_array_get_length(wanted) > 0) {
        answer_error(client, GENERIC, "No capability can be enabled: none is offered", id);
        return;
    }
    client->negotiated = TRUE;
    line = fs_qmp_return(NULL, id);
    fs_control_client_answer(client, line);
}

/* The command that may run now, or NULL when it was answered already. */
static const FsControlCommand *find_command(FsControlClient *client, const FsQmpRequest *request,
                                            JsonNode *id)
{
    const FsControlCommand *command = fs_control_command_find(request->execute);
    gboolean negotiation = strcmp(request->execute, "qmp_capabilities") == 0;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    if (negotiation && !client->negotiated) {
        negotiate(client, request->arguments, id);
        return NULL;
    }
    if (negotiation)
        text = g_strdup("Capabilities negotiation is already complete, command ignored");
    else if (!client->negotiated)
        text = g_strdup("Expecting capabilities negotiation with 'qmp_capabilities'");
    else if (!command)
        text = g_strdup_printf("The command %s has not been found", request->execute);
    if (text) {
        answer_error(client, NOT_FOUND, text, id);
        return NULL;
    }
    if (!fs_qmp_arguments_check(command->arguments, request->arguments, &error))
        text = g_strdup(error->message);
    else if (client->n_calls >= CALLS_MAX)
        text = g_strdup_printf("Too many commands under way: %u", CALLS_MAX);
    if (text)
        answer_error(client, GENERIC, text, id);
    return text ? NULL : command;
}

static void handle_command(FsControl *control, FsControlClient *client, const char *line)
{
    g_autoptr(JsonNode) id = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(FsQmpRequest) request = fs_qmp_request_parse(line, &id, &error);
    const FsControlCommand *command;
    FsControlCall *call;

    if (!request) {
        answer_error(client, GENERIC, error->message, id);
        return;
    }
    command = find_command(client, request, id);
    if (!command)
        return;
    g_debug("control: process %d: %s", client->pid, command->name);
    call = g_new0(FsControlCall, 1);
    *call = (FsControlCall){
        .context = control->context,
        .command = command,
        .arguments = g_steal_pointer(&request->arguments),
        .fd = -1,
        .stopping = &control->stopping,
        .started = g_get_monotonic_time(),
        .client = client->number,
        .id = g_steal_pointer(&id),
    };
    if (command->flags & FS_CONTROL_FD)
        call->fd = fs_control_client_take_fd(client, &call->fd_lost);
    client->busy = !(command->flags & FS_CONTROL_DETACHED);
    client->n_calls++;
    start_call(control, call);
}

void fs_control_process(FsControl *control, FsControlClient *client)
{
    for (;;) {
        g_autofree char *line = NULL;

        switch (fs_control_client_next(client, &line)) {
        case FS_QMP_MORE:
            return;
        case FS_QMP_BROKEN:
            answer_error(client, GENERIC, line, NULL);
            break;
        case FS_QMP_COMMAND:
            handle_command(control, client, line);
            break;
        }
    }
}

static FsControlClient *find_client(const FsControl *control, guint64 number)
{
    for (guint i = 0; i < control->clients->len; i++) {
        FsControlClient *client = control->clients->pdata[i];

        if (client->number == number)
            return client;
    }
    return NULL;
}

/* When a call that waits is to run again: at once when it missed an event. */
static gint64 due_time(const FsControl *control, const FsControlCall *call)
{
    gint64 due = g_get_monotonic_time() + RETRY_INTERVAL;

    if (call->serial != control->serial)
        return 0;
    return call->deadline ? MIN(due, call->deadline) : due;
}

static void finish_call(FsControl *control, FsControlCall *done)
{
    g_autoptr(FsControlCall) call = done;
    FsControlClient *client = find_client(control, call->client);

    if (call->quit && !control->quitting)
        g_info("a control client asks the daemon to end");
    control->quitting = control->quitting || call->quit;
    if (!client)
        return;
    if (call->pending) {
        call->due = due_time(control, call);
        g_ptr_array_add(control->parked, g_steal_pointer(&call));
        return;
    }
    answer_call(client, call);
    client->n_calls--;
    if (call->command->flags & FS_CONTROL_DETACHED)
        return;
    client->busy = FALSE;
    fs_control_process(control, client);
}

void fs_control_take_finished(FsControl *control)
{
    /* Those that are there now: what they make way for may be done before the last of them. */
    for (gint n = g_async_queue_length(control->finished); n > 0; n--)
        finish_call(control, g_async_queue_pop(control->finished));
}

void fs_control_retry_parked(FsControl *control)
{
    gint64 now = g_get_monotonic_time();

    for (guint i = control->parked->len; i-- > 0;) {
        FsControlCall *call = control->parked->pdata[i];

        if (call->due <= now || call->serial != control->serial)
            start_call(control, g_ptr_array_steal_index_fast(control->parked, i));
    }
}

int fs_control_timeout(const FsControl *control)
{
    gint64 now = g_get_monotonic_time();
    gint64 left = G_MAXINT64;

    for (guint i = 0; i < control->parked->len; i++) {
        const FsControlCall *call = control->parked->pdata[i];

        left = MIN(left, MAX(0, call->due - now));
    }
    return left == G_MAXINT64 ? -1 : (int)(left / G_TIME_SPAN_MILLISECOND) + 1;
}

void fs_control_forget_calls(FsControl *control, guint64 client)
{
    for (guint i = control->parked->len; i-- > 0;)
        if (((const FsControlCall *)control->parked->pdata[i])->client == client)
            g_ptr_array_remove_index_fast(control->parked, i);
}

/* The rule behind a refusal: the newest incident that has its text. */
static void add_rule(FsContext *context, const FsEvent *event, JsonObject *object)
{
    g_autoptr(GPtrArray) incidents = fdset_incidents_list(fdset_store_incidents(context->store));

    for (guint i = incidents->len; i-- > 0;) {
        const FdsetIncident *incident = incidents->pdata[i];

        if (incident->id != event->id || g_strcmp0(incident->text, event->text) != 0)
            continue;
        json_object_set_string_member(object, "rule", incident->rule);
        return;
    }
}

JsonNode *fs_control_event_data(FsContext *context, const FsEvent *event)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "fdset-id", event->id);
    if (event->kind == FDSET_EVENT_REFUSED)
        add_rule(context, event, object);
    if (event->text)
        json_object_set_string_member(object, "reason", event->text);
    json_node_take_object(node, object);
    return node;
}
