/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/gpa-internal.h"
#include "core/error.h"

#include <string.h>

/* Each of a stream's blocks may be in several pieces; a real map has a dozen. */
#define RANGES_MAX 65536

void fdset_gpa_note(FdsetGpa *gpa, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(gpa->notes, g_strdup_vprintf(format, args));
    va_end(args);
}

static void insert(FdsetGpa *gpa, guint at, const FdsetGpaRange *range, guint64 from, guint64 to)
{
    FdsetGpaRange piece = *range;

    if (from >= to || gpa->ranges->len >= RANGES_MAX)
        return;
    piece.offset += from - range->address;
    piece.address = from;
    piece.length = to - from;
    g_array_insert_val(gpa->ranges, at, piece);
}

void fdset_gpa_place(FdsetGpa *gpa, const FdsetGpaRange *range)
{
    guint64 from = range->address, end;
    FdsetGpaRange whole = *range;
    guint i;

    if (range->length == 0 || range->address > G_MAXINT64 ||
        range->length > G_MAXINT64 - range->address ||
        (range->block != NULL && fdset_ramblock_kind(range->block) == FDSET_RAMBLOCK_SHARED))
        return;
    end = range->address + range->length;
    whole.how = range->how == NULL ? NULL : g_string_chunk_insert_const(gpa->texts, range->how);
    for (i = 0; i < gpa->ranges->len && from < end; i++) {
        FdsetGpaRange there = g_array_index(gpa->ranges, FdsetGpaRange, i);

        if (there.address + there.length <= from)
            continue;
        if (there.address >= end)
            break;
        if (there.address > from)
            insert(gpa, i++, &whole, from, there.address);
        from = there.address + there.length;
    }
    insert(gpa, i, &whole, from, end);
}

static void drop_free_places(FdsetGpa *gpa)
{
    guint kept = 0;

    for (guint i = 0; i < gpa->ranges->len; i++) {
        FdsetGpaRange range = g_array_index(gpa->ranges, FdsetGpaRange, i);

        if (range.block != NULL)
            g_array_index(gpa->ranges, FdsetGpaRange, kept++) = range;
    }
    g_array_set_size(gpa->ranges, kept);
}

/* Cuts the last number and its colon off 'text'. */
static gboolean cut_number(char *text, guint64 *value)
{
    char *colon = strrchr(text, ':');
    gboolean hex;

    if (colon == NULL)
        return FALSE;
    *colon++ = '\0';
    hex = g_str_has_prefix(colon, "0x");
    return g_ascii_string_to_unsigned(colon + (hex ? 2 : 0), hex ? 16 : 10, 0, G_MAXINT64, value,
                                      NULL);
}

static gboolean take_override(FdsetGpa *gpa, const FdsetStream *stream, const char *text,
                              GError **error)
{
    g_autofree char *name = g_strdup(text);
    FdsetGpaRange range = {.how = "option gpa"};
    guint64 used;

    if (!cut_number(name, &range.address) || !cut_number(name, &range.length) ||
        !cut_number(name, &range.offset) || name[0] == '\0') {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "option gpa=%s: expected BLOCK:OFFSET:LENGTH:ADDRESS", text);
        return FALSE;
    }
    range.block = fdset_ram_find_block(fdset_stream_ram(stream), name);
    if (range.block == NULL) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE, "option gpa=%s: no RAM block '%s'", text,
                    name);
        return FALSE;
    }
    used = fdset_ramblock_used_length(range.block);
    if (range.length == 0 || range.offset > used || range.length > used - range.offset ||
        range.length > G_MAXINT64 - range.address) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "option gpa=%s: RAM block '%s' has 0x%" G_GINT64_MODIFIER "x bytes", text, name,
                    used);
        return FALSE;
    }
    fdset_gpa_place(gpa, &range);
    return TRUE;
}

FdsetGpa *fdset_gpa_new(const FdsetStream *stream, const FdsetGpaHints *hints, GError **error)
{
    g_autoptr(FdsetGpa) gpa = g_new0(FdsetGpa, 1);
    const char *const *overrides = hints->overrides;

    gpa->ranges = g_array_new(FALSE, FALSE, sizeof(FdsetGpaRange));
    gpa->notes = g_ptr_array_new_with_free_func(g_free);
    gpa->texts = g_string_chunk_new(256);
    for (; overrides != NULL && *overrides != NULL; overrides++) {
        if (!take_override(gpa, stream, *overrides, error))
            return NULL;
    }
    if (hints->domain_problem != NULL)
        fdset_gpa_note(gpa, "%s", hints->domain_problem);
    fdset_gpa_derive(gpa, stream, hints);
    drop_free_places(gpa);
    g_ptr_array_add(gpa->notes, NULL);
    return g_steal_pointer(&gpa);
}

FdsetArch fdset_gpa_arch(const FdsetGpa *gpa)
{
    return gpa->arch;
}

gsize fdset_gpa_n_ranges(const FdsetGpa *gpa)
{
    return gpa->ranges->len;
}

const FdsetGpaRange *fdset_gpa_range(const FdsetGpa *gpa, gsize i)
{
    g_return_val_if_fail(i < gpa->ranges->len, NULL);
    return &g_array_index(gpa->ranges, FdsetGpaRange, i);
}

const char *const *fdset_gpa_notes(const FdsetGpa *gpa)
{
    return (const char *const *)gpa->notes->pdata;
}

void fdset_gpa_free(FdsetGpa *gpa)
{
    if (gpa == NULL)
        return;
    g_array_unref(gpa->ranges);
    g_ptr_array_unref(gpa->notes);
    g_string_chunk_free(gpa->texts);
    g_free(gpa);
}
