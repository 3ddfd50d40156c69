/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A daemon that is killed at any moment, and a host that restarts: what was
 * acknowledged is there, each block is old or new, nothing is EIO, and the
 * state follows from the stream.
 */
#include "config.h"
#include "core/image.h"
#include "t/child.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE
#define ROOM (256 * 1024) /* bytes of the image that are written at random */
#define N_CHANNELS 4
#define N_ROUNDS 16

/* One request, the same in the child that makes it and in the parent that knows of it. */
typedef struct {
    guint channel; /* 0: main */
    gboolean truncate;
    guint64 offset; /* or the size */
    gsize len;
    guint8 *data; /* with room for it */
} Step;

static void next_step(Random *random, Step *step)
{
    static const gsize longest[] = {100, 3 * BLOCK, 20 * BLOCK};

    step->truncate = random_below(random, 12) == 0;
    step->channel = step->truncate ? 0 : (guint)random_below(random, N_CHANNELS);
    step->offset = random_below(random, ROOM);
    if (random_below(random, 2))
        step->offset -= step->offset % BLOCK;
    step->len = 1 + (gsize)random_below(random, longest[random_below(random, 3)]);
    step->len = MIN(step->len, ROOM - step->offset);
    if (step->truncate)
        step->len = 0;
    random_fill(random, step->data, step->len);
}

static FdsetHandle *open_channel(FdsetSet *set, int flags)
{
    FdsetHandle *handle = NULL;

    if (fdset_handle_open(set, flags, &handle) < 0)
        _exit(2);
    return handle;
}

static FdsetSet *child_set(const char *path)
{
    FdsetStore *store = fdset_store_open(path, &world_defaults, NULL);
    FdsetSet *set = NULL;

    if (!store || fdset_store_create(store, 7, 0600, 0, 0, &set) < 0)
        _exit(2);
    return set;
}

/* Tells the number of each step when it is done, until it is killed. */
static int child_random(const char *path, const char *seed)
{
    FdsetSet *set = child_set(path);
    Random random = {g_ascii_strtoull(seed, NULL, 10)};
    Step step = {.data = g_malloc(ROOM)};
    FdsetHandle *handles[N_CHANNELS];

    for (guint i = 0; i < N_CHANNELS; i++)
        handles[i] = open_channel(set, i == 0 ? O_WRONLY : DIRECT);
    child_tell(0);
    for (guint32 n = 1;; n++) {
        FdsetHandle *handle;
        int r;

        next_step(&random, &step);
        handle = handles[step.channel];
        r = step.truncate ? fdset_handle_truncate(handle, step.offset)
                          : fdset_handle_write(handle, step.data, step.len, step.offset);
        if (r < 0)
            _exit(3);
        child_tell(n);
    }
}

/* What a plain file would hold; zero behind its end. */
typedef struct {
    guint8 bytes[ROOM];
    guint64 size;
} Model;

static void apply(Model *model, const Step *step)
{
    if (step->truncate) {
        if (step->offset < model->size)
            memset(model->bytes + step->offset, 0, model->size - step->offset);
        model->size = step->offset;
        return;
    }
    memcpy(model->bytes + step->offset, step->data, step->len);
    model->size = MAX(model->size, step->offset + step->len);
}

/* Every block is as before the step that was under way, or as after it. */
static void check_blocks(FdsetSet *set, const Model *before, const Model *after)
{
    g_autoptr(FdsetHandle) reader = NULL;
    guint64 size;
    guint8 *buf = g_aligned_alloc(1, 2 * BLOCK, BLOCK);

    g_assert_cmpint(fdset_handle_open(set, O_RDONLY, &reader), ==, 0);
    size = set_info(set).size;
    g_assert_cmpuint(size, >=, MIN(before->size, after->size));
    g_assert_cmpuint(size, <=, MAX(before->size, after->size));
    for (guint64 at = 0; at < size; at += BLOCK) {
        gconstpointer data;
        gssize got = fdset_handle_read(reader, buf, BLOCK, at, &data);

        if (got < 0) {
            g_autofree char *why = fdset_set_last_error(set);

            g_error("block %" G_GUINT64_FORMAT ": %s", at / BLOCK, why);
        }
        if (memcmp(data, before->bytes + at, (gsize)got) != 0 &&
            memcmp(data, after->bytes + at, (gsize)got) != 0)
            g_error("block %" G_GUINT64_FORMAT " is neither old nor new", at / BLOCK);
    }
    g_aligned_free(buf);
}

