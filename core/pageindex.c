/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/pageindex-internal.h"
#include "core/ramblock-internal.h"
#include "core/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* 16 MiB: far more stretches than sections that QEMU has beside ram. */
#define STRETCHES_MAX (1u << 20)

/* --- the file in the cache --- */

/* Its name: the identity of what it is of. Caller frees. */
static char *cache_name(const FdsetPageIndexHeader *header)
{
    XXH128_hash_t hash = XXH3_128bits(header, G_STRUCT_OFFSET(FdsetPageIndexHeader, page_size));

    return g_strdup_printf("%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x.pages",
                           (guint64)hash.high64, (guint64)hash.low64);
}

/* Blocks of zeros do not count, so that it does not matter which of them are holes. */
static gboolean hash_range(XXH3_state_t *state, int fd, guint64 from, guint64 to)
{
    guint8 *buf = fdset_scratch();

    while (from < to) {
        gsize len = (gsize)MIN(FDSET_REQUEST_MAX, to - from);

        if (fdset_fd_pread(fd, buf, len, from) != (gssize)len)
            return FALSE;
        for (gsize i = 0; i < len; i += FDSET_BLOCK_SIZE, from += FDSET_BLOCK_SIZE) {
            gsize part = MIN(FDSET_BLOCK_SIZE, len - i);

            if (fdset_bytes_are_zero(buf + i, part))
                continue;
            XXH3_64bits_update(state, &from, sizeof from);
            XXH3_64bits_update(state, buf + i, part);
        }
    }
    return TRUE;
}

gboolean fdset_pageindex_checksum(int fd, const FdsetPageIndexHeader *header, guint64 *checksum)
{
    FdsetPageIndexHeader plain = *header;
    XXH3_state_t *state = XXH3_createState();
    guint64 at = FDSET_PAGEINDEX_HEADER;
    gboolean done = TRUE;

    plain.checksum = 0;
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, &plain, sizeof plain);
    while (done && at < header->end) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (data < 0 || hole < 0 || (guint64)data >= header->end)
            break;
        at = (guint64)hole + -(guint64)hole % FDSET_BLOCK_SIZE;
        done = hash_range(state, fd, (guint64)data - (guint64)data % FDSET_BLOCK_SIZE,
                          MIN(at, header->end));
    }
    *checksum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return done;
}

/* Is it whole, and of this file? */
static gboolean check_header(int fd, const FdsetPageIndexHeader *wanted, FdsetPageIndexHeader *found)
{
    guint64 checksum, entries;
    struct stat st;

    if (fdset_fd_pread(fd, found, sizeof *found, 0) != (gssize)sizeof *found || fstat(fd, &st) < 0)
        return FALSE;
    entries = FDSET_PAGEINDEX_HEADER + found->n_pages * FDSET_PAGEINDEX_ENTRY;
    return memcmp(found, wanted, G_STRUCT_OFFSET(FdsetPageIndexHeader, page_size)) == 0 &&
           found->n_pages <= FDSET_PAGEINDEX_PAGES_MAX && found->n_stretches <= STRETCHES_MAX &&
           found->end == (guint64)st.st_size && found->pages_start <= found->end &&
           found->pages_start >= entries + found->n_stretches * sizeof(FdsetPageStretch) &&
           fdset_pageindex_checksum(fd, found, &checksum) && checksum == found->checksum;
}

static gboolean load_stretches(FdsetPageIndex *index)
{
    gsize n = (gsize)index->header.n_stretches;
    guint64 at = FDSET_PAGEINDEX_HEADER + index->header.n_pages * FDSET_PAGEINDEX_ENTRY;

    g_array_set_size(index->stretches, (guint)n);
    return fdset_fd_pread(index->fd, index->stretches->data, n * sizeof(FdsetPageStretch), at) ==
           (gssize)(n * sizeof(FdsetPageStretch));
}

