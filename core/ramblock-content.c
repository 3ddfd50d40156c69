/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/ramblock-internal.h"

#include <errno.h>
#include <string.h>

/* 4 KiB of bitmap at a time, on the stack: 128 MiB of guest memory with 4 KiB pages. */
#define WINDOW_WORDS 512

/* 1 MiB of bitmap at a time when bits are only counted: 32 GiB of guest memory. */
#define COUNT_WORDS (1u << 17)

typedef struct {
    guint64 first; /* page number of bit 0 of bits[0] */
    guint64 count; /* pages the window covers */
    guint64 bits[WINDOW_WORDS];
} BitmapWindow;

static int check_content(const FdsetRamblock *block)
{
    switch (block->kind) {
    case FDSET_RAMBLOCK_MAPPED:
        return 0;
    case FDSET_RAMBLOCK_SHARED:
        return -ENODATA;
    case FDSET_RAMBLOCK_STREAMED:
        return block->index ? 0 : -EOPNOTSUPP;
    }
    return -EIO;
}

static guint64 n_pages(const FdsetRamblock *block)
{
    return block->used_length / block->page_size;
}

/* Reads all of it or fails; the parse has shown that it lies within the source. */
static int read_all(const FdsetRamblock *block, gpointer buf, gsize len, guint64 offset)
{
    gssize got = block->source->pread(block->source->opaque, buf, len, offset);

    if (got < 0)
        return (int)got;
    return (gsize)got == len ? 0 : -EIO;
}

/* The same from an index of pages. */
static int load_index(const FdsetRamblock *block, BitmapWindow *window, guint64 page, guint64 last)
{
    guint64 n;

    window->first = page - page % FDSET_BITMAP_WORD_BITS;
    n = MIN(last + 1 - window->first, FDSET_PAGEINDEX_WINDOW);
    window->count = (n + FDSET_BITMAP_WORD_BITS - 1) / FDSET_BITMAP_WORD_BITS *
                    FDSET_BITMAP_WORD_BITS;
    return fdset_pageindex_bits(block->index, block->index_first + window->first, (gsize)n,
                                window->bits);
}

/* Fills the window with the bits of 'page' and of those behind it up to 'last'. */
static int load(const FdsetRamblock *block, BitmapWindow *window, guint64 page, guint64 last)
{
    guint64 word = page / FDSET_BITMAP_WORD_BITS;
    guint64 words = MIN(last / FDSET_BITMAP_WORD_BITS - word + 1, WINDOW_WORDS);
    int r;

    if (block->index)
        return load_index(block, window, page, last);
    r = read_all(block, window->bits, (gsize)words * FDSET_BITMAP_WORD_BYTES,
                 block->bitmap_offset + word * FDSET_BITMAP_WORD_BYTES);
    if (r < 0)
        return r;
    for (guint64 i = 0; i < words; i++) {
        window->bits[i] =
            block->big_endian ? GUINT64_FROM_BE(window->bits[i]) : GUINT64_FROM_LE(window->bits[i]);
    }
    window->first = word * FDSET_BITMAP_WORD_BITS;
    window->count = words * FDSET_BITMAP_WORD_BITS;
    return 0;
}

static gboolean is_loaded(const BitmapWindow *window, guint64 page)
{
    return page >= window->first && page - window->first < window->count;
}

static gboolean is_set(const BitmapWindow *window, guint64 page)
{
    guint64 bit = page - window->first;

    return window->bits[bit / FDSET_BITMAP_WORD_BITS] >> bit % FDSET_BITMAP_WORD_BITS & 1;
}

/* How many pages from 'page' on have the same bit, as far as the window goes. */
static guint64 run_length(const BitmapWindow *window, guint64 page)
{
    guint64 flip = is_set(window, page) ? G_MAXUINT64 : 0;
    guint64 start = page - window->first;
    guint64 bit = start;

    while (bit < window->count) {
        guint64 word = window->bits[bit / FDSET_BITMAP_WORD_BITS] ^ flip;
        guint64 rest = word >> bit % FDSET_BITMAP_WORD_BITS;

        if (rest != 0)
            return bit + (guint64)__builtin_ctzll(rest) - start;
        bit = (bit / FDSET_BITMAP_WORD_BITS + 1) * FDSET_BITMAP_WORD_BITS;
    }
    return window->count - start;
}

