/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read-cost - what reads of 4 KiB at random places of a file cost.
 *
 *     read-cost FILE COUNT SEED
 *
 * Reads COUNT aligned blocks, no place twice, and prints
 *     READS_PER_SECOND MEDIAN P99
 * with times in microseconds. The same seed reads the same places.
 */
#include "config.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK 4096

static void G_GNUC_NORETURN fail(const char *what)
{
    g_printerr("read-cost: %s: %s\n", what, g_strerror(errno));
    exit(EXIT_FAILURE);
}

static int compare_double(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Numbers of blocks, each from a part of the file of its own, in any order. */
static guint64 *choose_places(guint64 blocks, guint count, guint32 seed)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    guint64 *places = g_new(guint64, count);
    guint64 part = blocks / count;

    for (guint i = 0; i < count; i++)
        places[i] = i * part + (guint64)(g_rand_double(random) * (double)part);
    for (guint i = count - 1; i > 0; i--) {
        guint other = (guint)g_rand_int_range(random, 0, (gint32)i + 1);
        guint64 place = places[i];

        places[i] = places[other];
        places[other] = place;
    }
    return places;
}

int main(int argc, char **argv)
{
    g_autofree guint64 *places = NULL;
    g_autofree double *costs = NULL;
    guint64 count = 0, seed = 0;
    guint8 block[BLOCK];
    autofd fd = -1;
    off_t size;
    double start;

    if (argc != 4 || !g_ascii_string_to_unsigned(argv[2], 10, 1, 1 << 24, &count, NULL) ||
        !g_ascii_string_to_unsigned(argv[3], 10, 0, G_MAXUINT32, &seed, NULL)) {
        g_printerr("usage: read-cost FILE COUNT SEED\n");
        return EXIT_FAILURE;
    }
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size < 0)
        fail(argv[1]);
    if ((guint64)size / BLOCK < count) {
        g_printerr("read-cost: %s: has fewer than %" G_GUINT64_FORMAT " blocks\n", argv[1], count);
        return EXIT_FAILURE;
    }
    places = choose_places((guint64)size / BLOCK, (guint)count, (guint32)seed);
    costs = g_new(double, count);
    start = now_us();
    for (guint64 i = 0; i < count; i++) {
        double before = now_us();

        if (pread(fd, block, BLOCK, (off_t)(places[i] * BLOCK)) != BLOCK)
            fail("pread");
        costs[i] = now_us() - before;
    }
    g_print("%.0f", (double)count * 1e6 / (now_us() - start));
    qsort(costs, count, sizeof(double), compare_double);
    g_print(" %.1f %.1f\n", costs[count / 2], costs[count * 99 / 100]);
    return EXIT_SUCCESS;
}
