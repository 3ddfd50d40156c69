/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pass over a stream that fills the file of an index. */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/pageindex-internal.h"
#include "core/xbzrle.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_STEP (64u << 20)
#define STRETCHES_MAX (1u << 20) /* what is not noted is walked again */
#define PAGE_MAX (64u << 10)     /* bytes; the largest target page there is */

/*
 * A record of a delta is a few bytes, its page 4096: a stream could make a small
 * file a huge cache. No guest changes that much in so few bytes.
 */
#define DELTA_GROWTH_MAX 64u
#define DELTA_SLACK (256u << 20) /* bytes of the file, for small ones */

/* Between two parts of the ram section that follow each other: a footer and a section header. */
#define BETWEEN_PARTS_MAX 10u

/* Entries are written a chunk at a time; those of pages in order share one. */
#define CHUNK_ENTRIES 512u

typedef struct {
    FdsetPageIndex *index;
    const FdsetPageIndexOptions *options;
    GHashTable *firsts; /* name of a block -> its number + 1; names are borrowed */
    GArray *first;      /* of guint64: entry of page 0, by number */
    const FdsetRamblock *last; /* block of the record before, and its first entry */
    guint64 last_first;
    guint64 chunk[CHUNK_ENTRIES];
    guint64 chunk_first; /* entry of chunk[0]; G_MAXUINT64: none is loaded */
    gboolean dirty;
    guint64 told; /* offset of the last progress */
} Build;

static gboolean fail(const Build *build, int r, GError **error)
{
    fdset_error_set_errno(error, -r, "%s: cannot write the index of its pages",
                          build->index->source->name);
    return FALSE;
}

static int flush(Build *build)
{
    int r = 0;

    if (build->dirty)
        r = fdset_fd_pwrite(build->index->fd, build->chunk, sizeof build->chunk,
                            FDSET_PAGEINDEX_HEADER + build->chunk_first * FDSET_PAGEINDEX_ENTRY);
    build->dirty = FALSE;
    return r;
}

static int load(Build *build, guint64 entry)
{
    guint64 first = entry - entry % CHUNK_ENTRIES;
    gssize got;
    int r;

    if (first == build->chunk_first)
        return 0;
    r = flush(build);
    if (r < 0)
        return r;
    got = fdset_fd_pread(build->index->fd, build->chunk, sizeof build->chunk,
                         FDSET_PAGEINDEX_HEADER + first * FDSET_PAGEINDEX_ENTRY);
    if (got < 0)
        return (int)got;
    memset((guint8 *)build->chunk + got, 0, sizeof build->chunk - (gsize)got);
    build->chunk_first = first;
    return 0;
}

static guint64 *entry_of(Build *build, const FdsetPage *page, int *r)
{
    guint64 entry;

    if (page->block != build->last) {
        guint i = GPOINTER_TO_UINT(
            g_hash_table_lookup(build->firsts, fdset_ramblock_name(page->block)));

        build->last = page->block;
        build->last_first = g_array_index(build->first, guint64, i - 1);
    }
    entry = build->last_first + page->offset / build->index->header.page_size;
    *r = load(build, entry);
    return &build->chunk[entry % CHUNK_ENTRIES];
}

static void tell(Build *build, guint64 offset)
{
    if (!build->options->progress || offset - build->told < PROGRESS_STEP)
        return;
    build->told = offset;
    build->options->progress(build->options->data, offset, build->index->source->size);
}

/* The page as it was before this record. */
static int read_old(const Build *build, guint64 entry, guint8 *buf)
{
    const FdsetPageIndex *index = build->index;
    gsize len = (gsize)index->header.page_size;
    guint64 value = entry & FDSET_ENTRY_VALUE_MASK;
    gssize got = (gssize)len;

    if (entry >> FDSET_ENTRY_KIND_SHIFT == FDSET_ENTRY_SOURCE)
        got = index->source->pread(index->source->opaque, buf, len, value);
    else if (entry >> FDSET_ENTRY_KIND_SHIFT == FDSET_ENTRY_INDEX)
        got = fdset_fd_pread(index->fd, buf, len, value);
    else
        memset(buf, (int)value, len);
    return got < 0 ? (int)got : (gsize)got == len ? 0 : -EIO;
}

