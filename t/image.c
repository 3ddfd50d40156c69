/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The differential test: the same writes and truncations into an image, through
 * several channels, and into a plain file; both must stay identical. Then damage,
 * full disks and what a crash leaves behind.
 */
#include "config.h"
#include "core/error.h"
#include "core/image.h"
#include "t/fixture.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE
#define MIB (1024 * 1024)
#define LONGEST (2 * MIB)
#define ROOM (6 * MIB)
#define N_CHANNELS 4

static const FdsetKey key = {{3, 1, 4, 1, 5, 9}};

/* An image and the plain file beside it. */
typedef struct {
    Dir *dir;
    FdsetImage *image;
    FdsetChannel *channels[N_CHANNELS]; /* borrowed; every second one with O_DIRECT */
    int plain;
    guint8 *buf;  /* aligned; what is written, with room to misalign it */
    guint8 *back; /* aligned; what is read */
    guint8 *expected;
} Pair;

static FdsetImage *image_open(int dirfd, GPtrArray *channels, guint64 size, GBytes *sums,
                              gboolean verify)
{
    FdsetImageOptions options = {
        .name = "fdset 7",
        .dirfd = dirfd,
        .key = &key,
        .channels = channels,
        .size = size,
        .sums = sums,
        .writable = TRUE,
        .verify = verify,
    };
    g_autoptr(GError) error = NULL;
    FdsetImage *image = fdset_image_open(&options, &error);

    g_assert_no_error(error);
    return image;
}

/* One of them lies in a directory of its own. */
static void add_channels(Pair *pair)
{
    g_autofree char *disk = dir_path(pair->dir, "disk");
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < N_CHANNELS; i++) {
        pair->channels[i] =
            fdset_image_add_channel(pair->image, i % 2 == 1, i == 3 ? disk : NULL, &error);
        g_assert_no_error(error);
    }
}

static Pair *pair_new_in(Dir *dir)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    Pair *pair = g_new0(Pair, 1);

    pair->dir = dir;
    fdset_blockmap_create(pair->dir->fd, &error);
    g_assert_no_error(error);
    pair->image = image_open(pair->dir->fd, none, 0, NULL, TRUE);
    add_channels(pair);
    pair->plain = g_file_open_tmp("fdsetfs-XXXXXX", &path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(unlink(path), ==, 0);
    pair->buf = g_aligned_alloc(1, LONGEST + BLOCK, BLOCK);
    pair->back = g_aligned_alloc(1, LONGEST + 2 * BLOCK, BLOCK);
    pair->expected = g_malloc(LONGEST);
    return pair;
}

static Pair *pair_new(void)
{
    return pair_new_in(dir_new());
}

static void pair_free(Pair *pair)
{
    fdset_image_free(pair->image);
    close(pair->plain);
    g_aligned_free(pair->buf);
    g_aligned_free(pair->back);
    g_free(pair->expected);
    dir_free(pair->dir);
    g_free(pair);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pair, pair_free)

/* Closes and opens the image as the next session finds it, and gives it new channels. */
static void pair_reopen(Pair *pair, gboolean with_sums, gboolean find_size)
{
    g_autoptr(GPtrArray) channels = fdset_image_channels(pair->image);
    guint64 size = fdset_image_size(pair->image);
    g_autoptr(GBytes) sums = NULL;
    guint64 n_data;

    if (with_sums)
        g_assert_cmpint(fdset_image_sum(pair->image, &sums, &n_data), ==, 0);
    fdset_image_free(pair->image);
    pair->image = image_open(pair->dir->fd, channels, find_size ? G_MAXUINT64 : size, sums, TRUE);
    add_channels(pair);
}

static guint64 plain_size(const Pair *pair)
{
    struct stat st;

    g_assert_cmpint(fstat(pair->plain, &st), ==, 0);
    return (guint64)st.st_size;
}