static World *dead_world(void)
{
    World *world = g_new0(World, 1);

    world->dir = dir_new();
    world->events = g_string_new(NULL);
    return world;
}

static void check_partial(FdsetSet *set)
{
    g_autofree char *why = fdset_set_last_error(set);

    if (!set_is_partial(set))
        g_error("the set is %s: %s", fdset_status_name(set_info(set).status), why);
}

static gboolean is_settled(gpointer set)
{
    return set_info(set).status != FDSET_STATUS_WRITING;
}

/* Kills the child after 'n' steps, and gives the world before and after the next one. */
static guint32 run_random(World *world, guint64 seed, guint32 n, Model *before, Model *after)
{
    g_autofree char *arg = g_strdup_printf("%" G_GUINT64_FORMAT, seed);
    g_autoptr(Child) child = child_new("--random", world->dir->path, arg);
    g_autofree guint8 *data = g_malloc(ROOM);
    Step step = {.data = data};
    Random random = {seed};
    guint32 told = 0, more;

    do
        g_assert_true(child_read(child, &told));
    while (told < n);
    child_kill(child);
    while (child_read(child, &more))
        told = more;
    for (guint32 i = 0; i < told; i++) {
        next_step(&random, &step);
        apply(before, &step);
    }
    *after = *before;
    next_step(&random, &step);
    apply(after, &step);
    return told;
}

static void test_random(void)
{
    Random random = random_new();
    guint64 steps = 0;

    for (guint round = 0; round < N_ROUNDS; round++) {
        g_autoptr(World) world = dead_world();
        g_autofree Model *before = g_new0(Model, 1);
        g_autofree Model *after = g_new0(Model, 1);
        guint64 seed = random_next(&random);

        steps += run_random(world, seed, (guint32)random_below(&random, 150), before, after);
        world_open(world);
        wait_for(is_settled, world->set);
        check_partial(world->set);
        check_blocks(world->set, before, after);
        world_reopen(world); /* with sums now */
        check_partial(world->set);
        check_blocks(world->set, before, after);
    }
    g_assert_cmpuint(steps, >, N_ROUNDS);
}