static gboolean check_growth(const Build *build, GError **error)
{
    const FdsetPageIndexHeader *header = &build->index->header;

    if ((header->end - header->pages_start) / DELTA_GROWTH_MAX <= header->size + DELTA_SLACK)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                "%s: pages that were sent as deltas come to " FDSET_HEX
                " bytes, expected at most %u times the file",
                build->index->source->name, header->end - header->pages_start, DELTA_GROWTH_MAX);
    return FALSE;
}

/* Puts the delta's page into the index, in its place from before or at the end. */
static gboolean add_delta(Build *build, const FdsetPage *page, guint64 *entry, GError **error)
{
    FdsetPageIndexHeader *header = &build->index->header;
    guint8 delta[PAGE_MAX], content[PAGE_MAX];
    gboolean again = *entry >> FDSET_ENTRY_KIND_SHIFT == FDSET_ENTRY_INDEX;
    guint64 at = again ? *entry & FDSET_ENTRY_VALUE_MASK : header->end;
    int r;

    if (!fdset_source_read(build->index->source, page->data, delta, page->len, "XBZRLE page",
                           error))
        return FALSE;
    r = read_old(build, *entry, content);
    if (r < 0)
        return fail(build, r, error);
    if (!fdset_xbzrle_apply(delta, page->len, content, (gsize)header->page_size)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT,
                    "%s: XBZRLE page at " FDSET_HEX " is no delta to a page of " FDSET_HEX " bytes",
                    build->index->source->name, page->data, header->page_size);
        return FALSE;
    }
    r = fdset_fd_pwrite(build->index->fd, content, (gsize)header->page_size, at);
    if (r < 0)
        return fail(build, r, error);
    if (!again)
        header->end += header->page_size;
    *entry = (guint64)FDSET_ENTRY_INDEX << FDSET_ENTRY_KIND_SHIFT | at;
    return check_growth(build, error);
}

static gboolean refuse_compressed(const Build *build, const FdsetPage *page, GError **error)
{
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED,
                "%s: page record at " FDSET_HEX " is compressed (QEMU's capability compress, gone "
                "since 9.1), which cannot be read: load it into that QEMU and save it without",
                build->index->source->name, page->data);
    return FALSE;
}

static gboolean take_page(const FdsetPage *page, gpointer opaque, GError **error)
{
    Build *build = opaque;
    guint64 before, *entry;
    gboolean done = TRUE;
    int r;

    tell(build, page->data);
    entry = entry_of(build, page, &r);
    if (r < 0)
        return fail(build, r, error);
    before = *entry;
    switch (page->encoding) {
    case FDSET_PAGE_FILL:
        *entry = page->fill ? (guint64)FDSET_ENTRY_FILL << FDSET_ENTRY_KIND_SHIFT | page->fill : 0;
        break;
    case FDSET_PAGE_PLAIN:
        *entry = (guint64)FDSET_ENTRY_SOURCE << FDSET_ENTRY_KIND_SHIFT | page->data;
        break;
    case FDSET_PAGE_XBZRLE:
        done = add_delta(build, page, entry, error);
        break;
    case FDSET_PAGE_COMPRESSED:
        return refuse_compressed(build, page, error);
    }
    build->dirty |= *entry != before;
    return done;
}

/* Parts that follow each other without anything between them are one stretch. */
static void take_part(gpointer opaque, guint64 body, guint64 end, gboolean is_last)
{
    Build *build = opaque;
    GArray *stretches = build->index->stretches;
    FdsetPageStretch stretch = {body, end};
    FdsetPageStretch *before =
        stretches->len ? &g_array_index(stretches, FdsetPageStretch, stretches->len - 1) : NULL;

    if (before && !is_last && body - before->end <= BETWEEN_PARTS_MAX)
        before->end = end;
    else if (stretches->len < STRETCHES_MAX)
        g_array_append_val(stretches, stretch);
}

