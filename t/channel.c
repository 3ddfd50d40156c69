/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/channel.h"
#include "core/digest.h"
#include "core/error.h"
#include "t/fixture.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (64 * 1024)

static FdsetChannel *channel_open(const Dir *dir, const FdsetChannelInfo *info, gboolean create)
{
    g_autoptr(GError) error = NULL;
    FdsetChannel *channel = fdset_channel_open(dir->fd, info, create, TRUE, &error);

    g_assert_no_error(error);
    return channel;
}

static FdsetChannel *channel_new(const Dir *dir, guint16 number, gboolean direct)
{
    FdsetChannelInfo info = {.number = number, .direct = direct};

    return channel_open(dir, &info, TRUE);
}

static void check_fails(const Dir *dir, const FdsetChannelInfo *info, FdsetError code,
                        const char *name)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(fdset_channel_open(dir->fd, info, FALSE, FALSE, &error));
    g_assert_error(error, FDSET_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, name));
}

static void test_names(void)
{
    static const struct {
        guint16 number;
        const char *name;
    } named[] = {{1, "ch-000"}, {2, "ch-001"}, {256, "ch-255"}, {FDSET_CHANNEL_MAX, "ch-65534"}};
    g_autoptr(Dir) dir = dir_new();

    for (gsize i = 0; i < G_N_ELEMENTS(named); i++) {
        g_autoptr(FdsetChannel) channel = channel_new(dir, named[i].number, FALSE);

        g_assert_true(dir_has(dir, named[i].name));
        g_assert_cmpuint(fdset_channel_number(channel), ==, named[i].number);
    }
}

/* One transfer after the other, aligned in buffer, length and offset or not, beside memory. */
static void test_transfers(gconstpointer direct)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 1, direct != NULL);
    Random random = random_new();
    guint8 *model = g_aligned_alloc0(1, ROOM, FDSET_BLOCK_SIZE);
    guint8 *buf = g_aligned_alloc(1, ROOM + FDSET_BLOCK_SIZE, FDSET_BLOCK_SIZE);
    guint64 size = 0;

    for (guint i = 0; i < 600; i++) {
        guint64 unit = random_below(&random, 2) ? FDSET_BLOCK_SIZE : 1;
        guint64 offset = random_below(&random, ROOM / unit) * unit;
        gsize len = (1 + random_below(&random, (ROOM - offset) / unit)) * unit;
        guint8 *at = buf + (random_below(&random, 2) ? random_below(&random, 4096) : 0);
        gsize expected;

        random_fill(&random, at, len);
        memcpy(model + offset, at, len);
        g_assert_cmpint(fdset_channel_pwrite(channel, at, len, offset), ==, 0);
        size = MAX(size, offset + len);
        g_assert_cmpuint(fdset_channel_size(channel), ==, size);
        offset = random_below(&random, ROOM / unit) * unit;
        len = (1 + random_below(&random, (ROOM - offset) / unit)) * unit;
        expected = offset < size ? MIN(len, size - offset) : 0;
        g_assert_cmpint(
            fdset_channel_pread(channel, at, len, offset, random_below(&random, 2) != 0), ==,
            expected);
        g_assert_cmpint(memcmp(at, model + offset, expected), ==, 0);
    }
    g_assert_cmpint(fdset_channel_sync(channel), ==, 0);
    g_aligned_free(model);
    g_aligned_free(buf);
}

static void test_info(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 9, TRUE);
    FdsetChannelInfo *info;

    g_assert_true(fdset_channel_is_direct(channel));
    g_assert_cmpint(fdset_channel_pwrite(channel, "12345", 5, 100), ==, 0);
    fdset_channel_count(channel, 77);
    fdset_channel_count(channel, 23);
    info = fdset_channel_info(channel);
    g_assert_cmpuint(info->number, ==, 9);
    g_assert_true(info->direct);
    g_assert_cmpuint(info->size, ==, 105);
    g_assert_cmpuint(info->written, ==, 100);
    g_assert_null(info->directory);
    fdset_channel_info_free(info);
}

static void test_missing(void)
{
    g_autoptr(Dir) dir = dir_new();
    FdsetChannelInfo info = {.number = 3};

    check_fails(dir, &info, FDSET_ERROR_NOT_FOUND, "ch-002");
    info.directory = (char *)"/nonexistent/disk";
    check_fails(dir, &info, FDSET_ERROR_NOT_FOUND, "/nonexistent/disk/ch-002");
}

