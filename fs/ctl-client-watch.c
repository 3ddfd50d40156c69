/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch: rates of channels, and events as they come. A terminal gets a screen
 * that is drawn anew, everything else plain lines.
 */
#include "config.h"
#include "core/error.h"
#include "fs/ctl-client-command.h"
#include "fs/ctl-client-table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_SHOWN 8u

typedef struct {
    FsCtl *ctl;
    GHashTable *written; /* "7/0" -> bytes when last looked, owned */
    gint64 looked;       /* monotonic; 0: not yet */
    GQueue events;       /* lines, owned; the last EVENTS_SHOWN */
    gboolean screen;
} Watch;

static void watch_clear(Watch *watch)
{
    g_clear_pointer(&watch->written, g_hash_table_unref);
    g_queue_clear_full(&watch->events, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Watch, watch_clear)

static void show_event(Watch *watch, JsonObject *message)
{
    JsonObject *data = json_object_get_object_member(message, "data");
    JsonObject *stamp = json_object_get_object_member(message, "timestamp");
    g_autofree char *time = fs_text_time((double)json_object_get_int_member(stamp, "seconds"));
    char *line = g_strdup_printf("%s  fdset %" G_GINT64_FORMAT ": %s  %s", time,
                                 json_object_get_int_member(data, "fdset-id"),
                                 json_object_get_string_member(message, "event"),
                                 json_object_get_string_member_with_default(data, "reason", ""));

    if (!watch->screen)
        printf("%s\n", line);
    g_queue_push_tail(&watch->events, line);
    if (g_queue_get_length(&watch->events) > EVENTS_SHOWN)
        g_free(g_queue_pop_head(&watch->events));
}

/* Bytes a second since the last look; 0 for a channel that is new. */
static double rate_of(Watch *watch, const char *key, gint64 written, gint64 now)
{
    const gint64 *before = g_hash_table_lookup(watch->written, key);
    double rate = 0;

    if (before && watch->looked && now > watch->looked && written > *before)
        rate = (double)(written - *before) * G_USEC_PER_SEC / (double)(now - watch->looked);
    g_hash_table_insert(watch->written, g_strdup(key), g_memdup2(&written, sizeof written));
    return rate;
}

/* The channels that are open, or were written since the last look. */
static void add_channels(Watch *watch, FsTable *table, JsonObject *set, gint64 now)
{
    JsonArray *channels = json_object_get_array_member(set, "channels");
    gint64 id = json_object_get_int_member(set, "fdset-id");

    for (guint i = 0; i < json_array_get_length(channels); i++) {
        JsonObject *channel = json_array_get_object_element(channels, i);
        gint64 written = json_object_get_int_member(channel, "bytes-written");
        const char *file = json_object_get_string_member(channel, "file");
        g_autofree char *key = g_strdup_printf("%" G_GINT64_FORMAT "/%s", id, file);
        double rate = rate_of(watch, key, written, now);

        if (rate == 0 && !json_object_get_boolean_member(channel, "open"))
            continue;
        fs_table_add(table, g_strdup_printf("%" G_GINT64_FORMAT, id));
        fs_table_add(table, g_strdup(json_object_get_string_member(set, "state")));
        fs_table_add(table, g_strdup(file));
        fs_table_add(table, fs_text_rate(rate));
        fs_table_add(table, fs_text_size(written));
    }
}

static void draw(Watch *watch, JsonArray *sets)
{
    g_autoptr(FsTable) table = fs_table_new("SET STATE CHANNEL RATE WRITTEN");
    gint64 now = g_get_monotonic_time();

    for (guint i = 0; i < json_array_get_length(sets); i++)
        add_channels(watch, table, json_array_get_object_element(sets, i), now);
    watch->looked = now;
    if (watch->screen)
        printf("\033[H\033[J");
    fs_table_print(table);
    for (const GList *l = watch->events.head; watch->screen && l; l = l->next)
        printf("%s\n", (const char *)l->data);
    fflush(stdout);
}

static gboolean look(Watch *watch, GError **error)
{
    return fs_client_send(watch->ctl->client, "query-sets", NULL, "look", -1, error);
}

/* Takes messages until 'end' (monotonic). */
static gboolean listen_until(Watch *watch, gint64 end, GError **error)
{
    for (gint64 now; (now = g_get_monotonic_time()) < end;) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(JsonObject) message = fs_client_receive(watch->ctl->client, end - now, &problem);

        if (problem) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
        if (message && json_object_has_member(message, "event"))
            show_event(watch, message);
        if (!message || !json_object_has_member(message, "return"))
            continue;
        if (watch->ctl->json)
            fs_ctl_print_json(json_object_get_member(message, "return"));
        else
            draw(watch, json_object_get_array_member(message, "return"));
    }
    return TRUE;
}

gboolean fs_ctl_watch(FsCtl *ctl, GError **error)
{
    g_auto(Watch) watch = {.ctl = ctl, .screen = isatty(STDOUT_FILENO) && !ctl->json};
    double interval = CLAMP(ctl->interval < 0 ? 1 : ctl->interval, 0.01, 3600);

    if (!fs_ctl_client(ctl, error))
        return FALSE;
    setvbuf(stdout, NULL, _IOLBF, 0); /* who reads a pipe gets events as they come, too */
    watch.written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (int i = 0; ctl->count <= 0 || i < ctl->count; i++) {
        gint64 end = g_get_monotonic_time() + (gint64)(interval * G_USEC_PER_SEC);

        if (!look(&watch, error) || !listen_until(&watch, end, error))
            return FALSE;
    }
    return TRUE;
}
