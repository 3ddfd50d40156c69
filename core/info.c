/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/info.h"
#include "core/escape.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define SCHEMA "fdsetfs-info"
#define SCHEMA_VERSION 1

static const char *const kind_names[] = {
    [FDSET_RAMBLOCK_MAPPED] = "mapped",
    [FDSET_RAMBLOCK_STREAMED] = "streamed",
    [FDSET_RAMBLOCK_SHARED] = "shared",
};

static void set_hex(JsonObject *object, const char *key, guint64 value)
{
    g_autofree char *text = g_strdup_printf(FDSET_HEX, value);

    json_object_set_string_member(object, key, text);
}

/* Text from the file, which need not be UTF-8. */
static void set_text(JsonObject *object, const char *key, const char *text)
{
    g_autofree char *valid = text != NULL ? g_utf8_make_valid(text, -1) : NULL;

    if (valid != NULL)
        json_object_set_string_member(object, key, valid);
    else
        json_object_set_null_member(object, key);
}

static void set_texts(JsonObject *object, const char *key, const char *const *texts)
{
    JsonArray *array = json_array_new();

    for (; *texts != NULL; texts++) {
        g_autofree char *valid = g_utf8_make_valid(*texts, -1);

        json_array_add_string_element(array, valid);
    }
    json_object_set_array_member(object, key, array);
}

static void set_uuid(JsonObject *object, const guint8 *uuid)
{
    GString *text = uuid != NULL ? g_string_new(NULL) : NULL;

    for (guint i = 0; text != NULL && i < 16; i++)
        g_string_append_printf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                               uuid[i]);
    set_text(object, "uuid", text != NULL ? text->str : NULL);
    if (text != NULL)
        g_string_free(text, TRUE);
}

static JsonObject *render_stream(const FdsetInspection *inspection)
{
    const FdsetStream *stream = fdset_inspection_stream(inspection);
    const FdsetConfiguration *configuration = fdset_stream_configuration(stream);
    JsonObject *object = json_object_new();

    set_hex(object, "offset", fdset_stream_start(stream));
    json_object_set_boolean_member(object, "complete",
                                   fdset_inspection_problem(inspection) == NULL);
    set_text(object, "problem", fdset_inspection_problem(inspection));
    set_text(object, "machine", fdset_configuration_machine(configuration));
    set_texts(object, "capabilities", fdset_configuration_capabilities(configuration));
    set_uuid(object, fdset_configuration_uuid(configuration));
    json_object_set_boolean_member(object, "big_endian_bitmaps",
                                   fdset_inspection_is_big_endian(inspection));
    json_object_set_string_member(object, "bitmap_byte_order",
                                  fdset_inspection_byte_order_source(inspection));
    return object;
}

static JsonNode *render_libvirt(const FdsetLibvirt *libvirt)
{
    g_autoptr(JsonObject) object = NULL;
    guint64 offset, len;

    if (libvirt == NULL)
        return json_node_new(JSON_NODE_NULL);
    object = json_object_new();
    fdset_libvirt_xml(libvirt, &offset, &len);
    json_object_set_string_member(object, "format",
                                  fdset_libvirt_format_name(fdset_libvirt_format(libvirt)));
    json_object_set_boolean_member(object, "finished", fdset_libvirt_is_finished(libvirt));
    json_object_set_boolean_member(object, "was_running", fdset_libvirt_was_running(libvirt));
    set_hex(object, "xml_offset", offset);
    set_hex(object, "xml_length", len);
    return json_node_init_object(json_node_alloc(), object);
}

static JsonObject *render_block(const FdsetRamblock *block, gsize number)
{
    JsonObject *object = json_object_new();
    g_autofree char *file = fdset_escape_name(fdset_ramblock_name(block), number);

    set_text(object, "name", fdset_ramblock_name(block));
    json_object_set_string_member(object, "file", file);
    json_object_set_string_member(object, "kind", kind_names[fdset_ramblock_kind(block)]);
    set_hex(object, "length", fdset_ramblock_used_length(block));
    set_hex(object, "page_size", fdset_ramblock_page_size(block));
    set_hex(object, "bitmap_offset", fdset_ramblock_bitmap_offset(block));
    set_hex(object, "pages_offset", fdset_ramblock_pages_offset(block));
    return object;
}

static JsonArray *render_blocks(const FdsetRam *ram)
{
    JsonArray *array = json_array_new();

    for (gsize i = 0; i < fdset_ram_n_blocks(ram); i++)
        json_array_add_object_element(array, render_block(fdset_ram_block(ram, i), i));
    return array;
}

static JsonObject *render_gpa(const FdsetGpa *gpa)
{
    JsonArray *ranges = json_array_new();
    JsonObject *object = json_object_new();

    for (gsize i = 0; i < fdset_gpa_n_ranges(gpa); i++) {
        const FdsetGpaRange *range = fdset_gpa_range(gpa, i);
        JsonObject *item = json_object_new();

        set_hex(item, "address", range->address);
        set_hex(item, "length", range->length);
        set_text(item, "block", fdset_ramblock_name(range->block));
        set_hex(item, "offset", range->offset);
        set_text(item, "how", range->how);
        json_array_add_object_element(ranges, item);
    }
    json_object_set_array_member(object, "ranges", ranges);
    set_texts(object, "notes", fdset_gpa_notes(gpa));
    return object;
}

static JsonObject *render(const FdsetInspection *inspection)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "schema", SCHEMA);
    json_object_set_int_member(object, "version", SCHEMA_VERSION);
    set_hex(object, "size", fdset_inspection_source(inspection)->size);
    json_object_set_member(object, "libvirt", render_libvirt(fdset_inspection_libvirt(inspection)));
    json_object_set_object_member(object, "stream", render_stream(inspection));
    json_object_set_array_member(
        object, "ram", render_blocks(fdset_stream_ram(fdset_inspection_stream(inspection))));
    json_object_set_object_member(object, "memory_map",
                                  render_gpa(fdset_inspection_gpa(inspection)));
    json_object_set_int_member(object, "cpus", fdset_inspection_n_cpus(inspection));
    json_object_set_boolean_member(object, "vmcoreinfo",
                                   fdset_inspection_has_vmcoreinfo(inspection));
    json_object_set_int_member(object, "devices",
                               (gint64)fdset_devices_count(fdset_inspection_devices(inspection)));
    return object;
}

GBytes *fdset_info_render(const FdsetInspection *inspection)
{
    g_autoptr(JsonObject) object = render(inspection);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);
    g_autofree char *text = json_to_string(node, TRUE);
    char *line = g_strconcat(text, "\n", NULL);

    return g_bytes_new_take(line, strlen(line));
}
