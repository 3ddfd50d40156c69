/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/world.h"

#include <fcntl.h>

#define BLOCK FDSET_BLOCK_SIZE

static const StreamBlock blocks[] = {
    {.name = "pc.ram", .pages = 40},
    {.name = "vga.vram", .pages = 3},
};

#define MAPPED                                                                                     \
    .capability = "mapped-ram", .pages_align = BLOCK, .blocks = blocks,                            \
    .n_blocks = G_N_ELEMENTS(blocks)

const StreamShape world_plain = {MAPPED};
const StreamShape world_header = {.start = HEADER, MAPPED};
const StreamShape world_unfinished = {.unfinished = TRUE, MAPPED};

static void note_event(gpointer data, FdsetEvent event, guint32 id, const char *text)
{
    static const char letters[] = "SPCDR";
    World *world = data;

    g_mutex_lock(&world->lock);
    g_string_append_c(world->events, letters[event]);
    g_mutex_unlock(&world->lock);
}

void world_open(World *world)
{
    g_autoptr(GError) error = NULL;

    world->store = fdset_store_open(world->dir->path, &world->policy, &error);
    g_assert_no_error(error);
    fdset_store_watch(world->store, note_event, world);
    fdset_store_create(world->store, 7, 0600, 0, 0, &world->set);
    g_assert_true(world->set || world->policy.no_create);
}

World *world_new(const FdsetPolicy *policy)
{
    World *world = g_new0(World, 1);

    world->dir = dir_new();
    world->policy = *policy;
    world->events = g_string_new(NULL);
    g_mutex_init(&world->lock);
    world_open(world);
    return world;
}

World *world_new_with_disk(void)
{
    World *world = g_new0(World, 1);

    world->dir = dir_new();
    world->disk = dir_new();
    world->events = g_string_new(NULL);
    g_mutex_init(&world->lock);
    world->channel_dirs[0] = world->disk->path;
    world->policy.channel_dirs = world->channel_dirs;
    world_open(world);
    return world;
}

void world_close(World *world)
{
    g_clear_pointer(&world->set, fdset_set_unref);
    g_clear_pointer(&world->store, fdset_store_close);
}

void world_reopen(World *world)
{
    world_close(world);
    world_open(world);
}

void world_free(World *world)
{
    world_close(world);
    g_string_free(world->events, TRUE);
    g_mutex_clear(&world->lock);
    dir_free(world->dir);
    dir_free(world->disk);
    g_free(world);
}
const FdsetPolicy world_defaults;

FdsetHandle *world_open_ok(const World *world, int flags)
{
    FdsetHandle *handle = NULL;
    int r = fdset_handle_open(world->set, flags, &handle);

    if (r != 0) {
        g_autofree char *why = fdset_set_last_error(world->set);

        g_error("an open with flags 0x%x gave %d (%s)", (guint)flags, r, why ? why : "no reason");
    }
    return handle;
}

void world_open_fails(const World *world, int flags, int errnum)
{
    FdsetHandle *handle = NULL;
    g_autofree char *why = NULL;

    g_assert_cmpint(fdset_handle_open(world->set, flags, &handle), ==, -errnum);
    g_assert_null(handle);
    why = fdset_set_last_error(world->set);
    g_assert_true(g_str_has_prefix(why, "fdset 7: "));
}

FdsetSetInfo set_info(FdsetSet *set)
{
    FdsetSetInfo info;

    fdset_set_info(set, &info);
    return info;
}

gboolean set_is_durable(gpointer set)
{
    return set_info(set).status == FDSET_STATUS_DURABLE;
}

gboolean set_is_partial(gpointer set)
{
    return set_info(set).status == FDSET_STATUS_PARTIAL;
}

void handle_write_ok(FdsetHandle *handle, gconstpointer data, gsize len, guint64 offset)
{
    g_assert_cmpint(fdset_handle_write(handle, data, len, offset), ==, 0);
}

void handle_close_file(FdsetHandle *handle)
{
    fdset_handle_flush(handle);
    fdset_handle_close(handle);
}

void world_write_stream(const StreamFile *file, guint64 start, FdsetHandle *const *handles, guint n)
{
    const GByteArray *bytes = file->bytes;

    for (guint64 at = start; at < bytes->len;) {
        guint64 end = MIN(bytes->len, (at / BLOCK + 1) * BLOCK);
        gboolean whole = at % BLOCK == 0 && end - at == BLOCK;

        handle_write_ok(handles[whole ? at / BLOCK % n : 0], bytes->data + at, end - at, at);
        at = end;
    }
}

void world_save(const World *world, const StreamFile *file, guint64 start, guint n_secondary,
                int flags)
{
    FdsetHandle *handles[16];

    handles[0] = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], start), ==, 0);
    for (guint i = 1; i <= n_secondary; i++)
        handles[i] = world_open_ok(world, flags);
    world_write_stream(file, start, handles, n_secondary + 1);
    for (guint i = n_secondary + 1; i-- > 0;)
        handle_close_file(handles[i]);
}

void world_check_content(const World *world, const guint8 *bytes, gsize len)
{
    g_autoptr(FdsetHandle) reader = world_open_ok(world, O_RDONLY);
    guint8 *buf = g_aligned_alloc(1, BLOCK * 17, BLOCK);

    g_assert_cmpuint(set_info(world->set).size, ==, len);
    for (gsize at = 0; at < len;) {
        gconstpointer data;
        gssize got = fdset_handle_read(reader, buf, 16 * BLOCK, at, &data);

        g_assert_cmpint(got, ==, MIN(16 * BLOCK, len - at));
        g_assert_cmpint(memcmp(data, bytes + at, (gsize)got), ==, 0);
        at += (gsize)got;
    }
    g_aligned_free(buf);
}

void world_check_file(const World *world, const StreamFile *file)
{
    world_check_content(world, file->bytes->data, file->bytes->len);
}

World *world_new_closed(void)
{
    World *world = g_new0(World, 1);

    world->dir = dir_new();
    world->events = g_string_new(NULL);
    g_mutex_init(&world->lock);
    return world;
}

gboolean set_is_settled(gpointer set)
{
    return set_info(set).status != FDSET_STATUS_WRITING;
}

void set_check_partial(FdsetSet *set)
{
    g_autofree char *why = fdset_set_last_error(set);

    if (!set_is_partial(set))
        g_error("the set is %s: %s", fdset_status_name(set_info(set).status), why);
}
