/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/pair.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK FDSET_BLOCK_SIZE

static const FdsetKey key = {{3, 1, 4, 1, 5, 9}};

FdsetImage *pair_image_open(int dirfd, GPtrArray *channels, guint64 size, GBytes *sums,
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

Pair *pair_new_in(Dir *dir)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    Pair *pair = g_new0(Pair, 1);

    pair->dir = dir;
    fdset_blockmap_create(pair->dir->fd, &error);
    g_assert_no_error(error);
    pair->image = pair_image_open(pair->dir->fd, none, 0, NULL, TRUE);
    add_channels(pair);
    pair->plain = g_file_open_tmp("fdsetfs-XXXXXX", &path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(unlink(path), ==, 0);
    pair->buf = g_aligned_alloc(1, LONGEST + BLOCK, BLOCK);
    pair->back = g_aligned_alloc(1, LONGEST + 2 * BLOCK, BLOCK);
    pair->expected = g_malloc(LONGEST);
    return pair;
}

Pair *pair_new(void)
{
    return pair_new_in(dir_new());
}

void pair_free(Pair *pair)
{
    fdset_image_free(pair->image);
    close(pair->plain);
    g_aligned_free(pair->buf);
    g_aligned_free(pair->back);
    g_free(pair->expected);
    dir_free(pair->dir);
    g_free(pair);
}
void pair_reopen(Pair *pair, gboolean with_sums, gboolean find_size)
{
    g_autoptr(GPtrArray) channels = fdset_image_channels(pair->image);
    guint64 size = fdset_image_size(pair->image);
    g_autoptr(GBytes) sums = NULL;
    guint64 n_data;

    if (with_sums)
        g_assert_cmpint(fdset_image_sum(pair->image, &sums, &n_data), ==, 0);
    fdset_image_free(pair->image);
    pair->image =
        pair_image_open(pair->dir->fd, channels, find_size ? G_MAXUINT64 : size, sums, TRUE);
    add_channels(pair);
}

guint64 pair_plain_size(const Pair *pair)
{
    struct stat st;

    g_assert_cmpint(fstat(pair->plain, &st), ==, 0);
    return (guint64)st.st_size;
}

void image_fail(FdsetImage *image, const char *what, gssize r, guint64 offset, gsize len)
{
    g_autofree char *problem = fdset_image_problem(image);

    g_error("%s of %" G_GSIZE_FORMAT " bytes at %" G_GUINT64_FORMAT ": %" G_GSSIZE_FORMAT " (%s)",
            what, len, offset, r, problem ? problem : "no problem told");
}

gsize pair_read(Pair *pair, gsize len, guint64 offset, gboolean direct, gconstpointer *data)
{
    gssize got = fdset_image_read(pair->image, pair->back, len, offset, direct, data);

    if (got < 0)
        image_fail(pair->image, "a read", got, offset, len);
    return (gsize)got;
}

void pair_compare(Pair *pair, gsize len, guint64 offset, gboolean direct)
{
    gconstpointer data;
    gsize got = pair_read(pair, len, offset, direct, &data);

    g_assert_cmpint(pread(pair->plain, pair->expected, len, (off_t)offset), ==, (gssize)got);
    for (gsize i = 0; i < got; i++)
        if (((const guint8 *)data)[i] != pair->expected[i])
            g_error("byte %" G_GUINT64_FORMAT " is %02x in the image, %02x in the plain file",
                    offset + i, ((const guint8 *)data)[i], pair->expected[i]);
}

void pair_compare_all(Pair *pair)
{
    guint64 size = pair_plain_size(pair);

    g_assert_cmpuint(fdset_image_size(pair->image), ==, size);
    for (guint64 offset = 0; offset < size; offset += MIB)
        pair_compare(pair, MIB, offset, FALSE);
    pair_compare(pair, MIB, size, FALSE);
}

Write random_write(Random *random, guint8 *buf, guint64 room)
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

void pair_write_plain(const Pair *pair, const Write *write)
{
    g_assert_cmpint(pwrite(pair->plain, write->data, write->len, (off_t)write->offset), ==,
                    (gssize)write->len);
}

void pair_write(Pair *pair, FdsetChannel *channel, const Write *write)
{
    int r = fdset_image_write(pair->image, channel, write->data, write->len, write->offset);

    if (r != 0)
        image_fail(pair->image, "a write", r, write->offset, write->len);
    pair_write_plain(pair, write);
}

void pair_truncate(Pair *pair, FdsetChannel *channel, guint64 size)
{
    int r = fdset_image_truncate(pair->image, channel, size);

    if (r != 0)
        image_fail(pair->image, "a truncation", r, size, 0);
    g_assert_cmpint(ftruncate(pair->plain, (off_t)size), ==, 0);
}
