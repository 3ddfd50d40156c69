/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/blockmap.h"
#include "core/error.h"
#include "t/fixture.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* One behind the last block of the largest image, 64 TiB. */
#define LAST_BLOCK (G_GUINT64_CONSTANT(1) << 34)
#define CHUNK FDSET_CHUNK_BLOCKS

static const FdsetKey key = {{7, 7, 7}};

static FdsetBlockMap *map_open(const Dir *dir, GBytes *sums)
{
    g_autoptr(GError) error = NULL;
    FdsetBlockMap *map = fdset_blockmap_open(dir->fd, TRUE, &key, sums, &error);

    g_assert_no_error(error);
    return map;
}

static FdsetBlockMap *map_new(const Dir *dir)
{
    g_autoptr(GError) error = NULL;

    fdset_blockmap_create(dir->fd, &error);
    g_assert_no_error(error);
    return map_open(dir, NULL);
}

/* A record that only this block has. */
static FdsetRecord record_of(guint64 block)
{
    FdsetRecord record;

    fdset_record_set_channel(&record, (guint16)(1 + block % 65535));
    memset(record.digest, (int)(1 + block % 255), sizeof record.digest);
    return record;
}

static void put_one(FdsetBlockMap *map, guint64 block)
{
    FdsetRecord record = record_of(block);

    g_assert_cmpint(fdset_blockmap_put(map, block, 1, &record), ==, 0);
}

static void put_run(FdsetBlockMap *map, guint64 first, guint64 n)
{
    for (guint64 i = 0; i < n; i++)
        put_one(map, first + i);
}

/* Says whether the block has its record or is a hole; anything else fails. */
static gboolean has_record(FdsetBlockMap *map, guint64 block)
{
    FdsetRecord record, expected = record_of(block);

    g_assert_cmpint(fdset_blockmap_get(map, block, 1, &record), ==, 0);
    if (memcmp(&record, &expected, sizeof record) == 0)
        return TRUE;
    g_assert_true(fdset_bytes_are_zero(&record, sizeof record));
    return FALSE;
}

static void test_channel_number(void)
{
    FdsetRecord record;

    for (guint number = 0; number <= 65535; number++) {
        fdset_record_set_channel(&record, (guint16)number);
        g_assert_cmpuint(fdset_record_channel(&record), ==, number);
    }
    fdset_record_set_channel(&record, 0x1234);
    g_assert_cmpmem(record.channel, 2, "\x34\x12", 2);
}

static void test_far_apart(void)
{
    static const guint64 blocks[] = {0, 1, CHUNK - 1, CHUNK, 10 * CHUNK + 77, LAST_BLOCK - 1};
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    struct stat st;

    for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++)
        g_assert_false(has_record(map, blocks[i]));
    for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++)
        put_one(map, blocks[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++)
        g_assert_true(has_record(map, blocks[i]));
    g_assert_false(has_record(map, 2));
    g_assert_false(has_record(map, CHUNK + 1));
    g_assert_cmpint(fstatat(dir->fd, "map", &st, 0), ==, 0);
    g_assert_cmpint(st.st_size, ==, LAST_BLOCK * 16);
    g_assert_cmpint(st.st_blocks * 512, <=, 6 * 65536);
}

static void test_layout(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    FdsetRecord record = record_of(3);
    g_autoptr(GBytes) bytes = NULL;
    guint8 expected[64] = {0};

    put_one(map, 3);
    memcpy(expected + 48, &record, 16);
    bytes = dir_read(dir, "map");
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), expected, 64);
}

static void test_get_at_end(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    FdsetRecord records[8], expected[8] = {{{0}}};

    put_run(map, 0, 3);
    for (guint i = 0; i < 3; i++)
        expected[i] = record_of(i);
    memset(records, 0xee, sizeof records);
    g_assert_cmpint(fdset_blockmap_get(map, 0, 8, records), ==, 0);
    g_assert_cmpmem(records, sizeof records, expected, sizeof expected);
}

