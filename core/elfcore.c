/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/elfcore.h"
#include "core/bytes.h"
#include "core/error.h"

#include <elf.h>

#define PAGE 4096
#define HEADERS_MAX ((8192 - sizeof(Elf64_Ehdr)) / sizeof(Elf64_Phdr))

/* A piece of memory without a gap. */
typedef struct {
    guint64 address;
    guint64 length;
} Piece;

static GArray *find_pieces(const FdsetGpa *gpa)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(Piece));

    for (gsize i = 0; i < fdset_gpa_n_ranges(gpa); i++) {
        const FdsetGpaRange *range = fdset_gpa_range(gpa, i);
        Piece piece = {range->address, range->length};
        Piece *last = pieces->len > 0 ? &g_array_index(pieces, Piece, pieces->len - 1) : NULL;

        if (last != NULL && last->address + last->length == piece.address)
            last->length += piece.length;
        else
            g_array_append_val(pieces, piece);
    }
    return pieces;
}

static guint16 machine_of(const FdsetGpa *gpa)
{
    switch (fdset_gpa_arch(gpa)) {
    case FDSET_ARCH_X86_64:
        return EM_X86_64;
    case FDSET_ARCH_AARCH64:
        return EM_AARCH64;
    case FDSET_ARCH_RISCV64:
        return EM_RISCV;
    case FDSET_ARCH_UNKNOWN:
        break;
    }
    return EM_NONE;
}

static void append_header(GByteArray *bytes, guint16 machine, guint n_headers)
{
    const guint8 ident[EI_NIDENT] = {ELFMAG0,    ELFMAG1,     ELFMAG2,    ELFMAG3,
                                     ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE};

    g_byte_array_append(bytes, ident, sizeof ident);
    fdset_bytes_le16(bytes, ET_CORE);
    fdset_bytes_le16(bytes, machine);
    fdset_bytes_le32(bytes, EV_CURRENT);
    fdset_bytes_le64(bytes, 0);                  /* entry */
    fdset_bytes_le64(bytes, sizeof(Elf64_Ehdr)); /* program headers */
    fdset_bytes_le64(bytes, 0);                  /* section headers */
    fdset_bytes_le32(bytes, 0);                  /* flags */
    fdset_bytes_le16(bytes, sizeof(Elf64_Ehdr));
    fdset_bytes_le16(bytes, sizeof(Elf64_Phdr));
    fdset_bytes_le16(bytes, (guint16)n_headers);
    fdset_bytes_le16(bytes, 0); /* no sections */
    fdset_bytes_le16(bytes, 0);
    fdset_bytes_le16(bytes, SHN_UNDEF);
}

static void append_segment(GByteArray *bytes, guint32 type, guint64 offset, guint64 address,
                           guint64 length)
{
    gboolean is_note = type == PT_NOTE;

    fdset_bytes_le32(bytes, type);
    fdset_bytes_le32(bytes, is_note ? PF_R : PF_R | PF_W | PF_X);
    fdset_bytes_le64(bytes, offset);
    fdset_bytes_le64(bytes, address);
    fdset_bytes_le64(bytes, address);
    fdset_bytes_le64(bytes, length);
    fdset_bytes_le64(bytes, length);
    /* crash takes a core whose pieces have an alignment for one of netdump, not of kdump. */
    fdset_bytes_le64(bytes, is_note ? 4 : 0);
}

static guint64 round_up(guint64 value)
{
    return (value + PAGE - 1) / PAGE * PAGE;
}

/* Everything before the memory, which starts at a multiple of PAGE. */
static GBytes *render_head(const FdsetGpa *gpa, const GArray *pieces, GBytes *notes)
{
    GByteArray *bytes = g_byte_array_new();
    guint n_headers = pieces->len + (g_bytes_get_size(notes) > 0 ? 1 : 0);
    guint64 notes_at = sizeof(Elf64_Ehdr) + n_headers * sizeof(Elf64_Phdr);
    guint64 at = round_up(notes_at + g_bytes_get_size(notes)), start = at;

    append_header(bytes, machine_of(gpa), n_headers);
    if (g_bytes_get_size(notes) > 0)
        append_segment(bytes, PT_NOTE, notes_at, 0, g_bytes_get_size(notes));
    for (guint i = 0; i < pieces->len; i++) {
        const Piece *piece = &g_array_index(pieces, Piece, i);

        append_segment(bytes, PT_LOAD, at, piece->address, piece->length);
        at += round_up(piece->length);
    }
    g_byte_array_append(bytes, g_bytes_get_data(notes, NULL), (guint)g_bytes_get_size(notes));
    fdset_bytes_zeros(bytes, (gsize)start - bytes->len);
    return g_byte_array_free_to_bytes(bytes);
}

static gboolean is_aligned(const GArray *pieces)
{
    for (guint i = 0; i < pieces->len; i++) {
        if (g_array_index(pieces, Piece, i).address % PAGE != 0)
            return FALSE;
    }
    return TRUE;
}

static void add_memory(FdsetMemview *view, const FdsetGpa *gpa)
{
    guint64 end = 0;

    for (gsize i = 0; i < fdset_gpa_n_ranges(gpa); i++) {
        const FdsetGpaRange *range = fdset_gpa_range(gpa, i);

        if (range->address != end)
            fdset_memview_pad(view, round_up(fdset_memview_size(view)));
        fdset_memview_add_ram(view, range->block, range->offset, range->length);
        end = range->address + range->length;
    }
}

FdsetMemview *fdset_elfcore_new(const FdsetGpa *gpa, GBytes *notes, GError **error)
{
    g_autoptr(GArray) pieces = find_pieces(gpa);
    g_autoptr(FdsetMemview) view = fdset_memview_new();
    g_autoptr(GBytes) head = NULL;

    if (pieces->len == 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND, "no memory map is known");
        return NULL;
    }
    if (pieces->len + 1 > HEADERS_MAX || !is_aligned(pieces)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT,
                    "%u pieces of memory, expected at most %u, at multiples of %d", pieces->len,
                    (guint)HEADERS_MAX - 1, PAGE);
        return NULL;
    }
    head = render_head(gpa, pieces, notes);
    fdset_memview_add_bytes(view, head);
    add_memory(view, gpa);
    if (fdset_memview_is_whole(view))
        return g_steal_pointer(&view);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT, "larger than a file can be");
    return NULL;
}
