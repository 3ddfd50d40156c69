/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The differential test: writes and truncations through several channels, by
 * themselves and from threads, against a plain file.
 */
#include "config.h"
#include "t/pair.h"
#include "t/tap.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE
#define ROOM (6 * MIB)

/* Every byte that SEEK_DATA passes over is zero, and data and holes take turns. */
static void check_seek(Pair *pair)
{
    guint64 size = pair_plain_size(pair);
    guint64 at = 0;

    while (at < size) {
        gint64 data = fdset_image_seek(pair->image, at, TRUE);
        gint64 hole;

        for (guint64 end = data < 0 ? size : (guint64)data; at < end;) {
            gsize len = MIN(MIB, end - at);

            g_assert_cmpint(pread(pair->plain, pair->expected, len, (off_t)at), ==, (gssize)len);
            g_assert_true(fdset_bytes_are_zero(pair->expected, len));
            at += len;
        }
        if (data < 0) {
            g_assert_cmpint(data, ==, -ENXIO);
            break;
        }
        hole = fdset_image_seek(pair->image, at, FALSE);
        g_assert_cmpint(hole, >, data);
        g_assert_true(hole % BLOCK == 0 || (guint64)hole == size);
        at = (guint64)hole;
        g_assert_cmpint(fdset_image_seek(pair->image, at - 1, TRUE), ==, at - 1);
    }
    g_assert_cmpint(fdset_image_seek(pair->image, size, TRUE), ==, -ENXIO);
    g_assert_cmpint(fdset_image_seek(pair->image, size, FALSE), ==, -ENXIO);
}

static guint64 random_size(Pair *pair, Random *random)
{
    guint64 size = random_below(random, 8) == 0 ? 0 : random_below(random, ROOM);

    switch (random_below(random, 3)) {
    case 0:
        return size - size % BLOCK;
    case 1: /* within the last block */
        return pair_plain_size(pair) / BLOCK * BLOCK + random_below(random, BLOCK);
    default:
        return size;
    }
}

static void random_step(Pair *pair, Random *random)
{
    FdsetChannel *channel = pair->channels[random_below(random, N_CHANNELS)];
    guint64 kind = random_below(random, 40);

    if (kind == 0) {
        pair_truncate(pair, channel, random_size(pair, random));
    } else if (kind < 8) {
        guint64 offset = random_below(random, ROOM);

        pair_compare(pair, 1 + (gsize)random_below(random, kind == 1 ? LONGEST : 20000), offset,
                     random_below(random, 2) != 0);
    } else {
        Write write = random_write(random, pair->buf, ROOM);

        pair_write(pair, channel, &write);
    }
}

static void test_differential(void)
{
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();

    for (guint round = 0; round < 6; round++) {
        for (guint i = 0; i < 700; i++)
            random_step(pair, &random);
        pair_compare_all(pair);
        check_seek(pair);
        pair_reopen(pair, round % 2 == 0, round % 3 == 1);
        pair_compare_all(pair);
        check_seek(pair);
    }
}

/* Small steps around the end of a small image, where most borders meet. */
static void test_small(void)
{
    Random random = random_new();

    for (guint image = 0; image < 20; image++) {
        g_autoptr(Pair) pair = pair_new();

        for (guint i = 0; i < 150; i++) {
            FdsetChannel *channel = pair->channels[random_below(&random, N_CHANNELS)];
            Write write = random_write(&random, pair->buf, 3 * BLOCK);

            if (random_below(&random, 4) == 0)
                pair_truncate(pair, channel, random_below(&random, 3 * BLOCK));
            else
                pair_write(pair, channel, &write);
            pair_compare_all(pair);
        }
        check_seek(pair);
        pair_reopen(pair, TRUE, TRUE);
        pair_compare_all(pair);
    }
}

typedef struct {
    Pair *pair;
    guint index;
    guint n;
    guint64 slice; /* bytes that one thread has in a row */
    guint64 seed;
} Neighbour;

/* Writes within its own slices, which touch the others' within one block. */
static gpointer write_slices(gpointer data)
{
    const Neighbour *self = data;
    Random random = {self->seed};
    g_autofree guint8 *buf = g_malloc(self->slice + BLOCK);
    guint64 n_slices = 2 * MIB / self->slice / self->n;

    for (guint i = 0; i < 400; i++) {
        guint64 slice = random_below(&random, n_slices) * self->n + self->index;
        guint64 from = random_below(&random, self->slice);
        Write write = {
            .offset = slice * self->slice + from,
            .len = 1 + random_below(&random, self->slice - from),
            .data = buf + random_below(&random, 16),
        };

        random_fill(&random, write.data, write.len);
        pair_write(self->pair, self->pair->channels[self->index], &write);
    }
    return NULL;
}

