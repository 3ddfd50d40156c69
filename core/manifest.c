/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/manifest.h"
#include "core/error.h"
#include "core/image.h"
#include "core/keyfile.h"

#include <string.h>

#define GROUP "set"
#define CHANNEL_PREFIX "channel "

static const char *const state_names[] = {
    [FDSET_STATE_PARTIAL] = "partial",
    [FDSET_STATE_COMPLETE] = "complete",
};

static const char *const backing_names[] = {
    [FDSET_BACKING_STORE] = "store",
    [FDSET_BACKING_FILE] = "file",
    [FDSET_BACKING_FILES] = "files",
};

const char *fdset_backing_name(FdsetBacking backing)
{
    return backing_names[backing];
}

const char *fdset_state_name(FdsetState state)
{
    return state_names[state];
}

char *fdset_boot_id(void)
{
    char *id = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
        return g_strdup("unknown");
    return g_strstrip(id);
}

FdsetManifest *fdset_manifest_new(guint32 id, const FdsetKey *key)
{
    FdsetManifest *manifest = g_new0(FdsetManifest, 1);

    manifest->id = id;
    manifest->key = *key;
    manifest->mode = 0600;
    manifest->boot = fdset_boot_id();
    manifest->channels =
        g_ptr_array_new_with_free_func((GDestroyNotify)fdset_channel_info_free);
    return manifest;
}

static gpointer copy_info(gconstpointer info, gpointer unused)
{
    return fdset_channel_info_copy(info);
}

FdsetManifest *fdset_manifest_copy(const FdsetManifest *manifest)
{
    FdsetManifest *copy = g_new(FdsetManifest, 1);

    *copy = *manifest;
    copy->reason = g_strdup(manifest->reason);
    copy->boot = g_strdup(manifest->boot);
    copy->channels = g_ptr_array_copy(manifest->channels, copy_info, NULL);
    g_ptr_array_set_free_func(copy->channels, (GDestroyNotify)fdset_channel_info_free);
    return copy;
}

void fdset_manifest_free(FdsetManifest *manifest)
{
    if (!manifest)
        return;
    g_ptr_array_unref(manifest->channels);
    g_free(manifest->reason);
    g_free(manifest->boot);
    g_free(manifest);
}

/* The index of the word "name" among 'names'; -1 and *error when it is none of them. */
static int load_word(GKeyFile *keys, const char *name, const char *const *names, gsize n,
                     GError **error)
{
    g_autofree char *word = g_key_file_get_string(keys, GROUP, name, error);

    for (gsize i = 0; word && i < n; i++)
        if (strcmp(word, names[i]) == 0)
            return (int)i;
    if (word)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, "unknown %s \"%s\"", name, word);
    return -1;
}

static gboolean load_state(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    int state = load_word(keys, "state", state_names, G_N_ELEMENTS(state_names), error);
    int backing = FDSET_BACKING_STORE;

    if (state >= 0 && g_key_file_has_key(keys, GROUP, "backing", NULL))
        backing = load_word(keys, "backing", backing_names, G_N_ELEMENTS(backing_names), error);
    if (state < 0 || backing < 0)
        return FALSE;
    manifest->state = (FdsetState)state;
    manifest->backing = (FdsetBacking)backing;
    return TRUE;
}

static gboolean load_hex(GKeyFile *keys, const char *name, gpointer data, gsize len, GError **error)
{
    g_autofree char *hex = g_key_file_get_string(keys, GROUP, name, error);

    if (!hex)
        return FALSE;
    if (fdset_bytes_from_hex(data, len, hex))
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "\"%s\" should be %" G_GSIZE_FORMAT " hexadecimal digits", name, 2 * len);
    return FALSE;
}

static gboolean load_number(GKeyFile *keys, const char *group, const char *name, guint64 max,
                            guint64 *number, GError **error)
{
    g_autofree char *text = g_key_file_get_value(keys, group, name, NULL);

    if (text && g_ascii_string_to_unsigned(text, 10, 0, max, number, NULL))
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "\"%s\" in group [%s] should be a number from 0 to %" G_GUINT64_FORMAT, name, group,
                max);
    return FALSE;
}

static gboolean load_boolean(GKeyFile *keys, const char *group, const char *name, gboolean *value,
                             GError **error)
{
    g_autoptr(GError) none = NULL;

    *value = g_key_file_get_boolean(keys, group, name, &none);
    if (!none)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "\"%s\" in group [%s] should be true or false", name, group);
    return FALSE;
}

