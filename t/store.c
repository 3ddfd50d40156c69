/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store: what becomes one, who has it, which sets are in it, how they go. */
#include "config.h"
#include "core/error.h"
#include "t/child.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const FdsetPolicy read_only = {.read_only = TRUE};

static FdsetStore *store_open(const char *path, const FdsetPolicy *policy)
{
    g_autoptr(GError) error = NULL;
    FdsetStore *store = fdset_store_open(path, policy, &error);

    g_assert_no_error(error);
    return store;
}

static void store_fails(const char *path, const FdsetPolicy *policy, FdsetError code,
                        const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(fdset_store_open(path, policy, &error));
    g_assert_error(error, FDSET_ERROR, (int)code);
    if (!strstr(error->message, words))
        g_error("\"%s\" does not say \"%s\"", error->message, words);
    g_assert_nonnull(strstr(error->message, path));
}

static void test_ids(void)
{
    static const struct {
        const char *name;
        gint64 id; /* -1: none */
    } names[] = {
        {"0", 0},           {"7", 7},    {"2147483647", 2147483647},
        {"10", 10},         {"007", -1}, {"00", -1},
        {"-1", -1},         {"-0", -1},  {"2147483648", -1},
        {"4294967296", -1}, {"", -1},    {"18446744073709551616", -1},
        {" 7", -1},         {"7 ", -1},  {"+7", -1},
        {"7.d", -1},        {"0x7", -1}, {"7\n", -1},
        {"\xd9\xa7", -1},   {".", -1},   {"store", -1},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        guint32 id = 99;

        g_assert_cmpint(fdset_id_parse(names[i].name, &id), ==, names[i].id >= 0);
        g_assert_cmpint(id, ==, names[i].id >= 0 ? names[i].id : 99);
    }
}

static void test_init(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GBytes) before = NULL;
    g_autoptr(GBytes) after = NULL;

    fdset_store_close(store_open(dir->path, &world_defaults));
    before = dir_read(dir, "store");
    fdset_store_close(store_open(dir->path, &world_defaults));
    after = dir_read(dir, "store");
    g_assert_true(g_bytes_equal(before, after));
}

static void test_not_a_store(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autofree char *file = dir_path(dir, "file");
    g_autofree char *missing = dir_path(dir, "missing");

    store_fails(dir->path, &read_only, FDSET_ERROR_FORMAT, "not a store");
    g_assert_cmpuint(dir_count(dir, "."), ==, 0);
    dir_write(dir, "file", "x", 1);
    store_fails(dir->path, &world_defaults, FDSET_ERROR_FORMAT, "not a store");
    g_assert_cmpuint(dir_count(dir, "."), ==, 1);
    store_fails(file, &world_defaults, FDSET_ERROR_SYSTEM, "Not a directory");
    store_fails(missing, &world_defaults, FDSET_ERROR_NOT_FOUND, "No such file");
}

static void test_store_file(void)
{
    static const char newer[] = "[store]\nformat=2\nlayout=new\n";
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GBytes) good = NULL;

    fdset_store_close(store_open(dir->path, &world_defaults));
    good = dir_read(dir, "store");
    dir_flip_byte(dir, "store", 30);
    store_fails(dir->path, &world_defaults, FDSET_ERROR_CORRUPT, "damaged");
    dir_write(dir, "store", "", 0);
    store_fails(dir->path, &read_only, FDSET_ERROR_CORRUPT, "/store: damaged");
    dir_write(dir, "store", newer, strlen(newer));
    store_fails(dir->path, &world_defaults, FDSET_ERROR_VERSION, "newer version");
    dir_write(dir, "store", g_bytes_get_data(good, NULL), g_bytes_get_size(good));
    fdset_store_close(store_open(dir->path, &world_defaults));
}

