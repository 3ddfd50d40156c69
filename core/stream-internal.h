/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream-internal.h - what stream.c (the object) and stream-walk.c (the walk
 * that fills it) share, and nobody else includes.
 */
#ifndef FDSET_STREAM_INTERNAL_H
#define FDSET_STREAM_INTERNAL_H

#include "core/stream.h"

struct FdsetStream {
    guint64 start;                     /* absolute */
    guint64 end;                       /* absolute */
    FdsetConfiguration *configuration; /* owned */
    FdsetRam *ram;                     /* owned */
    FdsetVmdesc *vmdesc;               /* owned, or NULL */
    GPtrArray *sections;               /* owned, of FdsetSection */
};

/* What a walk is asked to do. */
typedef struct {
    gboolean head_only; /* stop behind the list of RAM blocks */
    FdsetPageVisitor visitor;
} FdsetStreamWalk;

/* Fills 'stream' (with 'start' and 'sections' set) from 'reader' at its start. */
gboolean fdset_stream_walk(FdsetStream *stream, FdsetReader *reader, const FdsetStreamWalk *how,
                           GError **error);

#endif