static void fail_with_problem(FdsetImage *image, const char *what, gssize r, guint64 offset,
                              gsize len)
{
    g_autofree char *problem = fdset_image_problem(image);

    g_error("%s of %" G_GSIZE_FORMAT " bytes at %" G_GUINT64_FORMAT ": %" G_GSSIZE_FORMAT " (%s)",
            what, len, offset, r, problem ? problem : "no problem told");
}

/* The bytes of the image, at *data; fails the test on an error. */
static gsize read_image(Pair *pair, gsize len, guint64 offset, gboolean direct, gconstpointer *data)
{
    gssize got = fdset_image_read(pair->image, pair->back, len, offset, direct, data);

    if (got < 0)
        fail_with_problem(pair->image, "a read", got, offset, len);
    return (gsize)got;
}

static void compare(Pair *pair, gsize len, guint64 offset, gboolean direct)
{
    gconstpointer data;
    gsize got = read_image(pair, len, offset, direct, &data);

    g_assert_cmpint(pread(pair->plain, pair->expected, len, (off_t)offset), ==, (gssize)got);
    for (gsize i = 0; i < got; i++)
        if (((const guint8 *)data)[i] != pair->expected[i])
            g_error("byte %" G_GUINT64_FORMAT " is %02x in the image, %02x in the plain file",
                    offset + i, ((const guint8 *)data)[i], pair->expected[i]);
}

static void compare_all(Pair *pair)
{
    guint64 size = plain_size(pair);

    g_assert_cmpuint(fdset_image_size(pair->image), ==, size);
    for (guint64 offset = 0; offset < size; offset += MIB)
        compare(pair, MIB, offset, FALSE);
    compare(pair, MIB, size, FALSE);
}

/* Every byte that SEEK_DATA passes over is zero, and data and holes take turns. */
static void check_seek(Pair *pair)
{
    guint64 size = plain_size(pair);
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

typedef struct {
    guint64 offset;
    gsize len;
    guint8 *data; /* into the pair's buffer */
} Write;

/* From 1 byte to 2 MiB, most of them small; aligned to blocks or not, in file and memory. */
static Write random_write(Random *random, guint8 *buf, guint64 room)
{
    static const gsize longest[] = {300, 300, 3 * BLOCK, 3 * BLOCK, 3 * BLOCK, 20 * BLOCK};
    guint64 kind = random_below(random, 50);
    gsize max = kind == 0 ? LONGEST : longest[kind % G_N_ELEMENTS(longest)];
    gboolean aligned = random_below(random, 3) == 0;
    Write write = {.len = 1 + (gsize)random_below(random, max)};

    write.offset = random_below(random, room);
    if (aligned) {
        write.len = (write.len + BLOCK - 1) / BLOCK * BLOCK;
        write.offset -= write.offset % BLOCK;
    }
    write.len = MIN(write.len, room - write.offset);
    write.data = buf + (random_below(random, 2) ? random_below(random, BLOCK) : 0);
    random_fill(random, write.data, write.len);
    return write;
}

static void write_plain(const Pair *pair, const Write *write)
{
    g_assert_cmpint(pwrite(pair->plain, write->data, write->len, (off_t)write->offset), ==,
                    (gssize)write->len);
}

static void write_both(Pair *pair, FdsetChannel *channel, const Write *write)
{
    int r = fdset_image_write(pair->image, channel, write->data, write->len, write->offset);

    if (r != 0)
        fail_with_problem(pair->image, "a write", r, write->offset, write->len);
    write_plain(pair, write);
}

static void truncate_both(Pair *pair, FdsetChannel *channel, guint64 size)
{
    int r = fdset_image_truncate(pair->image, channel, size);

    if (r != 0)
        fail_with_problem(pair->image, "a truncation", r, size, 0);
    g_assert_cmpint(ftruncate(pair->plain, (off_t)size), ==, 0);
}

static guint64 random_size(Pair *pair, Random *random)
{
    guint64 size = random_below(random, 8) == 0 ? 0 : random_below(random, ROOM);

    switch (random_below(random, 3)) {
    case 0:
        return size - size % BLOCK;
    case 1: /* within the last block */
        return plain_size(pair) / BLOCK * BLOCK + random_below(random, BLOCK);
    default:
        return size;
    }
}

static void random_step(Pair *pair, Random *random)
{
    FdsetChannel *channel = pair->channels[random_below(random, N_CHANNELS)];
    guint64 kind = random_below(random, 40);

    if (kind == 0) {
        truncate_both(pair, channel, random_size(pair, random));
    } else if (kind < 8) {
        guint64 offset = random_below(random, ROOM);

        compare(pair, 1 + (gsize)random_below(random, kind == 1 ? LONGEST : 20000), offset,
                random_below(random, 2) != 0);
    } else {
        Write write = random_write(random, pair->buf, ROOM);

        write_both(pair, channel, &write);
    }
}

static void test_differential(void)
{
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();

    for (guint round = 0; round < 6; round++) {
        for (guint i = 0; i < 700; i++)
            random_step(pair, &random);
        compare_all(pair);
        check_seek(pair);
        pair_reopen(pair, round % 2 == 0, round % 3 == 1);
        compare_all(pair);
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
                truncate_both(pair, channel, random_below(&random, 3 * BLOCK));
            else
                write_both(pair, channel, &write);
            compare_all(pair);
        }
        check_seek(pair);
        pair_reopen(pair, TRUE, TRUE);
        compare_all(pair);
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
        write_both(self->pair, self->pair->channels[self->index], &write);
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
        compare_all(pair);
    }
    pair_reopen(pair, TRUE, TRUE);
    compare_all(pair);
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

    g_assert_cmpuint(read_image(pair, len, offset, FALSE, &data), ==, len);
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
            fail_with_problem(reader->pair->image, "a read", got, offset, 8 * BLOCK);
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
    compare_all(pair);
}

