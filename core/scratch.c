/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/scratch.h"

gpointer fdset_scratch(void)
{
    static GPrivate scratch = G_PRIVATE_INIT(g_aligned_free);
    gpointer buf = g_private_get(&scratch);

    if (!buf) {
        buf = g_aligned_alloc(1, FDSET_SCRATCH_SIZE, 4096);
        g_private_set(&scratch, buf);
    }
    return buf;
}
