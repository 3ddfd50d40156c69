/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-client-table.h - text for people: tables whose columns line up, sizes,
 * times, and a line of progress that is overwritten.
 */
#ifndef FS_CTL_CLIENT_TABLE_H
#define FS_CTL_CLIENT_TABLE_H

#include <glib.h>

typedef struct FsTable FsTable;

/* 'head' is one word a column, separated by blanks. */
FsTable *fs_table_new(const char *head);

/* One cell of the current row; takes the text over. A row ends with its last column. */
void fs_table_add(FsTable *table, char *cell);
void fs_table_print(const FsTable *table);
void fs_table_free(FsTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTable, fs_table_free)

/* "1.5 GiB", "812.0 MiB/s" ("-" for none), "2026-02-03 04:05:06"; callers free. */
char *fs_text_size(gint64 bytes);
char *fs_text_rate(double rate);
char *fs_text_time(double time);

/* Shows how far 'what' is, on stderr and only when that is a terminal. */
void fs_text_progress(const char *what, guint64 done, guint64 total);

/* Takes the line of progress away. */
void fs_text_progress_end(void);

#endif