static void test_lock(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(Child) child = child_new("--hold", dir->path, "0");
    g_autofree char *owner = g_strdup_printf("process %d on ", child_pid(child));
    g_autoptr(FdsetStore) beside = NULL;

    child_wait_ready(child);
    store_fails(dir->path, &world_defaults, FDSET_ERROR_BUSY, owner);
    store_fails(dir->path, &world_defaults, FDSET_ERROR_BUSY, "-o ro");
    beside = store_open(dir->path, &read_only);
    child_kill(child);
    fdset_store_close(store_open(dir->path, &world_defaults));
}

static void test_lock_in_process(void)
{
    g_autoptr(World) world = world_new(&world_defaults);

    store_fails(world->dir->path, &world_defaults, FDSET_ERROR_BUSY, "already served");
}

static void test_create(void)
{
    static const FdsetPolicy no_create = {.no_create = TRUE};
    g_autoptr(World) world = world_new(&no_create);
    g_autoptr(FdsetSet) again = NULL;
    FdsetSet *none = NULL;

    /* world_new() could make nothing: it is made here, with another policy. */
    g_assert_null(world->set);
    g_assert_cmpint(fdset_store_create(world->store, 7, 0600, 0, 0, &none), ==, -ENOENT);
    g_assert_null(none);
    world->policy.no_create = FALSE;
    g_assert_cmpint(fdset_store_create(world->store, 7, 0640, 5, 6, &world->set), ==, 1);
    g_assert_cmpint(fdset_store_create(world->store, 7, 0600, 0, 0, &again), ==, 0);
    g_assert_true(again == world->set);
    g_assert_cmpuint(set_info(again).mode, ==, 0640);
    g_assert_cmpuint(set_info(again).uid, ==, 5);
    g_assert_cmpuint(set_info(again).gid, ==, 6);
}

static void check_list(FdsetStore *store, const char *expected)
{
    g_autoptr(GArray) ids = fdset_store_list(store);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < ids->len; i++)
        g_string_append_printf(text, "%u ", g_array_index(ids, guint32, i));
    g_assert_cmpstr(text->str, ==, expected);
}

static void test_list(void)
{
    static const guint32 ids[] = {10, 2147483647, 0, 9};
    g_autoptr(World) world = world_new(&world_defaults);

    for (gsize i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(FdsetSet) set = NULL;

        g_assert_cmpint(fdset_store_create(world->store, ids[i], 0600, 0, 0, &set), ==, 1);
    }
    dir_write(world->dir, "5", "no set", 6); /* a file is no set */
    dir_write(world->dir, "notes", "", 0);
    check_list(world->store, "0 7 9 10 2147483647 ");
    g_assert_null(fdset_store_lookup(world->store, 5));
    g_assert_null(fdset_store_lookup(world->store, 8));
    world_reopen(world);
    check_list(world->store, "0 7 9 10 2147483647 ");
}

static void test_read_only(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(FdsetStore) beside = store_open(world->dir->path, &read_only);
    g_autoptr(FdsetSet) set = fdset_store_lookup(beside, 7);
    const guint32 mode = 0600;
    FdsetSet *other = NULL;
    FdsetHandle *handle = NULL;

    g_assert_nonnull(set);
    g_assert_cmpint(fdset_store_create(beside, 8, 0600, 0, 0, &other), ==, -EROFS);
    g_assert_cmpint(fdset_store_remove(beside, 7), ==, -EROFS);
    g_assert_cmpint(fdset_store_change(beside, &mode, NULL, NULL), ==, -EROFS);
    g_assert_cmpint(fdset_set_change(set, &mode, NULL, NULL, NULL), ==, -EROFS);
    g_assert_cmpint(fdset_set_truncate(set, 0), ==, -EROFS);
    g_assert_cmpint(fdset_handle_open(set, O_WRONLY, &handle), ==, -EROFS);
}

/* What a reader beside the writer finds under number 7 now; its world is borrowed from. */
static void beside_finds(FdsetStore *beside, FdsetStatus status)
{
    g_autoptr(FdsetSet) set = fdset_store_lookup(beside, 7);

    g_assert_nonnull(set);
    g_assert_cmpint(set_info(set).status, ==, status);
}