static void test_too_short(void)
{
    g_autoptr(Dir) dir = dir_new();
    FdsetChannelInfo info = {.number = 1, .size = 8193};

    dir_write(dir, "ch-000", "", 0);
    dir_truncate(dir, "ch-000", 8192);
    check_fails(dir, &info, FDSET_ERROR_CORRUPT, "ch-000: ends at offset 8192");
    check_fails(dir, &info, FDSET_ERROR_CORRUPT, "8193");
    dir_truncate(dir, "ch-000", 8193);
    fdset_channel_free(channel_open(dir, &info, FALSE));
}

static void test_longer(void)
{
    g_autoptr(Dir) dir = dir_new();
    FdsetChannelInfo info = {.number = 1, .size = 10};
    g_autoptr(FdsetChannel) channel = NULL;

    dir_write(dir, "ch-000", "0123456789abc", 13);
    channel = channel_open(dir, &info, FALSE);
    g_assert_cmpuint(fdset_channel_size(channel), ==, 13);
}

static void test_symlink(void)
{
    g_autoptr(Dir) dir = dir_new();
    FdsetChannelInfo info = {.number = 1};

    dir_write(dir, "elsewhere", "x", 1);
    g_assert_cmpint(symlinkat("elsewhere", dir->fd, "ch-000"), ==, 0);
    check_fails(dir, &info, FDSET_ERROR_SYSTEM, "ch-000");
}

static void test_create_empties(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = NULL;

    dir_write(dir, "ch-000", "left by a crash", 15);
    channel = channel_new(dir, 1, FALSE);
    g_assert_cmpuint(fdset_channel_size(channel), ==, 0);
}

static void test_truncate(void)
{
    static const guint64 sizes[] = {10000, 5, 0, 4096, 4097};
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 1, TRUE);
    struct stat st;

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_assert_cmpint(fdset_channel_truncate(channel, sizes[i]), ==, 0);
        g_assert_cmpuint(fdset_channel_size(channel), ==, sizes[i]);
        g_assert_cmpint(fstatat(dir->fd, "ch-000", &st, 0), ==, 0);
        g_assert_cmpuint((guint64)st.st_size, ==, sizes[i]);
    }
}

static void test_directory(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(Dir) disk = dir_new();
    g_autofree char *path = dir_path(disk, "a/b/7");
    FdsetChannelInfo info = {.number = 2, .directory = path};
    g_autoptr(FdsetChannel) channel = channel_open(dir, &info, TRUE);
    g_autoptr(FdsetChannel) again = NULL;
    char buf[8];

    g_assert_true(dir_has(disk, "a/b/7/ch-001"));
    g_assert_cmpuint(dir_count(dir, "."), ==, 0);
    g_assert_cmpint(fdset_channel_pwrite(channel, "abc", 3, 0), ==, 0);
    info.size = 3;
    again = channel_open(dir, &info, FALSE);
    g_assert_cmpint(fdset_channel_unlink(dir->fd, &info), ==, 0);
    g_assert_cmpint(fdset_channel_unlink(dir->fd, &info), ==, -ENOENT);
    g_assert_false(dir_has(disk, "a/b/7"));
    g_assert_cmpint(fdset_channel_pread(again, buf, 8, 0, FALSE), ==, 3);
    g_assert_cmpmem(buf, 3, "abc", 3);
}

/* The first O_DIRECT transfer opens a descriptor, also on a file that is gone. */
static void test_direct_after_unlink(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 1, TRUE);
    FdsetChannelInfo info = {.number = 1};
    guint8 *buf = g_aligned_alloc0(2, FDSET_BLOCK_SIZE, FDSET_BLOCK_SIZE);

    g_assert_cmpint(fdset_channel_unlink(dir->fd, &info), ==, 0);
    memset(buf, 'x', FDSET_BLOCK_SIZE);
    g_assert_cmpint(fdset_channel_pwrite(channel, buf, FDSET_BLOCK_SIZE, 0), ==, 0);
    g_assert_cmpint(fdset_channel_pread(channel, buf + FDSET_BLOCK_SIZE, FDSET_BLOCK_SIZE, 0, TRUE),
                    ==, FDSET_BLOCK_SIZE);
    g_assert_cmpmem(buf, FDSET_BLOCK_SIZE, buf + FDSET_BLOCK_SIZE, FDSET_BLOCK_SIZE);
    g_assert_cmpuint(dir_count(dir, "."), ==, 0);
    g_aligned_free(buf);
}

