/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sys - makes system calls one by one and prints what each came to: stories
 * compare errnos and hold descriptors open, which a shell cannot do exactly.
 *
 *   sys COMMAND [ARGUMENT]... [: COMMAND [ARGUMENT]...]...
 *       one line with all results, separated by ", "
 *   sys
 *       one command a line on stdin, one result a line on stdout; an empty line ends it
 *
 * A result is the call's value (0 for one that opens) or "EACCES 13". A
 * descriptor has a name of the caller's choice. Flags are words joined by "+".
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT 4096
#define ARGUMENTS_MAX 6

static const struct {
    const char *word;
    int flags;
} flag_words[] = {
    {"rdonly", O_RDONLY}, {"wronly", O_WRONLY},       {"rdwr", O_RDWR},
    {"creat", O_CREAT},   {"excl", O_EXCL},           {"trunc", O_TRUNC},
    {"append", O_APPEND}, {"direct", O_DIRECT},       {"nonblock", O_NONBLOCK},
    {"sync", O_SYNC},     {"directory", O_DIRECTORY},
};

static G_NORETURN void usage(const char *what)
{
    fprintf(stderr, "sys: %s\n", what);
    exit(2);
}

static int parse_flags(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, "+", -1);
    int flags = 0;

    for (char **word = words; *word; word++) {
        gsize i = 0;

        while (i < G_N_ELEMENTS(flag_words) && strcmp(flag_words[i].word, *word) != 0)
            i++;
        if (i == G_N_ELEMENTS(flag_words))
            usage(*word);
        flags |= flag_words[i].flags;
    }
    return flags;
}

static gint64 number(const char *text)
{
    char *end;
    gint64 value = g_ascii_strtoll(text, &end, 0);

    if (end == text || *end)
        usage(text);
    return value;
}

static mode_t mode_of(const char *text)
{
    return (mode_t)g_ascii_strtoull(text, NULL, 8);
}

/* ---- descriptors by name ---- */

static GHashTable *descriptors; /* name -> fd; the program's only state */

static int fd_of(const char *name)
{
    gpointer fd;

    if (!g_hash_table_lookup_extended(descriptors, name, NULL, &fd))
        usage(name);
    return GPOINTER_TO_INT(fd);
}

static gint64 keep(const char *name, int fd)
{
    if (fd < 0)
        return -1;
    g_hash_table_insert(descriptors, g_strdup(name), GINT_TO_POINTER(fd));
    return 0;
}

static gint64 sys_open(char **a)
{
    return keep(a[0], open(a[2], parse_flags(a[1]) | O_CLOEXEC, a[3] ? mode_of(a[3]) : 0600));
}

static gint64 sys_dup(char **a)
{
    return keep(a[1], dup(fd_of(a[0])));
}

static gint64 sys_close(char **a)
{
    int fd = fd_of(a[0]);

    g_hash_table_remove(descriptors, a[0]);
    return close(fd);
}

/* ---- data ---- */

static char *aligned_buffer(gsize len)
{
    char *buf = NULL;

    if (posix_memalign((void **)&buf, ALIGNMENT, MAX(len, 1)) != 0)
        usage("out of memory");
    return buf;
}

/* pwrite FD OFFSET LENGTH [LETTER] */
static gint64 sys_pwrite(char **a)
{
    gsize len = (gsize)number(a[2]);
    char *buf = aligned_buffer(len);
    gint64 r;

    memset(buf, a[3] ? a[3][0] : 'x', len);
    r = pwrite(fd_of(a[0]), buf, len, number(a[1]));
    free(buf);
    return r;
}

/* pread FD OFFSET LENGTH [LETTER]: with LETTER, -1 and EILSEQ when a byte differs from it */
static gint64 sys_pread(char **a)
{
    gsize len = (gsize)number(a[2]);
    char *buf = aligned_buffer(len);
    gint64 r = pread(fd_of(a[0]), buf, len, number(a[1]));

    for (gint64 i = 0; a[3] && i < r; i++) {
        if (buf[i] == a[3][0])
            continue;
        r = -1;
        errno = EILSEQ;
    }
    free(buf);
    return r;
}

static gint64 sys_ftruncate(char **a)
{
    return ftruncate(fd_of(a[0]), number(a[1]));
}

static gint64 sys_truncate(char **a)
{
    return truncate(a[0], number(a[1]));
}

static gint64 sys_fsync(char **a)
{
    return fsync(fd_of(a[0]));
}

static gint64 sys_fallocate(char **a)
{
    return fallocate(fd_of(a[0]), 0, number(a[1]), number(a[2]));
}

