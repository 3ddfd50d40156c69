/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view.h"
#include "core/elfcore.h"
#include "core/escape.h"
#include "core/info.h"
#include "core/lime.h"
#include "core/memraw.h"

#define PLACE_BITS 20 /* a stream has at most 65536 sections and 8192 blocks, a set 65535 channels */
#define NOT_COUNTED -1

/* NULL: there is none for this file. */
typedef FdsetMemview *(*MakeFunc)(const FdsetInspection *inspection);

typedef struct {
    char *name; /* owned */
    guint64 node;
    FdsetMemview *content; /* owned; NULL for a directory, or not made yet; protected by lock */
    MakeFunc make;         /* makes it, or NULL */
    gint64 data_bytes;     /* or NOT_COUNTED; protected by lock */
} Entry;

typedef struct {
    GArray *entries;   /* owned, of Entry */
    GHashTable *names; /* owned, name -> node; borrows the names */
} Directory;

enum { DIRECTORY_ROOT, DIRECTORY_RAM, DIRECTORY_DEVICES, DIRECTORY_CHANNELS, N_DIRECTORIES };

G_STATIC_ASSERT((guint64)N_DIRECTORIES << PLACE_BITS <= FS_VIEW_NODES);

struct FsView {
    const FdsetInspection *inspection; /* borrowed */
    GMutex lock;
    Directory directories[N_DIRECTORIES];
};

/* --- the files of the root --- */

static FdsetMemview *view_of_text(GBytes *text)
{
    FdsetMemview *view = fdset_memview_new();

    fdset_memview_add_bytes(view, text);
    g_bytes_unref(text);
    return view;
}

static FdsetMemview *make_info(const FdsetInspection *inspection)
{
    return view_of_text(fdset_info_render(inspection));
}

static FdsetMemview *make_header(const FdsetInspection *inspection)
{
    guint64 start = fdset_stream_start(fdset_inspection_stream(inspection));
    FdsetMemview *view;

    if (start == 0)
        return NULL;
    view = fdset_memview_new();
    fdset_memview_add_source(view, fdset_inspection_source(inspection), 0, start);
    return view;
}

static FdsetMemview *make_raw(const FdsetInspection *inspection)
{
    return fdset_memraw_new(fdset_inspection_gpa(inspection), NULL);
}

static FdsetMemview *make_elf(const FdsetInspection *inspection)
{
    return fdset_elfcore_new(fdset_inspection_gpa(inspection), fdset_inspection_notes(inspection),
                             NULL);
}

static FdsetMemview *make_lime(const FdsetInspection *inspection)
{
    return fdset_lime_new(fdset_inspection_gpa(inspection), NULL);
}

static FdsetMemview *make_devices(const FdsetInspection *inspection)
{
    return view_of_text(fdset_devices_render(fdset_inspection_devices(inspection)));
}

static const struct {
    const char *name;
    MakeFunc make;    /* NULL for a directory */
    gboolean is_lazy; /* it is always there, and making it takes work */
    int directory;
} files[] = {
    {"info.json", make_info, FALSE, -1}, {"header", make_header, FALSE, -1},
    {"mem.raw", make_raw, FALSE, -1},    {"vmcore.elf", make_elf, FALSE, -1},
    {"mem.lime", make_lime, FALSE, -1},  {"devices.json", make_devices, TRUE, -1},
    {"ram", NULL, FALSE, DIRECTORY_RAM}, {"devices", NULL, FALSE, DIRECTORY_DEVICES},
};

/* --- the tree --- */

static guint64 node_of_directory(int directory)
{
    return directory == DIRECTORY_ROOT ? FS_VIEW_ROOT : (guint64)directory << PLACE_BITS;
}

/* -1 when the node is no directory. */
static int directory_of_node(guint64 node)
{
    for (int i = 0; i < N_DIRECTORIES; i++) {
        if (node == node_of_directory(i))
            return i;
    }
    return -1;
}

/* Places count from 2 on: 0 is the directory itself, and FUSE's root is node 1. */
static guint64 next_node(const FsView *view, int directory)
{
    return ((guint64)directory << PLACE_BITS) + view->directories[directory].entries->len + 2;
}

static Entry *find_entry(FsView *view, guint64 node)
{
    guint64 directory = node >> PLACE_BITS;
    guint64 place = (node & ((1u << PLACE_BITS) - 1));

    if (directory >= N_DIRECTORIES || place < 2 ||
        place - 2 >= view->directories[directory].entries->len)
        return NULL;
    return &g_array_index(view->directories[directory].entries, Entry, place - 2);
}

/* Takes over entry->name and ->content. A second entry of one name gets its number behind "~". */
static void add_entry(FsView *view, int directory, const Entry *entry)
{
    Directory *parent = &view->directories[directory];
    Entry added = *entry;

    added.data_bytes = NOT_COUNTED;
    if (added.node == 0)
        added.node = next_node(view, directory);
    if (g_hash_table_contains(parent->names, entry->name)) {
        added.name = g_strdup_printf("%s~%u", entry->name, parent->entries->len);
        g_free(entry->name);
    }
    g_array_append_val(parent->entries, added);
    g_hash_table_insert(parent->names, added.name, GSIZE_TO_POINTER((gsize)added.node));
}

