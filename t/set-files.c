/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets made of descriptors of several files of a manager, which a block map puts together. */
#include "config.h"
#include "core/digest.h"
#include "core/set-verbs.h"
#include "t/manager.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define BLOCK FDSET_BLOCK_SIZE
#define PATTERN 0x5a

static void test_files(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autoptr(FdsetVerify) verify = NULL;

    manager_add(&manager, "a", O_WRONLY | O_CREAT);
    manager_add(&manager, "b", DIRECT | O_CREAT);
    world_save(manager.world, file, 0, 4, DIRECT);
    wait_for(set_is_durable, manager.world->set);
    verify = fdset_set_verify(manager.world->set, manager_goes_on, NULL, NULL);
    g_assert_cmpuint(verify->mismatches, ==, 0);
    g_assert_cmpuint(verify->blocks, >, 4);
    manager_remove_all(&manager);
    manager_look_again(&manager);
    g_assert_nonnull(manager.world->set); /* for its map is here */
    world_open_fails(manager.world, O_RDONLY, EACCES);
    dir_write(manager.dir, "c", "x", 1);
    manager_add_fails(&manager, "c", O_RDONLY, "a file that the set was not saved into");
    manager_add(&manager, "b", O_RDONLY | O_DIRECT);
    manager_add(&manager, "a", O_RDONLY);
    world_check_file(manager.world, file);
    manager_add_fails(&manager, "a", O_RDONLY, "a second descriptor of one file");
}

static void test_files_survive(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);

    manager_add(&manager, "a", O_WRONLY | O_CREAT);
    manager_add(&manager, "b", O_WRONLY | O_CREAT);
    manager_add(&manager, "c", O_WRONLY | O_CREAT);
    world_save(manager.world, file, 0, 2, O_WRONLY);
    wait_for(set_is_durable, manager.world->set);
    world_reopen(manager.world);
    manager_look_again(&manager);
    manager_add(&manager, "c", O_RDONLY);
    manager_add(&manager, "a", O_RDONLY);
    world_open_fails(manager.world, O_RDONLY, EACCES); /* one is missing */
    manager_add(&manager, "b", O_RDONLY);
    world_check_file(manager.world, file);
}

/* The main channel's file has something in front of the stream, and junk behind it. */
static void test_files_header(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    g_autofree guint8 *junk = g_malloc(4 * HEADER);

    memset(junk, PATTERN, 4 * HEADER);
    dir_write(manager.dir, "a", junk, 4 * HEADER);
    dir_write(manager.dir, "b", junk, 4 * HEADER);
    manager_add(&manager, "a", O_WRONLY);
    manager_add(&manager, "b", DIRECT);
    world_save(manager.world, file, HEADER, 2, DIRECT);
    wait_for(set_is_durable, manager.world->set);
    manager_remove_all(&manager);
    manager_add(&manager, "a", O_RDONLY);
    manager_add(&manager, "b", O_RDONLY);
    memset(file->bytes->data, PATTERN, HEADER);
    world_check_file(manager.world, file);
}

static void test_damage(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *reader;
    guint8 *buf = g_aligned_alloc(1, 2 * BLOCK, BLOCK);
    gconstpointer data;

    manager_add(&manager, "a", O_WRONLY | O_CREAT);
    manager_add(&manager, "b", O_WRONLY | O_CREAT);
    world_save(manager.world, file, 0, 1, O_WRONLY);
    wait_for(set_is_durable, manager.world->set);
    manager_remove_all(&manager);
    dir_flip_byte(manager.dir, "b", 0);
    dir_flip_byte(manager.dir, "a", 0);
    manager_add(&manager, "a", O_RDONLY);
    manager_add(&manager, "b", O_RDONLY);
    reader = world_open_ok(manager.world, O_RDONLY);
    g_assert_cmpint(fdset_handle_read(reader, buf, BLOCK, 0, &data), ==, -EIO);
    fdset_handle_close(reader);
    g_aligned_free(buf);
}

static void test_mixed(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);

    manager_add(&manager, "a", O_WRONLY | O_CREAT);
    manager_add(&manager, "a", O_WRONLY);
    manager_add_fails(&manager, "b", O_WRONLY | O_CREAT, "a second file beside several of the first");
    manager_remove_all(&manager);
    manager_look_again(&manager);
    manager_add(&manager, "a", O_WRONLY);
    manager_add(&manager, "b", O_WRONLY);
    manager_add_fails(&manager, "a", O_WRONLY, "a second descriptor of one file");
    manager_remove_all(&manager);
    manager_wait_gone(&manager); /* nothing was saved: nothing is left */
    manager_add(&manager, "a", O_RDONLY);
    wait_for(set_is_settled, manager.world->set);
    manager_add_fails(&manager, "b", O_RDONLY, "no block map tells");
}

/* TRUE: 'name' was added while no file could grow. */
static gboolean add_without_space(Manager *manager, const char *name)
{
    g_autoptr(FdsetDescriptor) descriptor = manager_open(manager, name, O_WRONLY | O_CREAT, NULL);
    struct rlimit before, none;
    gboolean added;
    guint32 id;

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    none = before;
    none.rlim_cur = 0;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    added = fdset_store_add_fd(manager->world->store, 7, descriptor, &id, NULL);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    return added;
}

static void test_add_failed(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);

    manager_add(&manager, "a", O_WRONLY | O_CREAT);
    g_assert_false(add_without_space(&manager, "b"));
    manager_add(&manager, "a", O_WRONLY); /* a is still the only file, so it may come twice */
    world_save(manager.world, file, 0, 1, O_WRONLY);
    wait_for(set_is_durable, manager.world->set);
    manager_check_file(&manager, "a", file);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/set-files/different files are channels with a map", test_files);
    g_test_add_func("/set-files/and are known again after a restart", test_files_survive);
    g_test_add_func("/set-files/what is in front in the main file stays", test_files_header);
    g_test_add_func("/set-files/a changed block of one is EIO", test_damage);
    g_test_add_func("/set-files/files that do not go together", test_mixed);
    g_test_add_func("/set-files/a file that could not be added is forgotten", test_add_failed);
    return g_test_run();
}