static void beside_reads(const World *world, FdsetStore *beside, const StreamFile *file)
{
    g_autoptr(FdsetSet) set = fdset_store_lookup(beside, 7);
    World there = *world;

    there.set = set;
    world_check_file(&there, file);
}

static void beside_is_busy(FdsetStore *beside)
{
    g_autoptr(FdsetSet) set = fdset_store_lookup(beside, 7);
    FdsetHandle *handle = NULL;

    g_assert_cmpint(fdset_handle_open(set, O_RDONLY, &handle), ==, -EBUSY);
}

static void test_beside_writer(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(FdsetStore) beside = store_open(world->dir->path, &read_only);
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    FdsetHandle *main;

    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, 0);
    g_clear_pointer(&world->set, fdset_set_unref);
    g_assert_null(fdset_store_lookup(beside, 7));
    check_list(beside, "");
    g_assert_cmpint(fdset_store_create(world->store, 7, 0600, 0, 0, &world->set), ==, 1);
    beside_finds(beside, FDSET_STATUS_PARTIAL);
    check_list(beside, "7 ");
    main = world_open_ok(world, O_WRONLY);
    beside_finds(beside, FDSET_STATUS_WRITING);
    beside_is_busy(beside);
    handle_close_file(main);
    world_save(world, file, HEADER, 2, DIRECT);
    wait_for(set_is_durable, world->set);
    beside_finds(beside, FDSET_STATUS_DURABLE);
    beside_reads(world, beside, file);
    main = world_open_ok(world, O_WRONLY);
    memset(file->bytes->data, 'h', 3000);
    handle_write_ok(main, file->bytes->data, 3000, 0);
    handle_close_file(main);
    wait_for(set_is_durable, world->set);
    beside_reads(world, beside, file);
    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, 0);
    g_assert_null(fdset_store_lookup(beside, 7));
}

static void save_durable(World *world, const StreamFile *file, guint64 start)
{
    world_save(world, file, start, 2, DIRECT);
    wait_for(set_is_durable, world->set);
}

/* Set 7 is damaged, the store opens, and only what would use its bytes fails. */
static void check_damaged(World *world, FdsetStatus status, const char *words)
{
    g_autoptr(FdsetSet) other = NULL;
    FdsetHandle *handle = NULL;
    g_autofree char *why = NULL;

    world_open(world);
    check_list(world->store, "7 8 ");
    g_assert_cmpint(set_info(world->set).status, ==, status);
    g_assert_cmpint(fdset_handle_open(world->set, O_RDONLY, &handle), ==, -EIO);
    why = fdset_set_last_error(world->set);
    if (!strstr(why, words) || (!strstr(why, "fdset 7") && !strstr(why, "/7:")))
        g_error("\"%s\" does not say \"%s\" or which set", why, words);
    other = fdset_store_lookup(world->store, 8);
    g_assert_cmpint(fdset_handle_open(other, O_RDONLY, &handle), ==, 0);
    fdset_handle_close(handle);
    world_close(world);
}

static const struct {
    const char *file;
    FdsetStatus status;
    const char *words;
} parts[] = {
    {"7/manifest", FDSET_STATUS_DAMAGED, "7/manifest"},
    {"7/sums", FDSET_STATUS_DURABLE, "sums"},
    {"7/map", FDSET_STATUS_DURABLE, "map"},
    {"7/ch-000", FDSET_STATUS_DURABLE, "ch-000"},
};

static World *world_of_two(void)
{
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    World *world = world_new(&world_defaults);
    g_autoptr(FdsetSet) other = NULL;

    save_durable(world, file, 0);
    g_assert_cmpint(fdset_store_create(world->store, 8, 0600, 0, 0, &other), ==, 1);
    g_clear_pointer(&other, fdset_set_unref);
    world_close(world);
    return world;
}

