/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may open a set and when, and what a handle does. */
#include "config.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>

#define BLOCK FDSET_BLOCK_SIZE

static void test_no_readers(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(FdsetHandle) main = world_open_ok(world, O_WRONLY);

    world_open_fails(world, O_RDONLY, EBUSY);
    world_open_fails(world, O_RDWR, EACCES);
    world_open_fails(world, O_WRONLY | O_APPEND, EACCES);
    g_assert_cmpstr(world->events->str, ==, "SRRR");
}

static void test_old_reader(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_unfinished);
    g_autoptr(FdsetHandle) reader = NULL;
    FdsetHandle *main;
    guint8 *buf = g_aligned_alloc(2, BLOCK, BLOCK);
    gconstpointer data;

    world_save(world, file, 0, 1, O_WRONLY);
    reader = world_open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, 10);
    main = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, -EBUSY);
    handle_write_ok(main, "0123456789", 10, 3);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, -EBUSY);
    handle_close_file(main);
    g_assert_cmpint(fdset_handle_read(reader, buf, 10, 3, &data), ==, 10);
    g_assert_cmpmem(data, 10, "0123456789", 10);
    g_aligned_free(buf);
}

static void test_writer_reads_not(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *reader;
    gconstpointer data;
    char buf[1];

    g_assert_cmpint(fdset_handle_read(main, buf, 1, 0, &data), ==, -EBADF);
    handle_close_file(main);
    reader = world_open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_handle_write(reader, buf, 1, 0), ==, -EBADF);
    g_assert_cmpint(fdset_handle_truncate(reader, 0), ==, -EBADF);
    handle_close_file(reader);
}

static void test_complete_is_final(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);

    world_save(world, file, 0, 3, DIRECT);
    world_open_fails(world, O_WRONLY, EACCES);
    world_open_fails(world, O_WRONLY | O_TRUNC, EACCES);
    g_assert_cmpint(fdset_set_truncate(world->set, 5), ==, -EACCES);
    wait_for(set_is_durable, world->set);
    world_open_fails(world, O_WRONLY, EACCES);
    world_check_file(world, file);
}

static void test_refuse_at_write(void)
{
    const FdsetPolicy policy = {.dio = FDSET_DIO_ON, .refuse_at_write = TRUE};
    g_autoptr(World) world = world_new(&policy);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *handles[2];
    FdsetHandle *refused;

    handles[0] = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], 0), ==, 0);
    refused = world_open_ok(world, O_WRONLY);
    handles[1] = world_open_ok(world, DIRECT);
    world_open_fails(world, O_RDONLY, EBUSY);
    g_assert_cmpint(fdset_handle_write(refused, "x", 1, 0), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(refused, "x", 1, 0), ==, -EACCES);
    g_assert_cmpint(fdset_handle_truncate(refused, 0), ==, -EACCES);
    world_write_stream(file, 0, handles, 2);
    handle_close_file(refused);
    handle_close_file(handles[1]);
    handle_close_file(handles[0]);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

static void test_alike(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *direct = world_open_ok(world, DIRECT);
    FdsetHandle *more;

    world_open_fails(world, O_WRONLY, EACCES); /* after a short wait: it may be expelled yet */
    handle_write_ok(direct, "x", 1, 0);
    world_open_fails(world, O_WRONLY, EACCES);
    more = world_open_ok(world, DIRECT);
    handle_close_file(more);
    handle_close_file(direct);
    more = world_open_ok(world, O_WRONLY); /* now the first one */
    handle_write_ok(more, "x", 1, 0);
    world_open_fails(world, DIRECT, EACCES);
    handle_close_file(more);
    handle_close_file(main);
}

static gpointer close_in_thread(gpointer handle)
{
    fdset_handle_close(handle);
    return NULL;
}

/* The other main channel, which made the conflict, goes away while the open waits. */
static void test_conflict_resolves(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *other = world_open_ok(world, O_WRONLY);
    FdsetHandle *direct;
    GThread *thread;

    handle_write_ok(main, "x", 1, 0);
    thread = g_thread_new("close", close_in_thread, other);
    direct = world_open_ok(world, DIRECT);
    g_thread_join(thread);
    handle_close_file(direct);
    handle_close_file(main);
}

static void test_dio(gconstpointer on)
{
    const FdsetPolicy policy = {.dio = on ? FDSET_DIO_ON : FDSET_DIO_OFF};
    g_autoptr(World) world = world_new(&policy);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *secondary;

    world_open_fails(world, on ? O_WRONLY : DIRECT, EACCES);
    secondary = world_open_ok(world, on ? DIRECT : O_WRONLY);
    handle_close_file(secondary);
    handle_close_file(main);
}

