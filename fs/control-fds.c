/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands about descriptors, as QEMU has them. Source: QEMU, qapi/misc.json and monitor/fds.c. */
#include "config.h"
#include "core/error.h"
#include "core/set-fds.h"
#include "fs/control-command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The device of our mount, from what the kernel knows already; 0: it cannot tell. */
static guint64 own_device(const FsContext *context)
{
    struct statx st;

    if (statx(AT_FDCWD, context->mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st))
        return 0;
    return makedev(st.stx_dev_major, st.stx_dev_minor);
}

JsonNode *fs_control_add_fd(FsControlCall *call, GError **error)
{
    gboolean has_id = json_object_has_member(call->arguments, "fdset-id");
    gboolean has_opaque = json_object_has_member(call->arguments, "opaque");
    const char *opaque =
        has_opaque ? json_object_get_string_member(call->arguments, "opaque") : NULL;
    g_autoptr(FdsetDescriptor) descriptor = NULL;
    JsonNode *node = NULL;
    JsonObject *object;
    guint32 id = 0;

    if (fs_control_fd(call, error) < 0 || (has_id && !fs_control_id(call, &id, error)))
        return NULL;
    descriptor =
        fdset_descriptor_new(g_steal_fd(&call->fd), opaque, own_device(call->context), error);
    if (!descriptor ||
        !fdset_store_add_fd(call->context->store, has_id ? (gint64)id : -1, descriptor, &id, error))
        return NULL;
    g_info("fdset %u: descriptor %d added", id, fdset_descriptor_fd(descriptor));
    object = json_object_new();
    json_object_set_int_member(object, "fdset-id", id);
    json_object_set_int_member(object, "fd", fdset_descriptor_fd(descriptor));
    node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, object);
    return node;
}

JsonNode *fs_control_remove_fd(FsControlCall *call, GError **error)
{
    gboolean has_fd = json_object_has_member(call->arguments, "fd");
    gint64 fd = has_fd ? json_object_get_int_member(call->arguments, "fd") : -1;
    guint32 id;

    if (!fs_control_id(call, &id, error))
        return NULL;
    if (has_fd && (fd < 0 || fd > G_MAXINT))
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND,
                    "File descriptor named 'fdset-id:%u, fd:%" G_GINT64_FORMAT "' not found", id,
                    fd);
    else
        fdset_store_remove_fd(call->context->store, id, (int)fd, error);
    return NULL;
}

static JsonArray *descriptors_of(GPtrArray *descriptors)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < descriptors->len; i++) {
        const FdsetDescriptor *descriptor = descriptors->pdata[i];
        JsonObject *object = json_object_new();

        json_object_set_int_member(object, "fd", fdset_descriptor_fd(descriptor));
        if (fdset_descriptor_opaque(descriptor))
            json_object_set_string_member(object, "opaque", fdset_descriptor_opaque(descriptor));
        json_array_add_object_element(array, object);
    }
    return array;
}

JsonNode *fs_control_query_fdsets(FsControlCall *call, GError **error)
{
    g_autoptr(GArray) ids = fdset_store_list(call->context->store);
    JsonArray *array = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    for (guint i = 0; i < ids->len; i++) {
        guint32 id = g_array_index(ids, guint32, i);
        g_autoptr(FdsetSet) set = fdset_store_lookup(call->context->store, id);
        g_autoptr(GPtrArray) descriptors = set ? fdset_set_descriptors(set) : NULL;
        JsonObject *object;

        if (!descriptors)
            continue;
        object = json_object_new();
        json_object_set_int_member(object, "fdset-id", id);
        json_object_set_array_member(object, "fds", descriptors_of(descriptors));
        json_array_add_object_element(array, object);
    }
    json_node_take_array(node, array);
    return node;
}
