/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/memview.h"

#include <errno.h>
#include <string.h>

typedef enum { SEGMENT_ZEROS, SEGMENT_BYTES, SEGMENT_SOURCE, SEGMENT_RAM } SegmentKind;

typedef struct {
    SegmentKind kind;
    guint64 start;  /* in the view */
    guint64 length; /* never 0 */
    guint64 offset; /* in what it is of */
    union {
        GBytes *bytes;              /* owned */
        const FdsetSource *source;  /* borrowed */
        const FdsetRamblock *block; /* borrowed */
    } of;
} Segment;

struct FdsetMemview {
    GArray *segments; /* owned, of Segment, in order */
    guint64 size;
    gboolean is_cut;
};

static void segment_clear(gpointer data)
{
    Segment *segment = data;

    if (segment->kind == SEGMENT_BYTES)
        g_bytes_unref(segment->of.bytes);
}

FdsetMemview *fdset_memview_new(void)
{
    FdsetMemview *view = g_new0(FdsetMemview, 1);

    view->segments = g_array_new(FALSE, FALSE, sizeof(Segment));
    g_array_set_clear_func(view->segments, segment_clear);
    return view;
}

/* FALSE when it was not added. */
static gboolean add(FdsetMemview *view, Segment *segment)
{
    if (segment->length > G_MAXINT64 - view->size) {
        view->is_cut = TRUE;
        return FALSE;
    }
    if (segment->length == 0)
        return FALSE;
    segment->start = view->size;
    view->size += segment->length;
    g_array_append_vals(view->segments, segment, 1);
    return TRUE;
}

void fdset_memview_add_zeros(FdsetMemview *view, guint64 len)
{
    Segment segment = {.kind = SEGMENT_ZEROS, .length = len};

    add(view, &segment);
}

void fdset_memview_add_bytes(FdsetMemview *view, GBytes *bytes)
{
    Segment segment = {.kind = SEGMENT_BYTES, .length = g_bytes_get_size(bytes)};

    segment.of.bytes = bytes;
    if (add(view, &segment))
        g_bytes_ref(bytes);
}

void fdset_memview_add_source(FdsetMemview *view, const FdsetSource *source, guint64 offset,
                              guint64 len)
{
    Segment segment = {.kind = SEGMENT_SOURCE, .length = len, .offset = offset};

    segment.of.source = source;
    add(view, &segment);
}

void fdset_memview_add_ram(FdsetMemview *view, const FdsetRamblock *block, guint64 offset,
                           guint64 len)
{
    Segment segment = {.kind = SEGMENT_RAM, .length = len, .offset = offset};

    segment.of.block = block;
    add(view, &segment);
}

void fdset_memview_pad(FdsetMemview *view, guint64 size)
{
    if (size > view->size)
        fdset_memview_add_zeros(view, size - view->size);
}

gboolean fdset_memview_is_whole(const FdsetMemview *view)
{
    return !view->is_cut;
}

guint64 fdset_memview_size(const FdsetMemview *view)
{
    return view->size;
}

