/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/control-command.h"
#include "core/error.h"

#include <string.h>

static const char *const wait_states[] = {"complete", "durable", NULL};

#define SET_ID                                                                                     \
    {                                                                                              \
        "fdset-id", FS_QMP_INTEGER, FALSE, NULL                                                    \
    }

/* In the order query-commands shows them. */
static const FsControlCommand commands[] = {
    {"query-version", 0, fs_control_query_version, {{NULL}}},
    {"query-commands", 0, fs_control_query_commands, {{NULL}}},
    {"quit", 0, fs_control_quit, {{NULL}}},
    {"add-fd",
     FS_CONTROL_FD,
     fs_control_add_fd,
     {{"fdset-id", FS_QMP_INTEGER, TRUE, NULL}, {"opaque", FS_QMP_STRING, TRUE, NULL}, {NULL}}},
    {"remove-fd", 0, fs_control_remove_fd, {SET_ID, {"fd", FS_QMP_INTEGER, TRUE, NULL}}},
    {"query-fdsets", 0, fs_control_query_fdsets, {{NULL}}},
    {"query-sets", 0, fs_control_query_sets, {{NULL}}},
    {"query-set", 0, fs_control_query_set, {SET_ID}},
    {"query-stats", 0, fs_control_query_stats, {{NULL}}},
    {"query-incidents", 0, fs_control_query_incidents, {{NULL}}},
    {"seal", 0, fs_control_seal, {SET_ID}},
    {"reset", 0, fs_control_reset, {SET_ID}},
    {"remove", 0, fs_control_remove, {SET_ID}},
    {"wait",
     FS_CONTROL_DETACHED,
     fs_control_wait,
     {SET_ID,
      {"state", FS_QMP_STRING, FALSE, wait_states},
      {"timeout", FS_QMP_NUMBER, TRUE, NULL}}},
    {"export", FS_CONTROL_DETACHED | FS_CONTROL_LONG | FS_CONTROL_FD, fs_control_export, {SET_ID}},
    {"verify", FS_CONTROL_DETACHED | FS_CONTROL_LONG, fs_control_verify, {SET_ID}},
    {NULL, 0, NULL, {{NULL}}},
};

const FsControlCommand *fs_control_commands(void)
{
    return commands;
}

const FsControlCommand *fs_control_command_find(const char *name)
{
    for (const FsControlCommand *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

gboolean fs_control_id(const FsControlCall *call, guint32 *id, GError **error)
{
    gint64 number = json_object_get_int_member(call->arguments, "fdset-id");

    if (number < 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "Parameter 'fdset-id' expects a non-negative value");
        return FALSE;
    }
    if (number > FDSET_ID_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "Parameter 'fdset-id' expects a value up to %d", FDSET_ID_MAX);
        return FALSE;
    }
    *id = (guint32)number;
    return TRUE;
}

int fs_control_fd(const FsControlCall *call, GError **error)
{
    if (call->fd < 0)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "No file descriptor supplied via SCM_RIGHTS%s",
                    call->fd_lost ? " (one was lost: too many at once, or too many open files in "
                                    "fdsetfs)"
                                  : "");
    return call->fd;
}

FdsetSet *fs_control_set(const FsControlCall *call, GError **error)
{
    FdsetSet *set;
    guint32 id;

    if (!fs_control_id(call, &id, error))
        return NULL;
    set = fdset_store_lookup(call->context->store, id);
    if (!set)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND, "fdset %u: no such set", id);
    return set;
}
