/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets made of descriptors of one file of a manager, and which descriptor an open gets. */
#include "config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/set-details.h"
#include "core/set-verbs.h"
#include "t/manager.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE
#define PATTERN 0x5a

/* --- one file --- */

static void test_one_file(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    manager_add(&manager, "save", DIRECT);
    g_assert_cmpuint(set_info(manager.world->set).mode, ==, 0640);
    world_save(manager.world, file, 0, 4, DIRECT);
    wait_for(set_is_durable, manager.world->set);
    manager_check_file(&manager, "save", file);
    g_assert_cmpstr(manager.world->events->str, ==, "SCD");
    world_open_fails(manager.world, O_RDONLY, EACCES);
    world_open_fails(manager.world, O_WRONLY, EACCES);
    manager_remove_all(&manager);
    manager_wait_gone(&manager);
    manager_add(&manager, "save", O_RDONLY);
    wait_for(set_is_durable, manager.world->set);
    world_check_file(manager.world, file);
    g_assert_false(set_info(manager.world->set).stable);
}

static void test_header(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    g_autofree guint8 *junk = g_malloc(4 * HEADER);

    memset(junk, PATTERN, 4 * HEADER);
    dir_write(manager.dir, "save", junk, 4 * HEADER);
    manager_add(&manager, "save", O_WRONLY);
    manager_add(&manager, "save", O_WRONLY);
    world_save(manager.world, file, HEADER, 2, O_WRONLY);
    wait_for(set_is_durable, manager.world->set);
    memset(file->bytes->data, PATTERN, HEADER);
    manager_check_file(&manager, "save", file);
    g_assert_cmpuint(set_info(manager.world->set).stream_offset, ==, HEADER);
    manager_remove_all(&manager);
    manager_look_again(&manager);
    manager_add(&manager, "save", O_RDONLY);
    wait_for(set_is_durable, manager.world->set);
    g_assert_cmpuint(set_info(manager.world->set).stream_offset, ==, HEADER);
    world_check_file(manager.world, file);
}

/* What a payload is like that libfuse did not align. */
static void test_misaligned(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autofree guint8 *buf = g_malloc(4 * BLOCK);
    g_autoptr(GBytes) bytes = NULL;
    FdsetHandle *main, *direct;

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    manager_add(&manager, "save", DIRECT);
    memset(buf, PATTERN, 4 * BLOCK);
    main = world_open_ok(manager.world, O_WRONLY);
    direct = world_open_ok(manager.world, DIRECT);
    handle_write_ok(direct, buf + 1, 2 * BLOCK, BLOCK);
    handle_write_ok(main, buf, 5, 1);
    handle_close_file(direct);
    handle_close_file(main);
    wait_for(set_is_settled, manager.world->set);
    bytes = dir_read(manager.dir, "save");
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 3 * BLOCK);
    g_assert_cmpmem((const guint8 *)g_bytes_get_data(bytes, NULL) + BLOCK, 2 * BLOCK, buf,
                    2 * BLOCK);
}

/* A reader keeps what it has open; a set of one file goes with the last of it. */
static void test_removed_in_use(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    FdsetHandle *reader;
    g_autoptr(GPtrArray) left = NULL;
    gconstpointer data;
    guint8 *buf = g_aligned_alloc(1, 2 * BLOCK, BLOCK);

    dir_write(manager.dir, "save", file->bytes->data, file->bytes->len);
    manager_add(&manager, "save", O_RDONLY);
    wait_for(set_is_durable, manager.world->set);
    reader = world_open_ok(manager.world, O_RDONLY);
    manager_remove_all(&manager);
    left = fdset_set_descriptors(manager.world->set);
    g_assert_cmpuint(left->len, ==, 0);
    world_open_fails(manager.world, O_RDONLY, EACCES);
    g_assert_cmpint(fdset_handle_read(reader, buf, BLOCK, 0, &data), ==, BLOCK);
    g_assert_cmpmem(data, BLOCK, file->bytes->data, BLOCK);
    fdset_handle_close(reader);
    manager_wait_gone(&manager);
    g_aligned_free(buf);
}

