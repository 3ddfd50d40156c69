/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/options.h"
#include "core/error.h"
#include "fs/domain-xml.h"

#include <stddef.h>
#include <string.h>

static const char help_text[] =
    "usage: fdsetfs [options] STORE MOUNTPOINT\n"
    "   or: fdsetfs [options] FILE MOUNTPOINT\n"
    "\n"
    "Serves the sets of STORE, a directory, as files MOUNTPOINT/N: a VMM saves to and\n"
    "restores from them, and each channel it opens gets a real file of its own.\n"
    "An empty STORE becomes a new one.\n"
    "With FILE, a migration file with mapped-ram, shows what is in it: memory and devices.\n"
    "\n"
    "general options:\n"
    "    -h   --help            print this help\n"
    "    -V   --version         print the version\n"
    "    -f                     stay in the foreground, log to stderr\n"
    "    -d   -o debug          as -f, and log every request\n"
    "    -s                     serve with one thread\n"
    "    -o OPTION[,OPTION...]  mount options, as in fstab\n"
    "\n"
    "mount options of fdsetfs:\n"
    "    ro                     read-only; any number beside one writer of the store\n"
    "    rules=qemu|v4          open rules: QEMU 9.1 and later, or the series of Feb 2024\n"
    "    dio=auto|on|off        is direct I/O on? auto: as the first secondary channel\n"
    "    refuse=open|write      refuse a secondary channel at open, or at its first write\n"
    "    verify=read|off        check every block that is read against its digest\n"
    "    create=yes|no          may opening a number with O_CREAT make a set?\n"
    "    channel-dir=DIR        keep secondary channels' files in DIR (repeatable)\n"
    "    control=PATH|off       the control socket (default: STORE/control, off with ro)\n"
    "    control-uid=UID        let this user in there, too (repeatable)\n"
    "\n"
    "mount options of fdsetfs with FILE:\n"
    "    offset=N               where the migration stream starts (default: it is looked for)\n"
    "    cache-dir=DIR|off      keep the index of a file in the streaming format there\n"
    "    gpa=RANGE              BLOCK:OFFSET:LENGTH:ADDRESS, memory at that address (repeatable)\n"
    "    bitmap=auto|little|big byte order of the host that wrote the file's bitmaps\n"
    "    vmcoreinfo=auto|search|off\n"
    "                           a Linux guest's note: where its device tells, or anywhere\n"
    "    domain-xml=FILE        libvirt's XML of the domain: NUMA cells and addresses of DIMMs\n"
    "\n"
    "mount options of FUSE that are often wanted:\n"
    "    allow_other            let other users in (a QEMU under its own user)\n"
    "    auto_unmount           unmount when the daemon dies\n"
    "\n"
    "fdsetfs(8) has the details.\n";

const char *fs_options_help(void)
{
    return help_text;
}

/* An option that takes one of a few words, each with the value it stands for. */
typedef struct {
    const char *name;
    gsize offset; /* of an int or gboolean in FdsetPolicy */
    struct {
        const char *word;
        int value;
    } choices[4];
} Choice;

static const Choice choices[] = {
    {"rules", offsetof(FdsetPolicy, profile), {{"qemu", FDSET_PROFILE_QEMU}, {"v4", FDSET_PROFILE_V4}}},
    {"dio",
     offsetof(FdsetPolicy, dio),
     {{"auto", FDSET_DIO_AUTO}, {"on", FDSET_DIO_ON}, {"off", FDSET_DIO_OFF}}},
    {"refuse", offsetof(FdsetPolicy, refuse_at_write), {{"open", FALSE}, {"write", TRUE}}},
    {"verify", offsetof(FdsetPolicy, no_verify), {{"read", FALSE}, {"off", TRUE}}},
    {"create", offsetof(FdsetPolicy, no_create), {{"yes", FALSE}, {"no", TRUE}}},
};

G_STATIC_ASSERT(sizeof(FdsetProfile) == sizeof(int) && sizeof(FdsetDio) == sizeof(int));

/* What mount(8) and fstab say to themselves. */
static const char *const ignored[] = {"defaults", "auto",   "noauto",  "user",     "nouser",
                                      "users",    "nofail", "_netdev", "relatime", NULL};

enum { KEY_HELP, KEY_VERSION, KEY_FOREGROUND, KEY_DEBUG, KEY_SINGLE, KEY_RO, KEY_RW };

