/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/xbzrle.h"

#include <string.h>

/* How many bytes the number takes; 0: it is none. */
static gsize read_length(const guint8 *at, gsize left, gsize *value)
{
    if (left >= 1 && !(at[0] & 0x80)) {
        *value = at[0];
        return 1;
    }
    if (left < 2 || at[1] & 0x80)
        return 0;
    *value = (gsize)(at[0] & 0x7f) | (gsize)at[1] << 7;
    return 2;
}

gboolean fdset_xbzrle_apply(const guint8 *delta, gsize len, guint8 *page, gsize page_size)
{
    gsize from = 0, to = 0;

    while (from < len) {
        gsize same, changed;
        gsize used = read_length(delta + from, len - from, &same);

        from += used;
        if (used == 0 || (same == 0 && to != 0) || same > page_size - to)
            return FALSE;
        to += same;
        used = read_length(delta + from, len - from, &changed);
        from += used;
        if (used == 0 || changed == 0 || changed > page_size - to || changed > len - from)
            return FALSE;
        memcpy(page + to, delta + from, changed);
        from += changed;
        to += changed;
    }
    return TRUE;
}
