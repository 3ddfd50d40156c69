/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets that are removed, also while somebody uses them, and what is left: nothing. */
#include "config.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static void save_durable(World *world, const StreamFile *file, guint64 start)
{
    world_save(world, file, start, 2, DIRECT);
    wait_for(set_is_durable, world->set);
}

static guint count_files(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        n += g_file_test(child, G_FILE_TEST_IS_DIR) ? count_files(child) : 1;
    }
    g_dir_close(dir);
    return n;
}

static void check_still_reads(FdsetHandle *reader, const StreamFile *file)
{
    guint8 *buf = g_aligned_alloc(1, 2 * FDSET_BLOCK_SIZE, FDSET_BLOCK_SIZE);
    gconstpointer data;

    for (guint64 at = 0; at < file->bytes->len; at += 4096) {
        gssize got = fdset_handle_read(reader, buf, 4096, at, &data);

        g_assert_cmpint(got, ==, MIN(4096, file->bytes->len - at));
        g_assert_cmpint(memcmp(data, file->bytes->data + at, (gsize)got), ==, 0);
    }
    g_aligned_free(buf);
}

static void test_remove_open(void)
{
    g_autoptr(World) world = world_new_with_disk();
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *handle = NULL;
    FdsetHandle *reader;

    save_durable(world, file, 0);
    g_assert_cmpuint(count_files(world->disk->path), ==, 2);
    reader = world_open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, 0);
    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, -ENOENT);
    g_assert_null(fdset_store_lookup(world->store, 7));
    g_assert_cmpint(fdset_handle_open(world->set, O_RDONLY, &handle), ==, -ENOENT);
    g_assert_cmpuint(count_files(world->disk->path), ==, 2);
    check_still_reads(reader, file);
    handle_close_file(reader);
    g_clear_pointer(&world->set, fdset_set_unref);
    g_assert_cmpuint(dir_count(world->dir, "."), ==, 2); /* store and lock */
    g_assert_cmpuint(count_files(world->disk->path), ==, 0);
}

static void test_remove_writing(void)
{
    g_autoptr(World) world = world_new_with_disk();
    FdsetHandle *main = world_open_ok(world, O_WRONLY);
    FdsetHandle *secondary = world_open_ok(world, O_WRONLY);

    handle_write_ok(secondary, "x", 1, 0);
    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, 0);
    handle_write_ok(secondary, "y", 1, 1);
    handle_write_ok(main, "z", 1, 5000);
    handle_close_file(secondary);
    handle_close_file(main);
    world_close(world);
    g_assert_cmpuint(dir_count(world->dir, "."), ==, 2);
    g_assert_cmpuint(count_files(world->disk->path), ==, 0);
}

/* A new set under the number of one that is still in use has files of its own. */
static void test_same_number(void)
{
    g_autoptr(World) world = world_new_with_disk();
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autoptr(StreamFile) other = stream_file_new(&world_header);
    FdsetHandle *reader;

    save_durable(world, file, 0);
    reader = world_open_ok(world, O_RDONLY);
    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, 0);
    g_clear_pointer(&world->set, fdset_set_unref);
    g_assert_cmpint(fdset_store_create(world->store, 7, 0600, 0, 0, &world->set), ==, 1);
    save_durable(world, other, HEADER);
    check_still_reads(reader, file);
    handle_close_file(reader); /* the old one's files go now, and only they */
    world_check_file(world, other);
    world_reopen(world);
    world_check_file(world, other);
}

static void test_purge(void)
{
    g_autoptr(World) world = world_new_with_disk();
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autofree char *from = dir_path(world->dir, "7");
    g_autofree char *to = dir_path(world->dir, ".removed-7-0123");

    save_durable(world, file, 0);
    world_close(world);
    g_assert_cmpint(rename(from, to), ==, 0);
    g_assert_cmpuint(count_files(world->disk->path), ==, 2);
    dir_write(world->dir, ".removed-junk", "", 0); /* not one of ours */
    fdset_store_close(fdset_store_open(world->dir->path, &world->policy, NULL));
    g_assert_false(dir_has(world->dir, ".removed-7-0123"));
    g_assert_true(dir_has(world->dir, ".removed-junk"));
    g_assert_cmpuint(count_files(world->disk->path), ==, 0);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/removal/a set that is removed while read stays readable", test_remove_open);
    g_test_add_func("/removal/a set that is removed while written goes in the end",
                    test_remove_writing);
    g_test_add_func("/removal/a removed set and a new one do not share files", test_same_number);
    g_test_add_func("/removal/what a crash left of a removal is purged", test_purge);
    return g_test_run();
}