static void add_root(FsView *view)
{
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        Entry entry = {.make = files[i].make};

        if (files[i].make == NULL)
            entry.node = node_of_directory(files[i].directory);
        else if (!files[i].is_lazy && !(entry.content = files[i].make(view->inspection)))
            continue;
        entry.name = g_strdup(files[i].name);
        add_entry(view, DIRECTORY_ROOT, &entry);
    }
}

static void add_ram(FsView *view)
{
    FdsetRam *ram = fdset_stream_ram(fdset_inspection_stream(view->inspection));

    for (gsize i = 0; i < fdset_ram_n_blocks(ram); i++) {
        const FdsetRamblock *block = fdset_ram_block(ram, i);
        Entry entry = {.name = fdset_escape_name(fdset_ramblock_name(block), i),
                       .content = fdset_memview_new()};

        fdset_memview_add_ram(entry.content, block, 0, fdset_ramblock_used_length(block));
        add_entry(view, DIRECTORY_RAM, &entry);
    }
}

static void add_devices(FsView *view)
{
    const FdsetDevices *devices = fdset_inspection_devices(view->inspection);

    for (gsize i = 0; i < fdset_devices_count(devices); i++) {
        const FdsetSection *section = fdset_devices_section(devices, i);
        g_autofree char *name = fdset_escape_name(section->name, i);
        Entry entry = {.name = g_strdup_printf("%s.%u", name, section->instance_id),
                       .content = fdset_memview_new()};

        fdset_memview_add_source(entry.content, fdset_inspection_source(view->inspection),
                                 section->offset, section->length);
        add_entry(view, DIRECTORY_DEVICES, &entry);
    }
}

void fs_view_add_channel(FsView *view, guint k, const FdsetSource *source)
{
    Entry entry = {.name = g_strdup_printf("%u", k), .content = fdset_memview_new()};

    if (view->directories[DIRECTORY_CHANNELS].entries->len == 0) {
        Entry directory = {.name = g_strdup("channels"),
                           .node = node_of_directory(DIRECTORY_CHANNELS)};

        add_entry(view, DIRECTORY_ROOT, &directory);
    }
    fdset_memview_add_source(entry.content, source, 0, source->size);
    add_entry(view, DIRECTORY_CHANNELS, &entry);
}

static void entry_clear(gpointer data)
{
    Entry *entry = data;

    g_free(entry->name);
    fdset_memview_free(entry->content);
}

FsView *fs_view_new(const FdsetInspection *inspection)
{
    FsView *view = g_new0(FsView, 1);

    view->inspection = inspection;
    g_mutex_init(&view->lock);
    for (int i = 0; i < N_DIRECTORIES; i++) {
        view->directories[i].entries = g_array_new(FALSE, FALSE, sizeof(Entry));
        g_array_set_clear_func(view->directories[i].entries, entry_clear);
        view->directories[i].names = g_hash_table_new(g_str_hash, g_str_equal);
    }
    add_root(view);
    add_ram(view);
    add_devices(view);
    return view;
}

guint64 fs_view_look_up(FsView *view, guint64 directory, const char *name)
{
    int i = directory_of_node(directory);

    if (i < 0)
        return 0;
    return GPOINTER_TO_SIZE(g_hash_table_lookup(view->directories[i].names, name));
}

gboolean fs_view_is_directory(const FsView *view, guint64 node)
{
    return directory_of_node(node) >= 0;
}

gboolean fs_view_entry(const FsView *view, guint64 directory, gsize i, const char **name,
                       guint64 *node)
{
    int number = directory_of_node(directory);
    const Directory *parent = number >= 0 ? &view->directories[number] : NULL;

    if (parent == NULL || i >= parent->entries->len)
        return FALSE;
    *name = g_array_index(parent->entries, Entry, i).name;
    *node = g_array_index(parent->entries, Entry, i).node;
    return TRUE;
}

const FdsetMemview *fs_view_content(FsView *view, guint64 node)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&view->lock);
    Entry *entry = find_entry(view, node);

    if (entry == NULL)
        return NULL;
    if (entry->content == NULL && entry->make != NULL)
        entry->content = entry->make(view->inspection);
    return entry->content;
}

gint64 fs_view_data_bytes(FsView *view, guint64 node, gboolean count)
{
    const FdsetMemview *content = fs_view_content(view, node);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&view->lock);
    Entry *entry = find_entry(view, node);

    if (entry == NULL || content == NULL)
        return 0;
    if (entry->data_bytes == NOT_COUNTED && count) {
        gint64 bytes = fdset_memview_data_bytes(content);

        if (bytes < 0)
            return bytes;
        entry->data_bytes = bytes;
    }
    return entry->data_bytes;
}

void fs_view_free(FsView *view)
{
    if (view == NULL)
        return;
    for (int i = 0; i < N_DIRECTORIES; i++) {
        g_hash_table_unref(view->directories[i].names);
        g_array_unref(view->directories[i].entries);
    }
    g_mutex_clear(&view->lock);
    g_free(view);
}
