/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pwrite-cost - what one write costs in a sparse file of a given size.
 *
 * It sets the size with one byte at the end, writes blocks of 4 KiB at random
 * places in the last GiB (the same ones in every run, as near to each other
 * whatever the size), then writes them again, and prints
 *     SIZE COUNT FIRST_MEDIAN FIRST_P99 AGAIN_MEDIAN AGAIN_P99
 * with times in microseconds. The first round meets places nobody wrote before.
 */
#include "config.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK 4096
#define SEED 20240220
#define WINDOW ((guint64)1 << 30)

static void G_GNUC_NORETURN fail(const char *what)
{
    g_printerr("pwrite-cost: %s: %s\n", what, g_strerror(errno));
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

/* Writes a block at each of 'places' and prints the median and the 99th percentile. */
static void run_round(int fd, const guint64 *places, guint count, const guint8 *block)
{
    g_autofree double *costs = g_new(double, count);

    for (guint i = 0; i < count; i++) {
        double start = now_us();

        if (pwrite(fd, block, BLOCK, (off_t)places[i]) != BLOCK)
            fail("pwrite");
        costs[i] = now_us() - start;
    }
    qsort(costs, count, sizeof(double), compare_double);
    g_print(" %.1f %.1f", costs[count / 2], costs[count * 99ull / 100]);
}

int main(int argc, char **argv)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(SEED);
    g_autofree guint64 *places = NULL;
    guint8 block[BLOCK];
    guint64 size, window, count = 0;
    autofd fd = -1;

    if (argc != 4 || !g_ascii_string_to_unsigned(argv[2], 10, BLOCK, G_MAXINT64, &size, NULL) ||
        !g_ascii_string_to_unsigned(argv[3], 10, 1, 1 << 24, &count, NULL)) {
        g_printerr("usage: pwrite-cost FILE SIZE COUNT\n");
        return EXIT_FAILURE;
    }
    for (guint i = 0; i < BLOCK; i++)
        block[i] = (guint8)g_rand_int(random);
    window = MIN(size, WINDOW);
    places = g_new(guint64, count);
    for (guint64 i = 0; i < count; i++)
        places[i] = (size - window) / BLOCK * BLOCK +
                    (guint64)(g_rand_double(random) * (double)(window / BLOCK)) * BLOCK;
    fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(argv[1]);
    if (pwrite(fd, block, 1, (off_t)size - 1) != 1)
        fail("pwrite at the end");
    g_print("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, size, count);
    run_round(fd, places, (guint)count, block);
    run_round(fd, places, (guint)count, block);
    g_print("\n");
    return EXIT_SUCCESS;
}
