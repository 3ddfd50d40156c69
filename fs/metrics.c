/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/metrics.h"
#include "fs/report.h"

/* All sets as they are at one moment: a scrape looks at each once. */
typedef struct {
    guint32 id;
    FdsetSetDetails *details; /* owned */
} Sample;

typedef struct {
    FsContext *context;
    GArray *samples; /* of Sample */
    GString *text;
} Scrape;

static void sample_clear(gpointer data)
{
    fdset_set_details_free(((Sample *)data)->details);
}

static void take_samples(Scrape *scrape)
{
    g_autoptr(GArray) ids = fdset_store_list(scrape->context->store);

    scrape->samples = g_array_new(FALSE, FALSE, sizeof(Sample));
    g_array_set_clear_func(scrape->samples, sample_clear);
    for (guint i = 0; i < ids->len; i++) {
        Sample sample = {.id = g_array_index(ids, guint32, i)};
        g_autoptr(FdsetSet) set = fdset_store_lookup(scrape->context->store, sample.id);

        if (!set)
            continue;
        sample.details = fdset_set_details(set);
        g_array_append_val(scrape->samples, sample);
    }
}

static void add(Scrape *scrape, const char *name, guint64 value)
{
    g_string_append_printf(scrape->text, "%s %" G_GUINT64_FORMAT "\n", name, value);
}

static void add_info(Scrape *scrape, const char *name)
{
    g_string_append_printf(scrape->text, "%s{version=\"%s\"} 1\n", name, PACKAGE_VERSION);
}

static void add_started(Scrape *scrape, const char *name)
{
    g_string_append_printf(scrape->text, "%s %.3f\n", name,
                           (double)scrape->context->stats.started / G_USEC_PER_SEC);
}

static void add_bytes_written(Scrape *scrape, const char *name)
{
    add(scrape, name, fs_stats_get(&scrape->context->stats.bytes_written));
}

static void add_writes(Scrape *scrape, const char *name)
{
    add(scrape, name, fs_stats_get(&scrape->context->stats.writes));
}

static void add_bytes_read(Scrape *scrape, const char *name)
{
    add(scrape, name, fs_stats_get(&scrape->context->stats.bytes_read));
}

static void add_reads(Scrape *scrape, const char *name)
{
    add(scrape, name, fs_stats_get(&scrape->context->stats.reads));
}

static void add_errors(Scrape *scrape, const char *name)
{
    add(scrape, name, fs_stats_get(&scrape->context->stats.errors));
}

static void add_events(Scrape *scrape, const char *name)
{
    for (guint i = 0; i < FS_EVENT_KINDS; i++)
        g_string_append_printf(scrape->text, "%s{event=\"%s\"} %" G_GUINT64_FORMAT "\n", name,
                               fs_event_name((FdsetEvent)i),
                               fs_events_count(scrape->context->events, (FdsetEvent)i));
}

static void add_sets(Scrape *scrape, const char *name)
{
    guint counts[FS_REPORT_STATUSES] = {0};

    for (guint i = 0; i < scrape->samples->len; i++)
        counts[g_array_index(scrape->samples, Sample, i).details->info.status]++;
    for (guint i = 0; i < FS_REPORT_STATUSES; i++)
        g_string_append_printf(scrape->text, "%s{state=\"%s\"} %u\n", name,
                               fdset_status_name((FdsetStatus)i), counts[i]);
}

static void add_set_sizes(Scrape *scrape, const char *name)
{
    for (guint i = 0; i < scrape->samples->len; i++) {
        const Sample *sample = &g_array_index(scrape->samples, Sample, i);

        g_string_append_printf(scrape->text, "%s{fdset=\"%u\"} %" G_GUINT64_FORMAT "\n", name,
                               sample->id, sample->details->info.size);
    }
}

static void add_set_sessions(Scrape *scrape, const char *name)
{
    for (guint i = 0; i < scrape->samples->len; i++) {
        const Sample *sample = &g_array_index(scrape->samples, Sample, i);

        g_string_append_printf(scrape->text, "%s{fdset=\"%u\"} %" G_GUINT64_FORMAT "\n", name,
                               sample->id, sample->details->sessions);
    }
}

static void add_channels(Scrape *scrape, const char *name)
{
    for (guint i = 0; i < scrape->samples->len; i++) {
        const Sample *sample = &g_array_index(scrape->samples, Sample, i);
        const GArray *channels = sample->details->channels;

        for (guint k = 0; k < channels->len; k++) {
            const FdsetChannelDetails *channel = &g_array_index(channels, FdsetChannelDetails, k);

            g_string_append_printf(
                scrape->text,
                "%s{fdset=\"%u\",channel=\"%u\",direct=\"%d\"} %" G_GUINT64_FORMAT "\n", name,
                sample->id, channel->index, channel->direct, channel->written);
        }
    }
}

/* Help texts have no backslash and no line feed, and labels only words of ours: nothing to escape.
 */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    void (*add)(Scrape *scrape, const char *name);
} metrics[] = {
    {"fdsetfs_build_info", "gauge", "Always 1; the label has the version.", add_info},
    {"fdsetfs_start_time_seconds", "gauge", "When the daemon started, since the epoch.",
     add_started},
    {"fdsetfs_written_bytes_total", "counter", "Bytes written to sets.", add_bytes_written},
    {"fdsetfs_writes_total", "counter", "Requests that wrote to sets.", add_writes},
    {"fdsetfs_read_bytes_total", "counter", "Bytes read from sets, without what the kernel cached.",
     add_bytes_read},
    {"fdsetfs_reads_total", "counter", "Requests that read from sets.", add_reads},
    {"fdsetfs_request_errors_total", "counter", "Requests to write or read that failed.",
     add_errors},
    {"fdsetfs_events_total", "counter", "What happened to sets.", add_events},
    {"fdsetfs_sets", "gauge", "Sets in each state.", add_sets},
    {"fdsetfs_set_size_bytes", "gauge", "Size of a set's image.", add_set_sizes},
    {"fdsetfs_set_sessions", "gauge", "Sessions that have written a set.", add_set_sessions},
    {"fdsetfs_channel_written_bytes", "gauge", "Bytes that came through a channel of a set.",
     add_channels},
};

char *fs_metrics_render(FsContext *context)
{
    Scrape scrape = {.context = context, .text = g_string_new(NULL)};

    take_samples(&scrape);
    for (gsize i = 0; i < G_N_ELEMENTS(metrics); i++) {
        g_string_append_printf(scrape.text, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name,
                               metrics[i].help, metrics[i].name, metrics[i].type);
        metrics[i].add(&scrape, metrics[i].name);
    }
    g_array_unref(scrape.samples);
    return g_string_free(scrape.text, FALSE);
}
