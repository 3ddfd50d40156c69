/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/manifest.h"
#include "core/error.h"
#include "core/keyfile.h"

#include <string.h>

#define GROUP "set"

static const char *const state_names[] = {
    [FDSET_STATE_PARTIAL] = "partial",
    [FDSET_STATE_COMPLETE] = "complete",
};

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

static gboolean load_state(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    g_autofree char *state = g_key_file_get_string(keys, GROUP, "state", error);

    if (!state)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(state_names); i++) {
        if (strcmp(state, state_names[i]) != 0)
            continue;
        manifest->state = (FdsetState)i;
        return TRUE;
    }
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, "unknown state \"%s\"", state);
    return FALSE;
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

static gboolean load_channels(FdsetManifest *manifest, GKeyFile *keys, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(keys, NULL);

    for (char **group = groups; *group; group++) {
        FdsetChannelInfo info = {0};
        guint64 number;

        if (!g_str_has_prefix(*group, "channel "))
            continue;
        if (!g_ascii_string_to_unsigned(*group + strlen("channel "), 10, 0, FDSET_CHANNEL_MAX - 1,
                                        &number, error))
            return FALSE;
        info.number = (guint16)(number + 1);
        info.size = g_key_file_get_uint64(keys, *group, "size", error);
        info.direct = g_key_file_get_boolean(keys, *group, "direct", NULL);
        info.written = g_key_file_get_uint64(keys, *group, "written", NULL);
        if (error && *error)
            return FALSE;
        info.directory = g_key_file_get_string(keys, *group, "directory", NULL);
        g_ptr_array_add(manifest->channels, fdset_channel_info_copy(&info));
        g_free(info.directory);
    }
    return TRUE;
}

/* A missing number reads as 0, which the checksum rules out for a file of ours. */
static void load_numbers(FdsetManifest *manifest, GKeyFile *keys)
{
    manifest->id = (guint32)g_key_file_get_uint64(keys, GROUP, "id", NULL);
    manifest->reason = g_key_file_get_string(keys, GROUP, "reason", NULL);
    manifest->session = g_key_file_get_boolean(keys, GROUP, "session", NULL);
    manifest->durable = g_key_file_get_boolean(keys, GROUP, "durable", NULL);
    manifest->sealed = g_key_file_get_boolean(keys, GROUP, "sealed", NULL);
    manifest->generation = g_key_file_get_uint64(keys, GROUP, "generation", NULL);
    manifest->size = g_key_file_get_uint64(keys, GROUP, "size", NULL);
    manifest->stream_offset = g_key_file_get_uint64(keys, GROUP, "stream-offset", NULL);
    manifest->data_blocks = g_key_file_get_uint64(keys, GROUP, "data-blocks", NULL);
    manifest->mode = (guint32)g_key_file_get_integer(keys, GROUP, "mode", NULL);
    manifest->uid = (guint32)g_key_file_get_uint64(keys, GROUP, "uid", NULL);
    manifest->gid = (guint32)g_key_file_get_uint64(keys, GROUP, "gid", NULL);
    manifest->mtime = g_key_file_get_int64(keys, GROUP, "mtime", NULL);
    g_free(manifest->boot);
    manifest->boot = g_key_file_get_string(keys, GROUP, "boot", NULL);
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
    load_numbers(manifest, keys);
    if (!load_state(manifest, keys, &damage) ||
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
    g_autofree char *group = g_strdup_printf("channel %u", info->number - 1u);

    g_key_file_set_uint64(keys, group, "size", info->size);
    g_key_file_set_boolean(keys, group, "direct", info->direct);
    if (info->written)
        g_key_file_set_uint64(keys, group, "written", info->written);
    if (info->directory)
        g_key_file_set_string(keys, group, "directory", info->directory);
}

gboolean fdset_manifest_save(const FdsetManifest *manifest, int dirfd, const char *path,
                             gboolean durable, GError **error)
{
    g_autoptr(GKeyFile) keys = fdset_keyfile_new(GROUP);
    g_autofree char *secret = fdset_key_to_hex(&manifest->key);
    g_autofree char *sums = fdset_bytes_to_hex(manifest->sums, sizeof manifest->sums);

    g_key_file_set_uint64(keys, GROUP, "id", manifest->id);
    g_key_file_set_string(keys, GROUP, "state", fdset_state_name(manifest->state));
    if (manifest->reason)
        g_key_file_set_string(keys, GROUP, "reason", manifest->reason);
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
