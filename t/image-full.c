/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A full disk: the write says so, and what was acknowledged before stays. */
#include "config.h"
#include "t/pair.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE

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
    g_assert_cmpuint(pair_read(pair, n, write->offset, FALSE, &data), ==, n);
    for (gsize i = 0; i < n; i++) {
        guint8 byte = ((const guint8 *)data)[i];

        if (byte != old[i] && byte != write->data[i])
            g_error("byte %" G_GUINT64_FORMAT " of a failed write is neither old nor new",
                    write->offset + i);
    }
    g_assert_cmpint(pwrite(pair->plain, data, n, (off_t)write->offset), ==, (gssize)n);
    g_assert_cmpint(ftruncate(pair->plain, (off_t)size), ==, 0);
    pair_compare_all(pair);
}

static gboolean write_or_fail(Pair *pair, FdsetChannel *channel, const Write *write, int errnum)
{
    guint64 old_size = fdset_image_size(pair->image);
    int r = fdset_image_write(pair->image, channel, write->data, write->len, write->offset);

    file_size_unlimit();
    if (r == 0)
        pair_write_plain(pair, write);
    else if (r != -errnum)
        image_fail(pair->image, "a write", r, write->offset, write->len);
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
    pair_compare_all(pair);
    pair_truncate(pair, pair->channels[1], 9000);
    pair_compare_all(pair);
}

/* The head of the write is in the image when its middle fails: it must not come back later. */
static void test_full_then_truncate(void)
{
    g_autoptr(Pair) pair = pair_new();
    Write write = {.offset = 100, .len = 5 * BLOCK, .data = pair->buf};

    memset(pair->buf, 'x', write.len);
    file_size_limit(BLOCK);
    g_assert_false(write_or_fail(pair, pair->channels[0], &write, EFBIG));
    pair_truncate(pair, pair->channels[0], 10);
    pair_truncate(pair, pair->channels[0], 6 * BLOCK);
    pair_compare_all(pair);
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
            pair_truncate(pair, channel, random_below(random, MIB));
        else if (random_below(random, 40) == 0)
            pair_reopen(pair, FALSE, random_below(random, 2) != 0);
    }
    g_assert_cmpuint(failed, >, 10);
    pair_compare_all(pair);
    pair_reopen(pair, TRUE, FALSE);
    pair_compare_all(pair);
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
    g_test_trap_subprocess("/image-full/subprocess/full disk", 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
    if (dir_has(dir, "no-mounts"))
        g_test_skip("this process may not mount a small tmpfs");
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/image-full/a small write after a failed one is right", test_full_then_small);
    g_test_add_func("/image-full/what a failed write left is cut off, too",
                    test_full_then_truncate);
    g_test_add_func("/image-full/failed writes lose nothing acknowledged", test_full_random);
    g_test_add_func("/image-full/a full disk loses nothing acknowledged", test_full_disk);
    g_test_add_func("/image-full/subprocess/full disk", test_full_disk_subprocess);
    return g_test_run();
}
