/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/devices.h"
#include "core/error.h"
#include "core/vmstate.h"

#include <string.h>

/* Real sections have some KiB; the largest, of 3D graphics, some MiB. */
#define SECTION_MAX (16 * 1024 * 1024)
/* Values of all devices in devices.json: 4096 vCPUs have 400 each. */
#define VALUES_MAX 4000000

struct FdsetDevices {
    const FdsetSource *source; /* borrowed */
    const FdsetStream *stream; /* borrowed */
    GArray *sections;          /* owned, of guint: numbers of sections of the stream */
};

FdsetDevices *fdset_devices_new(const FdsetSource *source, const FdsetStream *stream)
{
    FdsetDevices *devices = g_new0(FdsetDevices, 1);

    devices->source = source;
    devices->stream = stream;
    devices->sections = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < fdset_stream_n_sections(stream); i++) {
        if (fdset_stream_section(stream, i)->type == FDSET_SECTION_FULL)
            g_array_append_val(devices->sections, i);
    }
    return devices;
}

gsize fdset_devices_count(const FdsetDevices *devices)
{
    return devices->sections->len;
}

const FdsetSection *fdset_devices_section(const FdsetDevices *devices, gsize i)
{
    g_return_val_if_fail(i < devices->sections->len, NULL);
    return fdset_stream_section(devices->stream, g_array_index(devices->sections, guint, i));
}

static JsonNode *description_of(const FdsetDevices *devices, const FdsetSection *section,
                                GError **error)
{
    const FdsetVmdesc *vmdesc = fdset_stream_vmdesc(devices->stream);

    if (vmdesc != NULL && section->device >= 0)
        return fdset_vmdesc_device_json(vmdesc, (gsize)section->device, error);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED, "the stream does not describe it");
    return NULL;
}

JsonNode *fdset_devices_decode(const FdsetDevices *devices, gsize i, gsize *budget, GError **error)
{
    const FdsetSection *section = fdset_devices_section(devices, i);
    g_autoptr(JsonNode) description = description_of(devices, section, error);
    g_autofree guint8 *bytes = NULL;

    if (description == NULL)
        return NULL;
    if (section->length > SECTION_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT, "longer than the %d bytes decoded",
                    SECTION_MAX);
        return NULL;
    }
    bytes = g_malloc(MAX((gsize)section->length, 1)); /* never NULL */
    if (!fdset_source_read(devices->source, section->offset, bytes, (gsize)section->length,
                           "device section", error))
        return NULL;
    return fdset_vmstate_decode(json_node_get_object(description), bytes, (gsize)section->length,
                                budget, error);
}

JsonNode *fdset_devices_find(const FdsetDevices *devices, const char *name, guint32 instance_id)
{
    gsize budget = VALUES_MAX;

    for (gsize i = 0; i < fdset_devices_count(devices); i++) {
        const FdsetSection *section = fdset_devices_section(devices, i);

        if (section->instance_id == instance_id && strcmp(section->name, name) == 0)
            return fdset_devices_decode(devices, i, &budget, NULL);
    }
    return NULL;
}

static void set_hex(JsonObject *object, const char *key, guint64 value)
{
    g_autofree char *text = g_strdup_printf(FDSET_HEX, value);

    json_object_set_string_member(object, key, text);
}

static void set_name(JsonObject *object, const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);

    json_object_set_string_member(object, "name", valid);
}

static JsonNode *render_device(const FdsetDevices *devices, gsize i, gsize *budget)
{
    const FdsetSection *section = fdset_devices_section(devices, i);
    g_autoptr(JsonObject) object = json_object_new();
    g_autoptr(GError) error = NULL;
    JsonNode *state = fdset_devices_decode(devices, i, budget, &error);

    set_name(object, section->name);
    json_object_set_int_member(object, "instance_id", section->instance_id);
    json_object_set_int_member(object, "version", section->version);
    set_hex(object, "offset", section->offset);
    set_hex(object, "length", section->length);
    if (state != NULL) {
        json_object_set_member(object, "state", state);
    } else {
        g_autofree char *reason = g_utf8_make_valid(error->message, -1);

        json_object_set_string_member(object, "raw", reason);
    }
    return json_node_init_object(json_node_alloc(), object);
}

GBytes *fdset_devices_render(const FdsetDevices *devices)
{
    g_autoptr(GString) text = g_string_new("{\"schema\":\"fdsetfs-devices\",\"version\":1,"
                                           "\"devices\":[");
    gsize budget = VALUES_MAX, len;

    /* One device at a time: the tree of all of them would take many times the text. */
    for (gsize i = 0; i < fdset_devices_count(devices); i++) {
        g_autoptr(JsonNode) node = render_device(devices, i, &budget);
        g_autofree char *device = json_to_string(node, FALSE);

        g_string_append_printf(text, "%s\n", i == 0 ? "" : ",");
        g_string_append(text, device);
    }
    g_string_append(text, "\n]}\n");
    len = text->len;
    return g_bytes_new_take(g_string_free(g_steal_pointer(&text), FALSE), len);
}

void fdset_devices_free(FdsetDevices *devices)
{
    if (devices == NULL)
        return;
    g_array_unref(devices->sections);
    g_free(devices);
}