/* *directory stays NULL when the channel has none of its own. */
static gboolean load_directory(GKeyFile *keys, const char *group, char **directory, GError **error)
{
    g_autofree char *escaped = g_key_file_get_value(keys, group, "directory", NULL);

    if (!escaped)
        return TRUE;
    *directory = g_strcompress(escaped);
    if (g_path_is_absolute(*directory))
        return TRUE;
    g_clear_pointer(directory, g_free);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "\"directory\" in group [%s] should be an absolute path", group);
    return FALSE;
}

static gboolean load_channel(FdsetManifest *manifest, GKeyFile *keys, const char *group,
                             GError **error)
{
    const char *digits = group + strlen(CHANNEL_PREFIX);
    FdsetChannelInfo info = {0};
    guint64 number;

    if ((digits[0] == '0' && digits[1] != '\0') ||
        !g_ascii_string_to_unsigned(digits, 10, 0, FDSET_CHANNEL_MAX - 1, &number, NULL)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "group [%s] should be named by a number from 0 to %u", group,
                    FDSET_CHANNEL_MAX - 1);
        return FALSE;
    }
    info.number = (guint16)(number + 1);
    if (!load_number(keys, group, "size", FDSET_IMAGE_MAX, &info.size, error) ||
        !load_boolean(keys, group, "direct", &info.direct, error))
        return FALSE;
    if (g_key_file_has_key(keys, group, "written", NULL) &&
        !load_number(keys, group, "written", G_MAXUINT64, &info.written, error))
        return FALSE;
    info.external = g_key_file_has_key(keys, group, "inode", NULL);
    if (info.external &&
        (!load_number(keys, group, "device", G_MAXUINT64, &info.device, error) ||
         !load_number(keys, group, "inode", G_MAXUINT64, &info.inode, error)))
        return FALSE;
    if (!load_directory(keys, group, &info.directory, error))
        return FALSE;
    g_ptr_array_add(manifest->channels, fdset_channel_info_copy(&info));
    g_free(info.directory);
    return TRUE;
}

static gboolean load_channels(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);

    for (char **group = groups; *group; group++)
        if (g_str_has_prefix(*group, CHANNEL_PREFIX) &&
            !load_channel(manifest, keys, *group, error))
            return FALSE;
    return TRUE;
}

#define NUMBER(name, field, max)                                                                   \
    {                                                                                              \
        name, G_STRUCT_OFFSET(FdsetManifest, field), sizeof(((FdsetManifest *)NULL)->field), max   \
    }

static const struct {
    const char *name;
    glong offset;
    gsize width; /* 4 or 8 bytes */
    guint64 max;
} numbers[] = {
    NUMBER("id", id, G_MAXUINT32),
    NUMBER("generation", generation, G_MAXUINT64),
    NUMBER("size", size, FDSET_IMAGE_MAX),
    NUMBER("stream-offset", stream_offset, FDSET_IMAGE_MAX),
    NUMBER("data-blocks", data_blocks, FDSET_IMAGE_MAX / FDSET_BLOCK_SIZE),
    NUMBER("mode", mode, 07777),
    NUMBER("uid", uid, G_MAXUINT32),
    NUMBER("gid", gid, G_MAXUINT32),
};

static gboolean load_numbers(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    guint64 value;

    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (!load_number(keys, GROUP, numbers[i].name, numbers[i].max, &value, error))
            return FALSE;
        if (numbers[i].width == sizeof(guint32))
            G_STRUCT_MEMBER(guint32, manifest, numbers[i].offset) = (guint32)value;
        else
            G_STRUCT_MEMBER(guint64, manifest, numbers[i].offset) = value;
    }
    return TRUE;
}

static gboolean load_flags(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    return load_boolean(keys, GROUP, "session", &manifest->session, error) &&
           load_boolean(keys, GROUP, "durable", &manifest->durable, error) &&
           (!g_key_file_has_key(keys, GROUP, "sealed", NULL) ||
            load_boolean(keys, GROUP, "sealed", &manifest->sealed, error));
}

static gboolean load_words(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    g_autofree char *mtime = g_key_file_get_value(keys, GROUP, "mtime", NULL);

    if (!mtime ||
        !g_ascii_string_to_signed(mtime, 10, G_MININT64, G_MAXINT64, &manifest->mtime, NULL)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "\"mtime\" in group [" GROUP "] should be nanoseconds since 1970");
        return FALSE;
    }
    g_free(manifest->boot);
    manifest->boot = g_key_file_get_string(keys, GROUP, "boot", error);
    manifest->reason = g_key_file_get_string(keys, GROUP, "reason", NULL);
    return manifest->boot != NULL;
}