/* Numbers the pages of all blocks. */
static gboolean number_pages(Build *build, const FdsetStream *head, GError **error)
{
    FdsetPageIndexHeader *header = &build->index->header;
    const FdsetRam *ram = fdset_stream_ram(head);

    header->page_size = fdset_ram_page_size(ram);
    for (guint i = 0; i < fdset_ram_n_blocks(ram); i++) {
        const FdsetRamblock *block = fdset_ram_block(ram, i);
        guint64 n = fdset_ramblock_used_length(block) / header->page_size;

        if (n > FDSET_PAGEINDEX_PAGES_MAX - header->n_pages || header->page_size > PAGE_MAX) {
            g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                        "%s: more than %" G_GUINT64_FORMAT " pages, or pages larger than %u bytes",
                        build->index->source->name, FDSET_PAGEINDEX_PAGES_MAX, PAGE_MAX);
            return FALSE;
        }
        g_array_append_val(build->first, header->n_pages);
        g_hash_table_insert(build->firsts, (gpointer)fdset_ramblock_name(block),
                            GUINT_TO_POINTER(i + 1));
        header->n_pages += n;
    }
    /* Stretches come last, when their number is known; deltas need a place before. */
    header->pages_start = FDSET_PAGEINDEX_HEADER + header->n_pages * FDSET_PAGEINDEX_ENTRY +
                          STRETCHES_MAX * sizeof(FdsetPageStretch);
    header->pages_start += -header->pages_start % PAGE_MAX;
    header->end = header->pages_start;
    return TRUE;
}

static gboolean finish(Build *build, GError **error)
{
    FdsetPageIndex *index = build->index;
    FdsetPageIndexHeader *header = &index->header;
    guint64 at = FDSET_PAGEINDEX_HEADER + header->n_pages * FDSET_PAGEINDEX_ENTRY;
    int r = flush(build);

    header->n_stretches = index->stretches->len;
    if (r == 0)
        r = fdset_fd_pwrite(index->fd, index->stretches->data,
                            header->n_stretches * sizeof(FdsetPageStretch), at);
    if (r == 0 && ftruncate(index->fd, (off_t)header->end) < 0)
        r = -errno;
    if (r == 0 && !fdset_pageindex_checksum(index->fd, header, &header->checksum))
        r = -EIO;
    if (r == 0)
        r = fdset_fd_pwrite(index->fd, header, sizeof *header, 0);
    return r < 0 ? fail(build, r, error) : TRUE;
}

static gboolean run(Build *build, FdsetStream **stream, GError **problem, GError **error)
{
    FdsetPageIndex *index = build->index;
    const FdsetPageVisitor visitor = {take_page, take_part, NULL, build};
    g_autoptr(FdsetStream) head =
        fdset_stream_parse_head(index->source, index->header.start, error);
    g_autoptr(FdsetStream) whole = NULL;
    g_autoptr(GError) reason = NULL;

    if (!head || !number_pages(build, head, error))
        return FALSE;
    whole = fdset_stream_parse_pages(index->source, index->header.start, &visitor, &reason);
    if (!whole && (reason->code == FDSET_ERROR_UNSUPPORTED || reason->code == FDSET_ERROR_LIMIT ||
                   reason->code == FDSET_ERROR_NO_SPACE)) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return FALSE;
    }
    if (!finish(build, error))
        return FALSE;
    if (!whole)
        g_propagate_error(problem, g_steal_pointer(&reason));
    *stream = whole ? g_steal_pointer(&whole) : g_steal_pointer(&head);
    if (fdset_pageindex_attach(index, fdset_stream_ram(*stream), error))
        return TRUE;
    g_clear_pointer(stream, fdset_stream_free);
    return FALSE;
}

gboolean fdset_pageindex_build(FdsetPageIndex *index, const FdsetPageIndexOptions *options,
                               FdsetStream **stream, GError **problem, GError **error)
{
    Build build = {.index = index, .options = options, .chunk_first = G_MAXUINT64};
    gboolean done;

    build.firsts = g_hash_table_new(g_str_hash, g_str_equal);
    build.first = g_array_new(FALSE, FALSE, sizeof(guint64));
    done = run(&build, stream, problem, error);
    g_hash_table_unref(build.firsts);
    g_array_unref(build.first);
    return done;
}
