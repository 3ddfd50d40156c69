/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wrong with an image is EIO and named, and what a crash leaves is not wrong. */
#include "config.h"
#include "core/error.h"
#include "t/pair.h"
#include "t/tap.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE

static const FdsetKey key = {{3, 1, 4, 1, 5, 9}};

/* Block b, full of the byte b + 1, in channel b % 4, for 8 blocks. */
static Pair *striped_pair(void)
{
    Pair *pair = pair_new();

    for (guint b = 0; b < 8; b++) {
        Write write = {.offset = b * BLOCK, .len = BLOCK, .data = pair->buf};

        memset(pair->buf, (int)b + 1, BLOCK);
        pair_write(pair, pair->channels[b % N_CHANNELS], &write);
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
    pair_compare_all(pair);
}

static void test_heal_by_overwriting(void)
{
    g_autoptr(Pair) pair = striped_pair();
    Write write = {.offset = 2 * BLOCK, .len = BLOCK, .data = pair->buf};

    dir_flip_byte(pair->dir, "ch-002", 2 * BLOCK);
    pair_write(pair, pair->channels[2], &write);
    pair_compare_all(pair);
}

static void test_verify_off(void)
{
    g_autoptr(Pair) pair = striped_pair();
    g_autoptr(GPtrArray) channels = fdset_image_channels(pair->image);
    guint64 size = fdset_image_size(pair->image);
    gconstpointer data;

    fdset_image_free(pair->image);
    dir_flip_byte(pair->dir, "ch-002", 2 * BLOCK + 7);
    pair->image = pair_image_open(pair->dir->fd, channels, size, NULL, FALSE);
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
    pair_compare_all(pair);
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
    pair_compare_all(pair); /* before it is recovered, too */
    g_assert_cmpint(fdset_image_recover(pair->image), ==, 0);
    pair_compare_all(pair);
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
    pair_truncate(pair, pair->channels[0], 2 * BLOCK);
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
    pair_compare_all(pair);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/image-damage/a flipped byte is EIO and named", test_flipped_byte);
    g_test_add_func("/image-damage/a damaged block is healed by writing it",
                    test_heal_by_overwriting);
    g_test_add_func("/image-damage/without verification a flipped byte is returned",
                    test_verify_off);
    g_test_add_func("/image-damage/a channel file that was cut off is EIO and named",
                    test_cut_channel);
    g_test_add_func("/image-damage/a channel file that is missing or short stops the open",
                    test_open_incomplete);
    g_test_add_func("/image-damage/a size behind the limit stops the open", test_open_huge);
    g_test_add_func("/image-damage/a damaged map is EIO and named", test_damaged_map);
    g_test_add_func("/image-damage/a block whose write was under way is taken old or new",
                    test_recovery);
    g_test_add_func("/image-damage/recovery does not make damage good", test_recovery_keeps_damage);
    g_test_add_func("/image-damage/channels without a block are dropped", test_drop_unused);
    return g_test_run();
}