FdsetManifest *fdset_manifest_load(int dirfd, guint32 id, const char *path, GError **error)
{
    g_autoptr(GKeyFile) keys = fdset_keyfile_load(dirfd, "manifest", path, GROUP, error);
    g_autoptr(FdsetManifest) manifest = NULL;
    g_autoptr(GError) damage = NULL;
    FdsetKey none = {{0}};

    if (!keys)
        return NULL;
    manifest = fdset_manifest_new(id, &none);
    if (!load_numbers(manifest, keys, &damage) || !load_flags(manifest, keys, &damage) ||
        !load_words(manifest, keys, &damage) || !load_state(manifest, keys, &damage) ||
        !load_hex(keys, "secret", &manifest->key, sizeof manifest->key, &damage) ||
        !load_hex(keys, "sums", manifest->sums, sizeof manifest->sums, &damage) ||
        !load_channels(manifest, keys, &damage)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, "%s: damaged: %s", path,
                    damage->message);
        return NULL;
    }
    if (manifest->id != id) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "%s: is the manifest of set %u, expected that of set %u", path, manifest->id,
                    id);
        return NULL;
    }
    return g_steal_pointer(&manifest);
}

static void save_channel(GKeyFile *keys, const FdsetChannelInfo *info)
{
    g_autofree char *group = g_strdup_printf(CHANNEL_PREFIX "%u", info->number - 1u);
    g_autofree char *directory = info->directory ? g_strescape(info->directory, NULL) : NULL;

    g_key_file_set_uint64(keys, group, "size", info->size);
    g_key_file_set_boolean(keys, group, "direct", info->direct);
    if (info->written)
        g_key_file_set_uint64(keys, group, "written", info->written);
    if (info->external) {
        g_key_file_set_uint64(keys, group, "device", info->device);
        g_key_file_set_uint64(keys, group, "inode", info->inode);
    }
    if (directory) /* any bytes, not only UTF-8 */
        g_key_file_set_value(keys, group, "directory", directory);
}

gboolean fdset_manifest_save(const FdsetManifest *manifest, int dirfd, const char *path,
                             gboolean durable, GError **error)
{
    g_autoptr(GKeyFile) keys = fdset_keyfile_new(GROUP);
    g_autofree char *secret = fdset_key_to_hex(&manifest->key);
    g_autofree char *sums = fdset_bytes_to_hex(manifest->sums, sizeof manifest->sums);
    g_autofree char *reason = manifest->reason ? g_utf8_make_valid(manifest->reason, -1) : NULL;

    g_key_file_set_uint64(keys, GROUP, "id", manifest->id);
    g_key_file_set_string(keys, GROUP, "state", fdset_state_name(manifest->state));
    if (manifest->backing != FDSET_BACKING_STORE)
        g_key_file_set_string(keys, GROUP, "backing", fdset_backing_name(manifest->backing));
    if (reason)
        g_key_file_set_string(keys, GROUP, "reason", reason);
    g_key_file_set_boolean(keys, GROUP, "session", manifest->session);
    g_key_file_set_boolean(keys, GROUP, "durable", manifest->durable);
    if (manifest->sealed)
        g_key_file_set_boolean(keys, GROUP, "sealed", TRUE);
    g_key_file_set_uint64(keys, GROUP, "generation", manifest->generation);
    g_key_file_set_uint64(keys, GROUP, "size", manifest->size);
    g_key_file_set_uint64(keys, GROUP, "stream-offset", manifest->stream_offset);
    g_key_file_set_uint64(keys, GROUP, "data-blocks", manifest->data_blocks);
    g_key_file_set_integer(keys, GROUP, "mode", (int)manifest->mode);
    g_key_file_set_uint64(keys, GROUP, "uid", manifest->uid);
    g_key_file_set_uint64(keys, GROUP, "gid", manifest->gid);
    g_key_file_set_int64(keys, GROUP, "mtime", manifest->mtime);
    g_key_file_set_string(keys, GROUP, "boot", manifest->boot);
    g_key_file_set_string(keys, GROUP, "secret", secret);
    g_key_file_set_string(keys, GROUP, "sums", sums);
    for (guint i = 0; i < manifest->channels->len; i++)
        save_channel(keys, manifest->channels->pdata[i]);
    return fdset_keyfile_save(keys, dirfd, "manifest", path, durable, error);
}
