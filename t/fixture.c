/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/fixture.h"
#include "t/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MAX (60 * G_TIME_SPAN_SECOND)
#define POLL_EVERY (2 * G_TIME_SPAN_MILLISECOND)

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                  gpointer data)
{
    const GLogLevelFlags bad = G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR | G_LOG_FLAG_FATAL;

    if (level & bad || g_getenv("FDSETFS_TEST_VERBOSE"))
        return g_log_writer_standard_streams(level, fields, n_fields, data);
    return G_LOG_WRITER_HANDLED;
}

void fixture_init(int argc, char **argv)
{
    tap_init(argc, argv);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    g_log_set_writer_func(write_log, NULL, NULL);
}

Dir *dir_new(void)
{
    Dir *dir = g_new(Dir, 1);
    g_autoptr(GError) error = NULL;

    dir->path = g_dir_make_tmp("fdsetfs-XXXXXX", &error);
    g_assert_no_error(error);
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(dir->fd, >=, 0);
    return dir;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    remove(path);
    return 0;
}

void dir_free(Dir *dir)
{
    if (!dir)
        return;
    nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    close(dir->fd);
    g_free(dir->path);
    g_free(dir);
}

char *dir_path(const Dir *dir, const char *name)
{
    return g_build_filename(dir->path, name, NULL);
}

GBytes *dir_read(const Dir *dir, const char *name)
{
    g_autofree char *path = dir_path(dir, name);
    g_autoptr(GError) error = NULL;
    char *data;
    gsize len;

    g_file_get_contents(path, &data, &len, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(data, len);
}

void dir_write(const Dir *dir, const char *name, gconstpointer data, gsize len)
{
    int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, data, len), ==, (gssize)len);
    close(fd);
}

void dir_flip_byte(const Dir *dir, const char *name, guint64 offset)
{
    int fd = openat(dir->fd, name, O_RDWR | O_CLOEXEC);
    guint8 byte;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, &byte, 1, (off_t)offset), ==, 1);
    byte ^= 0x10;
    g_assert_cmpint(pwrite(fd, &byte, 1, (off_t)offset), ==, 1);
    close(fd);
}

void dir_truncate(const Dir *dir, const char *name, guint64 size)
{
    g_autofree char *path = dir_path(dir, name);

    g_assert_cmpint(truncate(path, (off_t)size), ==, 0);
}

gboolean dir_has(const Dir *dir, const char *name)
{
    return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

guint dir_count(const Dir *dir, const char *name)
{
    int fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fdopendir(fd);
    guint n = 0;

    g_assert_nonnull(stream);
    while (readdir(stream))
        n++;
    closedir(stream);
    return n - 2; /* . and .. */
}

static void set_size_limit(rlim_t soft)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = MIN(soft, limit.rlim_max);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

void file_size_limit(guint64 size)
{
    signal(SIGXFSZ, SIG_IGN);
    set_size_limit(size);
}

void file_size_unlimit(void)
{
    set_size_limit(RLIM_INFINITY);
}

Random random_new(void)
{
    const char *given = g_getenv("FDSETFS_TEST_SEED");
    guint64 seed = given ? g_ascii_strtoull(given, NULL, 0) : (guint64)g_get_real_time();

    g_test_message("FDSETFS_TEST_SEED=%" G_GUINT64_FORMAT, seed);
    return (Random){seed};
}

/* splitmix64 */
guint64 random_next(Random *random)
{
    guint64 z = random->state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

guint64 random_below(Random *random, guint64 n)
{
    return random_next(random) % n;
}

void random_fill(Random *random, gpointer buf, gsize len)
{
    guint8 *bytes = buf;

    for (gsize i = 0; i < len; i += sizeof(guint64)) {
        guint64 value = random_next(random);

        memcpy(bytes + i, &value, MIN(sizeof value, len - i));
    }
}

void wait_for_named(Condition condition, gpointer data, const char *name)
{
    gint64 deadline = g_get_monotonic_time() + WAIT_MAX;

    while (!condition(data)) {
        if (g_get_monotonic_time() > deadline)
            g_error("waited a minute for: %s", name);
        g_usleep(POLL_EVERY);
    }
}
