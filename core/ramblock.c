/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/ramblock-internal.h"
#include "core/error.h"

#define MAPPED_RAM_VERSION 1
/* Target pages of all QEMU targets lie between 1 KiB and 64 KiB; some room above. */
#define PAGE_SIZE_MIN 1024
#define PAGE_SIZE_MAX (1024 * 1024)

static gboolean is_power_of_two(guint64 value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static guint64 be64(const guint8 *bytes)
{
    guint64 value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

/*
 * Postcopy with huge pages puts the block's page size behind its length, and
 * nothing in the stream says so. It is a power of two, so its first byte is 0,
 * which starts no name, and its low bits are 0, which no flags word has. With
 * x-ignore-shared a guest address follows and may look the same: then it is
 * the word behind that decides.
 */
static gboolean skip_huge_page_size(FdsetReader *reader, const FdsetRamLayout *layout,
                                    GError **error)
{
    const guint8 *bytes = fdset_reader_peek(reader, 8, "word behind a RAM block's length", error);
    guint64 value, behind;

    if (bytes == NULL)
        return FALSE;
    value = be64(bytes);
    if (bytes[0] != 0 || value < PAGE_SIZE_MIN || !is_power_of_two(value))
        return TRUE;
    if (layout->ignores_shared) {
        bytes = fdset_reader_peek(reader, 16, "words behind a RAM block's length", error);
        if (bytes == NULL)
            return FALSE;
        behind = be64(bytes + 8);
        if (bytes[8] != 0 || behind % PAGE_SIZE_MIN != 0)
            return TRUE;
    }
    return fdset_reader_skip(reader, 8, "page size of a RAM block", error);
}

static gboolean refuse(const FdsetRamblock *block, FdsetReader *reader, int code, GError **error,
                       const char *format, ...) G_GNUC_PRINTF(5, 6);

static gboolean refuse(const FdsetRamblock *block, FdsetReader *reader, int code, GError **error,
                       const char *format, ...)
{
    g_autofree char *shown = g_strescape(block->name, NULL);
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    return fdset_reader_refuse(reader, error, code, "RAM block '%s': %s", shown, message);
}

/* That 'len' bytes at 'offset' lie between 'from' and the end of the source. */
static gboolean check_range(const FdsetRamblock *block, FdsetReader *reader, const char *what,
                            guint64 offset, guint64 len, guint64 from, GError **error)
{
    guint64 size = block->source->size;

    if (offset < from)
        return refuse(block, reader, FDSET_ERROR_FORMAT, error,
                      "%s at " FDSET_HEX " overlaps what is before it, expected " FDSET_HEX
                      " or behind",
                      what, offset, from);
    if (len > G_MAXUINT64 - offset)
        return refuse(block, reader, FDSET_ERROR_FORMAT, error,
                      "%s at " FDSET_HEX " and its length " FDSET_HEX " wrap around", what, offset,
                      len);
    if (offset > size || len > size - offset)
        return refuse(block, reader, FDSET_ERROR_TRUNCATED, error,
                      "%s at " FDSET_HEX " of " FDSET_HEX " bytes, but the file ends at " FDSET_HEX,
                      what, offset, len, size);
    return TRUE;
}

static gboolean check_page_size(const FdsetRamblock *block, FdsetReader *reader, GError **error)
{
    if (!is_power_of_two(block->page_size) || block->page_size < PAGE_SIZE_MIN ||
        block->page_size > PAGE_SIZE_MAX)
        return refuse(block, reader, FDSET_ERROR_FORMAT, error,
                      "page size " FDSET_HEX " before " FDSET_HEX
                      ", expected a power of two from %d to %d",
                      block->page_size, fdset_reader_tell(reader), PAGE_SIZE_MIN, PAGE_SIZE_MAX);
    if (block->used_length % block->page_size != 0)
        return refuse(block, reader, FDSET_ERROR_FORMAT, error,
                      "length " FDSET_HEX " before " FDSET_HEX
                      " is no multiple of its page size " FDSET_HEX,
                      block->used_length, fdset_reader_tell(reader), block->page_size);
    return TRUE;
}

/* The cursor is behind the header. */
static gboolean check_places(const FdsetRamblock *block, FdsetReader *reader, GError **error)
{
    guint64 pages = block->used_length / block->page_size;
    guint64 words = pages / FDSET_BITMAP_WORD_BITS + (pages % FDSET_BITMAP_WORD_BITS != 0);
    guint64 bitmap_len = words * FDSET_BITMAP_WORD_BYTES;

    if (!check_range(block, reader, "bitmap", block->bitmap_offset, bitmap_len,
                     fdset_reader_tell(reader), error))
        return FALSE;
    if (block->pages_offset % block->page_size != 0)
        return refuse(block, reader, FDSET_ERROR_FORMAT, error,
                      "pages at " FDSET_HEX ", expected a multiple of the page size " FDSET_HEX,
                      block->pages_offset, block->page_size);
    return check_range(block, reader, "pages", block->pages_offset, block->used_length,
                       block->bitmap_offset + bitmap_len, error);
}

static gboolean read_mapped_header(FdsetReader *reader, const FdsetRamLayout *layout,
                                   FdsetRamblock *block, GError **error)
{
    const char *what = "mapped-ram header";
    guint64 offset = fdset_reader_tell(reader);
    guint32 version;

    if (!fdset_reader_u32(reader, &version, what, error))
        return FALSE;
    if (version != MAPPED_RAM_VERSION)
        return refuse(block, reader, FDSET_ERROR_VERSION, error,
                      "%s at " FDSET_HEX " has version %u, expected %d", what, offset, version,
                      MAPPED_RAM_VERSION);
    if (!fdset_reader_u64(reader, &block->page_size, what, error) ||
        !fdset_reader_u64(reader, &block->bitmap_offset, what, error) ||
        !fdset_reader_u64(reader, &block->pages_offset, what, error))
        return FALSE;
    if (!check_page_size(block, reader, error))
        return FALSE;
    if (layout->ignores_shared && block->bitmap_offset == 0 && block->pages_offset == 0) {
        block->kind = FDSET_RAMBLOCK_SHARED;
        block->page_size = 0;
        return TRUE;
    }
    block->kind = FDSET_RAMBLOCK_MAPPED;
    if (!check_places(block, reader, error))
        return FALSE;
    fdset_reader_seek(reader, block->pages_offset + block->used_length);
    return TRUE;
}

FdsetRamblock *fdset_ramblock_read(FdsetReader *reader, const FdsetRamLayout *layout, guint64 left,
                                   GError **error)
{
    g_autoptr(FdsetRamblock) block = g_new0(FdsetRamblock, 1);
    guint64 offset;

    block->source = fdset_reader_source(reader);
    block->kind = FDSET_RAMBLOCK_STREAMED;
    block->name = fdset_reader_counted_name(reader, "RAM block name", error);
    offset = fdset_reader_tell(reader);
    if (block->name == NULL ||
        !fdset_reader_u64(reader, &block->used_length, "RAM block length", error))
        return NULL;
    if (block->used_length > left || block->used_length > G_MAXINT64) {
        refuse(block, reader, FDSET_ERROR_FORMAT, error,
               "length " FDSET_HEX " at " FDSET_HEX ", expected at most the " FDSET_HEX
               " that are left of all RAM",
               block->used_length, offset, MIN(left, (guint64)G_MAXINT64));
        return NULL;
    }
    if (!layout->mapped_ram && !skip_huge_page_size(reader, layout, error))
        return NULL;
    if (layout->ignores_shared) {
        if (!fdset_reader_u64(reader, &block->address, "guest address of a RAM block", error))
            return NULL;
        block->has_address = TRUE;
    }
    if (layout->mapped_ram && !read_mapped_header(reader, layout, block, error))
        return NULL;
    return g_steal_pointer(&block);
}

const char *fdset_ramblock_name(const FdsetRamblock *block)
{
    return block->name;
}

FdsetRamblockKind fdset_ramblock_kind(const FdsetRamblock *block)
{
    return block->kind;
}

guint64 fdset_ramblock_used_length(const FdsetRamblock *block)
{
    return block->used_length;
}

guint64 fdset_ramblock_page_size(const FdsetRamblock *block)
{
    return block->page_size;
}

guint64 fdset_ramblock_bitmap_offset(const FdsetRamblock *block)
{
    return block->bitmap_offset;
}

guint64 fdset_ramblock_pages_offset(const FdsetRamblock *block)
{
    return block->pages_offset;
}

gboolean fdset_ramblock_guest_address(const FdsetRamblock *block, guint64 *address)
{
    *address = block->address;
    return block->has_address;
}

void fdset_ramblock_set_big_endian(FdsetRamblock *block, gboolean big_endian)
{
    block->big_endian = big_endian;
}

void fdset_ramblock_free(FdsetRamblock *block)
{
    if (block == NULL)
        return;
    g_free(block->name);
    g_free(block);
}