static void test_cut(void)
{
    static const guint64 cuts[] = {0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, LAST_BLOCK};
    static const guint64 blocks[] = {0, 99, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK};

    for (gsize c = 0; c < G_N_ELEMENTS(cuts); c++) {
        g_autoptr(Dir) dir = dir_new();
        g_autoptr(FdsetBlockMap) map = map_new(dir);

        for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++)
            put_one(map, blocks[i]);
        g_assert_cmpint(fdset_blockmap_cut(map, cuts[c]), ==, 0);
        for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++)
            g_assert_cmpint(has_record(map, blocks[i]), ==, blocks[i] < cuts[c]);
        put_one(map, 3 * CHUNK);
        g_assert_true(has_record(map, 3 * CHUNK));
        g_assert_cmpint(has_record(map, CHUNK + 1), ==, CHUNK + 1 < cuts[c]);
    }
}

#define MODEL 6000
#define BASE (CHUNK - MODEL / 2) /* across a border of chunks */

static guint64 model_next(const gboolean *model, guint64 block, guint64 end, gboolean data)
{
    while (block < end && model[block - BASE] != data)
        block++;
    return block;
}

static void test_next(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    Random random = random_new();
    gboolean model[MODEL] = {FALSE};

    for (guint64 i = 0; i < MODEL;) {
        guint64 longest = random_below(&random, 3) ? 9 : 1500;
        guint64 n = 1 + random_below(&random, MIN(longest, MODEL - i));

        if (random_below(&random, 2)) {
            put_run(map, BASE + i, n);
            for (guint64 k = 0; k < n; k++)
                model[i + k] = TRUE;
        }
        i += n;
    }
    for (guint i = 0; i < 3000; i++) {
        guint64 from = BASE + random_below(&random, MODEL);
        guint64 end = from + random_below(&random, MODEL - (from - BASE) + 1);
        gboolean data = random_below(&random, 2) != 0;

        g_assert_cmpint(fdset_blockmap_next(map, from, end, data), ==,
                        model_next(model, from, end, data));
    }
}

static void test_next_far(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);

    put_one(map, 5);
    put_one(map, LAST_BLOCK - 1);
    g_assert_cmpint(fdset_blockmap_next(map, 0, LAST_BLOCK, TRUE), ==, 5);
    g_assert_cmpint(fdset_blockmap_next(map, 5, LAST_BLOCK, FALSE), ==, 6);
    g_assert_cmpint(fdset_blockmap_next(map, 6, LAST_BLOCK, TRUE), ==, LAST_BLOCK - 1);
    g_assert_cmpint(fdset_blockmap_next(map, LAST_BLOCK - 1, LAST_BLOCK, FALSE), ==, LAST_BLOCK);
    g_assert_cmpint(fdset_blockmap_next(map, 6, LAST_BLOCK - 1, TRUE), ==, LAST_BLOCK - 1);
}

#define SUMMED (3 * CHUNK + 10)

/* Chunk 0 and 3 have data, 1 and 2 have none. */
static GBytes *fill_and_sum(FdsetBlockMap *map)
{
    GBytes *sums = NULL;
    guint64 n_data;

    put_run(map, 10, 300);
    put_run(map, 3 * CHUNK + 2, 8);
    g_assert_cmpint(fdset_blockmap_sum(map, SUMMED, &sums, &n_data), ==, 0);
    g_assert_cmpuint(n_data, ==, 308);
    g_assert_cmpuint(g_bytes_get_size(sums), ==, 4 * FDSET_SUM_SIZE);
    return sums;
}

static void test_sums(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    g_autoptr(GBytes) sums = fill_and_sum(map);
    g_autoptr(FdsetBlockMap) again = map_open(dir, sums);
    const guint8 *bytes = g_bytes_get_data(sums, NULL);
    g_autoptr(GBytes) other = NULL;
    guint64 n_data;

    g_assert_false(fdset_bytes_are_zero(bytes, 16));
    g_assert_true(fdset_bytes_are_zero(bytes + 16, 32));
    g_assert_false(fdset_bytes_are_zero(bytes + 48, 16));
    g_assert_true(has_record(again, 10) && has_record(again, 3 * CHUNK + 9));
    g_assert_false(has_record(again, 2 * CHUNK));
    g_assert_cmpint(fdset_blockmap_sum(again, SUMMED, &other, &n_data), ==, 0);
    g_assert_true(g_bytes_equal(sums, other));
    g_assert_cmpuint(n_data, ==, 308);
}

