/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writers - the same random writes through the channels of a set and into a
 * plain file, which must then hold the same bytes.
 *
 *   writers [OPTION]... FILE PLAIN
 *       --seed=N          of the random numbers
 *       --channels=N      how many descriptors of FILE; the first is main (5)
 *       --writes=N        of each channel (200)
 *       --start=N         main truncates to N first
 *       --direct          all but main with O_DIRECT
 *       --concurrent      a thread for each channel, in ranges of its own that
 *                         begin and end in the middle of blocks; else one write
 *                         after the other anywhere
 *       --pending=PATH    until FILE fails: the writes that failed go to PATH
 *   writers --check=PATH FILE PLAIN
 *       the same content, but that each block of a pending write is old or new
 *
 * Status 0: all went well; 1: it did not, and why is on stderr.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define AREA (6 * 1024 * 1024 + 123) /* bytes that are written */
#define SLICE 10007 /* consecutive bytes of one channel when they are concurrent */
#define LENGTH_MAX 150000

static int seed, n_channels = 5, n_writes = 200;
static gint64 start = -1;
static gboolean direct, concurrent;
static char *pending_path, *check_path;

typedef struct {
    int index;
    int fd;
    int plain;
    GRand *rand;
    gint64 offset; /* of the write under way */
    gsize len;
    guint8 buf[LENGTH_MAX];
    int failed; /* errno */
} Channel;

static G_NORETURN void die(const char *what)
{
    fprintf(stderr, "writers: %s: %s\n", what, g_strerror(errno));
    exit(1);
}

/* Where the next write goes. */
static void choose_anywhere(Channel *channel)
{
    gint32 longest = g_rand_int_range(channel->rand, 1, LENGTH_MAX);

    channel->offset = g_rand_int_range(channel->rand, 0, AREA);
    channel->len = (gsize)g_rand_int_range(channel->rand, 1, longest + 1);
    if (g_rand_boolean(channel->rand)) { /* as QEMU's page writes */
        channel->offset = channel->offset / BLOCK * BLOCK;
        channel->len = (channel->len + BLOCK - 1) / BLOCK * BLOCK;
    }
    channel->len = MIN(channel->len, LENGTH_MAX / BLOCK * BLOCK);
}

static void choose_own_slice(Channel *channel)
{
    gint32 n_rounds = MAX(1, AREA / SLICE / n_channels);
    gint32 round = g_rand_int_range(channel->rand, 0, n_rounds);
    gint32 skip = g_rand_int_range(channel->rand, 0, SLICE);

    channel->offset = ((gint64)round * n_channels + channel->index) * SLICE + skip;
    channel->len = (gsize)g_rand_int_range(channel->rand, 1, SLICE - skip + 1);
}

static void fill(Channel *channel)
{
    guint32 value = g_rand_int(channel->rand);

    if (value % 16 == 0) {
        memset(channel->buf, 0, channel->len);
        return;
    }
    for (gsize i = 0; i < channel->len; i++) {
        value = value * 1664525 + 1013904223;
        channel->buf[i] = (guint8)(value >> 24);
    }
}

/* One write; FALSE: it failed. */
static gboolean write_one(Channel *channel)
{
    gssize n;

    if (concurrent)
        choose_own_slice(channel);
    else
        choose_anywhere(channel);
    fill(channel);
    n = pwrite(channel->fd, channel->buf, channel->len, channel->offset);
    if (n < 0) {
        channel->failed = errno;
        return FALSE;
    }
    if ((gsize)n != channel->len) {
        fprintf(stderr, "writers: a short write of %zd bytes, expected %zu\n", n, channel->len);
        exit(1);
    }
    if (pwrite(channel->plain, channel->buf, channel->len, channel->offset) != n)
        die("the plain file");
    return TRUE;
}

static gpointer write_all(gpointer data)
{
    Channel *channel = data;

    for (int i = 0; pending_path || i < n_writes; i++)
        if (!write_one(channel))
            break;
    return NULL;
}

static void write_in_turns(Channel *channels)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)seed);

    for (int i = 0; i < n_writes * n_channels; i++)
        if (!write_one(&channels[g_rand_int_range(rand, 0, n_channels)]))
            return;
}

static void write_at_once(Channel *channels)
{
    g_autofree GThread **threads = g_new(GThread *, n_channels);

    for (int i = 0; i < n_channels; i++)
        threads[i] = g_thread_new("channel", write_all, &channels[i]);
    for (int i = 0; i < n_channels; i++)
        g_thread_join(threads[i]);
}