static void test_read_only(void)
{
    g_autoptr(Dir) dir = dir_new();
    FdsetChannelInfo info = {.number = 1};
    g_autoptr(FdsetChannel) writer = channel_new(dir, 1, FALSE);
    g_autoptr(FdsetChannel) reader = fdset_channel_open(dir->fd, &info, FALSE, FALSE, NULL);

    g_assert_nonnull(reader);
    g_assert_cmpint(fdset_channel_pwrite(reader, "x", 1, 0), ==, -EBADF);
    g_assert_cmpuint(fdset_channel_size(reader), ==, 0);
}

static void test_dropped(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 1, FALSE);

    g_assert_false(fdset_channel_is_dropped(channel));
    fdset_channel_drop(channel);
    g_assert_true(fdset_channel_is_dropped(channel));
}

static void test_full(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 1, FALSE);
    g_autofree guint8 *buf = g_malloc0(20000);
    struct stat st;
    int r;

    file_size_limit(10000);
    r = fdset_channel_pwrite(channel, buf, 20000, 0);
    file_size_unlimit();
    g_assert_cmpint(r, ==, -EFBIG);
    g_assert_cmpint(fstatat(dir->fd, "ch-000", &st, 0), ==, 0);
    g_assert_cmpuint(fdset_channel_size(channel), ==, (guint64)st.st_size);
}

typedef struct {
    FdsetChannel *channel;
    guint index;
} Writer;

static gpointer write_blocks(gpointer data)
{
    const Writer *writer = data;
    guint8 *buf = g_aligned_alloc(1, FDSET_BLOCK_SIZE, FDSET_BLOCK_SIZE);

    memset(buf, (int)writer->index + 1, FDSET_BLOCK_SIZE);
    for (guint64 i = 0; i < 20; i++)
        g_assert_cmpint(fdset_channel_pwrite(writer->channel, buf, FDSET_BLOCK_SIZE,
                                             (i * 4 + writer->index) * FDSET_BLOCK_SIZE),
                        ==, 0);
    g_aligned_free(buf);
    return NULL;
}

static void test_threads(void)
{
    g_autoptr(Dir) dir = dir_new();
    g_autoptr(FdsetChannel) channel = channel_new(dir, 1, TRUE);
    g_autoptr(GBytes) bytes = NULL;
    const guint8 *data;
    Writer writers[4];
    GThread *threads[4];

    for (guint i = 0; i < 4; i++) {
        writers[i] = (Writer){channel, i};
        threads[i] = g_thread_new("write", write_blocks, &writers[i]);
    }
    for (guint i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(fdset_channel_size(channel), ==, 80 * FDSET_BLOCK_SIZE);
    bytes = dir_read(dir, "ch-000");
    data = g_bytes_get_data(bytes, NULL);
    for (gsize i = 0; i < 80 * FDSET_BLOCK_SIZE; i++)
        g_assert_cmpuint(data[i], ==, i / FDSET_BLOCK_SIZE % 4 + 1);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/channel/the file is named by the number less one", test_names);
    g_test_add_data_func("/channel/transfers of any alignment arrive", NULL, test_transfers);
    g_test_add_data_func("/channel/transfers of any alignment arrive with O_DIRECT", "direct",
                         test_transfers);
    g_test_add_func("/channel/its entry says what it is now", test_info);
    g_test_add_func("/channel/a missing file is named", test_missing);
    g_test_add_func("/channel/a file that is too short is named", test_too_short);
    g_test_add_func("/channel/a longer file is taken as it is", test_longer);
    g_test_add_func("/channel/a symbolic link is not followed", test_symlink);
    g_test_add_func("/channel/a new channel's file is empty", test_create_empties);
    g_test_add_func("/channel/a truncation sets the size", test_truncate);
    g_test_add_func("/channel/a channel directory is made and emptied", test_directory);
    g_test_add_func("/channel/O_DIRECT works on a removed file", test_direct_after_unlink);
    g_test_add_func("/channel/a channel opened for reading refuses a write", test_read_only);
    g_test_add_func("/channel/a dropped channel says so", test_dropped);
    g_test_add_func("/channel/a write that fails half-way leaves the true size", test_full);
    g_test_add_func("/channel/threads share one channel", test_threads);
    return g_test_run();
}
