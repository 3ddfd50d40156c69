/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What users see of a set: its state, its attributes. What is saved are real streams. */
#include "config.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>

static void test_states(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *main;

    g_assert_cmpint(set_info(world->set).status, ==, FDSET_STATUS_PARTIAL);
    main = world_open_ok(world, O_WRONLY);
    g_assert_cmpint(set_info(world->set).status, ==, FDSET_STATUS_WRITING);
    g_assert_false(set_info(world->set).stable);
    g_assert_cmpint(fdset_handle_truncate(main, 0), ==, 0);
    handle_write_ok(main, file->bytes->data, file->bytes->len, 0);
    handle_close_file(main);
    wait_for(set_is_durable, world->set);
    g_assert_true(set_info(world->set).stable);
    g_assert_cmpstr(world->events->str, ==, "SCD");
    world_check_file(world, file);
    world_reopen(world);
    g_assert_cmpint(set_info(world->set).status, ==, FDSET_STATUS_DURABLE);
    world_check_file(world, file);
}

static void test_partial(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_unfinished);
    g_autofree char *why = NULL;
    g_autofree char *later = NULL;

    world_save(world, file, 0, 2, O_WRONLY);
    wait_for(set_is_partial, world->set);
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "fdset 7: "));
    g_assert_nonnull(strstr(why, "interrupted"));
    world_check_file(world, file);
    world_reopen(world);
    g_assert_true(set_is_partial(world->set));
    later = fdset_set_last_error(world->set);
    g_assert_cmpstr(later, ==, why);
    world_check_file(world, file);
}

static void test_attributes(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    const guint32 mode = 0100640, uid = 12, gid = 34;
    const gint64 mtime = G_GINT64_CONSTANT(1700000000123456000);
    FdsetSetInfo info;

    g_assert_cmpint(fdset_set_change(world->set, &mode, &uid, NULL, &mtime), ==, 0);
    g_assert_cmpint(fdset_set_change(world->set, NULL, NULL, &gid, NULL), ==, 0);
    for (guint i = 0; i < 2; i++) {
        info = set_info(world->set);
        g_assert_cmpuint(info.mode, ==, 0640);
        g_assert_cmpuint(info.uid, ==, 12);
        g_assert_cmpuint(info.gid, ==, 34);
        g_assert_cmpint(info.mtime, ==, mtime);
        world_reopen(world);
    }
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/set/a save is writing, then complete, then durable", test_states);
    g_test_add_func("/set/an interrupted save is partial, with its reason", test_partial);
    g_test_add_func("/set/mode, owner and time survive a restart", test_attributes);
    return g_test_run();
}
