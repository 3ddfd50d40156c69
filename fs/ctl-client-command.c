/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ctl-client-command.h"
#include "core/error.h"
#include "core/store.h"
#include "fs/ctl-client-mount.h"

#include <stddef.h>
#include <string.h>

static const char help_text[] =
    "usage: fdsetctl [-m MOUNT | -s SOCKET] [--json] COMMAND\n"
    "\n"
    "Talks to a running fdsetfs about the sets it serves.\n"
    "\n"
    "commands:\n"
    "    ls                     list all sets\n"
    "    show N                 everything about set N\n"
    "    why [N]                the last refusals and failures, and what to do\n"
    "    watch                  rates of all channels and events, until it is interrupted\n"
    "    wait N                 wait until set N is complete\n"
    "    verify N               check every block of set N against its digest\n"
    "    export N FILE          copy set N into FILE, sparse and checked\n"
    "    import N FILE          copy FILE into set N and wait until it is durable\n"
    "    add-fd N FILE...       open FILE and hand the descriptors over as set N\n"
    "    remove-fd N [FD]       take descriptors out of set N\n"
    "    seal N                 make the header of complete set N read-only, too\n"
    "    reset N                make set N empty\n"
    "    rm N...                remove sets\n"
    "\n"
    "options:\n"
    "    -m   --mount=DIR       the mount point (default: the only fdsetfs that is mounted)\n"
    "    -s   --socket=PATH     the control socket (default: the mount's)\n"
    "    --json                 print JSON\n"
    "    -h   --help            print this help\n"
    "    -V   --version         print the version\n"
    "    --durable              wait: until it is on stable storage\n"
    "    --timeout=SECONDS      wait: no longer than this\n"
    "    --interval=SECONDS     watch: time between two looks (1)\n"
    "    --count=NUMBER         watch: end after so many looks\n"
    "    --source               add-fd: for a VMM to save to, write-only (default)\n"
    "    --destination          add-fd: for a VMM to restore from, read-only\n"
    "    --direct               add-fd: one of the descriptors with O_DIRECT\n"
    "    --opaque=TEXT          add-fd: a note that is kept with the descriptors\n"
    "\n"
    "fdsetctl(1) has the details.\n";

const char *fs_ctl_help(void)
{
    return help_text;
}

enum {
    WAIT = 1 << 0,
    WATCH = 1 << 1,
    ADD = 1 << 2,
};

static const struct {
    const char *name;
    guint min;
    guint max;
    guint options; /* whose options it takes */
    FsCtlFunc run;
} commands[] = {
    {"ls", 0, 0, 0, fs_ctl_ls},           {"show", 1, 1, 0, fs_ctl_show},
    {"why", 0, 1, 0, fs_ctl_why},         {"watch", 0, 0, WATCH, fs_ctl_watch},
    {"wait", 1, 1, WAIT, fs_ctl_wait},    {"verify", 1, 1, 0, fs_ctl_verify},
    {"export", 2, 2, 0, fs_ctl_export},   {"import", 2, 2, 0, fs_ctl_import},
    {"add-fd", 2, G_MAXUINT, ADD, fs_ctl_add_fd}, {"remove-fd", 1, 2, 0, fs_ctl_remove_fd},
    {"seal", 1, 1, 0, fs_ctl_seal},       {"reset", 1, 1, 0, fs_ctl_reset},
    {"rm", 1, G_MAXUINT, 0, fs_ctl_rm},
};

/* Which options were given, by the command they are for. */
static guint given(const FsCtl *ctl)
{
    guint options = 0;

    if (ctl->durable || ctl->timeout >= 0)
        options |= WAIT;
    if (ctl->interval >= 0 || ctl->count)
        options |= WATCH;
    if (ctl->source || ctl->destination || ctl->direct || ctl->opaque)
        options |= ADD;
    return options;
}

static gboolean usage(GError **error, const char *what, const char *problem)
{
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE, "%s%s%s", what, *what ? ": " : "", problem);
    return FALSE;
}