static void test_retry(void)
{
    g_autoptr(World) world = dead_world();
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autofree Model *model = g_new0(Model, 2);

    run_random(world, 5, 30, &model[0], &model[1]);
    world_open(world);
    world_save(world, file, 0, 2, DIRECT);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

#define PIECE 10000

static guint32 n_pieces(const StreamFile *file)
{
    return (file->bytes->len + PIECE - 1) / PIECE;
}

/* Saves a whole stream in pieces, closes it when 'arg' says so, and waits to be killed. */
static int child_save(const char *path, const char *arg)
{
    g_autoptr(StreamFile) file = stream_file_new(&world_header);
    FdsetSet *set = child_set(path);
    FdsetHandle *main = open_channel(set, O_WRONLY);
    FdsetHandle *secondary = open_channel(set, O_WRONLY);

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
        g_autoptr(World) world = dead_world();
        guint32 n = round % 2 ? G_MAXUINT32 : (guint32)random_below(&random, n_pieces(file));
        gboolean whole = killed_save(world, "stay open", n);

        world_open(world);
        wait_for(is_settled, world->set);
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
    g_autoptr(World) world = dead_world();
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    killed_save(world, "close", G_MAXUINT32);
    world_open(world);
    g_assert_true(set_is_durable(world->set)); /* at once: nothing had to be settled */
    world_check_file(world, file);
}

/* What a truncation to 0 has done when the daemon dies before it can save the manifest. */
static void test_truncation(void)
{
    g_autoptr(World) world = dead_world();

    g_assert_true(killed_save(world, "stay open", G_MAXUINT32));
    dir_truncate(world->dir, "7/map", 0);
    dir_truncate(world->dir, "7/ch-000", 0);
    world_open(world);
    wait_for(is_settled, world->set);
    check_partial(world->set);
}

/* Rewrites the header of a complete set again and again. */
static int child_header(const char *path)
{
    FdsetSet *set = child_set(path);
    g_autofree guint8 *bytes = g_malloc(HEADER);

    for (guint32 n = 1;; n++) {
        FdsetHandle *main = open_channel(set, O_WRONLY);

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
        g_autoptr(World) world = dead_world();
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
    wait_for(is_settled, world->set);
    g_assert_true(set_is_partial(world->set));
    why = fdset_set_last_error(world->set);
    g_assert_nonnull(strstr(why, "host restarted"));
}

static void test_lost_session(void)
{
    g_autoptr(World) world = dead_world();

    g_assert_true(killed_save(world, "stay open", G_MAXUINT32));
    change_manifest(world, of_other_boot);
    check_lost(world);
    world_reopen(world); /* and stays so */
    g_assert_true(set_is_partial(world->set));
}

static void test_lost_before_durable(void)
{
    g_autoptr(World) world = dead_world();

    killed_save(world, "close", G_MAXUINT32);
    change_manifest(world, not_durable_of_other_boot);
    check_lost(world);
}

static void test_kept_before_durable(void)
{
    g_autoptr(World) world = dead_world();
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    killed_save(world, "close", G_MAXUINT32);
    change_manifest(world, not_durable);
    world_open(world);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

static void test_kept_when_durable(void)
{
    g_autoptr(World) world = dead_world();
    g_autoptr(StreamFile) file = stream_file_new(&world_header);

    killed_save(world, "close", G_MAXUINT32);
    change_manifest(world, of_other_boot);
    world_open(world);
    g_assert_true(set_is_durable(world->set));
    world_check_file(world, file);
}

/* A read-only mount after a crash: nobody recovers it, but it can be looked at. */
static void test_read_only(void)
{
    g_autoptr(World) world = dead_world();
    g_autofree Model *model = g_new0(Model, 2);

    run_random(world, 9, 60, &model[0], &model[1]);
    world->policy.read_only = TRUE;
    world->store = fdset_store_open(world->dir->path, &world->policy, NULL);
    g_assert_nonnull(world->store);
    world->set = fdset_store_lookup(world->store, 7);
    g_assert_true(set_is_partial(world->set));
    check_blocks(world->set, &model[0], &model[1]);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--random") == 0)
        return child_random(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "--save") == 0)
        return child_save(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "--header") == 0)
        return child_header(argv[2]);
    fixture_init(argc, argv);
    g_test_add_func("/crash/what was acknowledged is there, each block old or new", test_random);
    g_test_add_func("/crash/a second try after a crash is complete", test_retry);
    g_test_add_func("/crash/the state follows from the stream that is there", test_state);
    g_test_add_func("/crash/a truncation that was under way is no damage", test_truncation);
    g_test_add_func("/crash/a header that was being rewritten leaves the stream complete",
                    test_header);
    g_test_add_func("/crash/a durable set stays durable", test_durable);
    g_test_add_func("/crash/a session that the host did not survive is partial", test_lost_session);
    g_test_add_func("/crash/a save that was not durable when the host died is partial",
                    test_lost_before_durable);
    g_test_add_func("/crash/a save that was not durable when the daemon died is kept",
                    test_kept_before_durable);
    g_test_add_func("/crash/a durable save survives the host", test_kept_when_durable);
    g_test_add_func("/crash/a read-only mount shows what is there", test_read_only);
    return g_test_run();
}
