/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/keyfile.h"
#include "core/error.h"
#include "core/fd.h"

#include <string.h>

#define SIZE_MAX_BYTES (64u << 20) /* 65535 channels with long directories fit */
#define END_MARK "\n[end]\n"

/* Where "[end]" begins, or NULL: cut off. */
static const char *find_end(const char *text, gsize len)
{
    const char *end = g_strrstr_len(text, (gssize)len, END_MARK);

    return end ? end + 1 : NULL;
}

static gboolean check_format(GKeyFile *keys, const char *path, const char *group, GError **error)
{
    int format = g_key_file_get_integer(keys, group, "format", NULL);

    if (format >= 1 && format <= FDSET_FORMAT)
        return TRUE;
    if (format > FDSET_FORMAT)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_VERSION,
                    "%s: written by a newer version (format %d, this version knows formats up to "
                    "%d): upgrade fdsetfs to use it",
                    path, format, FDSET_FORMAT);
    else
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "%s: damaged: no valid \"format\" in group [%s]", path, group);
    return FALSE;
}

/* The last group, with which the file ends, for all that is before it; caller frees. */
static char *end_group(const char *text, gsize len)
{
    g_autofree char *sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, len);

    return g_strdup_printf("[end]\nsha256=%s\n", sum);
}

static gboolean check_sum(const char *path, const char *text, gsize len, GError **error)
{
    const char *end = find_end(text, len);
    g_autofree char *expected = end ? end_group(text, (gsize)(end - text)) : NULL;
    gsize rest = end ? len - (gsize)(end - text) : 0;

    if (end && rest == strlen(expected) && memcmp(end, expected, rest) == 0)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, "%s: damaged: %s", path,
                end ? "its checksum does not match its content"
                    : "it ends before its checksum (group [end])");
    return FALSE;
}

GKeyFile *fdset_keyfile_load(int dirfd, const char *name, const char *path, const char *group,
                             GError **error)
{
    g_autoptr(GBytes) bytes = fdset_fd_read_file(dirfd, name, SIZE_MAX_BYTES, error);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    const char *text;
    gsize len;

    if (!bytes) {
        g_prefix_error(error, "%s: ", path);
        return NULL;
    }
    text = g_bytes_get_data(bytes, &len);
    if (len == 0 || !g_key_file_load_from_data(keys, text, len, G_KEY_FILE_NONE, NULL)) {
        /* GLib's own message would quote the damage. */
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, "%s: damaged: %s", path,
                    len == 0 ? "the file is empty" : "it is not made of groups, keys and values");
        return NULL;
    }
    if (!check_format(keys, path, group, error) || !check_sum(path, text, len, error))
        return NULL;
    return g_steal_pointer(&keys);
}

GKeyFile *fdset_keyfile_new(const char *group)
{
    GKeyFile *keys = g_key_file_new();

    g_key_file_set_integer(keys, group, "format", FDSET_FORMAT);
    return keys;
}

gboolean fdset_keyfile_save(GKeyFile *keys, int dirfd, const char *name, const char *path,
                            gboolean durable, GError **error)
{
    g_autofree char *body = g_key_file_to_data(keys, NULL, NULL);
    g_autofree char *start = g_strdup_printf("%s\n", body);
    g_autofree char *end = end_group(start, strlen(start));
    g_autofree char *text = g_strconcat(start, end, NULL);

    if (fdset_fd_replace_file(dirfd, name, text, strlen(text), durable, error))
        return TRUE;
    g_prefix_error(error, "%s: ", path);
    return FALSE;
}