/*
 * The first page at or behind 'page' whose bit may be set: where the bitmap is a
 * hole of the file, nothing needs to be read. 'page' starts a word of the bitmap.
 */
static guint64 skip_hole(const FdsetRamblock *block, guint64 page)
{
    guint64 at = block->bitmap_offset + page / FDSET_BITMAP_WORD_BITS * FDSET_BITMAP_WORD_BYTES;
    gint64 found;

    if (block->index) {
        guint64 next = fdset_pageindex_skip_hole(block->index, block->index_first + page);

        next -= block->index_first;
        return MIN(next - next % FDSET_BITMAP_WORD_BITS, n_pages(block));
    }
    found = block->source->next_data == NULL
                       ? (gint64)at
                       : block->source->next_data(block->source->opaque, at);

    if (found == -ENXIO)
        return n_pages(block);
    if (found <= (gint64)at)
        return page;
    page =
        ((guint64)found - block->bitmap_offset) / FDSET_BITMAP_WORD_BYTES * FDSET_BITMAP_WORD_BITS;
    return MIN(page, n_pages(block));
}

int fdset_ramblock_guess_big_endian(const FdsetRamblock *block)
{
    guint64 used, last, little, big;
    BitmapWindow window;

    if (block->kind != FDSET_RAMBLOCK_MAPPED || n_pages(block) % FDSET_BITMAP_WORD_BITS == 0)
        return -1;
    used = n_pages(block) % FDSET_BITMAP_WORD_BITS;
    last = n_pages(block) - 1;
    if (load(block, &window, last, last) < 0)
        return -1;
    little = block->big_endian ? GUINT64_SWAP_LE_BE(window.bits[0]) : window.bits[0];
    big = GUINT64_SWAP_LE_BE(little);
    if ((little >> used == 0) == (big >> used == 0))
        return -1;
    return big >> used == 0;
}

int fdset_ramblock_page_present(const FdsetRamblock *block, guint64 page)
{
    BitmapWindow window;
    int r = check_content(block);

    if (r < 0)
        return r;
    if (page >= n_pages(block))
        return -ENXIO;
    r = load(block, &window, page, page);
    return r < 0 ? r : is_set(&window, page);
}

/* Present pages that follow each other. */
static int read_pages(const FdsetRamblock *block, gpointer buf, gsize len, guint64 at)
{
    if (block->index)
        return fdset_pageindex_read(block->index, block->index_first + at / block->page_size,
                                    at % block->page_size, buf, len);
    return read_all(block, buf, len, block->pages_offset + at);
}

gssize fdset_ramblock_pread(const FdsetRamblock *block, gpointer buf, gsize len, guint64 offset)
{
    BitmapWindow window = {.count = 0};
    int r = check_content(block);
    guint64 end;

    if (r < 0)
        return r;
    if (offset >= block->used_length || len == 0)
        return 0;
    end = offset + MIN(len, block->used_length - offset);
    for (guint64 at = offset, next; at < end; at = next) {
        guint64 page = at / block->page_size;
        guint8 *to = (guint8 *)buf + (at - offset);

        if (!is_loaded(&window, page) &&
            (r = load(block, &window, page, (end - 1) / block->page_size)) < 0)
            return r;
        next = MIN(end, (page + run_length(&window, page)) * block->page_size);
        if (!is_set(&window, page))
            memset(to, 0, (gsize)(next - at));
        else if ((r = read_pages(block, to, (gsize)(next - at), at)) < 0)
            return r;
    }
    return (gssize)(end - offset);
}

