/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/file.h"

typedef struct {
    guint64 number;
    FsFile file;
} Entry;

struct FsFiles {
    GMutex lock;
    guint64 next;
    FsInsides *insides;    /* borrowed */
    GHashTable *by_number; /* &entry->number -> Entry, owned */
};

static void entry_free(FsFiles *files, Entry *entry)
{
    fdset_handle_close(entry->file.handle);
    g_clear_pointer(&entry->file.text, g_bytes_unref);
    g_clear_pointer(&entry->file.names, g_ptr_array_unref);
    fs_insides_put(files->insides, entry->file.inside);
    g_free(entry);
}

FsFiles *fs_files_new(FsInsides *insides)
{
    FsFiles *files = g_new0(FsFiles, 1);

    g_mutex_init(&files->lock);
    files->next = 1;
    files->insides = insides;
    files->by_number = g_hash_table_new(g_int64_hash, g_int64_equal);
    return files;
}

void fs_files_free(FsFiles *files)
{
    GHashTableIter iter;
    gpointer entry;

    if (!files)
        return;
    g_hash_table_iter_init(&iter, files->by_number);
    while (g_hash_table_iter_next(&iter, NULL, &entry))
        entry_free(files, entry);
    g_hash_table_unref(files->by_number);
    g_mutex_clear(&files->lock);
    g_free(files);
}

guint64 fs_files_add(FsFiles *files, const FsFile *file)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&files->lock);
    Entry *entry = g_new(Entry, 1);

    entry->number = files->next++;
    entry->file = *file;
    g_hash_table_insert(files->by_number, &entry->number, entry);
    return entry->number;
}

FsFile *fs_files_get(FsFiles *files, guint64 number)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&files->lock);
    Entry *entry = g_hash_table_lookup(files->by_number, &number);

    return entry ? &entry->file : NULL;
}

void fs_files_remove(FsFiles *files, guint64 number)
{
    gpointer entry;

    g_mutex_lock(&files->lock);
    entry = g_hash_table_lookup(files->by_number, &number);
    g_hash_table_remove(files->by_number, &number);
    g_mutex_unlock(&files->lock);
    if (entry)
        entry_free(files, entry);
}
