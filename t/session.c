/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions that follow each other, and those that should not meet: headers,
 * second tries, second VMMs.
 */
#include "config.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>

#define BIG (8 << 20)

static void test_header(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    FdsetHandle *main;

    world_save(world, file, HEADER, 2, DIRECT);
    wait_for(set_is_durable, world->set);
    g_assert_cmpuint(set_info(world->set).stream_offset, ==, HEADER);
    world_open_fails(world, DIRECT, EACCES);
    world_open_fails(world, O_WRONLY | O_TRUNC, EACCES);
    main = world_open_ok(world, O_WRONLY);
    g_assert_true(set_info(world->set).stable);
    world_open_fails(world, O_WRONLY, EBUSY);
    memcpy(file->bytes->data, "LibvirtQemudSave", 16);
    handle_write_ok(main, file->bytes->data, 16, 0);
    handle_write_ok(main, "x", 1, HEADER - 1);
    file->bytes->data[HEADER - 1] = 'x';
    g_assert_cmpint(fdset_handle_write(main, "x", 1, HEADER), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(main, "xy", 2, HEADER - 1), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(main, "x", 1, G_MAXUINT64), ==, -EACCES);
    g_assert_cmpint(fdset_handle_write(main, "xy", 2, G_MAXUINT64), ==, -EACCES);
    g_assert_cmpint(fdset_handle_truncate(main, HEADER), ==, -EACCES);
    g_assert_cmpint(fdset_handle_truncate(main, 0), ==, -EACCES);
    world_check_file(world, file); /* readers go on meanwhile */
    handle_close_file(main);
    wait_for(set_is_durable, world->set);
    g_assert_cmpuint(set_info(world->set).stream_offset, ==, HEADER);
    world_check_file(world, file);
    world_reopen(world);
    g_assert_true(set_is_durable(world->set));
    world_check_file(world, file);
}

/* A manager writes its header and closes, then the VMM saves behind it, into the same block. */
static void test_sessions_follow(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    FdsetHandle *manager = world_open_ok(world, O_WRONLY | O_TRUNC);

    memset(file->bytes->data, 'h', HEADER);
    handle_write_ok(manager, file->bytes->data, HEADER, 0);
    handle_close_file(manager);
    world_save(world, file, HEADER, 3, DIRECT);
    wait_for(set_is_durable, world->set);
    g_assert_cmpuint(set_info(world->set).stream_offset, ==, HEADER);
    g_assert_cmpuint(set_info(world->set).n_channels, ==, 5);
    world_check_file(world, file);
}

static void test_stream_found(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *copy = world_open_ok(world, O_WRONLY);

    handle_write_ok(copy, file->bytes->data, file->bytes->len, 0); /* cp: no truncation at all */
    handle_close_file(copy);
    wait_for(set_is_durable, world->set);
    g_assert_cmpuint(set_info(world->set).stream_offset, ==, 0);
}

static void test_retry(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) unfinished = stream_file_new(&world_unfinished);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);

    world_save(world, unfinished, 0, 4, O_WRONLY);
    g_assert_true(dir_has(world->dir, "7/ch-004"));
    world_save(world, file, 0, 2, DIRECT);
    wait_for(set_is_durable, world->set);
    for (guint i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("7/ch-%03u", i);

        g_assert_cmpint(dir_has(world->dir, name), ==, i >= 5);
    }
    g_assert_cmpuint(set_info(world->set).n_channels, ==, 3);
    world_check_file(world, file);
    world_reopen(world);
    world_check_file(world, file);
}

/* A retry behind a header keeps the channel that has the header, and only that. */
static void test_retry_keeps_header(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    FdsetHandle *manager = world_open_ok(world, O_WRONLY | O_TRUNC);

    memset(file->bytes->data, 'h', HEADER);
    handle_write_ok(manager, file->bytes->data, HEADER, 0);
    handle_close_file(manager);
    for (guint i = 0; i < 3; i++) {
        FdsetHandle *main = world_open_ok(world, O_WRONLY);

        g_assert_cmpint(fdset_handle_truncate(main, HEADER), ==, 0);
        handle_write_ok(main, "a save that is cancelled", 24, 500000);
        handle_close_file(main);
    }
    world_save(world, file, HEADER, 1, O_WRONLY);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
    g_assert_cmpuint(set_info(world->set).n_channels, <=, 4);
    world_reopen(world);
    world_check_file(world, file);
}

static void test_second_vmm(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *handles[3];
    g_autoptr(FdsetHandle) second = NULL;
    g_autofree char *why = NULL;

    handles[0] = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(handles[0], 0), ==, 0);
    handle_write_ok(handles[0], file->bytes->data, 100, 0);
    second = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(second, 0), ==, -EBUSY);
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "another number"));
    g_assert_cmpint(fdset_handle_write(second, "x", 1, 0), ==, -EBUSY);
    g_assert_cmpint(fdset_handle_truncate(second, 0), ==, -EBUSY);
    g_assert_cmpint(fdset_handle_sync(second), ==, 0);
    g_assert_cmpint(fdset_handle_seek(second, 0, TRUE), ==, -EBADF);
    world_open_fails(world, O_WRONLY | O_TRUNC, EBUSY);
    /* It does not count: the first secondary channels may be unlike it. */
    handles[1] = world_open_ok(world, DIRECT);
    handles[2] = world_open_ok(world, DIRECT);
    world_write_stream(file, 0, handles, 3);
    for (guint i = 0; i < 3; i++)
        handle_close_file(handles[i]);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

