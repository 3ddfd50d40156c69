/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/ram.h"
#include "core/error.h"

/* A VM has a few dozen; 256 DIMMs, 1024 memory slots of virtio-mem and ROMs fit well. */
#define BLOCKS_MAX 8192

/* Target pages are 1 KiB at least, so the low ten bits of a word are flags. */
#define FLAGS_MASK G_GUINT64_CONSTANT(0x3ff)
#define FLAG_ZERO 0x02
#define FLAG_MEM_SIZE 0x04
#define FLAG_PAGE 0x08
#define FLAG_EOS 0x10
#define FLAG_CONTINUE 0x20
#define FLAG_XBZRLE 0x40
#define FLAG_COMPRESS_PAGE 0x100
#define FLAG_MULTIFD_FLUSH 0x200

#define XBZRLE_ENCODING 0x01

struct FdsetRam {
    FdsetRamLayout layout;
    guint64 page_size; /* bytes of a page in page records */
    GPtrArray *blocks; /* owned, of FdsetRamblock, in stream order */
    GHashTable *names; /* of the same, by name; borrows both */
};

static gboolean add_block(FdsetRam *ram, FdsetReader *reader, guint64 *left, GError **error)
{
    guint64 offset = fdset_reader_tell(reader);
    FdsetRamblock *block;

    if (ram->blocks->len == BLOCKS_MAX)
        return fdset_reader_refuse(reader, error, FDSET_ERROR_LIMIT,
                                   "more RAM blocks at " FDSET_HEX " than the %d expected at most",
                                   offset, BLOCKS_MAX);
    block = fdset_ramblock_read(reader, &ram->layout, *left, error);
    if (block == NULL)
        return FALSE;
    g_ptr_array_add(ram->blocks, block);
    *left -= fdset_ramblock_used_length(block);
    if (!g_hash_table_insert(ram->names, (gpointer)fdset_ramblock_name(block), block)) {
        g_autofree char *shown = g_strescape(fdset_ramblock_name(block), NULL);

        return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                   "a second RAM block '%s' at " FDSET_HEX, shown, offset);
    }
    return TRUE;
}

static gboolean read_blocks(FdsetRam *ram, FdsetReader *reader, GError **error)
{
    guint64 offset = fdset_reader_tell(reader);
    guint64 word, left;

    if (!fdset_reader_u64(reader, &word, "size of all RAM", error))
        return FALSE;
    if ((word & FLAGS_MASK) != FLAG_MEM_SIZE)
        return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                   "word " FDSET_HEX " at " FDSET_HEX
                                   " where the ram section starts, expected the size of all RAM",
                                   word, offset);
    for (left = word & ~FLAGS_MASK; left > 0;) {
        if (!add_block(ram, reader, &left, error))
            return FALSE;
    }
    return TRUE;
}

FdsetRam *fdset_ram_read(FdsetReader *reader, const FdsetRamLayout *layout, guint64 page_size,
                         GError **error)
{
    g_autoptr(FdsetRam) ram = g_new0(FdsetRam, 1);
    const FdsetRamblock *last = NULL;

    ram->layout = *layout;
    ram->page_size = page_size;
    ram->blocks = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_ramblock_free);
    ram->names = g_hash_table_new(g_str_hash, g_str_equal);
    if (!read_blocks(ram, reader, error) || !fdset_ram_walk(ram, reader, &last, NULL, NULL, error))
        return NULL;
    return g_steal_pointer(&ram);
}

/* Sets page->block, which is that of the record before. */
static gboolean read_block_name(const FdsetRam *ram, FdsetReader *reader, guint64 flags,
                                FdsetPage *page, GError **error)
{
    guint64 offset = fdset_reader_tell(reader);
    g_autofree char *name = NULL;
    g_autofree char *shown = NULL;

    if (flags & FLAG_CONTINUE) {
        if (page->block != NULL)
            return TRUE;
        return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                   "page record before " FDSET_HEX
                                   " goes on with a RAM block, but there was none before it",
                                   offset);
    }
    name = fdset_reader_counted_name(reader, "RAM block name of a page record", error);
    if (name == NULL)
        return FALSE;
    page->block = fdset_ram_find_block(ram, name);
    if (page->block != NULL)
        return TRUE;
    shown = g_strescape(name, NULL);
    return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                               "page record at " FDSET_HEX " is of RAM block '%s', expected one "
                               "of those that the ram section lists",
                               offset, shown);
}

