/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h - a QEMU migration stream in a source, from its magic to its end.
 *
 * Header, configuration, sections, EOF marker, device description (reference 1;
 * QEMU migration/savevm.c). All offsets, also those inside the stream, are
 * absolute in the source. Two levels: the head is header, configuration and
 * RAM blocks, a few small reads a block whatever the image's size; the whole
 * stream adds every section to the last byte. A device section has the length
 * its description gives, checked by its footer; where that does not fit, and
 * for sections nobody describes, the end is searched for and the section is
 * marked as not exact.
 *
 * A parsed stream is immutable and may be read from several threads.
 */
#ifndef FDSET_STREAM_H
#define FDSET_STREAM_H

#include "core/configuration.h"
#include "core/ram.h"
#include "core/section.h"
#include "core/vmdesc.h"

typedef struct FdsetStream FdsetStream;

/*
 * Parses the stream that starts at 'start' to its end. 'source' is borrowed and
 * must outlive the stream and its blocks. Succeeds only for a complete stream:
 * its ram section has an end, all sections behind it are accounted for, the EOF
 * marker follows, and the file ends there or exactly where the device
 * description does. Errors: TRUNCATED and FORMAT say in a user's words what is
 * missing ("fdset 7: ram section has no end: the save was interrupted ...");
 * VERSION, UNSUPPORTED, LIMIT, SYSTEM.
 */
FdsetStream *fdset_stream_parse(const FdsetSource *source, guint64 start, GError **error);

/* The head only; the stream may be incomplete behind it. Errors as above. */
FdsetStream *fdset_stream_parse_head(const FdsetSource *source, guint64 start, GError **error);

/* Who looks at the pages of a streaming image while it is parsed. Each may be NULL. */
typedef struct {
    FdsetPageFunc page; /* gets every page record, in stream order */
    /* A part of the ram section was walked: pages from 'body' up to 'end', absolute. */
    void (*part)(gpointer opaque, guint64 body, guint64 end, gboolean is_last);
    /* Where that part ends, as told before: it is stepped over; 0: it is walked. */
    guint64 (*skip)(gpointer opaque, guint64 body);
    gpointer opaque;
} FdsetPageVisitor;

/* Parses as fdset_stream_parse(), in one pass with big reads. */
FdsetStream *fdset_stream_parse_pages(const FdsetSource *source, guint64 start,
                                      const FdsetPageVisitor *visitor, GError **error);

/*
 * TRUE when fdset_stream_parse() succeeds; FALSE with its reason else. A stream
 * whose description was left out on purpose (machine types of old,
 * suppress-vmdesc=on) is complete when its EOF marker is the very last byte:
 * no reader can tell it from one that lost exactly the description, and QEMU
 * loads both.
 */
gboolean fdset_stream_is_complete(const FdsetSource *source, guint64 start, GError **error);

/* Absolute offset of the magic, and of the byte behind the last one parsed. */
guint64 fdset_stream_start(const FdsetStream *stream);
guint64 fdset_stream_end(const FdsetStream *stream);

/* Parts of the stream, borrowed. The ram sections are never NULL. */
const FdsetConfiguration *fdset_stream_configuration(const FdsetStream *stream);
FdsetRam *fdset_stream_ram(const FdsetStream *stream);

/* The device description, or NULL when the stream has none or only its head was parsed. */
const FdsetVmdesc *fdset_stream_vmdesc(const FdsetStream *stream);

/* START and FULL sections in stream order; borrowed. */
gsize fdset_stream_n_sections(const FdsetStream *stream);
const FdsetSection *fdset_stream_section(const FdsetStream *stream, gsize i);

void fdset_stream_free(FdsetStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetStream, fdset_stream_free)

#endif