/* Only what the disk's own hole says is one. */
static void test_holes(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autofree char *path = dir_path(manager.dir, "save");
    FdsetHandle *reader;
    autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(pwrite(fd, "data", 4, 1 << 20), ==, 4);
    g_assert_cmpint(ftruncate(fd, 3 << 20), ==, 0);
    manager_add(&manager, "save", O_RDONLY);
    wait_for(set_is_settled, manager.world->set);
    reader = world_open_ok(manager.world, O_RDONLY);
    g_assert_cmpint(fdset_handle_seek(reader, 0, TRUE), ==, 1 << 20);
    g_assert_cmpint(fdset_handle_seek(reader, 1 << 20, FALSE), ==, (1 << 20) + BLOCK);
    g_assert_cmpint(fdset_handle_seek(reader, 2 << 20, TRUE), ==, -ENXIO);
    g_assert_cmpint(fdset_handle_seek(reader, 3 << 20, FALSE), ==, -ENXIO);
    fdset_handle_close(reader);
}

/* The position belongs to the manager, whose open file description it is. */
static void test_position(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autofree char *path = dir_path(manager.dir, "save");
    g_autoptr(FdsetDescriptor) descriptor = NULL;
    FdsetHandle *reader;
    guint32 id;
    autofd fd = -1;

    dir_write(manager.dir, "save", file->bytes->data, file->bytes->len);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(lseek(fd, 123, SEEK_SET), ==, 123);
    descriptor = fdset_descriptor_new(dup(fd), NULL, 0, NULL);
    g_assert_true(fdset_store_add_fd(manager.world->store, 7, descriptor, &id, NULL));
    manager.world->set = fdset_store_lookup(manager.world->store, 7);
    wait_for(set_is_durable, manager.world->set);
    reader = world_open_ok(manager.world, O_RDONLY);
    g_assert_cmpint(fdset_handle_seek(reader, 0, FALSE), >, 0);
    fdset_handle_close(reader);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 123);
}

static void test_no_digests(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = dir_path(manager.dir, "copy");
    autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    world_save(manager.world, file, 0, 0, 0);
    wait_for(set_is_durable, manager.world->set);
    g_assert_null(fdset_set_verify(manager.world->set, manager_goes_on, NULL, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_true(fdset_set_export(manager.world->set, fd, manager_goes_on, NULL, &error));
    g_assert_no_error(error);
    manager_check_file(&manager, "copy", file);
}

static void test_store_set(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    FdsetHandle *handle;

    g_assert_cmpint(fdset_store_create(manager.world->store, 7, 0600, 0, 0, &manager.world->set),
                    ==, 1);
    handle = world_open_ok(manager.world, O_WRONLY);
    handle_write_ok(handle, "x", 1, 0);
    handle_close_file(handle);
    wait_for(set_is_settled, manager.world->set);
    manager_add_fails(&manager, "a", O_WRONLY | O_CREAT, "whose files are in the store");
    g_assert_null(fdset_set_descriptors(manager.world->set));
}

static void test_reset(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autoptr(GError) error = NULL;

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    manager_add(&manager, "save", O_WRONLY);
    world_save(manager.world, file, 0, 1, O_WRONLY);
    wait_for(set_is_durable, manager.world->set);
    g_assert_true(fdset_store_reset(manager.world->store, 7, &error));
    g_assert_no_error(error);
    manager_look_again(&manager);
    world_save(manager.world, file, 0, 1, O_WRONLY);
    wait_for(set_is_durable, manager.world->set);
    manager_check_file(&manager, "save", file);
}

/* --- opens, by descriptor --- */

static gboolean is_direct(const FdsetSetDetails *details, guint i)
{
    return g_array_index(details->channels, FdsetChannelDetails, i).direct;
}

static void test_matching(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autoptr(FdsetSetDetails) details = NULL;
    FdsetHandle *main, *direct;

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    main = world_open_ok(manager.world, O_WRONLY);
    world_open_fails(manager.world, DIRECT, EACCES);
    manager_add(&manager, "save", DIRECT); /* of the same file: also in the middle of a session */
    direct = world_open_ok(manager.world, DIRECT);
    handle_close_file(main);
    main = world_open_ok(manager.world, DIRECT);
    details = fdset_set_details(manager.world->set);
    g_assert_cmpuint(details->channels->len, ==, 3);
    g_assert_true(!is_direct(details, 0) && is_direct(details, 1) && is_direct(details, 2));
    handle_close_file(direct);
    handle_close_file(main);
    main = world_open_ok(manager.world, O_WRONLY); /* not the newest, but the one that matches */
    fdset_set_details_free(details);
    details = fdset_set_details(manager.world->set);
    g_assert_false(is_direct(details, details->channels->len - 1));
    handle_close_file(main);
}

static void test_appends_later(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);
    g_autofree char *path = dir_path(manager.dir, "save");
    autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    g_autoptr(FdsetDescriptor) descriptor = fdset_descriptor_new(dup(fd), NULL, 0, NULL);
    guint32 id;

    g_assert_true(fdset_store_add_fd(manager.world->store, 7, descriptor, &id, NULL));
    manager.world->set = fdset_store_lookup(manager.world->store, 7);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_APPEND), ==, 0);
    world_open_fails(manager.world, O_WRONLY, EACCES);
    g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
    handle_close_file(world_open_ok(manager.world, O_WRONLY));
}