/* seek FD OFFSET set|end|data|hole */
static gint64 sys_seek(char **a)
{
    int whence = strcmp(a[2], "data") == 0   ? SEEK_DATA
                 : strcmp(a[2], "hole") == 0 ? SEEK_HOLE
                 : strcmp(a[2], "end") == 0  ? SEEK_END
                                             : SEEK_SET;

    return lseek(fd_of(a[0]), number(a[1]), whence);
}

/* mapped FD OTHER: bytes that a shared mapping of FD has like the file OTHER, up to the first unlike */
static gint64 sys_mapped(char **a)
{
    g_autofree char *other = NULL;
    gsize len, same = 0;
    char *map;

    if (!g_file_get_contents(a[1], &other, &len, NULL))
        usage(a[1]);
    map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd_of(a[0]), 0);
    if (map == MAP_FAILED)
        return -1;
    while (same < len && map[same] == other[same])
        same++;
    munmap(map, len);
    return (gint64)same;
}

/* ---- names ---- */

static gint64 sys_stat(char **a)
{
    struct stat st;

    return lstat(a[0], &st);
}

static gint64 sys_mkdir(char **a)
{
    return mkdir(a[0], 0755);
}

static gint64 sys_rmdir(char **a)
{
    return rmdir(a[0]);
}

static gint64 sys_mkfifo(char **a)
{
    return mkfifo(a[0], 0600);
}

/* mknod PATH: a regular file */
static gint64 sys_mknod(char **a)
{
    return mknod(a[0], S_IFREG | 0600, 0);
}

static gint64 sys_symlink(char **a)
{
    return symlink(a[0], a[1]);
}

static gint64 sys_link(char **a)
{
    return link(a[0], a[1]);
}

static gint64 sys_rename(char **a)
{
    return rename(a[0], a[1]);
}

static gint64 sys_unlink(char **a)
{
    return unlink(a[0]);
}

static gint64 sys_chmod(char **a)
{
    return chmod(a[0], mode_of(a[1]));
}

static gint64 sys_chown(char **a)
{
    return chown(a[0], (uid_t)number(a[1]), (gid_t)number(a[2]));
}

static gint64 sys_umask(char **a)
{
    umask(mode_of(a[0]));
    return 0;
}

static const struct {
    const char *name;
    int least; /* arguments */
    gint64 (*run)(char **arguments);
} commands[] = {
    {"open", 3, sys_open},           {"close", 1, sys_close},
    {"dup", 2, sys_dup},             {"pwrite", 3, sys_pwrite},
    {"pread", 3, sys_pread},         {"ftruncate", 2, sys_ftruncate},
    {"truncate", 2, sys_truncate},   {"fsync", 1, sys_fsync},
    {"fallocate", 3, sys_fallocate}, {"seek", 3, sys_seek},
    {"mapped", 2, sys_mapped},       {"stat", 1, sys_stat},
    {"mkdir", 1, sys_mkdir},         {"rmdir", 1, sys_rmdir},
    {"mkfifo", 1, sys_mkfifo},       {"mknod", 1, sys_mknod},
    {"symlink", 2, sys_symlink},     {"link", 2, sys_link},
    {"rename", 2, sys_rename},       {"unlink", 1, sys_unlink},
    {"chmod", 2, sys_chmod},         {"chown", 3, sys_chown},
    {"umask", 1, sys_umask},
};

/* 'words': the command and its arguments, NULL behind them. */
static void run(char **words, int n_words)
{
    char *arguments[ARGUMENTS_MAX + 1] = {NULL};
    gsize i = 0;
    gint64 r;

    while (i < G_N_ELEMENTS(commands) && strcmp(commands[i].name, words[0]) != 0)
        i++;
    if (i == G_N_ELEMENTS(commands) || n_words - 1 < commands[i].least ||
        n_words - 1 > ARGUMENTS_MAX)
        usage(words[0]);
    for (int w = 1; w < n_words; w++)
        arguments[w - 1] = words[w];
    r = commands[i].run(arguments);
    if (r < 0)
        printf("%s %d", strerrorname_np(errno), errno);
    else
        printf("%" G_GINT64_FORMAT, r);
}

static void run_lines(void)
{
    char line[4096];

    while (fgets(line, sizeof line, stdin) && line[0] != '\n') {
        g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);

        run(words, (int)g_strv_length(words));
        printf("\n");
        fflush(stdout);
    }
}

static void run_words(char **words, int n_words)
{
    for (int first = 0, end; first < n_words; first = end + 1) {
        for (end = first; end < n_words && strcmp(words[end], ":") != 0;)
            end++;
        if (end == first)
            usage("no command");
        if (first > 0)
            printf(", ");
        run(words + first, end - first);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    descriptors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (argc > 1)
        run_words(argv + 1, argc - 1);
    else
        run_lines();
    g_hash_table_unref(descriptors);
    return EXIT_SUCCESS;
}
