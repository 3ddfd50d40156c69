/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inspection.h - everything that is known of one migration file: where its
 * stream is, the stream, its devices, the memory map. What views are made of.
 *
 * The stream is where the caller says, behind a libvirt header, at the start of
 * the file, or where a bounded search finds one. A file in the old streaming
 * format is indexed in one pass, or the index is found in a cache; in any other
 * the cost depends on the number of blocks and devices, not on the size of
 * memory. A file whose save was interrupted is taken for what its beginning
 * tells, with the reason. Immutable and thread-safe once made.
 */
#ifndef FDSET_INSPECTION_H
#define FDSET_INSPECTION_H

#include "core/devices.h"
#include "core/gpa.h"
#include "core/libvirt.h"
#include "core/pageindex.h"
#include "core/stream.h"
#include "core/vmcoreinfo.h"

typedef struct FdsetInspection FdsetInspection;

/* Of the words of bitmaps, which hosts write as they have them. */
typedef enum {
    FDSET_BYTE_ORDER_AUTO, /* as the bits behind the last pages tell; little-endian when none do */
    FDSET_BYTE_ORDER_LITTLE,
    FDSET_BYTE_ORDER_BIG,
} FdsetByteOrder;

typedef struct {
    gboolean has_offset;
    guint64 offset;         /* of the stream, when has_offset */
    const FdsetPageIndexOptions *index; /* for streaming and compressed files; NULL: refused */
    const char *const *gpa; /* overrides for fdset_gpa_new(), or NULL */
    GBytes *domain_xml;     /* of the domain, in place of that in a libvirt header; or NULL */
    FdsetVmcoreinfoMode vmcoreinfo;
    FdsetByteOrder bitmap;
} FdsetInspectionOptions;

/*
 * 'source' is borrowed and outlives the inspection. Errors: those of the
 * stream's head and the libvirt header; FORMAT when no stream is found;
 * UNSUPPORTED for a compressed file that this build cannot unpack, naming the tool;
 * those of fdset_unpack();
 * those of fdset_pageindex_open(); USAGE for an override
 * and for XML given by the user that is none of a domain.
 */
FdsetInspection *fdset_inspection_new(const FdsetSource *source,
                                      const FdsetInspectionOptions *options, GError **error);

/* Parts, borrowed; libvirt is NULL when the file has no such header. */
const FdsetSource *fdset_inspection_source(const FdsetInspection *inspection);
const FdsetStream *fdset_inspection_stream(const FdsetInspection *inspection);
const FdsetLibvirt *fdset_inspection_libvirt(const FdsetInspection *inspection);
const FdsetDevices *fdset_inspection_devices(const FdsetInspection *inspection);
const FdsetGpa *fdset_inspection_gpa(const FdsetInspection *inspection);

/* The index of pages of a file in the streaming format, or NULL; borrowed. */
const FdsetPageIndex *fdset_inspection_index(const FdsetInspection *inspection);

/* Why the stream is not complete, or NULL when it is. */
const char *fdset_inspection_problem(const FdsetInspection *inspection);

/* How the byte order of the bitmaps is known: "told", "derived" or "assumed". */
const char *fdset_inspection_byte_order_source(const FdsetInspection *inspection);

/* The host that wrote the bitmaps was big-endian. */
gboolean fdset_inspection_is_big_endian(const FdsetInspection *inspection);

/* How many CPUs' states are in the notes, and the notes of an ELF core; borrowed. */
guint fdset_inspection_n_cpus(const FdsetInspection *inspection);
GBytes *fdset_inspection_notes(const FdsetInspection *inspection);

/* Whether there is a VMCOREINFO note of the guest among them. */
gboolean fdset_inspection_has_vmcoreinfo(const FdsetInspection *inspection);

void fdset_inspection_free(FdsetInspection *inspection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetInspection, fdset_inspection_free)

#endif