static void test_many_channels(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *handles[256];

    handles[0] = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], 0), ==, 0);
    for (guint i = 1; i < 256; i++)
        handles[i] = world_open_ok(world, O_WRONLY);
    world_open_fails(world, O_WRONLY, EACCES);
    world_write_stream(file, 0, handles, 256);
    handle_close_file(handles[255]);
    handles[255] = world_open_ok(world, O_WRONLY);
    world_open_fails(world, O_WRONLY, EACCES);
    for (guint i = 256; i-- > 0;)
        handle_close_file(handles[i]);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
    world_reopen(world);
    world_check_file(world, file);
}

/* cp file MOUNT/7 && cmp file MOUNT/7: RELEASE comes after close(2) has returned. */
static void test_open_after_close(void)
{
    g_autoptr(World) world = world_new(&world_defaults);

    for (guint i = 0; i < 40; i++) {
        FdsetHandle *writer = world_open_ok(world, O_WRONLY | O_TRUNC);
        FdsetHandle *reader;
        GThread *thread;

        handle_write_ok(writer, &i, sizeof i, 0);
        fdset_handle_flush(writer);
        thread = g_thread_new("release", close_in_thread, writer);
        reader = world_open_ok(world, O_RDONLY);
        g_thread_join(thread);
        handle_close_file(reader);
        world_check_content(world, (const guint8 *)&i, sizeof i);
    }
}

/* With one thread nobody else could answer the RELEASE that is waited for. */
static void test_one_thread(void)
{
    const FdsetPolicy policy = {.one_thread = TRUE};
    g_autoptr(World) world = world_new(&policy);
    FdsetHandle *writer = world_open_ok(world, O_WRONLY);

    handle_write_ok(writer, "x", 1, 0);
    fdset_handle_flush(writer);
    world_open_fails(world, O_RDONLY, EBUSY);
    fdset_handle_close(writer);
    world_check_content(world, (const guint8 *)"x", 1);
}

static void test_seek_and_sync(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *reader;

    handle_write_ok(main, "x", 1, 5 * BLOCK);
    g_assert_cmpint(fdset_handle_sync(main), ==, 0);
    g_assert_cmpint(fdset_handle_seek(main, 0, TRUE), ==, 5 * BLOCK);
    handle_close_file(main);
    reader = world_open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_handle_sync(reader), ==, 0);
    g_assert_cmpint(fdset_handle_seek(reader, 0, TRUE), ==, 5 * BLOCK);
    g_assert_cmpint(fdset_handle_seek(reader, 5 * BLOCK, FALSE), ==, 5 * BLOCK + 1);
    g_assert_cmpint(fdset_handle_seek(reader, 5 * BLOCK + 1, FALSE), ==, -ENXIO);
    handle_close_file(reader);
}

#define N_PLAYERS 4

typedef struct {
    World *world;
    guint64 seed;
    guint opened[2]; /* readers, writers */
} Player;

static void check_errno(gint64 r, const char *what)
{
    static const int known[] = {EACCES, EBUSY, ENXIO};

    if (r >= 0)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (r == -known[i])
            return;
    g_error("%s gave %" G_GINT64_FORMAT, what, r);
}

static void use_handle(FdsetHandle *handle, Random *random, guint8 *buf)
{
    guint64 offset = random_below(random, 20 * BLOCK);
    gsize len = 1 + (gsize)random_below(random, 3 * BLOCK);
    gboolean writer = fdset_handle_is_writer(handle);
    gconstpointer data;

    switch (random_below(random, 6)) {
    case 0:
        check_errno(fdset_handle_sync(handle), "a sync");
        break;
    case 1:
        if (writer)
            check_errno(fdset_handle_truncate(handle, offset), "a truncation");
        break;
    case 2:
        fdset_handle_flush(handle);
        break;
    default:
        if (writer)
            check_errno(fdset_handle_write(handle, buf, len, offset), "a write");
        else
            check_errno(fdset_handle_read(handle, buf, len, offset, &data), "a read");
    }
}

static void look_at(FdsetSet *set, Random *random)
{
    const guint32 mode = 0600;
    g_autofree char *why = fdset_set_last_error(set);

    set_info(set);
    if (random_below(random, 4) == 0)
        g_assert_cmpint(fdset_set_change(set, &mode, NULL, NULL, NULL), ==, 0);
}

