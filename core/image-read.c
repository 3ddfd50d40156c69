/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/image-internal.h"

#include <errno.h>
#include <string.h>

int fdset_image_map_problem(FdsetImage *image, guint64 first, int r)
{
    if (r != -EBADMSG)
        return r;
    return fdset_image_fail(image,
                            "%s: the block map (file \"map\") near block %" G_GUINT64_FORMAT
                            " does not match its sum: it was changed or damaged",
                            image->name, first);
}

/* How many records from 'records' on are of one channel (or are all holes). */
static gsize run_length(const FdsetRecord *records, gsize n)
{
    gsize len = 1;

    while (len < n && fdset_record_channel(&records[len]) == fdset_record_channel(&records[0]))
        len++;
    return len;
}

/* One run of blocks of one channel; zeros behind the end of its file, where it never wrote. */
static int read_run(FdsetImage *image, guint16 number, guint64 first, gsize n, guint8 *buf,
                    gboolean direct)
{
    FdsetChannel *channel = fdset_image_channel(image, number);
    guint64 size = channel ? fdset_channel_size(channel) : 0;
    guint64 offset = first * FDSET_BLOCK_SIZE;
    gsize len = n * FDSET_BLOCK_SIZE;
    gssize got;

    if (!channel || offset >= size)
        return fdset_image_fail(image,
                                "%s: block %" G_GUINT64_FORMAT " should be in channel file "
                                "ch-%03u, which %s",
                                image->name, first, number - 1u,
                                channel ? "ends before it" : "the manifest does not have");
    got = fdset_channel_pread(channel, buf, len, offset, direct);
    if (got < 0)
        return fdset_image_fail(image,
                                "%s: channel file ch-%03u: cannot read at offset "
                                "%" G_GUINT64_FORMAT ": %s",
                                image->name, number - 1u, offset, g_strerror((int)-got));
    if ((gsize)got < MIN(len, size - offset))
        return fdset_image_fail(image,
                                "%s: channel file ch-%03u ends at offset %" G_GUINT64_FORMAT
                                ", expected at least %" G_GUINT64_FORMAT " bytes",
                                image->name, number - 1u, offset + (guint64)got, size);
    memset(buf + got, 0, len - (gsize)got);
    return 0;
}

static int verify_run(FdsetImage *image, const FdsetRecord *records, guint64 first, gsize n,
                      const guint8 *buf)
{
    for (gsize i = 0; i < n; i++) {
        guint8 digest[FDSET_DIGEST_SIZE];

        if (fdset_bytes_are_zero(records[i].digest, sizeof records[i].digest))
            continue; /* a write was under way: old or new, both are right */
        fdset_digest_block(&image->key, buf + i * FDSET_BLOCK_SIZE, digest);
        if (memcmp(digest, records[i].digest, sizeof digest) == 0)
            continue;
        return fdset_image_fail(image,
                                "%s: channel file ch-%03u: block %" G_GUINT64_FORMAT
                                " (offset %" G_GUINT64_FORMAT
                                ") does not match its digest: it was changed or damaged",
                                image->name, fdset_record_channel(&records[i]) - 1u, first + i,
                                (first + i) * FDSET_BLOCK_SIZE);
    }
    return 0;
}

int fdset_image_read_blocks(FdsetImage *image, guint64 first, gsize n, gpointer buf,
                            gboolean direct, gboolean verify)
{
    return image->ops->read_blocks(image, first, n, buf, direct, verify);
}

int fdset_image_get_blocks(FdsetImage *image, guint64 first, gsize n, gpointer buf, gboolean direct,
                           gboolean verify)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    int r = fdset_image_map_problem(image, first,
                                    fdset_blockmap_get(image->map, first, n, records));

    for (gsize i = 0; r == 0 && i < n;) {
        gsize len = run_length(records + i, n - i);
        guint8 *at = (guint8 *)buf + i * FDSET_BLOCK_SIZE;
        guint16 number = fdset_record_channel(&records[i]);

        if (number == 0)
            memset(at, 0, len * FDSET_BLOCK_SIZE);
        else
            r = read_run(image, number, first + i, len, at, direct);
        if (r == 0 && number != 0 && verify)
            r = verify_run(image, records + i, first + i, len, at);
        i += len;
    }
    return r;
}