static gboolean check_page(const FdsetRam *ram, FdsetReader *reader, const FdsetPage *page,
                           GError **error)
{
    guint64 length = fdset_ramblock_used_length(page->block);

    if (page->offset < length && ram->page_size <= length - page->offset)
        return TRUE;
    return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                               "page record before " FDSET_HEX " is of offset " FDSET_HEX
                               " in a RAM block of " FDSET_HEX " bytes",
                               fdset_reader_tell(reader), page->offset, length);
}

static gboolean read_xbzrle(FdsetReader *reader, FdsetPage *page, GError **error)
{
    const char *what = "XBZRLE page";
    guint8 encoding;
    guint16 len;

    if (!fdset_reader_u8(reader, &encoding, what, error) ||
        !fdset_reader_u16(reader, &len, what, error))
        return FALSE;
    if (encoding != XBZRLE_ENCODING)
        return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                   "%s before " FDSET_HEX " has encoding %u, expected %d", what,
                                   fdset_reader_tell(reader), encoding, XBZRLE_ENCODING);
    page->encoding = FDSET_PAGE_XBZRLE;
    page->len = len;
    return TRUE;
}

/* The part of a record that depends on its kind; TRUE with page->len bytes left to step over. */
static gboolean read_page_head(const FdsetRam *ram, FdsetReader *reader, guint64 kind,
                               FdsetPage *page, GError **error)
{
    page->len = 0;
    switch (kind) {
    case FLAG_ZERO:
        page->encoding = FDSET_PAGE_FILL;
        return fdset_reader_u8(reader, &page->fill, "fill byte of a page", error);
    case FLAG_PAGE:
        page->encoding = FDSET_PAGE_PLAIN;
        page->len = (guint32)ram->page_size;
        return TRUE;
    case FLAG_COMPRESS_PAGE:
        page->encoding = FDSET_PAGE_COMPRESSED;
        return fdset_reader_u32(reader, &page->len, "length of a compressed page", error);
    default:
        return read_xbzrle(reader, page, error);
    }
}

static gboolean read_page(const FdsetRam *ram, FdsetReader *reader, guint64 word, FdsetPage *page,
                          GError **error)
{
    page->offset = word & ~FLAGS_MASK;
    if (ram->layout.mapped_ram)
        return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                   "page record before " FDSET_HEX
                                   ", expected none in a mapped-ram stream",
                                   fdset_reader_tell(reader));
    if (!read_block_name(ram, reader, word & FLAGS_MASK, page, error) ||
        !check_page(ram, reader, page, error) ||
        !read_page_head(ram, reader, word & FLAGS_MASK & ~(guint64)FLAG_CONTINUE, page, error))
        return FALSE;
    page->data = fdset_reader_tell(reader);
    return fdset_reader_skip(reader, page->len, "page", error);
}

gboolean fdset_ram_walk(const FdsetRam *ram, FdsetReader *reader, const FdsetRamblock **last,
                        FdsetPageFunc func, gpointer opaque, GError **error)
{
    FdsetPage page = {.block = *last};
    guint64 word;

    while (fdset_reader_u64(reader, &word, "word of the ram section", error)) {
        switch (word & FLAGS_MASK & ~(guint64)FLAG_CONTINUE) {
        case FLAG_EOS:
            *last = page.block;
            return TRUE;
        case FLAG_MULTIFD_FLUSH:
            break;
        case FLAG_ZERO:
        case FLAG_PAGE:
        case FLAG_XBZRLE:
        case FLAG_COMPRESS_PAGE:
            if (!read_page(ram, reader, word, &page, error) ||
                (func != NULL && !func(&page, opaque, error)))
                return FALSE;
            break;
        default:
            return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                       "word " FDSET_HEX " before " FDSET_HEX
                                       " in the ram section, expected a page record or the end",
                                       word, fdset_reader_tell(reader));
        }
    }
    return FALSE;
}

gsize fdset_ram_n_blocks(const FdsetRam *ram)
{
    return ram->blocks->len;
}

FdsetRamblock *fdset_ram_block(const FdsetRam *ram, gsize i)
{
    g_return_val_if_fail(i < ram->blocks->len, NULL);
    return g_ptr_array_index(ram->blocks, i);
}

FdsetRamblock *fdset_ram_find_block(const FdsetRam *ram, const char *name)
{
    return g_hash_table_lookup(ram->names, name);
}

guint64 fdset_ram_page_size(const FdsetRam *ram)
{
    return ram->page_size;
}

void fdset_ram_free(FdsetRam *ram)
{
    if (ram == NULL)
        return;
    g_clear_pointer(&ram->names, g_hash_table_unref);
    g_clear_pointer(&ram->blocks, g_ptr_array_unref);
    g_free(ram);
}