static gpointer play(gpointer data)
{
    static const int flags[] = {O_RDONLY, O_WRONLY, O_WRONLY, DIRECT, O_WRONLY | O_TRUNC};
    Player *player = data;
    Random random = {player->seed};
    guint8 *buf = g_aligned_alloc0(6, BLOCK, BLOCK);

    for (guint i = 0; i < 60; i++) {
        FdsetHandle *handle = NULL;
        int r = fdset_handle_open(player->world->set,
                                  flags[random_below(&random, G_N_ELEMENTS(flags))], &handle);

        check_errno(r, "an open");
        look_at(player->world->set, &random);
        if (r < 0)
            continue;
        player->opened[fdset_handle_is_writer(handle)]++;
        for (guint64 n = random_below(&random, 8); n > 0; n--)
            use_handle(handle, &random, buf);
        fdset_handle_flush(handle);
        fdset_handle_close(handle);
    }
    g_aligned_free(buf);
    return NULL;
}

static void play_round(World *world, Random *random, guint opened[2])
{
    Player players[N_PLAYERS];
    GThread *threads[N_PLAYERS];

    for (guint i = 0; i < N_PLAYERS; i++) {
        players[i] = (Player){.world = world, .seed = random_next(random)};
        threads[i] = g_thread_new("play", play, &players[i]);
    }
    for (guint i = 0; i < N_PLAYERS; i++) {
        g_thread_join(threads[i]);
        opened[0] += players[i].opened[0];
        opened[1] += players[i].opened[1];
    }
}

static void test_threads(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    Random random = random_new();
    guint opened[2] = {0};

    /* On a slow machine writers may keep all readers out for a round. */
    for (guint round = 0; round < 20 && (round == 0 || !opened[0] || !opened[1]); round++)
        play_round(world, &random, opened);
    g_assert_cmpuint(opened[0], >, 0);
    g_assert_cmpuint(opened[1], >, 0);
    handle_close_file(world_open_ok(world, O_RDONLY)); /* waits until it has settled */
    g_assert_true(set_is_partial(world->set));
    world_reopen(world);
    g_assert_true(set_is_partial(world->set));
}

/* One handle used by many threads at once, as QEMU uses a descriptor and its copies. */
static gpointer write_share(gpointer data)
{
    FdsetHandle *handle = data;
    guint8 buf[100];

    memset(buf, 'w', sizeof buf);
    for (guint64 i = 0; i < 100; i++) {
        handle_write_ok(handle, buf, sizeof buf, i * sizeof buf);
        fdset_handle_flush(handle);
    }
    return NULL;
}

static void test_shared_handle(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    g_autofree guint8 *expected = g_malloc(10000);
    GThread *threads[3];

    for (guint i = 0; i < 3; i++)
        threads[i] = g_thread_new("write", write_share, main);
    for (guint i = 0; i < 3; i++)
        g_thread_join(threads[i]);
    handle_close_file(main);
    memset(expected, 'w', 10000);
    world_check_content(world, expected, 10000);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/handle/a source set refuses O_RDONLY while it is written", test_no_readers);
    g_test_add_func("/handle/a reader of an earlier time gets EBUSY meanwhile", test_old_reader);
    g_test_add_func("/handle/a writer does not read and a reader does not write",
                    test_writer_reads_not);
    g_test_add_func("/handle/a complete set without a header is final", test_complete_is_final);
    g_test_add_func("/handle/refuse=write fails the first write instead", test_refuse_at_write);
    g_test_add_func("/handle/dio=auto wants all secondary channels alike", test_alike);
    g_test_add_func("/handle/a conflict that goes away is no conflict", test_conflict_resolves);
    g_test_add_data_func("/handle/dio=on wants O_DIRECT", "on", test_dio);
    g_test_add_data_func("/handle/dio=off does not want O_DIRECT", NULL, test_dio);
    g_test_add_func("/handle/255 secondary channels are open at once and no more",
                    test_many_channels);
    g_test_add_func("/handle/an open right after a close never sees EBUSY", test_open_after_close);
    g_test_add_func("/handle/with one thread an open does not wait", test_one_thread);
    g_test_add_func("/handle/seek and sync work on both sides", test_seek_and_sync);
    g_test_add_func("/handle/threads do everything at once", test_threads);
    g_test_add_func("/handle/threads share one handle", test_shared_handle);
    return g_test_run();
}
