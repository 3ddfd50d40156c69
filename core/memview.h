/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memview.h - a read-only file put together from segments.
 *
 * A segment is zeros, bytes in memory, a range of the source, or a range of a
 * RAM block; they follow each other without gaps. Everything that is shown of a
 * migration file is one of these, so reading and seeking are in one place.
 * Built first, then immutable: reading is safe from any number of threads.
 * Nothing is read before it is asked for, and the cost of building does not
 * depend on the sizes.
 */
#ifndef FDSET_MEMVIEW_H
#define FDSET_MEMVIEW_H

#include "core/ramblock.h"

typedef struct FdsetMemview FdsetMemview;

FdsetMemview *fdset_memview_new(void);

/*
 * Each adds a segment at the end; one without bytes is none. Blocks and sources
 * are borrowed, bytes are referenced. What would make the view larger than
 * G_MAXINT64 is left out, and fdset_memview_is_whole() says FALSE from then on.
 */
void fdset_memview_add_zeros(FdsetMemview *view, guint64 len);
void fdset_memview_add_bytes(FdsetMemview *view, GBytes *bytes);
void fdset_memview_add_source(FdsetMemview *view, const FdsetSource *source, guint64 offset,
                              guint64 len);
void fdset_memview_add_ram(FdsetMemview *view, const FdsetRamblock *block, guint64 offset,
                           guint64 len);

/* Zeros up to 'size', which is not below the size so far. */
void fdset_memview_pad(FdsetMemview *view, guint64 size);

gboolean fdset_memview_is_whole(const FdsetMemview *view);

/* Bytes. */
guint64 fdset_memview_size(const FdsetMemview *view);

/* As pread(2): the count, short only at the end, or -errno. */
gssize fdset_memview_pread(const FdsetMemview *view, gpointer buf, gsize len, guint64 offset);

/* As lseek(2) with SEEK_DATA and SEEK_HOLE: -ENXIO when there is none. */
gint64 fdset_memview_next_data(const FdsetMemview *view, guint64 offset);
gint64 fdset_memview_next_hole(const FdsetMemview *view, guint64 offset);

/*
 * Bytes that are no hole. Reads the bitmaps of all RAM in the view: 32 KiB for
 * each GiB. -errno as pread.
 */
gint64 fdset_memview_data_bytes(const FdsetMemview *view);

void fdset_memview_free(FdsetMemview *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetMemview, fdset_memview_free)

#endif
