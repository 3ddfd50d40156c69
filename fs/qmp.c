/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/qmp.h"
#include "core/jsontext.h"
#include "fs/qmp-frame.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
    [FDSET_ERROR_SYSTEM] = "system",           [FDSET_ERROR_USAGE] = "usage",
    [FDSET_ERROR_NOT_FOUND] = "not-found",     [FDSET_ERROR_BUSY] = "busy",
    [FDSET_ERROR_DENIED] = "denied",           [FDSET_ERROR_NO_SPACE] = "no-space",
    [FDSET_ERROR_FORMAT] = "format",           [FDSET_ERROR_TRUNCATED] = "truncated",
    [FDSET_ERROR_CORRUPT] = "corrupt",         [FDSET_ERROR_VERSION] = "version",
    [FDSET_ERROR_UNSUPPORTED] = "unsupported", [FDSET_ERROR_LIMIT] = "limit",
};

const char *fs_qmp_code_name(FdsetError code)
{
    return code_names[code];
}

FdsetError fs_qmp_code_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(code_names); i++)
        if (strcmp(code_names[i], name) == 0)
            return (FdsetError)i;
    return FDSET_ERROR_SYSTEM;
}

void fs_qmp_request_free(FsQmpRequest *request)
{
    if (!request)
        return;
    g_free(request->execute);
    g_clear_pointer(&request->arguments, json_object_unref);
    g_free(request);
}

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean fail(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_USAGE, text);
    return FALSE;
}

static gboolean is_string(JsonNode *node)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

static gboolean take_member(FsQmpRequest *request, const char *name, JsonNode *value,
                            GError **error)
{
    if (strcmp(name, "id") == 0)
        return TRUE;
    if (strcmp(name, "execute") == 0) {
        if (!is_string(value))
            return fail(error, "QMP input member 'execute' must be a string");
        request->execute = json_node_dup_string(value);
        return TRUE;
    }
    if (strcmp(name, "arguments") == 0) {
        if (!JSON_NODE_HOLDS_OBJECT(value))
            return fail(error, "QMP input member 'arguments' must be an object");
        request->arguments = json_node_dup_object(value);
        return TRUE;
    }
    return fail(error, "QMP input member '%s' is unexpected", name);
}

/* JSON has no words for what a number that is too big is read as: it could not be sent back. */
static gboolean is_finite(JsonNode *node)
{
    g_autoptr(GList) parts = NULL;

    if (JSON_NODE_HOLDS_VALUE(node))
        return json_node_get_value_type(node) != G_TYPE_DOUBLE ||
               isfinite(json_node_get_double(node));
    if (JSON_NODE_HOLDS_OBJECT(node))
        parts = json_object_get_values(json_node_get_object(node));
    else if (JSON_NODE_HOLDS_ARRAY(node))
        parts = json_array_get_elements(json_node_get_array(node));
    for (const GList *l = parts; l; l = l->next)
        if (!is_finite(l->data))
            return FALSE;
    return TRUE;
}

FsQmpRequest *fs_qmp_request_parse(const char *line, JsonNode **id, GError **error)
{
    g_autoptr(FsQmpRequest) request = g_new0(FsQmpRequest, 1);
    g_autoptr(GError) problem = NULL;
    g_autoptr(JsonNode) node =
        fdset_jsontext_parse(line, strlen(line), FS_QMP_DEPTH_MAX, &problem);
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;
    JsonObject *object;

    *id = NULL;
    if (!node || !is_finite(node)) {
        fail(error, "JSON parse error, %s", node ? "number out of range" : problem->message);
        return NULL;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        fail(error, "QMP input must be a JSON object");
        return NULL;
    }
    object = json_node_get_object(node);
    if (json_object_has_member(object, "id"))
        *id = json_object_dup_member(object, "id");
    json_object_iter_init(&iter, object);
    while (json_object_iter_next(&iter, &name, &value))
        if (!take_member(request, name, value, error))
            return NULL;
    if (!request->execute) {
        fail(error, "QMP input lacks member 'execute'");
        return NULL;
    }
    if (!request->arguments)
        request->arguments = json_object_new();
    return g_steal_pointer(&request);
}

static const char *const type_names[] = {
    [FS_QMP_INTEGER] = "integer", [FS_QMP_NUMBER] = "number", [FS_QMP_STRING] = "string",
    [FS_QMP_BOOLEAN] = "boolean", [FS_QMP_ARRAY] = "array",
};

