/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pair.h - an image and the plain file beside it: the same writes and truncations
 * go into both, and both must stay identical.
 */
#ifndef FDSET_PAIR_H
#define FDSET_PAIR_H

#include "core/image.h"
#include "t/fixture.h"

#define MIB (1024 * 1024)
#define LONGEST (2 * MIB) /* of one write or comparison */
#define N_CHANNELS 4

typedef struct {
    Dir *dir; /* owned */
    FdsetImage *image;
    FdsetChannel *channels[N_CHANNELS]; /* borrowed; every second one with O_DIRECT */
    int plain;
    guint8 *buf;  /* aligned; what is written, with room to misalign it */
    guint8 *back; /* aligned; what is read */
    guint8 *expected;
} Pair;

Pair *pair_new(void);
Pair *pair_new_in(Dir *dir);
void pair_free(Pair *pair);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pair, pair_free)

/* Opens the image in a directory, writable; arguments as in FdsetImageOptions. */
FdsetImage *pair_image_open(int dirfd, GPtrArray *channels, guint64 size, GBytes *sums,
                            gboolean verify);

/* Closes and opens the image as the next session finds it, and gives it new channels. */
void pair_reopen(Pair *pair, gboolean with_sums, gboolean find_size);

guint64 pair_plain_size(const Pair *pair);

/* Ends the test, with the image's own reason. */
void image_fail(FdsetImage *image, const char *what, gssize r, guint64 offset, gsize len);

/* The bytes of the image, at *data; fails the test on an error. */
gsize pair_read(Pair *pair, gsize len, guint64 offset, gboolean direct, gconstpointer *data);

void pair_compare(Pair *pair, gsize len, guint64 offset, gboolean direct);
void pair_compare_all(Pair *pair);

typedef struct {
    guint64 offset;
    gsize len;
    guint8 *data; /* into the pair's buffer */
} Write;

/*
 * From 1 byte to 2 MiB before 'room', most of them small; aligned to blocks or not,
 * in file and memory. 'buf' is aligned and has LONGEST + FDSET_BLOCK_SIZE bytes.
 */
Write random_write(Random *random, guint8 *buf, guint64 room);

void pair_write(Pair *pair, FdsetChannel *channel, const Write *write);
void pair_write_plain(const Pair *pair, const Write *write);
void pair_truncate(Pair *pair, FdsetChannel *channel, guint64 size);

#endif
