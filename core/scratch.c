/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/scratch.h"

#include <sys/mman.h>

/* One huge page, where the architecture has them of this size: the least there is to get. */
#define HUGE_PAGE (2u << 20)

G_STATIC_ASSERT(FDSET_SCRATCH_SIZE <= HUGE_PAGE);

gpointer fdset_buffer_new(void)
{
    gpointer buf = g_aligned_alloc(1, HUGE_PAGE, HUGE_PAGE);

    madvise(buf, HUGE_PAGE, MADV_HUGEPAGE); /* only an advice: plain pages do as well */
    return buf;
}

void fdset_buffer_free(gpointer buf)
{
    g_aligned_free(buf);
}

gpointer fdset_scratch(void)
{
    static GPrivate scratch = G_PRIVATE_INIT(fdset_buffer_free);
    gpointer buf = g_private_get(&scratch);

    if (!buf) {
        buf = fdset_buffer_new();
        g_private_set(&scratch, buf);
    }
    return buf;
}