static void test_missing_part(void)
{
    g_autoptr(World) world = world_of_two();

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *from = dir_path(world->dir, parts[i].file);
        g_autofree char *to = dir_path(world->dir, "aside");

        g_assert_cmpint(rename(from, to), ==, 0);
        check_damaged(world, parts[i].status, parts[i].words);
        g_assert_cmpint(rename(to, from), ==, 0);
    }
    world_open(world);
    g_assert_true(set_is_durable(world->set));
}

static void test_cut_part(void)
{
    g_autoptr(World) world = world_of_two();

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(GBytes) good = dir_read(world->dir, parts[i].file);

        if (strcmp(parts[i].file, "7/map") == 0)
            continue; /* seen when it is read: t/image.c */
        dir_truncate(world->dir, parts[i].file, g_bytes_get_size(good) - 1);
        check_damaged(world, parts[i].status, parts[i].words);
        dir_write(world->dir, parts[i].file, g_bytes_get_data(good, NULL), g_bytes_get_size(good));
    }
}

static void test_newer_set(void)
{
    static const char newer[] = "[set]\nformat=2\nid=7\n";
    g_autoptr(World) world = world_of_two();

    dir_write(world->dir, "7/manifest", newer, strlen(newer));
    check_damaged(world, FDSET_STATUS_DAMAGED, "newer version");
}

static void test_remove_damaged(void)
{
    g_autoptr(World) world = world_of_two();

    dir_flip_byte(world->dir, "7/manifest", 20);
    world_open(world);
    g_assert_cmpint(fdset_store_remove(world->store, 7), ==, 0);
    world_close(world);
    g_assert_cmpuint(dir_count(world->dir, "."), ==, 3); /* store, lock, 8 */
}

static void test_close_waits(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autoptr(FdsetManifest) manifest = NULL;
    int fd;

    world_save(world, file, 0, 2, DIRECT);
    world_close(world);
    fd = openat(world->dir->fd, "7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    manifest = fdset_manifest_load(fd, 7, "7/manifest", NULL);
    g_assert_nonnull(manifest);
    g_assert_true(manifest->durable);
    g_assert_false(manifest->session);
    g_assert_cmpint(manifest->state, ==, FDSET_STATE_COMPLETE);
    close(fd);
}

static void test_root(void)
{
    g_autoptr(World) world = world_new(&world_defaults);
    const guint32 mode = 0750;
    struct statvfs vfs;
    struct stat st;

    g_assert_cmpint(fdset_store_change(world->store, &mode, NULL, NULL), ==, 0);
    g_assert_cmpint(fdset_store_stat(world->store, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0750);
    g_assert_cmpint(fdset_store_statfs(world->store, &vfs), ==, 0);
    g_assert_cmpuint(vfs.f_blocks, >, 0);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--hold") == 0)
        return child_hold(argv[2]);
    fixture_init(argc, argv);
    g_test_add_func("/store/a set's number has one spelling", test_ids);
    g_test_add_func("/store/an empty directory becomes a store and stays it", test_init);
    g_test_add_func("/store/what is not a store is refused and left alone", test_not_a_store);
    g_test_add_func("/store/a damaged or newer store file is refused", test_store_file);
    g_test_add_func("/store/one process has it for writing", test_lock);
    g_test_add_func("/store/one mount of a process has it for writing", test_lock_in_process);
    g_test_add_func("/store/a set is made once, and not with create=no", test_create);
    g_test_add_func("/store/sets are listed in order, and only they", test_list);
    g_test_add_func("/store/a read-only store changes nothing", test_read_only);
    g_test_add_func("/store/a read-only store sees sets change and go", test_beside_writer);
    g_test_add_func("/store/a missing file fails only its set, by name", test_missing_part);
    g_test_add_func("/store/a file that was cut fails only its set, by name", test_cut_part);
    g_test_add_func("/store/a set of a newer version fails only itself", test_newer_set);
    g_test_add_func("/store/a damaged set can be removed", test_remove_damaged);
    g_test_add_func("/store/closing waits until all is durable", test_close_waits);
    g_test_add_func("/store/the root's attributes are the directory's", test_root);
    return g_test_run();
}
