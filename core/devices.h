/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * devices.h - the device sections of a stream, decoded with its own description.
 *
 * A device is a FULL section. It is decoded when the description lists it and
 * accounts for all of its bytes; any other is raw: its bytes and the reason. A
 * section is read when it is asked for. Immutable and thread-safe.
 */
#ifndef FDSET_DEVICES_H
#define FDSET_DEVICES_H

#include "core/stream.h"

typedef struct FdsetDevices FdsetDevices;

/* Both are borrowed. A stream of which only the head was parsed has no devices. */
FdsetDevices *fdset_devices_new(const FdsetSource *source, const FdsetStream *stream);

gsize fdset_devices_count(const FdsetDevices *devices);

/* The section of device 'i', in stream order; borrowed. */
const FdsetSection *fdset_devices_section(const FdsetDevices *devices, gsize i);

/*
 * The state of device 'i' (vmstate.h), or NULL when it is raw; the caller
 * unrefs. *budget: see fdset_vmstate_decode(). Errors: UNSUPPORTED when nothing
 * describes it, FORMAT, LIMIT, SYSTEM.
 */
JsonNode *fdset_devices_decode(const FdsetDevices *devices, gsize i, gsize *budget, GError **error);

/* The state of the first device of that name and instance, or NULL when it is raw or not there. */
JsonNode *fdset_devices_find(const FdsetDevices *devices, const char *name, guint32 instance_id);

/* All of them as the text of devices.json; see fdsetfs(8). */
GBytes *fdset_devices_render(const FdsetDevices *devices);

void fdset_devices_free(FdsetDevices *devices);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetDevices, fdset_devices_free)

#endif