static void run_neighbours(Pair *pair, guint64 slice, Random *random)
{
    Neighbour neighbours[N_CHANNELS];
    GThread *threads[N_CHANNELS];

    for (guint i = 0; i < N_CHANNELS; i++) {
        neighbours[i] = (Neighbour){pair, i, N_CHANNELS, slice, random_next(random)};
        threads[i] = g_thread_new("write", write_slices, &neighbours[i]);
    }
    for (guint i = 0; i < N_CHANNELS; i++)
        g_thread_join(threads[i]);
}

static void test_neighbours(void)
{
    static const guint64 slices[] = {700, 3001, BLOCK, 50001};
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();

    for (gsize i = 0; i < G_N_ELEMENTS(slices); i++) {
        run_neighbours(pair, slices[i], &random);
        pair_compare_all(pair);
    }
    pair_reopen(pair, TRUE, TRUE);
    pair_compare_all(pair);
}

/* All threads write the same odd range, and ranges of whole blocks behind it. */
#define ODD_OFFSET 100
#define ODD_LEN (3 * BLOCK + 500)
#define SHARED_FIRST 8
#define SHARED_BLOCKS 32

static gpointer write_same(gpointer data)
{
    const Neighbour *self = data;
    Random random = {self->seed};
    guint8 *buf = g_aligned_alloc(1, SHARED_BLOCKS * BLOCK, BLOCK);
    FdsetChannel *channel = self->pair->channels[self->index];

    for (guint i = 0; i < 120; i++) {
        guint64 first = random_below(&random, SHARED_BLOCKS);
        gsize n = 1 + (gsize)random_below(&random, SHARED_BLOCKS - first);

        memset(buf, (int)(1 + random_below(&random, 255)), SHARED_BLOCKS * BLOCK);
        g_assert_cmpint(fdset_image_write(self->pair->image, channel, buf, n * BLOCK,
                                          (SHARED_FIRST + first) * BLOCK),
                        ==, 0);
        g_assert_cmpint(fdset_image_write(self->pair->image, channel, buf, ODD_LEN, ODD_OFFSET), ==,
                        0);
    }
    g_aligned_free(buf);
    return NULL;
}

static void check_uniform(Pair *pair, guint64 offset, gsize len)
{
    gconstpointer data;

    g_assert_cmpuint(pair_read(pair, len, offset, FALSE, &data), ==, len);
    g_assert_true(memcmp(data, (const guint8 *)data + 1, len - 1) == 0);
}

static void test_overlapping(void)
{
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();
    Neighbour writers[N_CHANNELS];
    GThread *threads[N_CHANNELS];

    for (guint round = 0; round < 4; round++) {
        for (guint i = 0; i < N_CHANNELS; i++) {
            writers[i] = (Neighbour){.pair = pair, .index = i, .seed = random_next(&random)};
            threads[i] = g_thread_new("write", write_same, &writers[i]);
        }
        for (guint i = 0; i < N_CHANNELS; i++)
            g_thread_join(threads[i]);
        check_uniform(pair, ODD_OFFSET, BLOCK - ODD_OFFSET);
        for (guint64 block = 1; block < 3; block++)
            check_uniform(pair, block * BLOCK, BLOCK);
        check_uniform(pair, 3 * BLOCK, ODD_OFFSET + ODD_LEN - 3 * BLOCK);
        for (guint64 block = 0; block < SHARED_BLOCKS; block++)
            check_uniform(pair, (SHARED_FIRST + block) * BLOCK, BLOCK);
    }
}

typedef struct {
    Pair *pair;
    gint stop; /* atomic */
} Reader;

static gpointer read_until_stopped(gpointer data)
{
    Reader *reader = data;
    guint8 *buf = g_aligned_alloc(1, 10 * BLOCK, BLOCK);
    Random random = {1};

    while (!g_atomic_int_get(&reader->stop)) {
        guint64 offset = random_below(&random, 2 * MIB);
        gconstpointer bytes;
        gssize got = fdset_image_read(reader->pair->image, buf, 8 * BLOCK, offset, FALSE, &bytes);

        if (got < 0)
            image_fail(reader->pair->image, "a read", got, offset, 8 * BLOCK);
    }
    g_aligned_free(buf);
    return NULL;
}

static void test_reads_beside_writes(void)
{
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();
    Reader reader = {.pair = pair};
    GThread *thread = g_thread_new("read", read_until_stopped, &reader);

    run_neighbours(pair, 3001, &random);
    g_atomic_int_set(&reader.stop, 1);
    g_thread_join(thread);
    pair_compare_all(pair);
}

