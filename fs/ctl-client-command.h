/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-client-command.h - the commands of fdsetctl: a table of names, operands,
 * options and functions. A function prints to stdout and sets an error, whose
 * code becomes the exit status.
 */
#ifndef FS_CTL_CLIENT_COMMAND_H
#define FS_CTL_CLIENT_COMMAND_H

#include "fs/ctl-client.h"

/* What the command line says. */
typedef struct {
    char *mount;  /* -m, absolute, or the one that was found; NULL: not known */
    char *socket; /* -s, or the mount's                                        */
    gboolean json;
    gboolean help;
    gboolean version;
    gboolean durable;
    gboolean source;
    gboolean destination;
    gboolean direct;
    double timeout; /* seconds; negative: none */
    double interval;
    int count;
    char *opaque;
    char **operands; /* the command's, ends with NULL */
    guint n_operands;
    FsClient *client; /* connected on first use */
} FsCtl;

typedef gboolean (*FsCtlFunc)(FsCtl *ctl, GError **error);

/*
 * Parses the command line; *run is the command's function. Errors: USAGE. With
 * help or version set *run stays NULL.
 */
FsCtl *fs_ctl_parse(int argc, char **argv, FsCtlFunc *run, GError **error);
void fs_ctl_free(FsCtl *ctl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsCtl, fs_ctl_free)

/* The text of --help; static. */
const char *fs_ctl_help(void);

/* The connection, made on first use; borrowed. */
FsClient *fs_ctl_client(FsCtl *ctl, GError **error);

/* The mount point, found on first use; borrowed. */
const char *fs_ctl_mount(FsCtl *ctl, GError **error);

/* Operand 'i' as the number of a set. */
gboolean fs_ctl_id(const FsCtl *ctl, guint i, guint32 *id, GError **error);

/* {"fdset-id": operand 0}: arguments for most commands. */
JsonObject *fs_ctl_arguments(const FsCtl *ctl, GError **error);

/* Runs a command that takes long, with its progress in query-set, on a terminal. */
JsonNode *fs_ctl_ask_long(FsCtl *ctl, const char *command, int fd, GError **error);

/* As "7: state, size" or, with --json, as it is. */
void fs_ctl_print_set(const FsCtl *ctl, JsonNode *set);
void fs_ctl_print_json(JsonNode *node);

/* The commands, by file. */
gboolean fs_ctl_ls(FsCtl *ctl, GError **error);
gboolean fs_ctl_show(FsCtl *ctl, GError **error);
gboolean fs_ctl_why(FsCtl *ctl, GError **error);
gboolean fs_ctl_add_fd(FsCtl *ctl, GError **error);
gboolean fs_ctl_remove_fd(FsCtl *ctl, GError **error);
gboolean fs_ctl_wait(FsCtl *ctl, GError **error);
gboolean fs_ctl_verify(FsCtl *ctl, GError **error);
gboolean fs_ctl_export(FsCtl *ctl, GError **error);
gboolean fs_ctl_import(FsCtl *ctl, GError **error);
gboolean fs_ctl_seal(FsCtl *ctl, GError **error);
gboolean fs_ctl_reset(FsCtl *ctl, GError **error);
gboolean fs_ctl_rm(FsCtl *ctl, GError **error);
gboolean fs_ctl_watch(FsCtl *ctl, GError **error);

#endif
