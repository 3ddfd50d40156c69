/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control-command.h - the commands of the control socket: a table of names,
 * arguments and functions.
 *
 * A function runs in a worker thread, gets arguments that were checked against
 * the table, and returns what "return" is to hold. It may wait: then it returns
 * NULL without an error and says so in call->pending, and is called again when
 * a set's state has changed, or after a while.
 */
#ifndef FS_CONTROL_COMMAND_H
#define FS_CONTROL_COMMAND_H

#include "fs/ops.h"
#include "fs/qmp.h"

typedef struct FsControlCommand FsControlCommand;

/* One command on its way. Owned by the control thread or by the worker that runs it. */
typedef struct {
    FsContext *context; /* borrowed */
    const FsControlCommand *command;
    JsonObject *arguments; /* owned */
    int fd;                /* that came with it, owned; -1: none  */
    gboolean fd_lost;      /* one came, and we had no room for it */
    gint *stopping;        /* atomic, borrowed: the daemon ends: give up soon */
    gint64 started;        /* monotonic, microseconds             */
    /* outputs of the function */
    gboolean pending;
    gint64 deadline; /* monotonic; with pending: no later than this call again; 0: none */
    gboolean quit;   /* the daemon is to end when the answer is out */
    /* for the control thread */
    guint64 client;
    JsonNode *id; /* owned, nullable */
    JsonNode *result;
    GError *error;
    guint64 serial;
    gint64 due;
} FsControlCall;

enum {
    FS_CONTROL_DETACHED = 1 << 0, /* the client's next commands do not wait for it */
    FS_CONTROL_LONG = 1 << 1,     /* runs among those that take minutes            */
    FS_CONTROL_FD = 1 << 2,       /* takes a descriptor                            */
};

struct FsControlCommand {
    const char *name;
    guint flags;
    JsonNode *(*run)(FsControlCall *call, GError **error); /* NULL without error: {} */
    FsQmpArgument arguments[5];
};

/* NULL: there is no such command. */
const FsControlCommand *fs_control_command_find(const char *name);

/* The table of all commands, which ends with a name of NULL. */
const FsControlCommand *fs_control_commands(void);

/* The descriptor that came with the call; -1: none did, and *error says so. */
int fs_control_fd(const FsControlCall *call, GError **error);

/* The set that argument "fdset-id" names: a new reference. Errors: USAGE, NOT_FOUND. */
FdsetSet *fs_control_set(const FsControlCall *call, GError **error);

/* The argument "fdset-id", which must be one that a set can have. */
gboolean fs_control_id(const FsControlCall *call, guint32 *id, GError **error);

/* The commands, by file. */
JsonNode *fs_control_query_version(FsControlCall *call, GError **error);
JsonNode *fs_control_query_commands(FsControlCall *call, GError **error);
JsonNode *fs_control_quit(FsControlCall *call, GError **error);
JsonNode *fs_control_add_fd(FsControlCall *call, GError **error);
JsonNode *fs_control_remove_fd(FsControlCall *call, GError **error);
JsonNode *fs_control_query_fdsets(FsControlCall *call, GError **error);
JsonNode *fs_control_query_sets(FsControlCall *call, GError **error);
JsonNode *fs_control_query_set(FsControlCall *call, GError **error);
JsonNode *fs_control_query_stats(FsControlCall *call, GError **error);
JsonNode *fs_control_query_incidents(FsControlCall *call, GError **error);
JsonNode *fs_control_seal(FsControlCall *call, GError **error);
JsonNode *fs_control_reset(FsControlCall *call, GError **error);
JsonNode *fs_control_remove(FsControlCall *call, GError **error);
JsonNode *fs_control_wait(FsControlCall *call, GError **error);
JsonNode *fs_control_export(FsControlCall *call, GError **error);
JsonNode *fs_control_verify(FsControlCall *call, GError **error);

#endif