static void test_far(void)
{
    static const guint64 far = G_GUINT64_CONSTANT(8) << 40;
    g_autoptr(Pair) pair = pair_new();
    Write near_write = {.offset = 5, .len = 10, .data = pair->buf};
    Write far_write = {.offset = far - 3, .len = 6, .data = pair->buf};
    guint64 last = far / BLOCK * BLOCK;

    memset(pair->buf, 'x', 10);
    write_both(pair, pair->channels[0], &near_write);
    write_both(pair, pair->channels[1], &far_write);
    compare(pair, 100, far - 50, FALSE);
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

        write_both(pair, pair->channels[i % N_CHANNELS], &write);
    }
    truncate_both(pair, pair->channels[0], 3 * MIB - 5);
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

/* Block b, full of the byte b + 1, in channel b % 4, for 8 blocks. */
static Pair *striped_pair(void)
{
    Pair *pair = pair_new();

    for (guint b = 0; b < 8; b++) {
        Write write = {.offset = b * BLOCK, .len = BLOCK, .data = pair->buf};

        memset(pair->buf, (int)b + 1, BLOCK);
        write_both(pair, pair->channels[b % N_CHANNELS], &write);
    }
    return pair;
}

static void check_eio(FdsetImage *image, gssize r, const char *const *words)
{
    g_autofree char *problem = fdset_image_problem(image);

    g_assert_cmpint(r, ==, -EIO);
    g_assert_nonnull(problem);
    for (; *words; words++)
        if (!strstr(problem, *words))
            g_error("\"%s\" does not say \"%s\"", problem, *words);
}

static const char *file_of_block(guint b)
{
    static const char *const files[N_CHANNELS] = {"ch-000", "ch-001", "ch-002", "disk/ch-003"};

    return files[b % N_CHANNELS];
}

