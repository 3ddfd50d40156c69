/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A save whose daemon is killed, or whose host restarts: the state follows from
 * the stream and from what had reached stable storage.
 */
#include "config.h"
#include "core/image.h"
#include "t/child.h"
#include "t/tap.h"
#include "t/world.h"

#include <fcntl.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE

#define PIECE 10000

static guint32 n_pieces(const StreamFile *file)
{
    return (file->bytes->len + PIECE - 1) / PIECE;
}

/* Saves a whole stream in pieces, closes it when 'arg' says so, and waits to be killed. */
static int child_save(const char *path, const char *arg)
{
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    FdsetSet *set = child_open_set(path);
    FdsetHandle *main = child_open(set, O_WRONLY);
    FdsetHandle *secondary = child_open(set, O_WRONLY);

    if (fdset_handle_write(main, file->bytes->data, HEADER, 0) < 0 ||
        fdset_handle_truncate(main, HEADER) < 0)
        _exit(3);
    for (guint32 i = 0; i < n_pieces(file); i++) {
        guint64 from = MAX(HEADER, i * PIECE);
        guint64 end = MIN(file->bytes->len, (i + 1) * PIECE);

        if (from < end && fdset_handle_write(i % 2 ? secondary : main, file->bytes->data + from,
                                             end - from, from) < 0)
            _exit(3);
        child_tell(i + 1);
    }
    if (strcmp(arg, "close") == 0) {
        handle_close_file(secondary);
        handle_close_file(main);
        wait_for(set_is_durable, set);
    }
    child_tell(G_MAXUINT32);
    for (;;)
        pause();
}

/* Kills a save when it has told 'n', and opens what it left. Says whether all was written. */
static gboolean killed_save(World *world, const char *arg, guint32 n)
{
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    g_autoptr(Child) child = child_new("--save", world->dir->path, arg);
    guint32 told = 0, more;

    while (told < n)
        g_assert_true(child_read(child, &told));
    child_kill(child);
    while (child_read(child, &more))
        told = more;
    return told >= n_pieces(file);
}

static void test_state(void)
{
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    Random random = random_new();

    for (guint round = 0; round < 8; round++) {
        g_autoptr(World) world = world_new_closed();
        guint32 n =
            round % 2 ? G_MAXUINT32 : 1 + (guint32)random_below(&random, n_pieces(file) - 1);
        gboolean whole = killed_save(world, "stay open", n);

        world_open(world);
        wait_for(set_is_settled, world->set);
        g_assert_cmpuint(set_info(world->set).stream_offset, ==, HEADER);
        if (whole) {
            wait_for(set_is_durable, world->set);
            world_check_file(world, file);
        } else if (set_is_partial(world->set)) {
            g_autofree char *why = fdset_set_last_error(world->set);

            g_assert_nonnull(strstr(why, "interrupted"));
        } else {
            world_check_file(world, file); /* killed before it could tell of the last piece */
        }
    }
}

static void test_durable(void)
{
    g_autoptr(World) world = world_new_closed();
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    killed_save(world, "close", G_MAXUINT32);
    world_open(world);
    g_assert_true(set_is_durable(world->set)); /* at once: nothing had to be settled */
    world_check_file(world, file);
}

/* What a truncation to 0 has done when the daemon dies before it can save the manifest. */
static void test_truncation(void)
{
    g_autoptr(World) world = world_new_closed();

    g_assert_true(killed_save(world, "stay open", G_MAXUINT32));
    dir_truncate(world->dir, "7/map", 0);
    dir_truncate(world->dir, "7/ch-000", 0);
    world_open(world);
    wait_for(set_is_settled, world->set);
    set_check_partial(world->set);
}

/* Rewrites the header of a complete set again and again. */
static int child_header(const char *path)
{
    FdsetSet *set = child_open_set(path);
    g_autofree guint8 *bytes = g_malloc(HEADER);

    for (guint32 n = 1;; n++) {
        FdsetHandle *main = child_open(set, O_WRONLY);

        memset(bytes, (int)(n % 255) + 1, HEADER);
        if (fdset_handle_write(main, bytes, HEADER, 0) < 0)
            _exit(3);
        child_tell(n);
        if (n % 4 == 0) {
            handle_close_file(main);
            wait_for(set_is_durable, set);
        } else if (fdset_handle_write(main, bytes, 100, 50) == 0) {
            handle_close_file(main);
        }
    }
}

