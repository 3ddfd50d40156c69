/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that show something. */
#include "config.h"
#include "core/error.h"
#include "fs/ctl-client-command.h"
#include "fs/ctl-client-table.h"

#include <stdio.h>
#include <string.h>

void fs_ctl_print_json(JsonNode *node)
{
    g_autofree char *text = json_to_string(node, TRUE);

    printf("%s\n", text);
}

static gint64 get_int(JsonObject *object, const char *name)
{
    return json_object_get_int_member_with_default(object, name, 0);
}

static const char *get_string(JsonObject *object, const char *name)
{
    return json_object_get_string_member_with_default(object, name, "");
}

static double get_double(JsonObject *object, const char *name)
{
    return json_object_get_double_member_with_default(object, name, 0);
}

static const char *yes_or_no(JsonObject *object, const char *name)
{
    return json_object_get_boolean_member_with_default(object, name, FALSE) ? "yes" : "no";
}

void fs_ctl_print_set(const FsCtl *ctl, JsonNode *set)
{
    JsonObject *object = json_node_get_object(set);
    g_autofree char *size = fs_text_size(get_int(object, "size"));

    if (ctl->json)
        fs_ctl_print_json(set);
    else
        printf("%" G_GINT64_FORMAT ": %s, %s\n", get_int(object, "fdset-id"),
               get_string(object, "state"), size);
}

static void add_set(FsTable *table, JsonObject *set)
{
    JsonArray *channels = json_object_get_array_member(set, "channels");

    fs_table_add(table, g_strdup_printf("%" G_GINT64_FORMAT, get_int(set, "fdset-id")));
    fs_table_add(table,
                 g_strdup_printf("%s%s", get_string(set, "state"),
                                 strcmp(yes_or_no(set, "sealed"), "yes") == 0 ? ",sealed" : ""));
    fs_table_add(table, fs_text_size(get_int(set, "size")));
    fs_table_add(table, fs_text_size(get_int(set, "data-bytes")));
    fs_table_add(table, g_strdup_printf("%u", json_array_get_length(channels)));
    fs_table_add(table, fs_text_rate(get_double(set, "rate")));
    fs_table_add(table, fs_text_time(get_double(set, "modified")));
}

gboolean fs_ctl_ls(FsCtl *ctl, GError **error)
{
    FsClient *client = fs_ctl_client(ctl, error);
    g_autoptr(JsonNode) sets = client ? fs_client_ask(client, "query-sets", NULL, -1, error) : NULL;
    g_autoptr(FsTable) table = fs_table_new("SET STATE SIZE DATA CHANNELS RATE MODIFIED");
    JsonArray *array;

    if (!sets)
        return FALSE;
    if (ctl->json) {
        fs_ctl_print_json(sets);
        return TRUE;
    }
    array = json_node_get_array(sets);
    for (guint i = 0; i < json_array_get_length(array); i++)
        add_set(table, json_array_get_object_element(array, i));
    fs_table_print(table);
    return TRUE;
}

static void print_channels(JsonObject *set)
{
    g_autoptr(FsTable) table = fs_table_new("CHANNEL DIRECT OPEN SIZE WRITTEN");
    JsonArray *channels = json_object_get_array_member(set, "channels");

    for (guint i = 0; i < json_array_get_length(channels); i++) {
        JsonObject *channel = json_array_get_object_element(channels, i);

        fs_table_add(table, g_strdup(get_string(channel, "file")));
        fs_table_add(table, g_strdup(yes_or_no(channel, "direct")));
        fs_table_add(
            table, g_strdup_printf("%s%s", yes_or_no(channel, "open"),
                                   strcmp(yes_or_no(channel, "main"), "yes") == 0 ? ",main" : ""));
        fs_table_add(table, fs_text_size(get_int(channel, "size")));
        fs_table_add(table, fs_text_size(get_int(channel, "bytes-written")));
    }
    if (json_array_get_length(channels) > 0)
        fs_table_print(table);
}

static void print_times(JsonObject *set)
{
    g_autofree char *started = fs_text_time(get_double(set, "session-started"));
    g_autofree char *ended = fs_text_time(get_double(set, "session-ended"));
    g_autofree char *rate = fs_text_rate(get_double(set, "rate"));

    printf("sessions:       %" G_GINT64_FORMAT "%s\n", get_int(set, "sessions"),
           strcmp(yes_or_no(set, "session"), "yes") == 0 ? ", one runs now" : "");
    if (!json_object_has_member(set, "session-started"))
        return;
    printf("last session:   %s to %s, %.3f s, %s\n", started, ended,
           get_double(set, "session-seconds"), rate);
}

gboolean fs_ctl_show(FsCtl *ctl, GError **error)
{
    JsonObject *arguments = fs_ctl_arguments(ctl, error);
    FsClient *client = arguments ? fs_ctl_client(ctl, error) : NULL;
    g_autoptr(JsonNode) node = NULL;
    g_autofree char *size = NULL, *data = NULL, *written = NULL;
    JsonObject *set;

    if (!client) {
        g_clear_pointer(&arguments, json_object_unref);
        return FALSE;
    }
    node = fs_client_ask(client, "query-set", arguments, -1, error);
    if (!node)
        return FALSE;
    if (ctl->json) {
        fs_ctl_print_json(node);
        return TRUE;
    }
    set = json_node_get_object(node);
    size = fs_text_size(get_int(set, "size"));
    data = fs_text_size(get_int(set, "data-bytes"));
    written = fs_text_size(get_int(set, "bytes-written"));
    printf("set:            %s\nstate:          %s\nsealed:         %s\nbacking:        %s\n",
           ctl->operands[0], get_string(set, "state"), yes_or_no(set, "sealed"),
           get_string(set, "backing"));
    printf("size:           %s (%" G_GINT64_FORMAT " bytes), %s not in holes\n", size,
           get_int(set, "size"), data);
    printf("stream starts:  %" G_GINT64_FORMAT "\nwritten:        %s\n",
           get_int(set, "stream-offset"), written);
    print_times(set);
    printf("readers:        %" G_GINT64_FORMAT "\n", get_int(set, "readers"));
    if (*get_string(set, "last-error"))
        printf("last error:     %s\n", get_string(set, "last-error"));
    print_channels(set);
    return TRUE;
}
