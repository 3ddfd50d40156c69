/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ctl.h"
#include "fs/metrics.h"
#include "fs/report.h"

#include <string.h>

static char *render_last_error(FsContext *context)
{
    return fdset_incidents_format(fdset_store_incidents(context->store));
}

static char *render_metrics(FsContext *context)
{
    return fs_metrics_render(context);
}

static char *render_stats(FsContext *context)
{
    g_autoptr(JsonNode) stats = fs_report_stats(context);
    g_autofree char *text = NULL;

    /* The daemon's totals, and the sets in the place of their number. */
    json_object_set_member(json_node_get_object(stats), "sets", fs_report_sets(context));
    text = json_to_string(stats, TRUE);
    return g_strconcat(text, "\n", NULL);
}

static void add_progress(FsContext *context, FdsetSet *set, GString *text)
{
    g_autoptr(FdsetSetDetails) details = fdset_set_details(set);
    guint32 id = fdset_set_id(set);
    FsWorkProgress work;
    guint n_open = 0;

    for (guint i = 0; i < details->channels->len; i++)
        n_open += (guint)g_array_index(details->channels, FdsetChannelDetails, i).open;
    if (details->info.status == FDSET_STATUS_WRITING || details->session)
        g_string_append_printf(
            text, "fdset %u: writing: %.1f MiB in %.1f s, %.1f MiB/s, %u channels\n", id,
            (double)details->session_written / (1 << 20), fs_report_duration(context, id, details),
            fs_report_rate(context, id, details) / (1 << 20), n_open);
    if (fs_works_get(context->works, id, &work))
        g_string_append_printf(text, "fdset %u: %s: %.1f of %.1f MiB\n", id, work.what,
                               (double)work.done / (1 << 20), (double)work.total / (1 << 20));
}

/* A line for each set that something is done to now. */
static char *render_progress(FsContext *context)
{
    g_autoptr(GArray) ids = fdset_store_list(context->store);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(FdsetSet) set =
            fdset_store_lookup(context->store, g_array_index(ids, guint32, i));

        if (set)
            add_progress(context, set, text);
    }
    return g_string_free(text, FALSE);
}

static const struct {
    const char *name;
    char *(*render)(FsContext *context);
} files[] = {
    {"last-error", render_last_error},
    {"metrics", render_metrics},
    {"progress", render_progress},
    {"stats.json", render_stats},
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

GBytes *fs_ctl_render(guint index, FsContext *context)
{
    char *text = files[index].render(context);

    return g_bytes_new_take(text, strlen(text));
}