static void test_far(void)
{
    static const guint64 far = G_GUINT64_CONSTANT(8) << 40;
    g_autoptr(Pair) pair = pair_new();
    Write near_write = {.offset = 5, .len = 10, .data = pair->buf};
    Write far_write = {.offset = far - 3, .len = 6, .data = pair->buf};
    guint64 last = far / BLOCK * BLOCK;

    memset(pair->buf, 'x', 10);
    pair_write(pair, pair->channels[0], &near_write);
    pair_write(pair, pair->channels[1], &far_write);
    pair_compare(pair, 100, far - 50, FALSE);
    g_assert_cmpuint(fdset_image_size(pair->image), ==, far + 3);
    g_assert_cmpint(fdset_image_seek(pair->image, 7, TRUE), ==, 7);
    g_assert_cmpint(fdset_image_seek(pair->image, 7, FALSE), ==, BLOCK);
    g_assert_cmpint(fdset_image_seek(pair->image, BLOCK, TRUE), ==, last - BLOCK);
    g_assert_cmpint(fdset_image_seek(pair->image, last, FALSE), ==, far + 3);
}

static void test_limits(void)
{
    g_autoptr(Pair) pair = pair_new();
    FdsetChannel *channel = pair->channels[0];

    g_assert_cmpint(fdset_image_write(pair->image, channel, "ab", 2, FDSET_IMAGE_MAX - 1), ==,
                    -EFBIG);
    g_assert_cmpint(fdset_image_write(pair->image, channel, "a", 1, FDSET_IMAGE_MAX), ==, -EFBIG);
    g_assert_cmpint(fdset_image_write(pair->image, channel, "a", 1, G_MAXUINT64), ==, -EFBIG);
    g_assert_cmpint(fdset_image_truncate(pair->image, channel, FDSET_IMAGE_MAX + 1), ==, -EFBIG);
    g_assert_cmpint(fdset_image_write(pair->image, channel, "a", 0, 5), ==, 0);
    g_assert_cmpuint(fdset_image_size(pair->image), ==, 0);
    g_assert_cmpuint(fdset_image_written(pair->image), ==, 0);
}

static void test_span(void)
{
    g_assert_cmpuint(fdset_image_span(1, 0), ==, BLOCK);
    g_assert_cmpuint(fdset_image_span(BLOCK, 0), ==, BLOCK);
    g_assert_cmpuint(fdset_image_span(2, BLOCK - 1), ==, 2 * BLOCK);
    g_assert_cmpuint(fdset_image_span(MIB, 1), ==, MIB + BLOCK);
    g_assert_cmpuint(fdset_image_span(1, (G_GUINT64_CONSTANT(1) << 46) - 1), ==, BLOCK);
}

static void test_source(void)
{
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();
    g_autofree guint8 *bytes = g_malloc(3 * MIB);
    FdsetSource source;

    for (guint i = 0; i < 100; i++) {
        Write write = random_write(&random, pair->buf, 3 * MIB);

        pair_write(pair, pair->channels[i % N_CHANNELS], &write);
    }
    pair_truncate(pair, pair->channels[0], 3 * MIB - 5);
    fdset_image_source(pair->image, &source, "fdset 7");
    g_assert_cmpuint(source.size, ==, 3 * MIB - 5);
    for (guint i = 0; i < 30; i++) {
        guint64 offset = random_below(&random, 3 * MIB + 10);
        gsize len = (gsize)random_below(&random, i == 0 ? 3 * MIB : 20000);
        gssize expected = pread(pair->plain, pair->expected, MIN(len, LONGEST), (off_t)offset);

        len = MIN(len, LONGEST);
        g_assert_cmpint(source.pread(source.opaque, bytes, len, offset), ==, expected);
        g_assert_cmpint(memcmp(bytes, pair->expected, (gsize)expected), ==, 0);
    }
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/image/random writes and truncations give what a plain file has",
                    test_differential);
    g_test_add_func("/image/so they do around the end of a small image", test_small);
    g_test_add_func("/image/so they do from threads that share blocks", test_neighbours);
    g_test_add_func("/image/overlapping writes leave one writer's block, never a mix",
                    test_overlapping);
    g_test_add_func("/image/a read beside writes never mismatches", test_reads_beside_writes);
    g_test_add_func("/image/data 8 TiB apart is found", test_far);
    g_test_add_func("/image/what is behind the limit is EFBIG", test_limits);
    g_test_add_func("/image/a span is whole blocks", test_span);
    g_test_add_func("/image/a parser reads any range", test_source);
    return g_test_run();
}