static const struct fuse_opt specs[] = {
    FUSE_OPT_KEY("-h", KEY_HELP),       FUSE_OPT_KEY("--help", KEY_HELP),
    FUSE_OPT_KEY("-V", KEY_VERSION),    FUSE_OPT_KEY("--version", KEY_VERSION),
    FUSE_OPT_KEY("-f", KEY_FOREGROUND), FUSE_OPT_KEY("-d", KEY_DEBUG),
    FUSE_OPT_KEY("debug", KEY_DEBUG),   FUSE_OPT_KEY("-s", KEY_SINGLE),
    FUSE_OPT_KEY("ro", KEY_RO),         FUSE_OPT_KEY("rw", KEY_RW),
    FUSE_OPT_END,
};

typedef struct {
    FsOptions *options;
    GError *error;
} Parse;

static int take_choice(Parse *parse, const Choice *choice, const char *value)
{
    g_autoptr(GString) words = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(choice->choices) && choice->choices[i].word; i++) {
        if (strcmp(choice->choices[i].word, value) == 0) {
            *(int *)((char *)&parse->options->policy + choice->offset) = choice->choices[i].value;
            return 0;
        }
        g_string_append_printf(words, "%s%s", i ? ", " : "", choice->choices[i].word);
    }
    g_set_error(&parse->error, FDSET_ERROR, FDSET_ERROR_USAGE,
                "option %s=%s: expected one of: %s", choice->name, value, words->str);
    return -1;
}

static int take_channel_dir(Parse *parse, const char *path)
{
    char *real = realpath(path, NULL);

    if (!real || !g_file_test(real, G_FILE_TEST_IS_DIR)) {
        free(real);
        g_set_error(&parse->error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "option channel-dir=%s: not a directory", path);
        return -1;
    }
    g_ptr_array_add(parse->options->channel_dirs, g_strdup(real));
    free(real);
    return 0;
}

static int take_control(Parse *parse, const char *path)
{
    FsOptions *options = parse->options;

    options->no_control = strcmp(path, "off") == 0;
    g_clear_pointer(&options->control, g_free);
    if (!options->no_control)
        options->control = g_canonicalize_filename(path, NULL);
    return 0;
}

static int take_control_uid(Parse *parse, const char *text)
{
    guint64 number;
    uid_t uid;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
        g_set_error(&parse->error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "option control-uid=%s: expected the number of a user", text);
        return -1;
    }
    uid = (uid_t)number;
    g_array_append_val(parse->options->control_uids, uid);
    return 0;
}

static int take_offset(Parse *parse, const char *text)
{
    gboolean hex = g_str_has_prefix(text, "0x");

    if (!g_ascii_string_to_unsigned(text + (hex ? 2 : 0), hex ? 16 : 10, 0, G_MAXINT64,
                                    &parse->options->offset, NULL)) {
        g_set_error(&parse->error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "option offset=%s: expected bytes, decimal or in hex with 0x", text);
        return -1;
    }
    parse->options->has_offset = TRUE;
    return 0;
}

static int take_cache_dir(Parse *parse, const char *text)
{
    FsOptions *options = parse->options;

    g_clear_pointer(&options->cache_dir, g_free);
    options->no_cache = strcmp(text, "off") == 0;
    if (!options->no_cache)
        options->cache_dir = g_canonicalize_filename(text, NULL);
    return 0;
}

static int take_gpa(Parse *parse, const char *text)
{
    g_ptr_array_add(parse->options->gpa, g_strdup(text));
    return 0;
}

static int take_domain_xml(Parse *parse, const char *path)
{
    g_clear_pointer(&parse->options->domain_xml, g_bytes_unref);
    parse->options->domain_xml = fs_domain_xml_read(path, &parse->error);
    return parse->options->domain_xml != NULL ? 0 : -1;
}

/* The number of 'word' among 'words', which end with NULL; -1: said what is expected. */
static int take_word(Parse *parse, const char *name, const char *const *words, const char *word)
{
    g_autofree char *expected = NULL;

    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    expected = g_strjoinv(", ", (char **)words);
    g_set_error(&parse->error, FDSET_ERROR, FDSET_ERROR_USAGE,
                "option %s=%s: expected one of: %s", name, word, expected);
    return -1;
}

static int take_vmcoreinfo(Parse *parse, const char *word)
{
    static const char *const words[] = {"auto", "search", "off", NULL};
    int mode = take_word(parse, "vmcoreinfo", words, word);

    parse->options->vmcoreinfo = (FdsetVmcoreinfoMode)MAX(mode, 0);
    return MIN(mode, 0);
}

static int take_bitmap(Parse *parse, const char *word)
{
    static const char *const words[] = {"auto", "little", "big", NULL};
    int order = take_word(parse, "bitmap", words, word);

    parse->options->bitmap = (FdsetByteOrder)MAX(order, 0);
    return MIN(order, 0);
}

