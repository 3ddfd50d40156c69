/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about the daemon and its sets. */
#include "config.h"
#include "core/error.h"
#include "core/set-verbs.h"
#include "fs/control-command.h"
#include "fs/report.h"

#include <errno.h>

JsonNode *fs_control_query_version(FsControlCall *call, GError **error)
{
    return fs_qmp_version();
}

JsonNode *fs_control_query_commands(FsControlCall *call, GError **error)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    JsonArray *array = json_array_new();

    for (const FsControlCommand *c = fs_control_commands(); c->name; c++) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", c->name);
        json_array_add_object_element(array, object);
    }
    json_node_take_array(node, array);
    return node;
}

JsonNode *fs_control_quit(FsControlCall *call, GError **error)
{
    call->quit = TRUE;
    return NULL;
}

JsonNode *fs_control_query_sets(FsControlCall *call, GError **error)
{
    return fs_report_sets(call->context);
}

JsonNode *fs_control_query_set(FsControlCall *call, GError **error)
{
    g_autoptr(FdsetSet) set = fs_control_set(call, error);

    return set ? fs_report_set(call->context, set) : NULL;
}

JsonNode *fs_control_query_stats(FsControlCall *call, GError **error)
{
    return fs_report_stats(call->context);
}

JsonNode *fs_control_query_incidents(FsControlCall *call, GError **error)
{
    return fs_report_incidents(call->context);
}

JsonNode *fs_control_seal(FsControlCall *call, GError **error)
{
    g_autoptr(FdsetSet) set = fs_control_set(call, error);

    if (set)
        fdset_set_seal(set, error);
    return NULL;
}

JsonNode *fs_control_reset(FsControlCall *call, GError **error)
{
    guint32 id;

    if (!fs_control_id(call, &id, error) || !fdset_store_reset(call->context->store, id, error))
        return NULL;
    fs_insides_drop(call->context->insides, id);
    g_info("fdset %u: reset, it is empty now", id);
    return NULL;
}

JsonNode *fs_control_remove(FsControlCall *call, GError **error)
{
    guint32 id;
    int r;

    if (!fs_control_id(call, &id, error))
        return NULL;
    r = fdset_store_remove(call->context->store, id);
    if (r == 0) {
        fs_insides_drop(call->context->insides, id);
        g_info("fdset %u: removed", id);
    } else if (r == -ENOENT)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND, "fdset %u: no such set", id);
    else if (r == -EROFS)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_DENIED, "fdset %u: this mount is read-only",
                    id);
    else
        fdset_error_set_errno(error, -r, "fdset %u: cannot remove it", id);
    return NULL;
}
