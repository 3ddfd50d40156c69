/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdesc.h - the stream's own description of its devices.
 *
 * Section type 0x06 behind the EOF marker (QEMU migration/savevm.c and
 * vmstate.c, json in docs/devel/migration): be32 length and a JSON object
 * {configuration, page_size, devices: [...]}, the end of the file. Each device
 * has name, instance_id, version, and fields with the bytes each takes in its
 * section; a field with array_len stands for so many of the same size;
 * subsections have a header of their own. Devices stand in stream order. Some
 * machine types, and -machine suppress-vmdesc=on, leave the description out.
 *
 * The JSON is hostile: size and depth are checked in one pass without
 * recursion, which also finds where each device stands, and json-glib only ever
 * sees one device of bounded size that core/jsontext.h let through. Immutable.
 */
#ifndef FDSET_VMDESC_H
#define FDSET_VMDESC_H

#include "core/reader.h"

#include <json-glib/json-glib.h>

typedef struct FdsetVmdesc FdsetVmdesc;

/* One device as the description has it; borrowed from it. */
typedef struct {
    const char *name;    /* the section's idstr */
    guint32 instance_id; /* of the section */
    guint64 length;      /* bytes of the section's body, header and footer not counted */
    gboolean has_length; /* FALSE when the sizes of its fields make no sense */
} FdsetVmdescDevice;

/*
 * Looks for a description that ends exactly where the source does, by a
 * bounded search from there; not before 'from'. Sets *offset to that of its
 * type byte and *len to the bytes of JSON, and returns TRUE when there is one.
 * FALSE without an error when there is none. Error: SYSTEM.
 */
gboolean fdset_vmdesc_find(const FdsetSource *source, guint64 from, guint64 *offset, guint32 *len,
                           GError **error);

/*
 * Reads the description whose type byte is at 'offset', as found. Errors: LIMIT
 * for its size, its depth, the number of devices or the JSON of one of them,
 * FORMAT when it is no such JSON.
 */
FdsetVmdesc *fdset_vmdesc_read(const FdsetSource *source, guint64 offset, guint32 len,
                               GError **error);

/* Absolute offset of the section's type byte: the byte before it is the EOF marker. */
guint64 fdset_vmdesc_offset(const FdsetVmdesc *vmdesc);

/* Bytes of a target page, a power of two, or 0 when it does not say. */
guint64 fdset_vmdesc_page_size(const FdsetVmdesc *vmdesc);

gsize fdset_vmdesc_n_devices(const FdsetVmdesc *vmdesc);
const FdsetVmdescDevice *fdset_vmdesc_device(const FdsetVmdesc *vmdesc, gsize i);

/* The JSON object of device 'i', parsed anew: the caller unrefs. Errors: FORMAT, LIMIT. */
JsonNode *fdset_vmdesc_device_json(const FdsetVmdesc *vmdesc, gsize i, GError **error);

/*
 * Bytes that an object with fields and subsections takes in the stream: what
 * one device, struct or subsection is made of. FALSE when it makes no sense.
 */
gboolean fdset_vmdesc_body_length(JsonObject *object, guint64 *length);

void fdset_vmdesc_free(FdsetVmdesc *vmdesc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetVmdesc, fdset_vmdesc_free)

#endif