static void test_no_blocks(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    g_autoptr(GBytes) sums = NULL;
    guint64 n_data = 1;

    g_assert_cmpint(fdset_blockmap_sum(map, 0, &sums, &n_data), ==, 0);
    g_assert_cmpuint(g_bytes_get_size(sums), ==, 0);
    g_assert_cmpuint(n_data, ==, 0);
}

/* Every use of the damaged chunk says so, again and again; the other chunks go on. */
static void check_damage(const Dir *dir, GBytes *sums, guint64 chunk, guint64 sound)
{
    g_autoptr(FdsetBlockMap) map = map_open(dir, sums);
    FdsetRecord record = record_of(1);
    guint64 block = chunk * CHUNK + 1;
    g_autoptr(GBytes) other = NULL;
    guint64 n_data;

    for (guint i = 0; i < 2; i++) {
        g_assert_cmpint(fdset_blockmap_get(map, block, 1, &record), ==, -EBADMSG);
        g_assert_cmpint(fdset_blockmap_put(map, block, 1, &record), ==, -EBADMSG);
        g_assert_cmpint(fdset_blockmap_cut(map, block), ==, -EBADMSG);
        g_assert_cmpint(fdset_blockmap_next(map, block, SUMMED, TRUE), ==, -EBADMSG);
        g_assert_cmpint(fdset_blockmap_next(map, block, SUMMED, FALSE), ==, -EBADMSG);
        g_assert_cmpint(fdset_blockmap_sum(map, SUMMED, &other, &n_data), ==, -EBADMSG);
    }
    g_assert_cmpint(fdset_blockmap_get(map, sound * CHUNK + 1, 1, &record), ==, 0);
}

/* The map's file with one thing done to it, and how it was afterwards. */
static void test_damage(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    g_autoptr(GBytes) sums = fill_and_sum(map);
    g_autoptr(GBytes) good = dir_read(dir, "map");
    static const guint64 flips[] = {0, 10 * 16, 10 * 16 + 1, 10 * 16 + 15, 200 * 16, 1000 * 16};

    for (gsize i = 0; i < G_N_ELEMENTS(flips); i++) {
        dir_flip_byte(dir, "map", flips[i]);
        check_damage(dir, sums, 0, 3);
        dir_flip_byte(dir, "map", flips[i]);
    }
    dir_flip_byte(dir, "map", 2 * CHUNK * 16 + 5); /* where there was a hole */
    check_damage(dir, sums, 2, 0);
    dir_flip_byte(dir, "map", 2 * CHUNK * 16 + 5);
    dir_truncate(dir, "map", (3 * CHUNK + 9) * 16);
    check_damage(dir, sums, 3, 0);
    dir_truncate(dir, "map", g_bytes_get_size(good)); /* the last record is a hole now */
    check_damage(dir, sums, 3, 0);
    dir_truncate(dir, "map", 0);
    check_damage(dir, sums, 0, 1);
    dir_truncate(dir, "map", g_bytes_get_size(good));
    check_damage(dir, sums, 3, 1);
    dir_write(dir, "map", g_bytes_get_data(good, NULL), g_bytes_get_size(good));
    g_assert_true(has_record(map, 3 * CHUNK + 9));
}

static void test_other_key(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    g_autoptr(GBytes) sums = fill_and_sum(map);
    FdsetKey other = key;
    g_autoptr(FdsetBlockMap) again = NULL;
    FdsetRecord record;

    other.secret[3]++;
    again = fdset_blockmap_open(dir->fd, FALSE, &other, sums, NULL);
    g_assert_cmpint(fdset_blockmap_get(again, 0, 1, &record), ==, -EBADMSG);
}