static guint64 find_stretch(gpointer opaque, guint64 body)
{
    const GArray *stretches = ((const FdsetPageIndex *)opaque)->stretches;
    guint low = 0, high = stretches->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const FdsetPageStretch *stretch = &g_array_index(stretches, FdsetPageStretch, middle);

        if (stretch->body == body)
            return stretch->end;
        if (stretch->body < body)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* FALSE: there is none that fits. */
static gboolean open_cached(FdsetPageIndex *index, int dirfd, const char *name,
                            FdsetStream **stream)
{
    const FdsetPageVisitor skip = {.skip = find_stretch, .opaque = index};
    FdsetPageIndexHeader found;
    g_autoptr(FdsetStream) parsed = NULL;
    g_autoptr(GError) none = NULL;

    index->fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (index->fd < 0 || !check_header(index->fd, &index->header, &found))
        return FALSE;
    index->header = found;
    if (!load_stretches(index))
        return FALSE;
    parsed = fdset_stream_parse_pages(index->source, index->header.start, &skip, &none);
    if (!parsed || fdset_ram_page_size(fdset_stream_ram(parsed)) != found.page_size ||
        !fdset_pageindex_attach(index, fdset_stream_ram(parsed), NULL))
        return FALSE;
    index->cached = TRUE;
    *stream = g_steal_pointer(&parsed);
    return TRUE;
}

/* A file to fill: in the cache under a name of its own, or nameless. */
static int open_new(int dirfd, char **name, GError **error)
{
    g_autofree char *uuid = g_uuid_string_random();
    int fd;

    if (dirfd < 0)
        return fdset_fd_open_nameless(-1, error);
    *name = g_strdup_printf(".%s.new", uuid);
    fd = openat(dirfd, *name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        fdset_error_set_errno(error, errno, "cache directory: cannot make an index of pages");
    return fd;
}

static gboolean make(FdsetPageIndex *index, const FdsetPageIndexOptions *options, const char *name,
                     FdsetStream **stream, GError **problem, GError **error)
{
    g_autofree char *fresh = NULL;
    gboolean done;

    index->fd = open_new(options->dirfd, &fresh, error);
    if (index->fd < 0)
        return FALSE;
    done = fdset_pageindex_build(index, options, stream, problem, error);
    /* That of a file that may still grow is of no use later. */
    if (fresh && (!done || *problem || renameat(options->dirfd, fresh, options->dirfd, name) < 0))
        unlinkat(options->dirfd, fresh, 0);
    return done;
}

FdsetPageIndex *fdset_pageindex_open(const FdsetPageIndexOptions *options,
                                     const FdsetSource *source, guint64 start,
                                     FdsetStream **stream, GError **problem, GError **error)
{
    g_autoptr(FdsetPageIndex) index = g_new0(FdsetPageIndex, 1);
    const FdsetPageIndexHeader wanted = {
        .magic = FDSET_PAGEINDEX_MAGIC,
        .device = options->device,
        .inode = options->inode,
        .size = source->size,
        .mtime = options->mtime,
        .start = start,
    };
    g_autofree char *name = cache_name(&wanted);

    index->source = source;
    index->fd = -1;
    index->header = wanted;
    index->stretches = g_array_new(FALSE, FALSE, sizeof(FdsetPageStretch));
    if (options->dirfd >= 0 && open_cached(index, options->dirfd, name, stream))
        return g_steal_pointer(&index);
    fdset_fd_clear(&index->fd);
    index->header = wanted;
    g_array_set_size(index->stretches, 0);
    return make(index, options, name, stream, problem, error) ? g_steal_pointer(&index) : NULL;
}

gboolean fdset_pageindex_attach(FdsetPageIndex *index, FdsetRam *ram, GError **error)
{
    guint64 page_size = fdset_ram_page_size(ram);
    guint64 first = 0;

    for (gsize i = 0; i < fdset_ram_n_blocks(ram); i++) {
        FdsetRamblock *block = fdset_ram_block(ram, i);
        guint64 length = fdset_ramblock_used_length(block);

        if (length % page_size != 0) {
            g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT,
                        "%s: RAM block %" G_GSIZE_FORMAT " has " FDSET_HEX
                        " bytes, expected whole pages of " FDSET_HEX,
                        index->source->name, i, length, page_size);
            return FALSE;
        }
        block->index = index;
        block->index_first = first;
        block->page_size = page_size;
        first += length / page_size;
    }
    return first == index->header.n_pages;
}

/* --- reading --- */

static int read_entries(const FdsetPageIndex *index, guint64 first, gsize n, guint64 *entries)
{
    gsize len = n * FDSET_PAGEINDEX_ENTRY;
    gssize got = fdset_fd_pread(index->fd, entries, len,
                                FDSET_PAGEINDEX_HEADER + first * FDSET_PAGEINDEX_ENTRY);

    if (got < 0)
        return (int)got;
    return (gsize)got == len ? 0 : -EIO;
}

int fdset_pageindex_bits(const FdsetPageIndex *index, guint64 first, gsize n, guint64 *bits)
{
    guint64 entries[FDSET_PAGEINDEX_WINDOW];
    int r = read_entries(index, first, n, entries);

    memset(bits, 0, (n + 63) / 64 * sizeof *bits);
    for (gsize i = 0; r == 0 && i < n; i++)
        bits[i / 64] |= (guint64)(entries[i] != 0) << i % 64;
    return r;
}

guint64 fdset_pageindex_skip_hole(const FdsetPageIndex *index, guint64 first)
{
    guint64 at = FDSET_PAGEINDEX_HEADER + first * FDSET_PAGEINDEX_ENTRY;
    off_t data = lseek(index->fd, (off_t)at, SEEK_DATA);

    if (data < 0 && errno == ENXIO)
        return index->header.n_pages;
    if (data < 0 || (guint64)data <= at)
        return first;
    return MIN(((guint64)data - FDSET_PAGEINDEX_HEADER) / FDSET_PAGEINDEX_ENTRY,
               index->header.n_pages);
}

/* 'len' bytes from 'within' of one page on. */
static int read_page(const FdsetPageIndex *index, guint64 entry, guint64 within, guint8 *buf,
                     gsize len)
{
    guint64 value = entry & FDSET_ENTRY_VALUE_MASK;
    gssize got;

    switch (entry >> FDSET_ENTRY_KIND_SHIFT) {
    case FDSET_ENTRY_SOURCE:
        got = index->source->pread(index->source->opaque, buf, len, value + within);
        break;
    case FDSET_ENTRY_INDEX:
        got = fdset_fd_pread(index->fd, buf, len, value + within);
        break;
    default:
        memset(buf, (int)value, len);
        got = (gssize)len;
    }
    if (got < 0)
        return (int)got;
    return (gsize)got == len ? 0 : -EIO;
}

int fdset_pageindex_read(const FdsetPageIndex *index, guint64 first, guint64 within, gpointer buf,
                         gsize len)
{
    guint64 page_size = index->header.page_size;
    guint64 entries[FDSET_PAGEINDEX_WINDOW];
    guint8 *to = buf;

    while (len > 0) {
        gsize n = (gsize)MIN((within + len - 1) / page_size + 1, FDSET_PAGEINDEX_WINDOW);
        int r = read_entries(index, first, n, entries);

        for (gsize i = 0; r == 0 && i < n; i++) {
            gsize part = (gsize)MIN(len, page_size - within);

            r = read_page(index, entries[i], within, to, part);
            to += part;
            len -= part;
            within = 0;
        }
        if (r < 0)
            return r;
        first += n;
    }
    return 0;
}

gboolean fdset_pageindex_is_cached(const FdsetPageIndex *index)
{
    return index->cached;
}

void fdset_pageindex_free(FdsetPageIndex *index)
{
    if (!index)
        return;
    fdset_fd_clear(&index->fd);
    g_array_unref(index->stretches);
    g_free(index);
}