static void test_flipped_byte(void)
{
    g_autoptr(Pair) pair = striped_pair();
    gconstpointer data;

    for (guint b = 0; b < 8; b++) {
        guint64 at = b * BLOCK + 512 * b + b;
        g_autofree char *block = g_strdup_printf("block %u ", b);
        g_autofree char *offset = g_strdup_printf("offset %u", b * BLOCK);
        const char *words[] = {"fdset 7", file_of_block(b) + (b % 4 == 3 ? 5 : 0), block, offset,
                               NULL};

        dir_flip_byte(pair->dir, file_of_block(b), at);
        for (guint direct = 0; direct < 2; direct++) {
            check_eio(pair->image,
                      fdset_image_read(pair->image, pair->back, 1, b * BLOCK, direct != 0, &data),
                      words);
            check_eio(pair->image,
                      fdset_image_read(pair->image, pair->back, 8 * BLOCK, 0, direct != 0, &data),
                      words);
        }
        g_assert_cmpint(
            fdset_image_read(pair->image, pair->back, 1, (b + 1) % 8 * BLOCK, FALSE, &data), ==, 1);
        /* A part of it cannot be merged with what is not known to be right. */
        check_eio(pair->image,
                  fdset_image_write(pair->image, pair->channels[0], "x", 1, b * BLOCK + 9), words);
        dir_flip_byte(pair->dir, file_of_block(b), at);
    }
    compare_all(pair);
}

static void test_heal_by_overwriting(void)
{
    g_autoptr(Pair) pair = striped_pair();
    Write write = {.offset = 2 * BLOCK, .len = BLOCK, .data = pair->buf};

    dir_flip_byte(pair->dir, "ch-002", 2 * BLOCK);
    write_both(pair, pair->channels[2], &write);
    compare_all(pair);
}

static void test_verify_off(void)
{
    g_autoptr(Pair) pair = striped_pair();
    g_autoptr(GPtrArray) channels = fdset_image_channels(pair->image);
    guint64 size = fdset_image_size(pair->image);
    gconstpointer data;

    fdset_image_free(pair->image);
    dir_flip_byte(pair->dir, "ch-002", 2 * BLOCK + 7);
    pair->image = image_open(pair->dir->fd, channels, size, NULL, FALSE);
    g_assert_cmpint(fdset_image_read(pair->image, pair->back, BLOCK, 2 * BLOCK, FALSE, &data), ==,
                    BLOCK);
    g_assert_cmpuint(((const guint8 *)data)[6], ==, 3);
    g_assert_cmpuint(((const guint8 *)data)[7], ==, 3 ^ 0x10);
}

static void test_cut_channel(void)
{
    static const char *const words[] = {"ch-001", "offset 20480", "ends", NULL};
    g_autoptr(Pair) pair = striped_pair();
    gconstpointer data;

    dir_truncate(pair->dir, "ch-001", 5 * BLOCK);
    check_eio(pair->image,
              fdset_image_read(pair->image, pair->back, BLOCK, 5 * BLOCK, FALSE, &data), words);
}

static void check_open_fails(Pair *pair, GPtrArray *channels, FdsetError code, const char *name)
{
    FdsetImageOptions options = {.name = "fdset 7",
                                 .dirfd = pair->dir->fd,
                                 .key = &key,
                                 .channels = channels,
                                 .size = 8 * BLOCK};
    g_autoptr(GError) error = NULL;

    g_assert_null(fdset_image_open(&options, &error));
    g_assert_error(error, FDSET_ERROR, (int)code);
    g_assert_true(g_str_has_prefix(error->message, "fdset 7: "));
    g_assert_nonnull(strstr(error->message, name));
}

static void test_open_incomplete(void)
{
    g_autoptr(Pair) pair = striped_pair();
    g_autoptr(GPtrArray) channels = fdset_image_channels(pair->image);

    dir_truncate(pair->dir, "ch-001", 5 * BLOCK);
    check_open_fails(pair, channels, FDSET_ERROR_CORRUPT, "ch-001");
    g_assert_cmpint(unlinkat(pair->dir->fd, "ch-001", 0), ==, 0);
    check_open_fails(pair, channels, FDSET_ERROR_NOT_FOUND, "ch-001");
    g_assert_cmpint(unlinkat(pair->dir->fd, "map", 0), ==, 0);
    check_open_fails(pair, channels, FDSET_ERROR_NOT_FOUND, "map");
}