/* Its channels are refused, too, by truncation, also when they wrote before. */
static void test_secondary_truncates(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *secondary;

    handle_write_ok(main, "main", 4, 0);
    secondary = world_open_ok(world, DIRECT);
    handle_write_ok(secondary, "more", 4, 4);
    g_assert_cmpint(fdset_handle_truncate(secondary, 0), ==, -EBUSY);
    handle_write_ok(secondary, "MORE", 4, 4); /* it goes on: it is no second VMM's main channel */
    handle_close_file(secondary);
    handle_close_file(main);
    world_check_content(world, (const guint8 *)"mainMORE", 8);
}

static void test_take_over(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *first = world_open_ok(world, O_WRONLY);
    FdsetHandle *second = world_open_ok(world, O_WRONLY);

    g_assert_cmpint(fdset_handle_truncate(second, 0), ==, 0);
    g_assert_cmpint(fdset_handle_truncate(first, 0), ==, -EBUSY);
    handle_write_ok(second, file->bytes->data, file->bytes->len, 0);
    handle_close_file(first);
    handle_close_file(second);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

static void test_no_take_over(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *first = world_open_ok(world, O_WRONLY);
    FdsetHandle *direct = world_open_ok(world, DIRECT);
    FdsetHandle *late = NULL;

    g_assert_cmpint(fdset_handle_truncate(direct, 0), ==, -EBUSY);
    handle_write_ok(first, "x", 1, 0);
    late = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(fdset_handle_truncate(late, 0), ==, -EBUSY);
    g_assert_cmpint(fdset_handle_truncate(first, 0), ==, 0);
    handle_close_file(late);
    handle_close_file(direct);
    handle_close_file(first);
}

/* Sessions end faster than they are made durable: the last one counts, and is not damaged. */
static void test_quick_sessions(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    world_save(world, file, HEADER, 1, O_WRONLY);
    for (guint round = 0; round < 10; round++) {
        for (guint i = 0; i < 8; i++) {
            FdsetHandle *main = world_open_ok(world, O_WRONLY);

            file->bytes->data[i] = (guint8)(round * 8 + i);
            handle_write_ok(main, file->bytes->data, HEADER, 0);
            handle_close_file(main);
        }
        wait_for(set_is_durable, world->set);
        world_reopen(world);
        g_assert_cmpint(set_info(world->set).status, ==, FDSET_STATUS_DURABLE);
        world_check_file(world, file);
    }
    g_assert_null(strchr(world->events->str, 'P'));
}

/* The next session ends while the one before it is still being synced. */
static void test_slow_sync(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autofree guint8 *bytes = g_malloc0(BIG);
    Random random = random_new();

    for (guint round = 0; round < 4; round++) {
        random_fill(&random, bytes, BIG);
        for (guint i = 0; i < 4; i++) {
            FdsetHandle *main = world_open_ok(world, O_WRONLY);

            bytes[0]++;
            handle_write_ok(main, bytes, i == 0 ? BIG : 1, 0);
            handle_close_file(main);
        }
        world_reopen(world);
        g_assert_cmpint(set_info(world->set).status, ==, FDSET_STATUS_PARTIAL);
        world_check_content(world, bytes, BIG);
    }
}

static void test_truncate_by_path(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    FdsetHandle *main;

    g_assert_cmpint(fdset_set_truncate(world->set, 10000), ==, 0);
    g_assert_cmpuint(set_info(world->set).size, ==, 10000);
    main = world_open_ok(world, O_WRONLY);
    handle_write_ok(main, "x", 1, 0);
    g_assert_cmpint(fdset_set_truncate(world->set, 5), ==, -EBUSY);
    handle_close_file(main);
    g_assert_cmpint(fdset_set_truncate(world->set, 1), ==, 0);
    world_check_content(world, (const guint8 *)"x", 1);
}

/* A full disk: the write says so, the set lives, and goes on when there is room again. */
static void test_full(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    g_autofree char *why = NULL;
    int r;

    handle_write_ok(main, file->bytes->data, 5000, 0);
    file_size_limit(9000);
    r = fdset_handle_write(main, file->bytes->data + 5000, 50000, 5000);
    file_size_unlimit();
    g_assert_cmpint(r, ==, -EFBIG);
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "ch-000"));
    g_assert_nonnull(strstr(why, "offset 5000"));
    handle_write_ok(main, file->bytes->data + 5000, file->bytes->len - 5000, 5000);
    handle_close_file(main);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/session/only the header of a complete set may be rewritten", test_header);
    g_test_add_func("/session/a VMM saves behind the header of its manager", test_sessions_follow);
    g_test_add_func("/session/a file that was copied in is complete", test_stream_found);
    g_test_add_func("/session/a second try drops the files of the first", test_retry);
    g_test_add_func("/session/a second try keeps the header", test_retry_keeps_header);
    g_test_add_func("/session/a second VMM's truncation is EBUSY and it no longer counts",
                    test_second_vmm);
    g_test_add_func("/session/a secondary channel's truncation is EBUSY", test_secondary_truncates);
    g_test_add_func("/session/the first truncation makes the main channel", test_take_over);
    g_test_add_func("/session/no direct or late channel becomes the main one", test_no_take_over);
    g_test_add_func("/session/sessions that follow quickly leave a durable set",
                    test_quick_sessions);
    g_test_add_func("/session/a session that ends while another is synced leaves no damage",
                    test_slow_sync);
    g_test_add_func("/session/truncate by path is a session of its own", test_truncate_by_path);
    g_test_add_func("/session/a full disk fails the write and not the set", test_full);
    return g_test_run();
}
