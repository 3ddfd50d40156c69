/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A daemon that is killed at any moment, also between any two of its system
 * calls: what was acknowledged is there, each block is old or new, nothing is EIO.
 */
#include "config.h"
#include "core/set-verbs.h"
#include "t/child.h"
#include "t/tap.h"
#include "t/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE
#define ROOM (256 * 1024) /* bytes of the image that are written at random */
#define N_CHANNELS 4
#define N_ROUNDS 12
#define N_STEPS 8 /* that are killed between any two system calls */

/*
 * In the child: how many more calls that change a file it may make before it is
 * killed; negative: any number. These stand in the place of libc's.
 */
static gint calls_left = -1; /* atomic: a settler makes such calls, too */

static void count_call(void)
{
    if (g_atomic_int_get(&calls_left) >= 0 && g_atomic_int_add(&calls_left, -1) == 0)
        raise(SIGKILL);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    count_call();
    return syscall(SYS_pwrite64, fd, buf, len, offset);
}

int ftruncate(int fd, off_t size)
{
    count_call();
    return (int)syscall(SYS_ftruncate, fd, size);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    count_call();
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
    count_call();
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

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

    step->truncate = random_below(random, 4) == 0;
    if (step->truncate && random_below(random, 2)) {
        step->offset += step->len / 2; /* amid what was written last */
    } else {
        step->offset = random_below(random, ROOM);
        if (random_below(random, 2))
            step->offset -= step->offset % BLOCK;
    }
    step->channel = step->truncate ? 0 : (guint)random_below(random, N_CHANNELS);
    step->len = 1 + (gsize)random_below(random, longest[random_below(random, 3)]);
    step->len = step->truncate ? 0 : MIN(step->len, ROOM - step->offset);
    random_fill(random, step->data, step->len);
}

/* Tells the number of each step when it is done, until it is killed or was told of 'n'. */
static int child_steps(const char *path, guint64 seed, guint32 n_steps)
{
    FdsetSet *set = child_open_set(path);
    Random random = {seed};
    g_autofree guint8 *data = g_malloc(ROOM);
    Step step = {.data = data};
    FdsetHandle *handles[N_CHANNELS];

    for (guint i = 0; i < N_CHANNELS; i++)
        handles[i] = child_open(set, i == 0 ? O_WRONLY : DIRECT);
    child_tell(0);
    for (guint32 n = 1; n <= n_steps; n++) {
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
    _exit(0);
}

/* 'arg' is the seed, and how many calls may be made: "SEED CALLS". */
static int child_calls(const char *path, const char *arg)
{
    char *end;
    guint64 seed = g_ascii_strtoull(arg, &end, 10);

    g_atomic_int_set(&calls_left, (gint)g_ascii_strtoull(end, NULL, 10));
    return child_steps(path, seed, N_STEPS);
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

/* The world after 'told' steps of this seed, and after one more. */
static void model_steps(guint64 seed, guint32 told, Model *before, Model *after)
{
    g_autofree guint8 *data = g_malloc(ROOM);
    Step step = {.data = data};
    Random random = {seed};

    memset(before, 0, sizeof *before);
    for (guint32 i = 0; i < told; i++) {
        next_step(&random, &step);
        apply(before, &step);
    }
    *after = *before;
    next_step(&random, &step);
    apply(after, &step);
}

/* Kills the child when it has told 'n'. Returns what it told last. */
static guint32 run_random(World *world, guint64 seed, guint32 n, Model *before, Model *after)
{
    g_autofree char *arg = g_strdup_printf("%" G_GUINT64_FORMAT, seed);
    g_autoptr(Child) child = child_new("--random", world->dir->path, arg);
    guint32 told = 0, more;

    do
        g_assert_true(child_read(child, &told));
    while (told < n);
    child_kill(child);
    while (child_read(child, &more))
        told = more;
    model_steps(seed, told, before, after);
    return told;
}

static gboolean go_on(gpointer data, guint64 done, guint64 total)
{
    return TRUE;
}

/* Recovery has given every block a digest, and that one matches. */
static void check_digests(FdsetSet *set)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetVerify) verify = fdset_set_verify(set, go_on, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(verify->unknown, ==, 0);
    g_assert_cmpuint(verify->mismatches, ==, 0);
}

static void check_recovery(World *world, const Model *before, const Model *after)
{
    world_open(world);
    wait_for(set_is_settled, world->set);
    set_check_partial(world->set);
    check_blocks(world->set, before, after);
    check_digests(world->set);
    world_reopen(world); /* with sums now */
    set_check_partial(world->set);
    check_blocks(world->set, before, after);
}

static void test_random(void)
{
    Random random = random_new();

    for (guint round = 0; round < N_ROUNDS; round++) {
        g_autoptr(World) world = world_new_closed();
        g_autofree Model *before = g_new(Model, 2);
        guint64 seed = random_next(&random);

        run_random(world, seed, (guint32)random_below(&random, 150), before, before + 1);
        check_recovery(world, before, before + 1);
    }
}

/* Returns FALSE when the child came to its end within that many calls. */
static gboolean run_calls(guint64 seed, guint calls)
{
    g_autoptr(World) world = world_new_closed();
    g_autofree char *arg = g_strdup_printf("%" G_GUINT64_FORMAT " %u", seed, calls);
    g_autoptr(Child) child = child_new("--calls", world->dir->path, arg);
    g_autofree Model *before = g_new(Model, 2);
    guint32 told = 0, more;
    gboolean opened = FALSE;

    while (child_read(child, &more)) {
        told = more;
        opened = TRUE;
    }
    if (!opened)
        return TRUE; /* killed before the first step */
    model_steps(seed, told, before, before + 1);
    check_recovery(world, before, before + 1);
    return told < N_STEPS;
}

static void test_calls(void)
{
    Random random = random_new();

    for (guint round = 0; round < 4; round++) {
        guint64 seed = random_next(&random);
        guint calls = 0;

        while (run_calls(seed, calls))
            calls++;
        g_assert_cmpuint(calls, >, N_STEPS);
    }
}

static void test_retry(void)
{
    g_autoptr(World) world = world_new_closed();
    g_autoptr(StreamFile) file = stream_file_new(&world_plain);
    g_autofree Model *model = g_new0(Model, 2);

    run_random(world, 5, 30, &model[0], &model[1]);
    world_open(world);
    world_save(world, file, 0, 2, DIRECT);
    wait_for(set_is_durable, world->set);
    world_check_file(world, file);
}

/* A read-only mount after a crash: nobody recovers it, but it can be looked at. */
static void test_read_only(void)
{
    g_autoptr(World) world = world_new_closed();
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
        return child_steps(argv[2], g_ascii_strtoull(argv[3], NULL, 10), G_MAXUINT32 - 1);
    if (argc == 4 && strcmp(argv[1], "--calls") == 0)
        return child_calls(argv[2], argv[3]);
    fixture_init(argc, argv);
    g_test_add_func("/crash/what was acknowledged is there, each block old or new", test_random);
    g_test_add_func("/crash/so it is when it dies between any two system calls", test_calls);
    g_test_add_func("/crash/a second try after a crash is complete", test_retry);
    g_test_add_func("/crash/a read-only mount shows what is there", test_read_only);
    return g_test_run();
}