static void test_change_after_check(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    g_autoptr(GBytes) sums = fill_and_sum(map);
    g_autoptr(FdsetBlockMap) again = map_open(dir, sums);

    put_one(again, 5);
    put_one(again, CHUNK + 5);
    put_one(again, 4 * CHUNK + 5); /* behind what the sums cover */
    g_assert_true(has_record(again, 5) && has_record(again, 10) && has_record(again, CHUNK + 5));
    g_assert_true(has_record(again, 4 * CHUNK + 5));
}

static void test_cut_with_sums(void)
{
    static const guint64 cuts[] = {0, 11, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5};

    for (gsize i = 0; i < G_N_ELEMENTS(cuts); i++) {
        g_autoptr(Dir) dir = dir_new();
        g_autoptr(FdsetBlockMap) map = map_new(dir);
        g_autoptr(GBytes) sums = fill_and_sum(map);
        g_autoptr(FdsetBlockMap) again = map_open(dir, sums);

        g_assert_cmpint(fdset_blockmap_cut(again, cuts[i]), ==, 0);
        g_assert_cmpint(has_record(again, 10), ==, 10 < cuts[i]);
        g_assert_false(has_record(again, 2 * CHUNK));
        g_assert_cmpint(has_record(again, 3 * CHUNK + 4), ==, 3 * CHUNK + 4 < cuts[i]);
        g_assert_false(has_record(again, 3 * CHUNK + 9));
        put_one(again, 3 * CHUNK + 9);
        g_assert_true(has_record(again, 3 * CHUNK + 9));
    }
}

static void test_full(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    FdsetRecord record = record_of(1000);
    int r;

    put_one(map, 3);
    file_size_limit(4096);
    r = fdset_blockmap_put(map, 1000, 1, &record);
    file_size_unlimit();
    g_assert_cmpint(r, ==, -EFBIG);
    g_assert_true(has_record(map, 3));
    g_assert_false(has_record(map, 1000));
}

static void test_missing(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(GError) error = NULL;

    g_assert_null(fdset_blockmap_open(dir->fd, FALSE, &key, NULL, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "\"map\""));
}

static void test_read_only(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetBlockMap) map = map_new(dir);
    g_autoptr(FdsetBlockMap) again = fdset_blockmap_open(dir->fd, FALSE, &key, NULL, NULL);
    FdsetRecord record = record_of(1);

    put_one(map, 3);
    g_assert_true(has_record(again, 3));
    g_assert_cmpint(fdset_blockmap_put(again, 3, 1, &record), ==, -EBADF);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/blockmap/a record keeps any channel number", test_channel_number);
    g_test_add_func("/blockmap/records 64 TiB apart keep the file sparse", test_far_apart);
    g_test_add_func("/blockmap/the record of block b is at byte 16 b", test_layout);
    g_test_add_func("/blockmap/behind the end of the file are holes", test_get_at_end);
    g_test_add_func("/blockmap/a cut leaves what is before it and only that", test_cut);
    g_test_add_func("/blockmap/next finds data and holes as a plain search does", test_next);
    g_test_add_func("/blockmap/next finds data and holes 64 TiB away", test_next_far);
    g_test_add_func("/blockmap/sums let an unchanged map pass", test_sums);
    g_test_add_func("/blockmap/an empty image has no sums", test_no_blocks);
    g_test_add_func("/blockmap/a flipped, zeroed or truncated map is found", test_damage);
    g_test_add_func("/blockmap/sums of another key do not match", test_other_key);
    g_test_add_func("/blockmap/a checked chunk may be changed", test_change_after_check);
    g_test_add_func("/blockmap/a cut map no longer answers to its sums behind the cut",
                    test_cut_with_sums);
    g_test_add_func("/blockmap/a map that cannot grow says so and keeps its records", test_full);
    g_test_add_func("/blockmap/a missing map is not found", test_missing);
    g_test_add_func("/blockmap/a map opened for reading refuses a record", test_read_only);
    return g_test_run();
}