/* Options whose value is free text. */
static const struct {
    const char *prefix;
    int (*take)(Parse *parse, const char *value);
} free_options[] = {
    {"channel-dir=", take_channel_dir},
    {"control=", take_control},
    {"control-uid=", take_control_uid},
    {"offset=", take_offset},
    {"cache-dir=", take_cache_dir},
    {"gpa=", take_gpa},
    {"domain-xml=", take_domain_xml},
    {"vmcoreinfo=", take_vmcoreinfo},
    {"bitmap=", take_bitmap},
};

/* NAME=VALUE options of ours; 1: not ours, libfuse is asked. */
static int take_option(Parse *parse, const char *arg)
{
    const char *value = strchr(arg, '=');

    if (g_strv_contains(ignored, arg) || g_str_has_prefix(arg, "x-"))
        return 0;
    if (!value)
        return 1;
    for (gsize i = 0; i < G_N_ELEMENTS(free_options); i++)
        if (g_str_has_prefix(arg, free_options[i].prefix))
            return free_options[i].take(parse, value + 1);
    for (gsize i = 0; i < G_N_ELEMENTS(choices); i++)
        if (strlen(choices[i].name) == (gsize)(value - arg) &&
            g_str_has_prefix(arg, choices[i].name))
            return take_choice(parse, &choices[i], value + 1);
    return 1;
}

static int take_operand(Parse *parse, const char *arg)
{
    FsOptions *options = parse->options;
    char **slot = !options->store ? &options->store
                  : !options->mountpoint ? &options->mountpoint
                                         : NULL;

    if (slot) {
        *slot = g_strdup(arg);
        return 0;
    }
    g_set_error(&parse->error, FDSET_ERROR, FDSET_ERROR_USAGE,
                "one operand too many: %s (expected STORE MOUNTPOINT)", arg);
    return -1;
}

static int take(void *data, const char *arg, int key, struct fuse_args *outargs)
{
    Parse *parse = data;
    FsOptions *options = parse->options;

    switch (key) {
    case FUSE_OPT_KEY_OPT:
        return take_option(parse, arg);
    case FUSE_OPT_KEY_NONOPT:
        return take_operand(parse, arg);
    case KEY_HELP:
        options->help = TRUE;
        return 0;
    case KEY_VERSION:
        options->version = TRUE;
        return 0;
    case KEY_DEBUG:
        options->debug = TRUE;
        options->foreground = TRUE;
        return 1;
    case KEY_FOREGROUND:
        options->foreground = TRUE;
        return 0;
    case KEY_SINGLE:
        options->policy.one_thread = TRUE;
        return 0;
    case KEY_RO:
    case KEY_RW:
        options->policy.read_only = key == KEY_RO;
        return 1;
    }
    return 1;
}

static gboolean check_operands(const FsOptions *options, GError **error)
{
    if (options->help || options->version || (options->store && options->mountpoint))
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                "%s is missing (expected STORE MOUNTPOINT)",
                options->store ? "the mount point" : "the store");
    return FALSE;
}

FsOptions *fs_options_parse(int argc, char **argv, GError **error)
{
    g_autoptr(FsOptions) options = g_new0(FsOptions, 1);
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    Parse parse = {options, NULL};
    int r;

    options->channel_dirs = g_ptr_array_new_with_free_func(g_free);
    options->gpa = g_ptr_array_new_with_free_func(g_free);
    options->control_uids = g_array_new(FALSE, FALSE, sizeof(uid_t));
    options->session = args;
    r = fuse_opt_parse(&options->session, &parse, specs, take);
    if (r < 0) {
        if (!parse.error)
            g_set_error(&parse.error, FDSET_ERROR, FDSET_ERROR_USAGE, "invalid options");
        g_propagate_error(error, parse.error);
        return NULL;
    }
    if (!check_operands(options, error))
        return NULL;
    if (options->channel_dirs->len > 0) {
        g_ptr_array_add(options->channel_dirs, NULL);
        options->policy.channel_dirs = (char **)options->channel_dirs->pdata;
    }
    return g_steal_pointer(&options);
}

void fs_options_free(FsOptions *options)
{
    if (!options)
        return;
    g_free(options->store);
    g_free(options->mountpoint);
    g_free(options->control);
    g_free(options->cache_dir);
    g_array_unref(options->control_uids);
    g_ptr_array_unref(options->channel_dirs);
    g_ptr_array_unref(options->gpa);
    g_clear_pointer(&options->domain_xml, g_bytes_unref);
    fuse_opt_free_args(&options->session);
    g_free(options);
}
