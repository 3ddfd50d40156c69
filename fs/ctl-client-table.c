/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ctl-client-table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct FsTable {
    guint n_columns;
    GPtrArray *cells; /* owned strings, row by row */
};

FsTable *fs_table_new(const char *head)
{
    g_auto(GStrv) names = g_strsplit(head, " ", -1);
    FsTable *table = g_new0(FsTable, 1);

    table->cells = g_ptr_array_new_with_free_func(g_free);
    table->n_columns = g_strv_length(names);
    for (guint i = 0; i < table->n_columns; i++)
        fs_table_add(table, g_strdup(names[i]));
    return table;
}

void fs_table_add(FsTable *table, char *cell)
{
    g_ptr_array_add(table->cells, cell);
}

static int width_of(const FsTable *table, guint column)
{
    gsize width = 0;

    for (guint i = column; i < table->cells->len; i += table->n_columns)
        width = MAX(width, strlen(table->cells->pdata[i]));
    return (int)width;
}

void fs_table_print(const FsTable *table)
{
    for (guint i = 0; i < table->cells->len; i++) {
        guint column = i % table->n_columns;

        if (column + 1 == table->n_columns)
            printf("%s\n", (const char *)table->cells->pdata[i]);
        else
            printf("%-*s  ", width_of(table, column), (const char *)table->cells->pdata[i]);
    }
}

void fs_table_free(FsTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table);
}

char *fs_text_size(gint64 bytes)
{
    g_autofree char *text = g_format_size_full((guint64)MAX(0, bytes), G_FORMAT_SIZE_IEC_UNITS);
    g_auto(GStrv) words = g_strsplit(text, "\302\240", -1); /* a no-break space is two bytes wide */

    return g_strjoinv(" ", words);
}

char *fs_text_rate(double rate)
{
    g_autofree char *size = rate > 0 ? fs_text_size((gint64)rate) : NULL;

    return size ? g_strconcat(size, "/s", NULL) : g_strdup("-");
}

char *fs_text_time(double time)
{
    g_autoptr(GDateTime) moment = g_date_time_new_from_unix_local((gint64)time);

    return moment && time > 0 ? g_date_time_format(moment, "%F %T") : g_strdup("-");
}

void fs_text_progress(const char *what, guint64 done, guint64 total)
{
    g_autofree char *done_text = fs_text_size((gint64)done);
    g_autofree char *total_text = fs_text_size((gint64)total);

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s: %s of %s (%.0f %%)", what, done_text, total_text,
            total ? 100.0 * (double)done / (double)total : 0);
    fflush(stderr);
}

void fs_text_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}
