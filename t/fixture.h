/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fixture.h - what the tests of the store share: a private directory that is
 * removed, damage to files, a random generator whose seed is printed and can be
 * set (FDSETFS_TEST_SEED), waiting for a condition.
 */
#ifndef FDSET_FIXTURE_H
#define FDSET_FIXTURE_H

#include <glib.h>

/*
 * As tap_init(), and warnings, which refusals are meant to give, neither end the
 * test nor are shown (unless FDSETFS_TEST_VERBOSE is set). A critical still ends it.
 */
void fixture_init(int argc, char **argv);

typedef struct {
    char *path; /* absolute */
    int fd;
} Dir;

Dir *dir_new(void);
/* Removes it with all that is in it. */
void dir_free(Dir *dir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dir, dir_free)

/* These fail the test when they cannot do it. 'name' is relative to the directory. */
char *dir_path(const Dir *dir, const char *name);
GBytes *dir_read(const Dir *dir, const char *name);
void dir_write(const Dir *dir, const char *name, gconstpointer data, gsize len);
void dir_flip_byte(const Dir *dir, const char *name, guint64 offset);
void dir_truncate(const Dir *dir, const char *name, guint64 size);
gboolean dir_has(const Dir *dir, const char *name);
/* How many entries there are in the subdirectory 'name' ("." for itself). */
guint dir_count(const Dir *dir, const char *name);

/* No file can grow behind 'size' (EFBIG) until it is lifted: stands in for a full disk. */
void file_size_limit(guint64 size);
void file_size_unlimit(void);

typedef struct {
    guint64 state;
} Random;

/* Seeded by FDSETFS_TEST_SEED or the clock; the seed is printed. */
Random random_new(void);
guint64 random_next(Random *random);
/* Less than 'n'. */
guint64 random_below(Random *random, guint64 n);
void random_fill(Random *random, gpointer buf, gsize len);

typedef gboolean (*Condition)(gpointer data);

/* Waits until it holds; fails the test after a minute. */
#define wait_for(condition, data) wait_for_named(condition, data, #condition)
void wait_for_named(Condition condition, gpointer data, const char *name);

#endif