/* The first offset >= 'offset' whose page has this bit; the end of the block when none has. */
static gint64 find(const FdsetRamblock *block, guint64 offset, gboolean wanted)
{
    BitmapWindow window = {.count = 0};
    int r = check_content(block);
    guint64 page, pages;

    if (r < 0)
        return r;
    if (offset >= block->used_length)
        return -ENXIO;
    pages = n_pages(block);
    for (page = offset / block->page_size; page < pages;) {
        if (!is_loaded(&window, page) && (r = load(block, &window, page, pages - 1)) < 0)
            return r;
        if (is_set(&window, page) == wanted)
            return (gint64)MAX(offset, page * block->page_size);
        page += run_length(&window, page);
        if (wanted && page < pages && !is_loaded(&window, page))
            page = skip_hole(block, page);
    }
    return (gint64)block->used_length;
}

gint64 fdset_ramblock_next_data(const FdsetRamblock *block, guint64 offset)
{
    gint64 found = find(block, offset, TRUE);

    return found == (gint64)block->used_length ? -ENXIO : found;
}

gint64 fdset_ramblock_next_hole(const FdsetRamblock *block, guint64 offset)
{
    return find(block, offset, FALSE);
}

/*
 * Bytes in present pages from 'offset' up to 'end'. The last bytes of a range may
 * lie in a page that goes on behind it, the first ones before.
 */
static gint64 count_runs(const FdsetRamblock *block, guint64 offset, guint64 end)
{
    BitmapWindow window = {.count = 0};
    guint64 total = 0;
    int r;

    for (guint64 at = offset, next; at < end; at = next) {
        guint64 page = at / block->page_size, behind;

        if (!is_loaded(&window, page) &&
            (r = load(block, &window, page, (end - 1) / block->page_size)) < 0)
            return r;
        behind = page + run_length(&window, page);
        next = MIN(end, behind * block->page_size);
        if (is_set(&window, page))
            total += next - at;
        else if (next < end && !is_loaded(&window, behind))
            next = MIN(end, skip_hole(block, behind) * block->page_size);
    }
    return (gint64)total;
}

/* Bits that are set in whole words of the bitmap, whatever the order of their bytes. */
static gint64 count_words(const FdsetRamblock *block, guint64 word, guint64 end)
{
    g_autofree guint64 *words = g_new(guint64, COUNT_WORDS);
    guint64 total = 0;

    while ((word = skip_hole(block, word * FDSET_BITMAP_WORD_BITS) / FDSET_BITMAP_WORD_BITS) < end) {
        gsize n = (gsize)MIN(end - word, COUNT_WORDS);
        int r = read_all(block, words, n * FDSET_BITMAP_WORD_BYTES,
                         block->bitmap_offset + word * FDSET_BITMAP_WORD_BYTES);

        if (r < 0)
            return r;
        /* Nearly all are one of two, and counting bits is a call where it may be no instruction. */
        for (gsize i = 0; i < n; i++)
            total += words[i] == 0            ? 0
                     : words[i] == G_MAXUINT64 ? FDSET_BITMAP_WORD_BITS
                                               : (guint64)__builtin_popcountll(words[i]);
        word += n;
    }
    return (gint64)total;
}

gint64 fdset_ramblock_data_bytes(const FdsetRamblock *block, guint64 offset, guint64 len)
{
    int r = check_content(block);
    guint64 end, word, end_word, word_bytes;
    gint64 before, between, behind;

    if (r < 0)
        return r;
    if (offset >= block->used_length || len == 0)
        return 0;
    end = offset + MIN(len, block->used_length - offset);
    word = (offset / block->page_size + FDSET_BITMAP_WORD_BITS) / FDSET_BITMAP_WORD_BITS;
    end_word = end / block->page_size / FDSET_BITMAP_WORD_BITS;
    if (block->index || word >= end_word)
        return count_runs(block, offset, end);
    word_bytes = block->page_size * FDSET_BITMAP_WORD_BITS;
    before = count_runs(block, offset, word * word_bytes);
    between = count_words(block, word, end_word);
    behind = count_runs(block, end_word * word_bytes, end);
    if (before < 0 || between < 0 || behind < 0)
        return before < 0 ? before : between < 0 ? between : behind;
    return before + between * (gint64)block->page_size + behind;
}