/* The number of the segment that 'offset', which is in the view, lies in. */
static guint find_segment(const FdsetMemview *view, guint64 offset)
{
    guint low = 0, high = view->segments->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(view->segments, Segment, middle).start <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static gssize read_source(const Segment *segment, gpointer buf, gsize len, guint64 offset)
{
    gssize got = segment->of.source->pread(segment->of.source->opaque, buf, len, offset);

    return got >= 0 && (gsize)got < len ? -EIO : got;
}

static gssize read_ram(const Segment *segment, gpointer buf, gsize len, guint64 offset)
{
    gssize got = fdset_ramblock_pread(segment->of.block, buf, len, offset);

    return got >= 0 && (gsize)got < len ? -EIO : got;
}

/* Reads all 'len' bytes at 'at' in the segment: >= 0 or -errno. */
static gssize read_segment(const Segment *segment, gpointer buf, gsize len, guint64 at)
{
    switch (segment->kind) {
    case SEGMENT_ZEROS:
        memset(buf, 0, len);
        return 0;
    case SEGMENT_BYTES:
        memcpy(buf, (const guint8 *)g_bytes_get_data(segment->of.bytes, NULL) + at, len);
        return 0;
    case SEGMENT_SOURCE:
        return read_source(segment, buf, len, segment->offset + at);
    case SEGMENT_RAM:
        return read_ram(segment, buf, len, segment->offset + at);
    }
    return -EIO;
}

gssize fdset_memview_pread(const FdsetMemview *view, gpointer buf, gsize len, guint64 offset)
{
    gsize done = 0;

    if (offset >= view->size)
        return 0;
    len = (gsize)MIN(len, view->size - offset);
    for (guint i = find_segment(view, offset); done < len; i++) {
        const Segment *segment = &g_array_index(view->segments, Segment, i);
        guint64 at = offset + done - segment->start;
        gsize part = (gsize)MIN(len - done, segment->length - at);
        gssize r = read_segment(segment, (guint8 *)buf + done, part, at);

        if (r < 0)
            return r;
        done += part;
    }
    return (gssize)len;
}

static gboolean has_holes(const Segment *segment)
{
    return segment->kind == SEGMENT_RAM ||
           (segment->kind == SEGMENT_SOURCE && segment->of.source->next_data != NULL &&
            segment->of.source->next_hole != NULL);
}

/* The first offset >= 'offset' in what the segment is of that is (no) hole, or -errno. */
static gint64 seek_origin(const Segment *segment, guint64 offset, gboolean data)
{
    const FdsetSource *source = segment->of.source;

    if (segment->kind == SEGMENT_SOURCE)
        return data ? source->next_data(source->opaque, offset)
                    : source->next_hole(source->opaque, offset);
    return data ? fdset_ramblock_next_data(segment->of.block, offset)
                : fdset_ramblock_next_hole(segment->of.block, offset);
}

/* The first byte at or behind 'at' in the segment that is (no) hole; its length when none is. */
static gint64 seek_segment(const Segment *segment, guint64 at, gboolean data)
{
    gint64 found;

    if (segment->kind == SEGMENT_ZEROS)
        return (gint64)(data ? segment->length : at);
    if (!has_holes(segment))
        return (gint64)(data ? at : segment->length);
    found = seek_origin(segment, segment->offset + at, data);
    if (found == -ENXIO)
        return (gint64)segment->length;
    if (found < 0)
        return found;
    return (gint64)MIN((guint64)found - segment->offset, segment->length);
}

/* The end of the view when there is none. */
static gint64 seek(const FdsetMemview *view, guint64 offset, gboolean data)
{
    if (offset >= view->size)
        return -ENXIO;
    for (guint i = find_segment(view, offset); i < view->segments->len; i++) {
        const Segment *segment = &g_array_index(view->segments, Segment, i);
        guint64 at = offset > segment->start ? offset - segment->start : 0;
        gint64 found = seek_segment(segment, at, data);

        if (found < 0)
            return found;
        if ((guint64)found < segment->length)
            return (gint64)segment->start + found;
    }
    return (gint64)view->size;
}

gint64 fdset_memview_next_data(const FdsetMemview *view, guint64 offset)
{
    gint64 found = seek(view, offset, TRUE);

    return found == (gint64)view->size ? -ENXIO : found;
}

gint64 fdset_memview_next_hole(const FdsetMemview *view, guint64 offset)
{
    return seek(view, offset, FALSE);
}

/* By stepping from hole to hole. */
static gint64 count_source(const Segment *segment)
{
    guint64 at = 0;
    gint64 total = 0;

    while (at < segment->length) {
        gint64 data = seek_segment(segment, at, TRUE);
        gint64 hole = data < (gint64)segment->length && data >= 0
                          ? seek_segment(segment, (guint64)data, FALSE)
                          : data;

        if (hole < 0)
            return hole;
        total += hole - data;
        at = (guint64)hole;
    }
    return total;
}

static gint64 count_segment(const Segment *segment)
{
    if (segment->kind == SEGMENT_ZEROS)
        return 0;
    if (segment->kind == SEGMENT_RAM)
        return fdset_ramblock_data_bytes(segment->of.block, segment->offset, segment->length);
    return has_holes(segment) ? count_source(segment) : (gint64)segment->length;
}

gint64 fdset_memview_data_bytes(const FdsetMemview *view)
{
    gint64 total = 0;

    for (guint i = 0; i < view->segments->len; i++) {
        gint64 part = count_segment(&g_array_index(view->segments, Segment, i));

        if (part < 0)
            return part;
        total += part;
    }
    return total;
}

void fdset_memview_free(FdsetMemview *view)
{
    if (view == NULL)
        return;
    g_array_unref(view->segments);
    g_free(view);
}
