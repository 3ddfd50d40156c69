/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/blockmap.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES (FDSET_CHUNK_BLOCKS * sizeof(FdsetRecord))
#define SCAN_BLOCKS 1024u

G_STATIC_ASSERT(sizeof(FdsetRecord) == 16);

struct FdsetBlockMap {
    int fd;
    FdsetKey key;
    GBytes *sums; /* nullable, owned */
    GMutex lock;
    GByteArray *checked; /* one byte per chunk, 1: no longer compared with its sum; by lock */
};

gboolean fdset_blockmap_create(int dirfd, GError **error)
{
    autofd fd = openat(dirfd, "map", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        fdset_error_set_errno(error, errno, "cannot make the block map (file \"map\")");
    return fd >= 0;
}

FdsetBlockMap *fdset_blockmap_open(int dirfd, gboolean writable, const FdsetKey *key, GBytes *sums,
                                   GError **error)
{
    autofd fd = openat(dirfd, "map", (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    FdsetBlockMap *map;

    if (fd < 0) {
        fdset_error_set_errno(error, errno, "cannot open the block map (file \"map\")");
        return NULL;
    }
    map = g_new0(FdsetBlockMap, 1);
    map->fd = fd;
    fd = -1;
    map->key = *key;
    map->sums = sums ? g_bytes_ref(sums) : NULL;
    g_mutex_init(&map->lock);
    map->checked = g_byte_array_new();
    return map;
}

void fdset_blockmap_free(FdsetBlockMap *map)
{
    if (!map)
        return;
    fdset_fd_clear(&map->fd);
    g_clear_pointer(&map->sums, g_bytes_unref);
    g_byte_array_unref(map->checked);
    g_mutex_clear(&map->lock);
    g_free(map);
}

/*
 * The first block of [block, end) where the file itself has data; 'end' when it
 * has a hole all along; 'block' on a filesystem that cannot tell.
 */
static guint64 skip_file_hole(FdsetBlockMap *map, guint64 block, guint64 end)
{
    off_t pos = lseek(map->fd, (off_t)(block * sizeof(FdsetRecord)), SEEK_DATA);

    if (pos < 0)
        return errno == ENXIO ? end : block;
    return MIN(end, MAX(block, (guint64)pos / sizeof(FdsetRecord)));
}

/* Reads a chunk, zero-filled behind the end of the file; its sum is zero without a record. */
static int sum_chunk(FdsetBlockMap *map, guint64 chunk, FdsetRecord *records,
                     guint8 sum[FDSET_SUM_SIZE])
{
    guint64 first = chunk * FDSET_CHUNK_BLOCKS;
    gssize got;

    memset(sum, 0, FDSET_SUM_SIZE);
    if (skip_file_hole(map, first, first + FDSET_CHUNK_BLOCKS) == first + FDSET_CHUNK_BLOCKS)
        return 0;
    got = fdset_fd_pread(map->fd, records, CHUNK_BYTES, chunk * CHUNK_BYTES);
    if (got < 0)
        return (int)got;
    memset((guint8 *)records + got, 0, CHUNK_BYTES - (gsize)got);
    if (!fdset_bytes_are_zero(records, CHUNK_BYTES))
        fdset_digest_bytes(&map->key, records, CHUNK_BYTES, sum);
    return 0;
}

static const guint8 *expected_sum(const FdsetBlockMap *map, guint64 chunk)
{
    gsize size = 0;
    const guint8 *sums = map->sums ? g_bytes_get_data(map->sums, &size) : NULL;

    return chunk < size / FDSET_SUM_SIZE ? sums + chunk * FDSET_SUM_SIZE : NULL;
}

static int compare_chunk(FdsetBlockMap *map, guint64 chunk)
{
    const guint8 *expected = expected_sum(map, chunk);
    g_autofree FdsetRecord *records = NULL;
    guint8 sum[FDSET_SUM_SIZE];
    int r;

    if (!expected)
        return 0;
    records = g_try_malloc(CHUNK_BYTES);
    if (!records)
        return -ENOMEM;
    r = sum_chunk(map, chunk, records, sum);
    if (r < 0)
        return r;
    return memcmp(sum, expected, FDSET_SUM_SIZE) == 0 ? 0 : -EBADMSG;
}

/* Compares the chunk with its sum on first use; the lock makes others wait for the verdict. */
static int check_chunk(FdsetBlockMap *map, guint64 chunk)
{
    int r = 0;

    if (!map->sums)
        return 0;
    g_mutex_lock(&map->lock);
    if (chunk >= map->checked->len) {
        guint old = map->checked->len;

        g_byte_array_set_size(map->checked, (guint)chunk + 1);
        memset(map->checked->data + old, 0, map->checked->len - old);
    }
    if (!map->checked->data[chunk])
        r = compare_chunk(map, chunk);
    if (r == 0)
        map->checked->data[chunk] = 1;
    g_mutex_unlock(&map->lock);
    return r;
}

static int check_range(FdsetBlockMap *map, guint64 first, gsize n)
{
    guint64 last = (first + (n ? n - 1 : 0)) / FDSET_CHUNK_BLOCKS;
    int r = 0;

    for (guint64 chunk = first / FDSET_CHUNK_BLOCKS; r == 0 && chunk <= last; chunk++)
        r = check_chunk(map, chunk);
    return r;
}

int fdset_blockmap_get(FdsetBlockMap *map, guint64 first, gsize n, FdsetRecord *records)
{
    int r = check_range(map, first, n);
    gssize got;

    if (r < 0)
        return r;
    got = fdset_fd_pread(map->fd, records, n * sizeof *records, first * sizeof *records);
    if (got < 0)
        return (int)got;
    memset((guint8 *)records + got, 0, n * sizeof *records - (gsize)got);
    return 0;
}

int fdset_blockmap_put(FdsetBlockMap *map, guint64 first, gsize n, const FdsetRecord *records)
{
    int r = check_range(map, first, n);

    if (r < 0)
        return r;
    return fdset_fd_pwrite(map->fd, records, n * sizeof *records, first * sizeof *records);
}

int fdset_blockmap_cut(FdsetBlockMap *map, guint64 first)
{
    off_t size = (off_t)(first * sizeof(FdsetRecord));
    int r = check_range(map, first, 1);
    off_t end;

    if (r < 0)
        return r;
    end = lseek(map->fd, 0, SEEK_END);
    if (end < 0)
        return -errno;
    if (end > size && ftruncate(map->fd, size) < 0)
        return -errno;
    g_mutex_lock(&map->lock);
    if (map->sums) {
        /* What is behind the cut no longer answers to the old sums. */
        gsize keep = (gsize)(first / FDSET_CHUNK_BLOCKS + 1) * FDSET_SUM_SIZE;
        GBytes *sums =
            g_bytes_new_from_bytes(map->sums, 0, MIN(keep, g_bytes_get_size(map->sums)));

        g_bytes_unref(map->sums);
        map->sums = sums;
    }
    g_mutex_unlock(&map->lock);
    return 0;
}

/* The first block of [block, end) that has a record (data) or none (hole); 'end': no such block. */
static gint64 scan_records(FdsetBlockMap *map, guint64 block, guint64 end, gboolean data)
{
    FdsetRecord records[SCAN_BLOCKS];

    while (block < end) {
        gsize n = MIN(SCAN_BLOCKS, end - block);
        int r = fdset_blockmap_get(map, block, n, records);

        if (r < 0)
            return r;
        for (gsize i = 0; i < n; i++)
            if ((fdset_record_channel(&records[i]) != 0) == data)
                return (gint64)(block + i);
        block += n;
    }
    return (gint64)end;
}

gint64 fdset_blockmap_next(FdsetBlockMap *map, guint64 block, guint64 end, gboolean data)
{
    while (block < end) {
        guint64 chunk = block / FDSET_CHUNK_BLOCKS;
        guint64 stop = MIN(end, (chunk + 1) * FDSET_CHUNK_BLOCKS);
        int r = check_chunk(map, chunk); /* even where the file has a hole now */
        gint64 found;

        if (r < 0)
            return r;
        if (data)
            block = skip_file_hole(map, block, stop);
        found = scan_records(map, block, stop, data);
        if (found < 0 || (guint64)found < stop)
            return found;
        block = stop;
    }
    return (gint64)end;
}

static guint64 count_data(const FdsetRecord *records)
{
    guint64 n = 0;

    for (gsize i = 0; i < FDSET_CHUNK_BLOCKS; i++)
        n += fdset_record_channel(&records[i]) != 0;
    return n;
}

int fdset_blockmap_sum(FdsetBlockMap *map, guint64 n_blocks, GBytes **sums, guint64 *n_data)
{
    gsize n_chunks = (gsize)((n_blocks + FDSET_CHUNK_BLOCKS - 1) / FDSET_CHUNK_BLOCKS);
    g_autofree FdsetRecord *records = g_malloc(CHUNK_BYTES);
    g_autofree guint8 *all = g_malloc0(n_chunks * FDSET_SUM_SIZE);

    *n_data = 0;
    for (gsize chunk = 0; chunk < n_chunks; chunk++) {
        guint8 *sum = all + chunk * FDSET_SUM_SIZE;
        int r = check_chunk(map, chunk);

        if (r == 0)
            r = sum_chunk(map, chunk, records, sum);
        if (r < 0)
            return r;
        if (!fdset_bytes_are_zero(sum, FDSET_SUM_SIZE))
            *n_data += count_data(records);
    }
    *sums = g_bytes_new_take(g_steal_pointer(&all), n_chunks * FDSET_SUM_SIZE);
    return 0;
}

int fdset_blockmap_sync(FdsetBlockMap *map)
{
    return fdatasync(map->fd) < 0 ? -errno : 0;
}