/* As a manifest that was tampered with could claim; nothing is allocated for it. */
static void test_open_huge(void)
{
    g_autoptr(Pair) pair = striped_pair();
    g_autoptr(GPtrArray) channels = fdset_image_channels(pair->image);
    FdsetImageOptions options = {.name = "fdset 7",
                                 .dirfd = pair->dir->fd,
                                 .key = &key,
                                 .channels = channels,
                                 .size = G_GUINT64_CONSTANT(1) << 62};
    g_autoptr(GError) error = NULL;

    g_assert_null(fdset_image_open(&options, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT);
}

static void test_damaged_map(void)
{
    static const char *const words[] = {"\"map\"", "fdset 7", NULL};
    g_autoptr(Pair) pair = striped_pair();
    FdsetImage *image;
    gconstpointer data;

    g_assert_cmpint(fdset_image_sync(pair->image, NULL), ==, 0);
    pair_reopen(pair, TRUE, FALSE);
    image = pair->image;
    dir_flip_byte(pair->dir, "map", 3 * 16);
    check_eio(image, fdset_image_read(image, pair->back, 1, 0, FALSE, &data), words);
    check_eio(image, (gssize)fdset_image_seek(image, 0, TRUE), words);
    check_eio(image, (gssize)fdset_image_seek(image, 0, FALSE), words);
    check_eio(image, fdset_image_write(image, pair->channels[0], pair->buf, BLOCK, 0), words);
    check_eio(image, fdset_image_write(image, pair->channels[0], pair->buf, 1, 0), words);
    check_eio(image, fdset_image_truncate(image, pair->channels[0], 5), words);
    check_eio(image, fdset_image_truncate(image, pair->channels[0], BLOCK), words);
    check_eio(image, fdset_image_recover(image), words);
    dir_flip_byte(pair->dir, "map", 3 * 16);
    compare_all(pair);
}

/* What a killed daemon leaves: records without a digest, their data old or new. */
static void test_recovery(void)
{
    g_autoptr(Pair) pair = striped_pair();
    g_autoptr(GBytes) map = dir_read(pair->dir, "map");
    g_autofree guint8 *records = g_memdup2(g_bytes_get_data(map, NULL), g_bytes_get_size(map));
    static const guint8 zero[FDSET_DIGEST_SIZE];
    gconstpointer data;

    for (guint b = 0; b < 6; b++)
        memset(records + 16 * b + 2, 0, FDSET_DIGEST_SIZE);
    dir_write(pair->dir, "map", records, g_bytes_get_size(map));
    for (guint b = 0; b < 4; b += 2) { /* the others are as they were */
        guint8 byte = (guint8)(b + 1) ^ 0x10;

        dir_flip_byte(pair->dir, file_of_block(b), b * BLOCK + 77);
        g_assert_cmpint(pwrite(pair->plain, &byte, 1, b * BLOCK + 77), ==, 1);
    }
    pair_reopen(pair, FALSE, TRUE);
    compare_all(pair); /* before it is recovered, too */
    g_assert_cmpint(fdset_image_recover(pair->image), ==, 0);
    compare_all(pair);
    g_bytes_unref(map);
    map = dir_read(pair->dir, "map");
    for (guint b = 0; b < 8; b++)
        g_assert_true(memcmp((const guint8 *)g_bytes_get_data(map, NULL) + 16 * b + 2, zero,
                             sizeof zero) != 0);
    dir_flip_byte(pair->dir, "ch-002", 2 * BLOCK + 78);
    g_assert_cmpint(fdset_image_read(pair->image, pair->back, 1, 2 * BLOCK, FALSE, &data), ==,
                    -EIO);
}

/* Only records without a digest are given one: damage is not made good. */
static void test_recovery_keeps_damage(void)
{
    g_autoptr(Pair) pair = striped_pair();
    gconstpointer data;

    dir_flip_byte(pair->dir, "ch-001", BLOCK);
    pair_reopen(pair, FALSE, TRUE);
    g_assert_cmpint(fdset_image_recover(pair->image), ==, 0);
    g_assert_cmpint(fdset_image_read(pair->image, pair->back, 1, BLOCK, FALSE, &data), ==, -EIO);
}

static void test_drop_unused(void)
{
    g_autoptr(Pair) pair = striped_pair();
    g_autoptr(GPtrArray) dropped = NULL;
    g_autoptr(GPtrArray) channels = NULL;
    g_autoptr(GPtrArray) again = NULL;

    /* What is left of it is in channels 1 and 2; 4 may not be dropped. */
    truncate_both(pair, pair->channels[0], 2 * BLOCK);
    dropped = fdset_image_drop_unused(pair->image, 4);
    g_assert_cmpuint(dropped->len, ==, 1);
    g_assert_cmpuint(((FdsetChannelInfo *)dropped->pdata[0])->number, ==, 3);
    channels = fdset_image_channels(pair->image);
    g_assert_cmpuint(channels->len, ==, 3);
    g_assert_cmpuint(((FdsetChannelInfo *)channels->pdata[2])->number, ==, 4);
    again = fdset_image_drop_unused(pair->image, 4);
    g_assert_cmpuint(again->len, ==, 0);
    pair_reopen(pair, TRUE, FALSE);
    g_assert_cmpuint(fdset_channel_number(pair->channels[0]), ==, 5); /* numbers never return */
    compare_all(pair);
}

/*
 * A write that fails may have changed what it was to write, nothing else; each
 * byte of it is old or new. The plain file takes over how it is.
 */
static void after_failure(Pair *pair, const Write *write, guint64 old_size)
{
    guint64 size = fdset_image_size(pair->image);
    gsize n = (gsize)MIN(write->len, size > write->offset ? size - write->offset : 0);
    g_autofree guint8 *old = g_malloc0(write->len);
    gconstpointer data;

    g_assert_cmpuint(size, >=, old_size);
    g_assert_cmpuint(size, <=, MAX(old_size, write->offset + write->len));
    g_assert_cmpint(pread(pair->plain, old, write->len, (off_t)write->offset), >=, 0);
    g_assert_cmpuint(read_image(pair, n, write->offset, FALSE, &data), ==, n);
    for (gsize i = 0; i < n; i++) {
        guint8 byte = ((const guint8 *)data)[i];

        if (byte != old[i] && byte != write->data[i])
            g_error("byte %" G_GUINT64_FORMAT " of a failed write is neither old nor new",
                    write->offset + i);
    }
    g_assert_cmpint(pwrite(pair->plain, data, n, (off_t)write->offset), ==, (gssize)n);
    g_assert_cmpint(ftruncate(pair->plain, (off_t)size), ==, 0);
    compare_all(pair);
}

static gboolean write_or_fail(Pair *pair, FdsetChannel *channel, const Write *write, int errnum)
{
    guint64 old_size = fdset_image_size(pair->image);
    int r = fdset_image_write(pair->image, channel, write->data, write->len, write->offset);

    file_size_unlimit();
    if (r == 0)
        write_plain(pair, write);
    else if (r != -errnum)
        fail_with_problem(pair->image, "a write", r, write->offset, write->len);
    else
        after_failure(pair, write, old_size);
    return r == 0;
}

static void test_full_then_small(void)
{
    g_autoptr(Pair) pair = pair_new();
    Write big = {.offset = 0, .len = 2 * BLOCK, .data = pair->buf};
    Write small = {.offset = 3, .len = 10, .data = pair->buf};

    memset(pair->buf, 'x', big.len);
    file_size_limit(6000);
    g_assert_false(write_or_fail(pair, pair->channels[0], &big, EFBIG));
    g_assert_true(write_or_fail(pair, pair->channels[0], &small, 0));
    compare_all(pair);
    truncate_both(pair, pair->channels[1], 9000);
    compare_all(pair);
}

/* The head of the write is in the image when its middle fails: it must not come back later. */
static void test_full_then_truncate(void)
{
    g_autoptr(Pair) pair = pair_new();
    Write write = {.offset = 100, .len = 5 * BLOCK, .data = pair->buf};

    memset(pair->buf, 'x', write.len);
    file_size_limit(BLOCK);
    g_assert_false(write_or_fail(pair, pair->channels[0], &write, EFBIG));
    truncate_both(pair, pair->channels[0], 10);
    truncate_both(pair, pair->channels[0], 6 * BLOCK);
    compare_all(pair);
}

static void full_steps(Pair *pair, Random *random, guint n, int errnum)
{
    guint failed = 0;

    for (guint i = 0; i < n; i++) {
        FdsetChannel *channel = pair->channels[random_below(random, N_CHANNELS)];
        Write write = random_write(random, pair->buf, MIB);

        if (errnum == EFBIG && random_below(random, 3) == 0)
            file_size_limit(random_below(random, MIB));
        failed += !write_or_fail(pair, channel, &write, errnum);
        if (random_below(random, 20) == 0)
            truncate_both(pair, channel, random_below(random, MIB));
        else if (random_below(random, 40) == 0)
            pair_reopen(pair, FALSE, random_below(random, 2) != 0);
    }
    g_assert_cmpuint(failed, >, 10);
    compare_all(pair);
    pair_reopen(pair, TRUE, FALSE);
    compare_all(pair);
}

static void test_full_random(void)
{
    g_autoptr(Pair) pair = pair_new();
    Random random = random_new();

    full_steps(pair, &random, 500, EFBIG);
}

#define NO_MOUNTS "FDSETFS_TEST_NO_MOUNTS" /* a file to make when there can be no mount */

/* A small tmpfs over 'dir', in a mount namespace of its own, so that it does not stay. */
static gboolean mount_over(Dir *dir)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("full", dir->path, "tmpfs", 0, "size=900k") < 0)
        return FALSE;
    close(dir->fd);
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return TRUE;
}