static void save_pending(const Channel *channels)
{
    FILE *file = fopen(pending_path, "w");

    if (!file)
        die(pending_path);
    for (int i = 0; i < n_channels; i++) {
        gint64 head[2] = {channels[i].offset, (gint64)channels[i].len};

        if (fwrite(head, sizeof head, 1, file) != 1 ||
            fwrite(channels[i].buf, channels[i].len, 1, file) != 1)
            die(pending_path);
    }
    if (fclose(file) != 0)
        die(pending_path);
}

static void open_channel(Channel *channel, int index, const char *path, int plain)
{
    int flags = O_WRONLY | O_CLOEXEC | (index == 0 ? O_CREAT : direct ? O_DIRECT : 0);

    channel->index = index;
    channel->plain = plain;
    channel->rand = g_rand_new_with_seed((guint32)(seed * 1000 + index));
    channel->fd = open(path, flags, 0600);
    if (channel->fd < 0 || (index == 0 && start >= 0 && ftruncate(channel->fd, start) < 0))
        die(path);
}

static int run(const char *path, const char *plain_path)
{
    g_autofree Channel *channels = g_new0(Channel, n_channels);
    int plain = open(plain_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int status = 0;

    if (plain < 0 || (start >= 0 && ftruncate(plain, start) < 0))
        die(plain_path);
    for (int i = 0; i < n_channels; i++)
        open_channel(&channels[i], i, path, plain);
    if (concurrent)
        write_at_once(channels);
    else
        write_in_turns(channels);
    if (pending_path)
        save_pending(channels);
    for (int i = 0; i < n_channels; i++) {
        if (channels[i].failed && !pending_path) {
            errno = channels[i].failed;
            die("a write");
        }
        if (close(channels[i].fd) < 0 && !pending_path)
            die("close");
        g_rand_free(channels[i].rand);
    }
    return status;
}

/* ---- the check ---- */

static char *contents(const char *path, gsize *len)
{
    g_autoptr(GError) error = NULL;
    char *bytes;

    if (g_file_get_contents(path, &bytes, len, &error))
        return bytes;
    fprintf(stderr, "writers: %s\n", error->message);
    exit(1);
}

/* Puts those blocks of a pending write into 'plain' that 'image' has. */
static void take_blocks(char *plain, const char *image, gsize size, gint64 offset,
                        const char *bytes, gsize len)
{
    for (gsize done = 0, n; done < len; done += n) {
        gsize at = (gsize)offset + done;

        n = MIN(len - done, BLOCK - at % BLOCK);
        if (at + n <= size && memcmp(image + at, bytes + done, n) == 0)
            memcpy(plain + at, bytes + done, n);
    }
}

static int check(const char *path, const char *plain_path)
{
    gsize size, plain_size, pending_size;
    g_autofree char *image = contents(path, &size);
    g_autofree char *plain = contents(plain_path, &plain_size);
    g_autofree char *pending = contents(check_path, &pending_size);

    if (size < plain_size) {
        fprintf(stderr, "writers: %s has %zu bytes, expected %zu\n", path, size, plain_size);
        return 1;
    }
    plain = g_realloc(plain, size + 1);
    memset(plain + plain_size, 0, size - plain_size);
    for (gsize i = 0; i < pending_size;) {
        gint64 head[2];

        memcpy(head, pending + i, sizeof head);
        i += sizeof head;
        take_blocks(plain, image, size, head[0], pending + i, (gsize)head[1]);
        i += (gsize)head[1];
    }
    for (gsize i = 0; i < size; i++) {
        if (image[i] == plain[i])
            continue;
        fprintf(stderr, "writers: byte %zu is neither old nor new\n", i);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"seed", 0, 0, G_OPTION_ARG_INT, &seed, NULL, NULL},
        {"channels", 0, 0, G_OPTION_ARG_INT, &n_channels, NULL, NULL},
        {"writes", 0, 0, G_OPTION_ARG_INT, &n_writes, NULL, NULL},
        {"start", 0, 0, G_OPTION_ARG_INT64, &start, NULL, NULL},
        {"direct", 0, 0, G_OPTION_ARG_NONE, &direct, NULL, NULL},
        {"concurrent", 0, 0, G_OPTION_ARG_NONE, &concurrent, NULL, NULL},
        {"pending", 0, 0, G_OPTION_ARG_FILENAME, &pending_path, NULL, NULL},
        {"check", 0, 0, G_OPTION_ARG_FILENAME, &check_path, NULL, NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("FILE PLAIN");

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, NULL) || argc != 3) {
        fprintf(stderr, "writers: expected options, FILE and PLAIN\n");
        return 2;
    }
    return check_path ? check(argv[1], argv[2]) : run(argv[1], argv[2]);
}