/* Takes the command off the words that are left of the command line. */
static gboolean find_command(FsCtl *ctl, int argc, char **argv, FsCtlFunc *run, GError **error)
{
    if (argc < 2)
        return usage(error, "", "a command is missing");
    ctl->operands = g_strdupv(argv + 2);
    ctl->n_operands = (guint)argc - 2;
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) != 0)
            continue;
        if (ctl->n_operands < commands[i].min)
            return usage(error, argv[1], "an operand is missing");
        if (ctl->n_operands > commands[i].max)
            return usage(error, argv[1], "too many operands");
        if (given(ctl) & ~commands[i].options)
            return usage(error, argv[1], "does not take one of these options");
        *run = commands[i].run;
        return TRUE;
    }
    return usage(error, argv[1], "there is no such command");
}

/* GLib's parser takes pointers, not offsets. */
static gboolean parse_options(FsCtl *ctl, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"mount", 'm', 0, G_OPTION_ARG_FILENAME, &ctl->mount, NULL, NULL},
        {"socket", 's', 0, G_OPTION_ARG_FILENAME, &ctl->socket, NULL, NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &ctl->json, NULL, NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &ctl->help, NULL, NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &ctl->version, NULL, NULL},
        {"durable", 0, 0, G_OPTION_ARG_NONE, &ctl->durable, NULL, NULL},
        {"timeout", 0, 0, G_OPTION_ARG_DOUBLE, &ctl->timeout, NULL, NULL},
        {"interval", 0, 0, G_OPTION_ARG_DOUBLE, &ctl->interval, NULL, NULL},
        {"count", 0, 0, G_OPTION_ARG_INT, &ctl->count, NULL, NULL},
        {"source", 0, 0, G_OPTION_ARG_NONE, &ctl->source, NULL, NULL},
        {"destination", 0, 0, G_OPTION_ARG_NONE, &ctl->destination, NULL, NULL},
        {"direct", 0, 0, G_OPTION_ARG_NONE, &ctl->direct, NULL, NULL},
        {"opaque", 0, 0, G_OPTION_ARG_STRING, &ctl->opaque, NULL, NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) problem = NULL;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, argc, argv, &problem) ||
           usage(error, "", problem->message);
}

FsCtl *fs_ctl_parse(int argc, char **argv, FsCtlFunc *run, GError **error)
{
    g_autoptr(FsCtl) ctl = g_new0(FsCtl, 1);

    *run = NULL;
    ctl->timeout = ctl->interval = -1;
    if (!parse_options(ctl, &argc, &argv, error))
        return NULL;
    if (ctl->help || ctl->version)
        return g_steal_pointer(&ctl);
    if (ctl->mount && ctl->socket) {
        usage(error, "-m and -s", "one of them is enough");
        return NULL;
    }
    return find_command(ctl, argc, argv, run, error) ? g_steal_pointer(&ctl) : NULL;
}

void fs_ctl_free(FsCtl *ctl)
{
    if (!ctl)
        return;
    fs_client_free(ctl->client);
    g_strfreev(ctl->operands);
    g_free(ctl->mount);
    g_free(ctl->socket);
    g_free(ctl->opaque);
    g_free(ctl);
}

const char *fs_ctl_mount(FsCtl *ctl, GError **error)
{
    if (!ctl->mount)
        ctl->mount =
            ctl->socket ? fs_ctl_mount_of_socket(ctl->socket, error) : fs_ctl_find_mount(error);
    return ctl->mount;
}

FsClient *fs_ctl_client(FsCtl *ctl, GError **error)
{
    if (ctl->client)
        return ctl->client;
    if (!ctl->socket && fs_ctl_mount(ctl, error))
        ctl->socket = fs_ctl_socket_of_mount(ctl->mount, error);
    if (ctl->socket)
        ctl->client = fs_client_connect(ctl->socket, error);
    return ctl->client;
}

gboolean fs_ctl_id(const FsCtl *ctl, guint i, guint32 *id, GError **error)
{
    return fdset_id_parse(ctl->operands[i], id) ||
           usage(error, ctl->operands[i], "is not the number of a set");
}

JsonObject *fs_ctl_arguments(const FsCtl *ctl, GError **error)
{
    JsonObject *arguments;
    guint32 id;

    if (!fs_ctl_id(ctl, 0, &id, error))
        return NULL;
    arguments = json_object_new();
    json_object_set_int_member(arguments, "fdset-id", id);
    return arguments;
}
