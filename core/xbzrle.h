/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xbzrle.h - pages that were sent as what changed in them.
 *
 * The encoding (QEMU migration/xbzrle.c): pairs of runs, first bytes that stay
 * as they are, then bytes that are replaced; each run begins with its length as
 * a LEB128 of one or two bytes, and the second is followed by its bytes.
 */
#ifndef FDSET_XBZRLE_H
#define FDSET_XBZRLE_H

#include <glib.h>

/*
 * Applies 'len' bytes of a delta to 'page' of 'page_size' bytes. FALSE, with the
 * page in any state: it reaches behind the page, ends in the middle, or has an
 * empty run where there must be bytes.
 */
gboolean fdset_xbzrle_apply(const guint8 *delta, gsize len, guint8 *page, gsize page_size);

#endif
