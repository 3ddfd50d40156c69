/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unpack.h - a file whose stream was compressed as a whole, unpacked.
 *
 * libvirt can pipe the stream through a program (gzip, bzip2, xz, zstd, lzop); what
 * stands in front of it is not compressed. There is no place for each page in
 * such a file, so it is unpacked once, in one pass, into a file without a name,
 * sparse, with what stands in front in its place: from then on it is like a file
 * that was never compressed. Immutable and thread-safe once it is made.
 */
#ifndef FDSET_UNPACK_H
#define FDSET_UNPACK_H

#include "core/libvirt.h"
#include "core/pageindex.h"

typedef struct FdsetUnpacked FdsetUnpacked;

/* The format of what starts at 'offset', by its magic; RAW when it is none that is known. */
FdsetLibvirtFormat fdset_unpack_probe(const FdsetSource *source, guint64 offset);

/* Has this build a library for the format? */
gboolean fdset_unpack_is_possible(FdsetLibvirtFormat format);

/*
 * Unpacks what starts at 'offset'. Of 'options' directory and progress count.
 * Errors: UNSUPPORTED (no library for it here), CORRUPT and TRUNCATED (the
 * compressed data), NO_SPACE (also before less than 256 MiB are left on the
 * disk), LIMIT (longer than an image can be), SYSTEM.
 */
FdsetUnpacked *fdset_unpack(const FdsetSource *source, guint64 offset, FdsetLibvirtFormat format,
                            const FdsetPageIndexOptions *options, GError **error);

/* The bytes; borrowed, lives as long as 'unpacked'. */
const FdsetSource *fdset_unpacked_source(const FdsetUnpacked *unpacked);

void fdset_unpacked_free(FdsetUnpacked *unpacked);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetUnpacked, fdset_unpacked_free)

#endif
