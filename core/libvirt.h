/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt.h - the header that libvirt puts in front of QEMU's stream.
 *
 * libvirt src/qemu/qemu_saveimage.h, reference 4: 92 bytes at the start of the
 * file in the byte order of the host that wrote it: 16 bytes of magic
 * ("LibvirtQemudSave", or "LibvirtQemudPart" until the save has finished), u32
 * version, data length, was running, format, cookie offset, 14 unused. Then
 * 'data length' bytes: the domain's XML and a NUL, at the cookie offset
 * (relative to byte 92, 0 for none) the cookie's XML and a NUL, padding. The
 * stream follows, compressed as the format says. Immutable.
 */
#ifndef FDSET_LIBVIRT_H
#define FDSET_LIBVIRT_H

#include "core/source.h"

typedef struct FdsetLibvirt FdsetLibvirt;

/* The numbers are libvirt's. */
typedef enum {
    FDSET_LIBVIRT_RAW,
    FDSET_LIBVIRT_GZIP,
    FDSET_LIBVIRT_BZIP2,
    FDSET_LIBVIRT_XZ,
    FDSET_LIBVIRT_LZOP,
    FDSET_LIBVIRT_ZSTD,
    FDSET_LIBVIRT_SPARSE, /* mapped-ram, not compressed */
} FdsetLibvirtFormat;

/* Whether the source starts with one of libvirt's magics; FALSE also when it cannot be read. */
gboolean fdset_libvirt_probe(const FdsetSource *source);

/*
 * Reads the header. Errors: FORMAT (magic, a length or offset that does not
 * fit, text without its NUL), TRUNCATED, VERSION, UNSUPPORTED (a format of a
 * newer libvirt), LIMIT (more XML than anyone writes), SYSTEM.
 */
FdsetLibvirt *fdset_libvirt_read(const FdsetSource *source, GError **error);

/* FALSE while libvirt has not marked the file as finished. */
gboolean fdset_libvirt_is_finished(const FdsetLibvirt *libvirt);

/* Written on a host of the other byte order. */
gboolean fdset_libvirt_is_swapped(const FdsetLibvirt *libvirt);

/* Whether the guest was running when it was saved. */
gboolean fdset_libvirt_was_running(const FdsetLibvirt *libvirt);

FdsetLibvirtFormat fdset_libvirt_format(const FdsetLibvirt *libvirt);

/* "raw", "gzip", ... "sparse": also the name of the tool that unpacks it. */
const char *fdset_libvirt_format_name(FdsetLibvirtFormat format);

/* Where the domain's XML lies: absolute offset, bytes without the NUL. */
void fdset_libvirt_xml(const FdsetLibvirt *libvirt, guint64 *offset, guint64 *len);

/* The same of the cookie; FALSE when there is none. */
gboolean fdset_libvirt_cookie(const FdsetLibvirt *libvirt, guint64 *offset, guint64 *len);

/* Absolute offset of QEMU's stream, or of its compressed form. */
guint64 fdset_libvirt_stream_offset(const FdsetLibvirt *libvirt);

void fdset_libvirt_free(FdsetLibvirt *libvirt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetLibvirt, fdset_libvirt_free)

#endif
