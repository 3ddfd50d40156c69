/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ctl.h"

#include <string.h>

static char *render_last_error(FdsetStore *store)
{
    return fdset_incidents_format(fdset_store_incidents(store));
}

static const struct {
    const char *name;
    char *(*render)(FdsetStore *store);
} files[] = {
    {"last-error", render_last_error},
};

guint fs_ctl_count(void)
{
    return G_N_ELEMENTS(files);
}

const char *fs_ctl_name(guint index)
{
    return files[index].name;
}

int fs_ctl_find(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(files); i++)
        if (strcmp(files[i].name, name) == 0)
            return (int)i;
    return -1;
}

GBytes *fs_ctl_render(guint index, FdsetStore *store)
{
    char *text = files[index].render(store);

    return g_bytes_new_take(text, strlen(text));
}
