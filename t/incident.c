/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/incident.h"
#include "t/fixture.h"
#include "t/tap.h"

#include <errno.h>

static void test_line(void)
{
    g_autoptr(FdsetIncidents) incidents = fdset_incidents_new();
    g_autofree char *empty = fdset_incidents_format(incidents);
    g_autofree char *text = NULL;

    g_assert_cmpstr(empty, ==, "");
    fdset_incidents_add(incidents, 7, 2, EACCES, "append", "fdset 7: no O_APPEND");
    text = fdset_incidents_format(incidents);
    g_assert_true(g_regex_match_simple(
        "^20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ Permission denied: fdset 7: no O_APPEND\\n$",
        text, 0, 0));
}

static void test_order_and_limit(void)
{
    g_autoptr(FdsetIncidents) incidents = fdset_incidents_new();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    for (guint i = 0; i < FDSET_INCIDENTS_MAX + 10; i++) {
        g_autofree char *one = g_strdup_printf("number %u.", i);

        fdset_incidents_add(incidents, i, -1, EBUSY, "failure", one);
    }
    text = fdset_incidents_format(incidents);
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, FDSET_INCIDENTS_MAX + 1); /* "" behind the last */
    for (guint i = 0; i < FDSET_INCIDENTS_MAX; i++) {
        g_autofree char *end = g_strdup_printf(": number %u.", i + 10);

        g_assert_true(g_str_has_suffix(lines[i], end));
    }
}

static gpointer add_many(gpointer incidents)
{
    for (guint i = 0; i < 500; i++)
        fdset_incidents_add(incidents, i, 0, EIO, "failure", "text");
    return NULL;
}

static void test_threads(void)
{
    g_autoptr(FdsetIncidents) incidents = fdset_incidents_new();
    GThread *threads[3];
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    for (guint i = 0; i < 3; i++)
        threads[i] = g_thread_new("add", add_many, incidents);
    for (guint i = 0; i < 3; i++)
        g_thread_join(threads[i]);
    text = fdset_incidents_format(incidents);
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, FDSET_INCIDENTS_MAX + 1);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/incident/a line has the time, the errno and the text", test_line);
    g_test_add_func("/incident/the newest are kept, oldest first", test_order_and_limit);
    g_test_add_func("/incident/threads add at once", test_threads);
    return g_test_run();
}
