/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that do something to a set. */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/ctl-client-command.h"
#include "fs/ctl-client-table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* How often progress is looked at. */
#define PROGRESS_INTERVAL (250 * G_TIME_SPAN_MILLISECOND)

/* Sends a command with {"fdset-id": operand i}; what it returns is dropped. */
static gboolean simple(FsCtl *ctl, const char *command, guint i, GError **error)
{
    FsClient *client = fs_ctl_client(ctl, error);
    g_autoptr(JsonNode) node = NULL;
    JsonObject *arguments;
    guint32 id;

    if (!client || !fs_ctl_id(ctl, i, &id, error))
        return FALSE;
    arguments = json_object_new();
    json_object_set_int_member(arguments, "fdset-id", id);
    node = fs_client_ask(client, command, arguments, -1, error);
    return node != NULL;
}

gboolean fs_ctl_seal(FsCtl *ctl, GError **error)
{
    return simple(ctl, "seal", 0, error);
}

gboolean fs_ctl_reset(FsCtl *ctl, GError **error)
{
    return simple(ctl, "reset", 0, error);
}

gboolean fs_ctl_rm(FsCtl *ctl, GError **error)
{
    for (guint i = 0; i < ctl->n_operands; i++)
        if (!simple(ctl, "remove", i, error))
            return FALSE;
    return TRUE;
}

gboolean fs_ctl_wait(FsCtl *ctl, GError **error)
{
    JsonObject *arguments = fs_ctl_arguments(ctl, error);
    FsClient *client = arguments ? fs_ctl_client(ctl, error) : NULL;
    g_autoptr(JsonNode) node = NULL;

    if (!client) {
        g_clear_pointer(&arguments, json_object_unref);
        return FALSE;
    }
    json_object_set_string_member(arguments, "state", ctl->durable ? "durable" : "complete");
    if (ctl->timeout >= 0)
        json_object_set_double_member(arguments, "timeout", ctl->timeout);
    if (!fs_client_send(client, "wait", arguments, "wait", -1, error))
        return FALSE;
    while (!node) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(JsonObject) message = fs_client_receive(client, -1, &problem);

        if (problem) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
        if (!message || !json_object_has_member(message, "id"))
            continue;
        node = fs_client_result(message, error);
        if (!node)
            return FALSE;
    }
    fs_ctl_print_set(ctl, node);
    return TRUE;
}

/* Shows what the answer to query-set says of the work. */
static void show_progress(const char *command, JsonObject *answer)
{
    JsonObject *set = json_object_has_member(answer, "return")
                          ? json_object_get_object_member(answer, "return")
                          : NULL;
    JsonObject *work = set && json_object_has_member(set, "work")
                           ? json_object_get_object_member(set, "work")
                           : NULL;

    if (work)
        fs_text_progress(command, (guint64)json_object_get_int_member(work, "done"),
                         (guint64)json_object_get_int_member(work, "total"));
}

static gboolean ask_progress(FsCtl *ctl, GError **error)
{
    JsonObject *arguments = fs_ctl_arguments(ctl, error);

    return arguments && fs_client_send(ctl->client, "query-set", arguments, "progress", -1, error);
}

JsonNode *fs_ctl_ask_long(FsCtl *ctl, const char *command, int fd, GError **error)
{
    JsonObject *arguments = fs_ctl_arguments(ctl, error);
    FsClient *client = arguments ? fs_ctl_client(ctl, error) : NULL;

    if (!client) {
        g_clear_pointer(&arguments, json_object_unref);
        return NULL;
    }
    if (!fs_client_send(client, command, arguments, "work", fd, error))
        return NULL;
    for (;;) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(JsonObject) message = fs_client_receive(client, PROGRESS_INTERVAL, &problem);
        const char *id =
            message ? json_object_get_string_member_with_default(message, "id", "") : "";

        if (!problem && !message && !ask_progress(ctl, error))
            return NULL;
        if (strcmp(id, "progress") == 0)
            show_progress(command, message);
        if (!problem && strcmp(id, "work") != 0)
            continue;
        fs_text_progress_end();
        if (!problem)
            return fs_client_result(message, error);
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
}

static void print_mismatches(JsonObject *result)
{
    JsonArray *mismatches = json_object_get_array_member(result, "mismatches");

    for (guint i = 0; i < json_array_get_length(mismatches); i++)
        printf("%s\n", json_object_get_string_member(json_array_get_object_element(mismatches, i),
                                                     "reason"));
}

gboolean fs_ctl_verify(FsCtl *ctl, GError **error)
{
    g_autoptr(JsonNode) node = fs_ctl_ask_long(ctl, "verify", -1, error);
    JsonObject *result;
    gint64 bad;

    if (!node)
        return FALSE;
    result = json_node_get_object(node);
    bad = json_object_get_int_member(result, "mismatch-count");
    if (ctl->json)
        fs_ctl_print_json(node);
    else if (bad)
        print_mismatches(result);
    else
        printf("%s: all %" G_GINT64_FORMAT " blocks match their digests\n", ctl->operands[0],
               json_object_get_int_member(result, "blocks"));
    if (bad)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "fdset %s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                    " blocks do not match their digests",
                    ctl->operands[0], bad, json_object_get_int_member(result, "blocks"));
    return bad == 0;
}
