/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/lime.h"
#include "core/bytes.h"
#include "core/error.h"

#define LIME_MAGIC 0x4c694d45
#define LIME_VERSION 1

static void add_header(FdsetMemview *view, const FdsetGpaRange *range)
{
    GByteArray *bytes = g_byte_array_new();
    g_autoptr(GBytes) header = NULL;

    fdset_bytes_le32(bytes, LIME_MAGIC);
    fdset_bytes_le32(bytes, LIME_VERSION);
    fdset_bytes_le64(bytes, range->address);
    fdset_bytes_le64(bytes, range->address + range->length - 1);
    fdset_bytes_le64(bytes, 0);
    header = g_byte_array_free_to_bytes(bytes);
    fdset_memview_add_bytes(view, header);
}

FdsetMemview *fdset_lime_new(const FdsetGpa *gpa, GError **error)
{
    g_autoptr(FdsetMemview) view = fdset_memview_new();

    for (gsize i = 0; i < fdset_gpa_n_ranges(gpa); i++) {
        const FdsetGpaRange *range = fdset_gpa_range(gpa, i);

        add_header(view, range);
        fdset_memview_add_ram(view, range->block, range->offset, range->length);
    }
    if (fdset_gpa_n_ranges(gpa) == 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND, "no memory map is known");
        return NULL;
    }
    if (fdset_memview_is_whole(view))
        return g_steal_pointer(&view);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT, "larger than a file can be");
    return NULL;
}