int fdset_image_redigest(FdsetImage *image, guint64 first, gsize n)
{
    FdsetRecord records[FDSET_BATCH_BLOCKS];
    guint8 block[FDSET_BLOCK_SIZE] __attribute__((aligned(FDSET_BLOCK_SIZE)));
    int r = fdset_blockmap_get(image->map, first, n, records);

    for (gsize i = 0; r == 0 && i < n; i++) {
        guint16 number = fdset_record_channel(&records[i]);

        if (number == 0 || !fdset_bytes_are_zero(records[i].digest, sizeof records[i].digest))
            continue;
        r = read_run(image, number, first + i, 1, block, FALSE);
        if (r < 0)
            break;
        fdset_digest_block(&image->key, block, records[i].digest);
        r = fdset_blockmap_put(image->map, first + i, 1, &records[i]);
    }
    return r;
}

gsize fdset_image_span(gsize len, guint64 offset)
{
    gsize before = offset % FDSET_BLOCK_SIZE;

    return (before + len + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE * FDSET_BLOCK_SIZE;
}

static int read_range(FdsetImage *image, guint8 *buf, guint64 first, gsize n, gboolean direct)
{
    int r = 0;

    for (gsize i = 0; r == 0 && i < n; i += FDSET_BATCH_BLOCKS)
        r = fdset_image_read_blocks(image, first + i, MIN(FDSET_BATCH_BLOCKS, n - i),
                                    buf + i * FDSET_BLOCK_SIZE, direct, image->verify);
    return r;
}

gssize fdset_image_read(FdsetImage *image, gpointer buf, gsize len, guint64 offset, gboolean direct,
                        gconstpointer *data)
{
    guint64 size = fdset_image_size(image);
    guint64 first = offset / FDSET_BLOCK_SIZE;
    gsize n;
    int r;

    *data = (guint8 *)buf + offset % FDSET_BLOCK_SIZE;
    if (offset >= size)
        return 0;
    len = (gsize)MIN(len, size - offset);
    n = fdset_image_span(len, offset) / FDSET_BLOCK_SIZE;
    r = read_range(image, buf, first, n, direct);
    if (r == -EIO && image->writable && image->map) {
        /* Between a write's data and its record they do not match: look again when it is done. */
        FdsetRange range = {first, first + n - 1};

        fdset_range_lock_acquire(&image->ranges, &range);
        r = read_range(image, buf, first, n, direct);
        fdset_range_lock_release(&image->ranges, &range);
    }
    return r < 0 ? r : (gssize)len;
}

gint64 fdset_image_seek(FdsetImage *image, guint64 offset, gboolean data)
{
    if (offset >= fdset_image_size(image))
        return -ENXIO;
    return image->ops->seek(image, offset, data);
}

gint64 fdset_image_seek_blocks(FdsetImage *image, guint64 offset, gboolean data)
{
    guint64 size = fdset_image_size(image);
    guint64 first = offset / FDSET_BLOCK_SIZE;
    guint64 end = (size + FDSET_BLOCK_SIZE - 1) / FDSET_BLOCK_SIZE;
    gint64 block;

    block = fdset_blockmap_next(image->map, first, end, data);
    if (block < 0)
        return fdset_image_map_problem(image, first, (int)block);
    if (data && (guint64)block == end)
        return -ENXIO;
    return (gint64)MIN(size, MAX(offset, (guint64)block * FDSET_BLOCK_SIZE));
}

/* As fdset_image_pread(), no further than one block or the whole ones of a batch. */
static gssize read_some(FdsetImage *image, guint8 *buf, gsize len, guint64 offset)
{
    guint8 block[FDSET_BLOCK_SIZE];
    gsize before = offset % FDSET_BLOCK_SIZE;
    gconstpointer data;
    gssize got;

    if (before == 0 && len >= FDSET_BLOCK_SIZE) {
        len = MIN(len / FDSET_BLOCK_SIZE, FDSET_BATCH_BLOCKS) * FDSET_BLOCK_SIZE;
        return fdset_image_read(image, buf, len, offset, FALSE, &data);
    }
    got = fdset_image_read(image, block, MIN(len, FDSET_BLOCK_SIZE - before), offset, FALSE, &data);
    if (got > 0)
        memcpy(buf, data, (gsize)got);
    return got;
}

gssize fdset_image_pread(FdsetImage *image, gpointer buf, gsize len, guint64 offset)
{
    gsize done = 0;

    while (done < len) {
        gssize got = read_some(image, (guint8 *)buf + done, len - done, offset + done);

        if (got < 0)
            return got;
        if (got == 0)
            break;
        done += (gsize)got;
    }
    return (gssize)done;
}

static gssize source_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    return fdset_image_pread(opaque, buf, len, offset);
}

void fdset_image_source(FdsetImage *image, FdsetSource *source, const char *name)
{
    *source = (FdsetSource){
        .pread = source_pread,
        .opaque = image,
        .size = fdset_image_size(image),
        .name = name,
    };
}
