/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that hand descriptors over, or take them back. */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/ctl-client-command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The flags that descriptor 'i' of the set is opened with. */
static int flags_for(const FsCtl *ctl, guint i)
{
    int flags = O_CLOEXEC | (ctl->destination ? O_RDONLY : O_WRONLY | O_CREAT);

    return flags | (ctl->direct && i == 1 ? O_DIRECT : 0);
}

static void show_added(const FsCtl *ctl, JsonNode *node, const char *path, int flags)
{
    JsonObject *object = json_node_get_object(node);

    if (ctl->json)
        fs_ctl_print_json(node);
    else
        printf("%" G_GINT64_FORMAT ": descriptor %" G_GINT64_FORMAT " is %s, %s%s\n",
               json_object_get_int_member(object, "fdset-id"),
               json_object_get_int_member(object, "fd"), path,
               ctl->destination ? "read-only" : "write-only",
               flags & O_DIRECT ? ", O_DIRECT" : "");
}

/* Opens and hands over descriptor 'i'; *id: the set's number, -1 for a new one; *fd: its number. */
static gboolean add_one(FsCtl *ctl, guint i, gint64 *id, gint64 *fd, GError **error)
{
    const char *path = ctl->operands[MIN(i + 1, ctl->n_operands - 1)];
    int flags = flags_for(ctl, i);
    autofd file = open(path, flags, 0600);
    g_autoptr(JsonNode) node = NULL;
    JsonObject *arguments;

    if (file < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot open%s", path,
                              flags & O_DIRECT ? " with O_DIRECT" : "");
        return FALSE;
    }
    arguments = json_object_new();
    if (*id >= 0)
        json_object_set_int_member(arguments, "fdset-id", *id);
    if (ctl->opaque)
        json_object_set_string_member(arguments, "opaque", ctl->opaque);
    node = fs_client_ask(ctl->client, "add-fd", arguments, file, error);
    if (!node)
        return FALSE;
    *id = json_object_get_int_member(json_node_get_object(node), "fdset-id");
    *fd = json_object_get_int_member(json_node_get_object(node), "fd");
    show_added(ctl, node, path, flags);
    return TRUE;
}

/* A set that is half made helps nobody: takes back what was handed over. */
static void take_back(FsCtl *ctl, gint64 id, const GArray *fds)
{
    for (guint i = 0; i < fds->len; i++) {
        JsonObject *arguments = json_object_new();
        g_autoptr(JsonNode) node = NULL;

        json_object_set_int_member(arguments, "fdset-id", id);
        json_object_set_int_member(arguments, "fd", g_array_index(fds, gint64, i));
        node = fs_client_ask(ctl->client, "remove-fd", arguments, -1, NULL);
    }
}

static gboolean add_all(FsCtl *ctl, guint n, gint64 id, GError **error)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(gint64));
    gint64 fd;

    for (guint i = 0; i < n; i++) {
        if (!add_one(ctl, i, &id, &fd, error)) {
            take_back(ctl, id, fds);
            return FALSE;
        }
        g_array_append_val(fds, fd);
    }
    return TRUE;
}

/*
 * A source set takes two descriptors, a destination one, or two with --direct:
 * of one FILE that is opened as often, or of one FILE each.
 */
gboolean fs_ctl_add_fd(FsCtl *ctl, GError **error)
{
    gboolean new_set = strcmp(ctl->operands[0], "new") == 0;
    guint n = ctl->destination && !ctl->direct ? 1 : 2;
    guint32 number = 0;

    if (ctl->source && ctl->destination) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE, "--source or --destination, not both");
        return FALSE;
    }
    if (!new_set && !fs_ctl_id(ctl, 0, &number, error))
        return FALSE;
    return fs_ctl_client(ctl, error) &&
           add_all(ctl, MAX(n, ctl->n_operands - 1), new_set ? -1 : (gint64)number, error);
}

gboolean fs_ctl_remove_fd(FsCtl *ctl, GError **error)
{
    FsClient *client = fs_ctl_client(ctl, error);
    JsonObject *arguments = client ? fs_ctl_arguments(ctl, error) : NULL;
    g_autoptr(JsonNode) node = NULL;
    guint32 fd;

    if (!arguments)
        return FALSE;
    if (ctl->n_operands > 1) {
        if (!fs_ctl_id(ctl, 1, &fd, NULL)) {
            json_object_unref(arguments);
            g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                        "%s: is not the number of a "
                        "descriptor",
                        ctl->operands[1]);
            return FALSE;
        }
        json_object_set_int_member(arguments, "fd", fd);
    }
    node = fs_client_ask(client, "remove-fd", arguments, -1, error);
    return node != NULL;
}
