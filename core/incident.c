/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/incident.h"

struct FdsetIncidents {
    GMutex lock;
    GQueue ring; /* of FdsetIncident, newest at the tail; protected by lock */
};

void fdset_incident_free(FdsetIncident *incident)
{
    if (!incident)
        return;
    g_free(incident->rule);
    g_free(incident->text);
    g_free(incident);
}

FdsetIncidents *fdset_incidents_new(void)
{
    FdsetIncidents *incidents = g_new0(FdsetIncidents, 1);

    g_mutex_init(&incidents->lock);
    g_queue_init(&incidents->ring);
    return incidents;
}

void fdset_incidents_free(FdsetIncidents *incidents)
{
    if (!incidents)
        return;
    g_queue_clear_full(&incidents->ring, (GDestroyNotify)fdset_incident_free);
    g_mutex_clear(&incidents->lock);
    g_free(incidents);
}

void fdset_incidents_add(FdsetIncidents *incidents, guint32 id, int channel, int errnum,
                         const char *rule, const char *text)
{
    g_autofree char *set = g_strdup_printf("%u", id);
    g_autofree char *channel_text = g_strdup_printf("%d", channel);
    FdsetIncident *incident = g_new(FdsetIncident, 1);

    g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "FDSET_ID", set, "CHANNEL", channel_text,
                     "ERRNO", g_strerror(errnum), "MESSAGE", "%s (answered with: %s)", text,
                     g_strerror(errnum));
    *incident = (FdsetIncident){
        .time = g_get_real_time(),
        .id = id,
        .errnum = errnum,
        .rule = g_strdup(rule),
        .text = g_strdup(text),
    };
    g_mutex_lock(&incidents->lock);
    g_queue_push_tail(&incidents->ring, incident);
    if (g_queue_get_length(&incidents->ring) > FDSET_INCIDENTS_MAX)
        fdset_incident_free(g_queue_pop_head(&incidents->ring));
    g_mutex_unlock(&incidents->lock);
}

GPtrArray *fdset_incidents_list(FdsetIncidents *incidents)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_incident_free);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&incidents->lock);

    for (const GList *l = incidents->ring.head; l; l = l->next) {
        FdsetIncident *copy = g_memdup2(l->data, sizeof *copy);

        copy->rule = g_strdup(copy->rule);
        copy->text = g_strdup(copy->text);
        g_ptr_array_add(list, copy);
    }
    return list;
}

char *fdset_incidents_format(FdsetIncidents *incidents)
{
    GString *text = g_string_new(NULL);

    g_mutex_lock(&incidents->lock);
    for (const GList *l = incidents->ring.head; l; l = l->next) {
        const FdsetIncident *incident = l->data;
        g_autoptr(GDateTime) time =
            g_date_time_new_from_unix_utc(incident->time / G_USEC_PER_SEC);
        g_autofree char *stamp = g_date_time_format_iso8601(time);

        g_string_append_printf(text, "%s %s: %s\n", stamp, g_strerror(incident->errnum),
                               incident->text);
    }
    g_mutex_unlock(&incidents->lock);
    return g_string_free(text, FALSE);
}