/* Each byte of the header is that of one of two rewritings, and the stream is as it was. */
static void check_header(const World *world, const StreamFile *file, guint32 told)
{
    g_autoptr(FdsetHandle) reader = world_open_ok(world, O_RDONLY);
    gsize span = fdset_image_span(file->bytes->len, 0);
    guint8 *buf = g_aligned_alloc(1, span, BLOCK);
    gconstpointer data;

    g_assert_cmpint(fdset_handle_read(reader, buf, file->bytes->len, 0, &data), ==,
                    file->bytes->len);
    for (guint i = 0; i < HEADER; i++)
        g_assert_true(buf[i] == told % 255 + 1 || buf[i] == (told + 1) % 255 + 1);
    g_assert_cmpmem(buf + HEADER, file->bytes->len - HEADER, file->bytes->data + HEADER,
                    file->bytes->len - HEADER);
    g_aligned_free(buf);
}

static void test_header(void)
{
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    Random random = random_new();

    for (guint round = 0; round < 6; round++) {
        g_autoptr(World) world = world_new_closed();
        guint32 n = 1 + (guint32)random_below(&random, 12);
        guint32 told = 0, more;
        g_autoptr(Child) child = NULL;

        killed_save(world, "close", G_MAXUINT32);
        child = child_new("--header", world->dir->path, "");
        while (told < n)
            g_assert_true(child_read(child, &told));
        child_kill(child);
        while (child_read(child, &more))
            told = more;
        world_open(world);
        wait_for(set_is_durable, world->set);
        check_header(world, file, told);
    }
}

typedef void (*Change)(FdsetManifest *manifest);

static void of_other_boot(FdsetManifest *manifest)
{
    g_free(manifest->boot);
    manifest->boot = g_strdup("another boot");
}

static void not_durable(FdsetManifest *manifest)
{
    manifest->durable = FALSE;
    memset(manifest->sums, 0, sizeof manifest->sums);
}

static void not_durable_of_other_boot(FdsetManifest *manifest)
{
    not_durable(manifest);
    of_other_boot(manifest);
}

static void change_manifest(const World *world, Change change)
{
    int fd = openat(world->dir->fd, "7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(FdsetManifest) manifest = fdset_manifest_load(fd, 7, "7/manifest", NULL);

    g_assert_nonnull(manifest);
    change(manifest);
    g_assert_true(fdset_manifest_save(manifest, fd, "7/manifest", TRUE, NULL));
    close(fd);
}

static void check_lost(World *world)
{
    g_autofree char *why = NULL;

    world_open(world);
    wait_for(set_is_settled, world->set);
    g_assert_true(set_is_partial(world->set));
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "host restarted"));
}

static void test_lost_session(void)
{
    g_autoptr(World) world = world_new_closed();

    g_assert_true(killed_save(world, "stay open", G_MAXUINT32));
    change_manifest(world, of_other_boot);
    check_lost(world);
    world_reopen(world); /* and stays so */
    g_assert_true(set_is_partial(world->set));
}

static void test_lost_before_durable(void)
{
    g_autoptr(World) world = world_new_closed();

    killed_save(world, "close", G_MAXUINT32);
    change_manifest(world, not_durable_of_other_boot);
    check_lost(world);
}

static void test_kept_before_durable(void)
{
    g_autoptr(World) world = world_new_closed();
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    killed_save(world, "close", G_MAXUINT32);
    change_manifest(world, not_durable);
    world_open(world);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

static void test_kept_when_durable(void)
{
    g_autoptr(World) world = world_new_closed();
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    killed_save(world, "close", G_MAXUINT32);
    change_manifest(world, of_other_boot);
    world_open(world);
    g_assert_true(set_is_durable(world->set));
    world_check_file(world, file);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--save") == 0)
        return child_save(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "--header") == 0)
        return child_header(argv[2]);
    fixture_init(argc, argv);
    g_test_add_func("/restart/the state follows from the stream that is there", test_state);
    g_test_add_func("/restart/a truncation that was under way is no damage", test_truncation);
    g_test_add_func("/restart/a header that was being rewritten leaves the stream complete",
                    test_header);
    g_test_add_func("/restart/a durable set stays durable", test_durable);
    g_test_add_func("/restart/a session that the host did not survive is partial",
                    test_lost_session);
    g_test_add_func("/restart/a save that was not durable when the host died is partial",
                    test_lost_before_durable);
    g_test_add_func("/restart/a save that was not durable when the daemon died is kept",
                    test_kept_before_durable);
    g_test_add_func("/restart/a durable save survives the host", test_kept_when_durable);
    return g_test_run();
}
