/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The index of a file in the streaming format: what it finds, how it is kept, what it refuses. */
#include "config.h"
#include "core/error.h"
#include "core/pageindex.h"
#include "t/fixture.h"
#include "t/streamwriter.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define PAGE 4096u

static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 1500},
                                     {.name = "vga.vram", .pages = 3}};

#define BLOCKS .blocks = blocks, .n_blocks = G_N_ELEMENTS(blocks)

/* An index and what it belongs to. */
typedef struct {
    StreamFile *file;
    FdsetSource source;
    FdsetStream *stream;
    FdsetPageIndex *index;
    GError *problem;
    GError *error;
    guint reads; /* of the source */
} Indexed;

static gssize count_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    Indexed *indexed = opaque;
    FdsetSource plain;

    indexed->reads++;
    stream_file_source(indexed->file, G_MAXUINT64, &plain);
    return plain.pread(plain.opaque, buf, len, offset);
}

static void indexed_clear(Indexed *indexed)
{
    fdset_stream_free(indexed->stream);
    fdset_pageindex_free(indexed->index);
    stream_file_free(indexed->file);
    g_clear_error(&indexed->problem);
    g_clear_error(&indexed->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Indexed, indexed_clear)

static void open_index(Indexed *indexed, const StreamShape *shape, const Dir *cache, gint64 mtime)
{
    const FdsetPageIndexOptions options = {
        .dirfd = cache ? cache->fd : -1, .device = 1, .inode = 2, .mtime = mtime};

    indexed->file = stream_file_new(shape);
    stream_file_source(indexed->file, G_MAXUINT64, &indexed->source);
    indexed->source.pread = count_pread;
    indexed->source.opaque = indexed;
    indexed->index = fdset_pageindex_open(&options, &indexed->source, shape->start,
                                          &indexed->stream, &indexed->problem, &indexed->error);
}

static const FdsetRamblock *block_of(const Indexed *indexed, guint i)
{
    return fdset_ram_block(fdset_stream_ram(indexed->stream), i);
}

static void check_page(const Indexed *indexed, guint i, guint64 page, const guint8 *expected)
{
    guint8 got[PAGE];

    g_assert_cmpint(fdset_ramblock_pread(block_of(indexed, i), got, PAGE, page * PAGE), ==, PAGE);
    g_assert_cmpmem(got, PAGE, expected, PAGE);
}

/* Pages from 'from' on are as they were sent first. */
static void check_first_round(const Indexed *indexed, guint64 from)
{
    for (guint i = 0; i < G_N_ELEMENTS(blocks); i++)
        for (guint64 page = i == 0 ? from : 0; page < blocks[i].pages; page++) {
            guint8 expected[PAGE] = {0};

            if (stream_page_present(page))
                memset(expected, stream_page_byte(blocks[i].name, page), PAGE);
            check_page(indexed, i, page, expected);
        }
}

static void test_found(void)
{
    const StreamShape shape = {.foreign = TRUE, .early = TRUE, BLOCKS};
    g_auto(Indexed) indexed = {0};
    g_autofree guint8 *run = g_malloc(1500 * PAGE);

    open_index(&indexed, &shape, NULL, 0);
    g_assert_no_error(indexed.error);
    g_assert_no_error(indexed.problem);
    g_assert_false(fdset_pageindex_is_cached(indexed.index));
    check_first_round(&indexed, 0);
    g_assert_cmpint(fdset_ramblock_pread(block_of(&indexed, 0), run, 1500 * PAGE, 7), ==,
                    1500 * PAGE - 7);
    for (guint64 page = 1; page < 1500; page++)
        g_assert_cmpuint(run[page * PAGE - 7], ==,
                         stream_page_present(page) ? stream_page_byte("pc.ram", page) : 0);
    g_assert_cmpint(fdset_ramblock_page_present(block_of(&indexed, 0), 1500), ==, -ENXIO);
}

static void test_holes(void)
{
    const StreamShape shape = {BLOCKS};
    g_auto(Indexed) indexed = {0};
    guint64 present = 0;

    open_index(&indexed, &shape, NULL, 0);
    for (guint64 page = 0; page < 1500; page++) {
        gboolean is_present = stream_page_present(page);
        gint64 data = fdset_ramblock_next_data(block_of(&indexed, 0), page * PAGE + 1);
        guint64 next = page;

        present += is_present;
        g_assert_cmpint(fdset_ramblock_page_present(block_of(&indexed, 0), page), ==, is_present);
        while (next < 1500 && !stream_page_present(next))
            next++;
        g_assert_cmpint(data, ==,
                        next == 1500   ? -ENXIO
                        : next == page ? (gint64)(page * PAGE + 1)
                                       : (gint64)(next * PAGE));
    }
    g_assert_cmpint(fdset_ramblock_data_bytes(block_of(&indexed, 0), 0, G_MAXUINT64), ==,
                    present * PAGE);
}

static void fill(guint8 *page, guint64 number)
{
    memset(page, stream_page_present(number) ? stream_page_byte("pc.ram", number) : 0, PAGE);
}

static void check_resent(const Indexed *indexed)
{
    guint8 page[PAGE];

    memset(page, 0xe1, PAGE);
    check_page(indexed, 0, 0, page);
    fill(page, 1);
    memset(page + 10, 0xe2, 3);
    check_page(indexed, 0, 1, page);
    memset(page, 0, PAGE);
    check_page(indexed, 0, 2, page);
    fill(page, 3);
    page[0] = page[100] = 0xe3;
    check_page(indexed, 0, 3, page);
    memset(page, 0x77, PAGE);
    check_page(indexed, 0, 4, page);
    check_first_round(indexed, 5);
    g_assert_cmpint(fdset_ramblock_page_present(block_of(indexed, 0), 2), ==, 0);
}

static void test_resent(void)
{
    const StreamShape shape = {.resent = TRUE, BLOCKS};
    g_auto(Indexed) indexed = {0};

    open_index(&indexed, &shape, NULL, 0);
    g_assert_no_error(indexed.error);
    check_resent(&indexed);
}

static char *cached_name(const Dir *cache)
{
    DIR *dir = opendir(cache->path);
    const struct dirent *entry;
    char *name = NULL;

    while ((entry = readdir(dir)))
        if (g_str_has_suffix(entry->d_name, ".pages")) {
            g_assert_null(name);
            name = g_strdup(entry->d_name);
        }
    closedir(dir);
    return name;
}

static void test_cached(void)
{
    const StreamShape shape = {.resent = TRUE, .foreign = TRUE, BLOCKS};
    g_autoptr(Dir) cache = dir_new();
    g_auto(Indexed) first = {0}, second = {0}, other = {0};

    open_index(&first, &shape, cache, 5);
    g_assert_false(fdset_pageindex_is_cached(first.index));
    g_assert_cmpuint(dir_count(cache, "."), ==, 1);
    open_index(&second, &shape, cache, 5);
    g_assert_true(fdset_pageindex_is_cached(second.index));
    check_resent(&second);
    g_assert_cmpuint(fdset_stream_end(second.stream), ==, second.file->bytes->len);
    g_assert_cmpuint(fdset_stream_n_sections(second.stream), ==,
                     fdset_stream_n_sections(first.stream));
    open_index(&other, &shape, cache, 6); /* the file was changed */
    g_assert_false(fdset_pageindex_is_cached(other.index));
    g_assert_cmpuint(dir_count(cache, "."), ==, 2);
}

/* Wherever one byte of it is changed, or where it is cut: it is not used, and made anew. */
static void test_damaged(void)
{
    const StreamShape shape = {.resent = TRUE, BLOCKS};
    const guint64 flips[] = {0, 60, 4096, 4096 + 8 * 700, 4096 + 8 * 1503};
    g_autoptr(Dir) cache = dir_new();
    g_auto(Indexed) first = {0};
    g_autofree char *name = NULL;
    guint64 size;

    open_index(&first, &shape, cache, 5);
    name = cached_name(cache);
    {
        g_autoptr(GBytes) bytes = dir_read(cache, name);

        size = g_bytes_get_size(bytes);
    }
    for (guint i = 0; i <= G_N_ELEMENTS(flips) + 1; i++) {
        g_auto(Indexed) again = {0}, reused = {0};

        if (i < G_N_ELEMENTS(flips))
            dir_flip_byte(cache, name, flips[i]);
        else if (i == G_N_ELEMENTS(flips))
            dir_flip_byte(cache, name, size - 1); /* a page that was a delta */
        else
            dir_truncate(cache, name, size - PAGE);
        open_index(&again, &shape, cache, 5);
        g_assert_false(fdset_pageindex_is_cached(again.index));
        check_resent(&again);
        open_index(&reused, &shape, cache, 5);
        g_assert_true(fdset_pageindex_is_cached(reused.index));
    }
    g_assert_cmpuint(dir_count(cache, "."), ==, 1);
}

static void test_unfinished(void)
{
    const StreamShape shape = {.unfinished = TRUE, BLOCKS};
    g_autoptr(Dir) cache = dir_new();
    g_auto(Indexed) indexed = {0};

    open_index(&indexed, &shape, cache, 0);
    g_assert_no_error(indexed.error);
    g_assert_nonnull(indexed.problem);
    check_first_round(&indexed, 0);
    g_assert_cmpuint(dir_count(cache, "."), ==, 0);
}

static void test_refused(void)
{
    const StreamShape compressed = {.resent = TRUE, .compressed = TRUE, BLOCKS};
    const StreamShape resent = {.resent = TRUE, BLOCKS};
    g_auto(Indexed) indexed = {0}, broken = {0};
    const FdsetPageIndexOptions options = {.dirfd = -1};

    open_index(&indexed, &compressed, NULL, 0);
    g_assert_null(indexed.index);
    g_assert_error(indexed.error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(indexed.error->message, "compressed"));
    /* The last delta says that more stays than a page has; its head and pages are shown. */
    open_index(&broken, &resent, NULL, 0);
    g_clear_pointer(&broken.stream, fdset_stream_free);
    g_clear_pointer(&broken.index, fdset_pageindex_free);
    broken.file->bytes->data[stream_file_at(broken.file, "delta")] = 0xff;
    broken.index = fdset_pageindex_open(&options, &broken.source, 0, &broken.stream,
                                        &broken.problem, &broken.error);
    g_assert_no_error(broken.error);
    g_assert_error(broken.problem, FDSET_ERROR, FDSET_ERROR_FORMAT);
    g_assert_nonnull(strstr(broken.problem->message, "is no delta"));
}

static void test_full_disk(void)
{
    const StreamShape shape = {BLOCKS};
    g_autoptr(Dir) cache = dir_new();
    g_auto(Indexed) indexed = {0};

    file_size_limit(2 * PAGE);
    open_index(&indexed, &shape, cache, 0);
    file_size_unlimit();
    g_assert_null(indexed.index);
    g_assert_error(indexed.error, FDSET_ERROR, FDSET_ERROR_SYSTEM);
    g_assert_cmpuint(dir_count(cache, "."), ==, 0);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/pageindex/each page is found", test_found);
    g_test_add_func("/pageindex/pages of zeros are holes", test_holes);
    g_test_add_func("/pageindex/the last record of a page counts, deltas too", test_resent);
    g_test_add_func("/pageindex/it is kept for the file it is of", test_cached);
    g_test_add_func("/pageindex/a damaged one is made anew", test_damaged);
    g_test_add_func("/pageindex/an interrupted save has the pages that are there", test_unfinished);
    g_test_add_func("/pageindex/what cannot be decoded is refused", test_refused);
    g_test_add_func("/pageindex/a full disk is an error, and nothing stays", test_full_disk);
    return g_test_run();
}
