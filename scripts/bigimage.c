/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bigimage - a complete mapped-ram file with one RAM block of any size, of which
 * nothing but its head, its tail and, when asked for, its bitmap is on the disk.
 *
 *     bigimage FILE BYTES [full]
 *
 * "full" sets all bits of the bitmap: every page is in the file, as a hole. A
 * small stream of t/streamwriter is stretched.
 */
#include "config.h"
#include "core/fd.h"
#include "t/streamwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096
#define ALIGN (1024 * 1024)
#define SMALL_PAGES 64
#define CHUNK (1024 * 1024)

static void G_GNUC_NORETURN fail(const char *what)
{
    g_printerr("bigimage: %s: %s\n", what, g_strerror(errno));
    exit(EXIT_FAILURE);
}

static void put(int fd, gconstpointer bytes, gsize len, guint64 offset)
{
    int r = fdset_fd_pwrite(fd, bytes, len, offset);

    errno = -r;
    if (r < 0)
        fail("write");
}

static void put_full_bitmap(int fd, guint64 offset, guint64 len)
{
    g_autofree guint8 *ones = g_malloc(CHUNK);

    memset(ones, 0xff, CHUNK);
    for (guint64 at = 0; at < len; at += CHUNK)
        put(fd, ones, (gsize)MIN(CHUNK, len - at), offset + at);
}

static void stretch(StreamFile *small, int fd, guint64 size, gboolean full)
{
    const guint8 *bytes = small->bytes->data;
    guint64 bitmap = stream_file_at(small, "pc.ram:bitmap"), bits = size / PAGE / 8;
    guint64 tail = (bitmap + ALIGN) / ALIGN * ALIGN + SMALL_PAGES * PAGE;
    guint64 pages = (bitmap + bits + ALIGN - 1) / ALIGN * ALIGN;

    stream_file_put_be64(small, stream_file_at(small, "ram:total"), size | 0x04);
    stream_file_put_be64(small, stream_file_at(small, "pc.ram:length"), size);
    stream_file_put_be64(small, stream_file_at(small, "pc.ram:pages_offset"), pages);
    put(fd, bytes, (gsize)bitmap, 0);
    if (full)
        put_full_bitmap(fd, bitmap, bits);
    put(fd, bytes + tail, small->bytes->len - (gsize)tail, pages + size);
}

int main(int argc, char **argv)
{
    StreamBlock block = {.name = "pc.ram", .pages = SMALL_PAGES};
    StreamShape shape = {.capability = "mapped-ram", .blocks = &block, .n_blocks = 1};
    g_autoptr(StreamFile) small = stream_file_new(&shape);
    autofd fd = -1;
    guint64 size;

    if (argc < 3 || !g_ascii_string_to_unsigned(argv[2], 10, PAGE * 64, G_MAXINT64 / 2, &size, NULL) ||
        size % (PAGE * 64) != 0) {
        g_printerr("usage: bigimage FILE BYTES [full]; BYTES is a multiple of 256 KiB\n");
        return EXIT_FAILURE;
    }
    fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(argv[1]);
    stretch(small, fd, size, argc > 3);
    return EXIT_SUCCESS;
}
