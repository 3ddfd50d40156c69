/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmstate.h - the bytes of a device section as JSON, by its description.
 *
 * The description is what the stream itself carries (vmdesc.h; QEMU
 * migration/vmstate.c): fields one behind the other, an array with the size of
 * one element and array_len, structs with fields of their own, subsections with
 * a header. Every byte is accounted for: what does not fit to the last byte is
 * not decoded at all.
 *
 * Numbers of up to 32 bits become JSON integers, those of 64 bits text in hex
 * ("0x1f"; timers and int64 too), bytes of unknown meaning text in hex without
 * 0x; a field's name stands with its value, an array is an array.
 */
#ifndef FDSET_VMSTATE_H
#define FDSET_VMSTATE_H

#include <json-glib/json-glib.h>

/*
 * Decodes all of 'len' bytes by 'description', an object with fields and
 * subsections, to an object; the caller unrefs. *budget is how many values may
 * still be made and is lowered: what a hostile description asks for is not
 * bounded by the bytes it describes. Errors: FORMAT, LIMIT.
 */
JsonNode *fdset_vmstate_decode(JsonObject *description, gconstpointer bytes, gsize len,
                               gsize *budget, GError **error);

/* The value at 'path' ("subsections", "cpu/xsave", "env.xcr0") below 'state', or NULL. Borrowed. */
JsonNode *fdset_vmstate_find(JsonNode *state, const char *const *path);

/* A number as this module writes it; FALSE when 'node' (or NULL) is none. */
gboolean fdset_vmstate_number(JsonNode *node, guint64 *value);

/* The bytes of a hex text as this module writes it, or NULL; the caller frees. */
GBytes *fdset_vmstate_bytes(JsonNode *node);

#endif
