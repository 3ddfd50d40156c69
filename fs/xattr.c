/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/xattr.h"

#include <string.h>

static char *get_state(FdsetSet *set)
{
    FdsetSetInfo info;

    fdset_set_info(set, &info);
    return g_strdup(fdset_status_name(info.status));
}

static char *get_channels(FdsetSet *set)
{
    FdsetSetInfo info;

    fdset_set_info(set, &info);
    return g_strdup_printf("%u", info.n_channels);
}

static char *get_stream_offset(FdsetSet *set)
{
    FdsetSetInfo info;

    fdset_set_info(set, &info);
    return g_strdup_printf("%" G_GUINT64_FORMAT, info.stream_offset);
}

static const struct {
    const char *name;
    char *(*get)(FdsetSet *set);
} attributes[] = {
    {"user.fdsetfs.state", get_state},
    {"user.fdsetfs.channels", get_channels},
    {"user.fdsetfs.stream_offset", get_stream_offset},
    {"user.fdsetfs.last_error", fdset_set_last_error},
};

char *fs_xattr_get(FdsetSet *set, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++)
        if (strcmp(attributes[i].name, name) == 0)
            return attributes[i].get(set);
    return NULL;
}

GBytes *fs_xattr_list(FdsetSet *set)
{
    GByteArray *names = g_byte_array_new();

    for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++) {
        g_autofree char *value = attributes[i].get(set);

        if (value)
            g_byte_array_append(names, (const guint8 *)attributes[i].name,
                                (guint)strlen(attributes[i].name) + 1);
    }
    return g_byte_array_free_to_bytes(names);
}