static gboolean has_type(JsonNode *node, FsQmpType type)
{
    GType found = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;

    switch (type) {
    case FS_QMP_INTEGER:
        return found == G_TYPE_INT64;
    case FS_QMP_NUMBER:
        return found == G_TYPE_INT64 || found == G_TYPE_DOUBLE;
    case FS_QMP_STRING:
        return found == G_TYPE_STRING;
    case FS_QMP_BOOLEAN:
        return found == G_TYPE_BOOLEAN;
    case FS_QMP_ARRAY:
        return JSON_NODE_HOLDS_ARRAY(node);
    }
    return FALSE;
}

static gboolean check_argument(const FsQmpArgument *argument, JsonNode *value, GError **error)
{
    if (!value)
        return argument->optional || fail(error, "Parameter '%s' is missing", argument->name);
    if (!has_type(value, argument->type))
        return fail(error, "Invalid parameter type for '%s', expected: %s", argument->name,
                    type_names[argument->type]);
    if (!argument->choices || g_strv_contains(argument->choices, json_node_get_string(value)))
        return TRUE;
    return fail(error, "Parameter '%s' does not accept value '%s'", argument->name,
                json_node_get_string(value));
}

static gboolean is_known(const FsQmpArgument *table, const char *name)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0)
            return TRUE;
    return FALSE;
}

gboolean fs_qmp_arguments_check(const FsQmpArgument *table, JsonObject *arguments, GError **error)
{
    JsonObjectIter iter;
    const char *name;

    for (const FsQmpArgument *argument = table; argument && argument->name; argument++)
        if (!check_argument(argument, json_object_get_member(arguments, argument->name), error))
            return FALSE;
    json_object_iter_init(&iter, arguments);
    while (json_object_iter_next(&iter, &name, NULL))
        if (!is_known(table, name))
            return fail(error, "Parameter '%s' is unexpected", name);
    return TRUE;
}

JsonNode *fs_qmp_version(void)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *version = json_object_new();
    JsonObject *numbers = json_object_new();
    int major = 0, minor = 0, micro = 0;

    sscanf(PACKAGE_VERSION, "%d.%d.%d", &major, &minor, &micro);
    json_object_set_int_member(numbers, "micro", micro);
    json_object_set_int_member(numbers, "minor", minor);
    json_object_set_int_member(numbers, "major", major);
    json_object_set_object_member(version, "qemu", numbers); /* clients look for this name */
    json_object_set_string_member(version, "package", PACKAGE_NAME);
    json_node_take_object(node, version);
    return node;
}

/* One line; takes the message over. */
static char *line_of(JsonObject *message)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    json_node_take_object(node, message);
    text = json_to_string(node, FALSE);
    return g_strconcat(text, "\r\n", NULL);
}

static void set_id(JsonObject *message, JsonNode *id)
{
    if (id)
        json_object_set_member(message, "id", json_node_copy(id));
}

static JsonNode *or_empty(JsonNode *value)
{
    if (value)
        return value;
    value = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(value, json_object_new());
    return value;
}

char *fs_qmp_greeting(void)
{
    JsonObject *message = json_object_new();
    JsonObject *greeting = json_object_new();

    json_object_set_member(greeting, "version", fs_qmp_version());
    json_object_set_array_member(greeting, "capabilities", json_array_new());
    json_object_set_object_member(message, "QMP", greeting);
    return line_of(message);
}

char *fs_qmp_return(JsonNode *value, JsonNode *id)
{
    JsonObject *message = json_object_new();

    json_object_set_member(message, "return", or_empty(value));
    set_id(message, id);
    return line_of(message);
}

char *fs_qmp_error(const char *class, const char *code, const char *desc, JsonNode *id)
{
    JsonObject *message = json_object_new();
    JsonObject *what = json_object_new();

    json_object_set_string_member(what, "class", class);
    json_object_set_string_member(what, "desc", desc);
    if (code)
        json_object_set_string_member(what, "code", code);
    json_object_set_object_member(message, "error", what);
    set_id(message, id);
    return line_of(message);
}

char *fs_qmp_event(const char *name, JsonNode *data, gint64 time)
{
    JsonObject *message = json_object_new();
    JsonObject *stamp = json_object_new();

    json_object_set_int_member(stamp, "seconds", time / G_USEC_PER_SEC);
    json_object_set_int_member(stamp, "microseconds", time % G_USEC_PER_SEC);
    json_object_set_object_member(message, "timestamp", stamp);
    json_object_set_string_member(message, "event", name);
    json_object_set_member(message, "data", or_empty(data));
    return line_of(message);
}
