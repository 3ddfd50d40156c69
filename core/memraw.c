/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/memraw.h"
#include "core/error.h"

FdsetMemview *fdset_memraw_new(const FdsetGpa *gpa, GError **error)
{
    g_autoptr(FdsetMemview) view = fdset_memview_new();

    if (fdset_gpa_n_ranges(gpa) == 0) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND, "no memory map is known");
        return NULL;
    }
    for (gsize i = 0; i < fdset_gpa_n_ranges(gpa); i++) {
        const FdsetGpaRange *range = fdset_gpa_range(gpa, i);

        fdset_memview_pad(view, range->address);
        fdset_memview_add_ram(view, range->block, range->offset, range->length);
    }
    return g_steal_pointer(&view);
}