static void test_full_disk_subprocess(void)
{
    Dir *dir = dir_new();
    g_autofree char *path = g_strdup(dir->path);
    Random random = random_new();
    Pair *pair;

    if (!mount_over(dir)) {
        g_assert_true(g_file_set_contents(g_getenv(NO_MOUNTS), "", 0, NULL));
        dir_free(dir);
        return;
    }
    pair = pair_new_in(dir);
    full_steps(pair, &random, 400, ENOSPC);
    pair_free(pair);
    umount2(path, MNT_DETACH);
    rmdir(path);
}

static void test_full_disk(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autofree char *no_mounts = dir_path(dir, "no-mounts");

    g_setenv(NO_MOUNTS, no_mounts, TRUE);
    g_test_trap_subprocess("/image/subprocess/full disk", 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
    if (dir_has(dir, "no-mounts"))
        g_test_skip("this process may not mount a small tmpfs");
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
    g_test_add_func("/image/a flipped byte is EIO and named", test_flipped_byte);
    g_test_add_func("/image/a damaged block is healed by writing it", test_heal_by_overwriting);
    g_test_add_func("/image/without verification a flipped byte is returned", test_verify_off);
    g_test_add_func("/image/a channel file that was cut off is EIO and named", test_cut_channel);
    g_test_add_func("/image/a channel file that is missing or short stops the open",
                    test_open_incomplete);
    g_test_add_func("/image/a size behind the limit stops the open", test_open_huge);
    g_test_add_func("/image/a damaged map is EIO and named", test_damaged_map);
    g_test_add_func("/image/a block whose write was under way is taken old or new", test_recovery);
    g_test_add_func("/image/recovery does not make damage good", test_recovery_keeps_damage);
    g_test_add_func("/image/channels without a block are dropped", test_drop_unused);
    g_test_add_func("/image/a small write after a failed one is right", test_full_then_small);
    g_test_add_func("/image/what a failed write left is cut off, too", test_full_then_truncate);
    g_test_add_func("/image/failed writes lose nothing acknowledged", test_full_random);
    g_test_add_func("/image/a full disk loses nothing acknowledged", test_full_disk);
    g_test_add_func("/image/subprocess/full disk", test_full_disk_subprocess);
    return g_test_run();
}