static void test_dio_on(void)
{
    const FdsetPolicy policy = {.dio = FDSET_DIO_ON};
    g_auto(Manager) manager = manager_new(&policy);

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    world_open_fails(manager.world, O_WRONLY, EACCES); /* at main, which QEMU survives */
    manager_add(&manager, "save", DIRECT);
    handle_close_file(world_open_ok(manager.world, O_WRONLY));
}

static void test_refuse_at_write(void)
{
    const FdsetPolicy policy = {.refuse_at_write = TRUE};
    g_auto(Manager) manager = manager_new(&policy);
    FdsetHandle *main, *refused;

    manager_add(&manager, "save", O_WRONLY | O_CREAT);
    main = world_open_ok(manager.world, O_WRONLY);
    refused = world_open_ok(manager.world, DIRECT);
    g_assert_cmpint(fdset_handle_write(refused, "x", 1, 0), ==, -EACCES);
    handle_close_file(refused);
    handle_close_file(main);
}

static void test_lowest_number(void)
{
    g_auto(Manager) manager = manager_new(&world_defaults);

    for (guint32 i = 0; i < 3; i++) {
        g_autoptr(FdsetDescriptor) descriptor =
            manager_open(&manager, "file", O_WRONLY | O_CREAT, NULL);
        guint32 id;

        g_assert_true(fdset_store_add_fd(manager.world->store, -1, descriptor, &id, NULL));
        g_assert_cmpuint(id, ==, i);
    }
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/set-fds/descriptors of one file share it", test_one_file);
    g_test_add_func("/set-fds/what the manager wrote in front stays", test_header);
    g_test_add_func("/set-fds/a payload that is not aligned", test_misaligned);
    g_test_add_func("/set-fds/removed in use: gone for new opens", test_removed_in_use);
    g_test_add_func("/set-fds/holes are the file's", test_holes);
    g_test_add_func("/set-fds/the manager's file position stays", test_position);
    g_test_add_func("/set-fds/one file can be exported, not verified", test_no_digests);
    g_test_add_func("/set-fds/a set of the store takes none", test_store_set);
    g_test_add_func("/set-fds/reset keeps the descriptors", test_reset);
    g_test_add_func("/set-fds/opens match by mode and O_DIRECT", test_matching);
    g_test_add_func("/set-fds/O_APPEND that came later", test_appends_later);
    g_test_add_func("/set-fds/dio=on is checked at the main channel", test_dio_on);
    g_test_add_func("/set-fds/refuse=write holds here, too", test_refuse_at_write);
    g_test_add_func("/set-fds/without a number the lowest", test_lowest_number);
    return g_test_run();
}
