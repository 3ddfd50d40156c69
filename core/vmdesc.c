/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/vmdesc.h"
#include "core/error.h"
#include "core/jsontext.h"
#include "core/section.h"

#include <string.h>

/* QEMU writes some 1500 bytes a device and 10 KiB a vCPU; 4096 vCPUs fit. */
#define JSON_MAX (64 * 1024 * 1024)
/* One device as json-glib gets it; it takes up to a hundred times that in memory. */
#define DEVICE_JSON_MAX (4 * 1024 * 1024)
/* Three levels a nested struct; real ones have about 12. json-glib recurses, we do not. */
#define DEPTH_MAX FDSET_JSONTEXT_DEPTH_MAX
/* As many sections as a stream may have. */
#define DEVICES_MAX FDSET_SECTIONS_MAX
/* The EOF marker, the type byte and the length stand before the JSON. */
#define HEAD_BYTES 6
#define SEARCH_CHUNK (64 * 1024)
/* A field's size or array_len beyond this cannot be real; their sums then fit 64 bits. */
#define FIELD_MAX (G_GINT64_CONSTANT(1) << 40)

typedef struct {
    FdsetVmdescDevice device;
    char *name;  /* owned; device.name */
    gsize start; /* of its JSON object in the text */
    gsize len;
} Device;

struct FdsetVmdesc {
    const char *source; /* borrowed: the source's name */
    guint64 offset;     /* absolute, of the type byte */
    char *text;         /* owned; the JSON, not NUL-terminated */
    gsize len;
    guint64 page_size;
    GArray *devices; /* owned, of Device */
};

static void device_clear(gpointer device)
{
    g_free(((Device *)device)->name);
}

/* --- where it is --- */

/* Sets *found to the offset of the last NUL byte that lies in [from, size). */
static gboolean find_last_nul(const FdsetSource *source, guint64 from, guint64 *found,
                              gboolean *any, GError **error)
{
    g_autofree guint8 *chunk = g_malloc(SEARCH_CHUNK);

    *any = FALSE;
    for (guint64 end = source->size; end > from;) {
        gsize len = (gsize)MIN(end - from, SEARCH_CHUNK);
        const guint8 *nul;

        end -= len;
        if (!fdset_source_read(source, end, chunk, len, "end of the file", error))
            return FALSE;
        nul = memrchr(chunk, '\0', len);
        if (nul == NULL)
            continue;
        *found = end + (guint64)(nul - chunk);
        *any = TRUE;
        return TRUE;
    }
    return TRUE;
}

/* Whether the description's JSON starts at 'json' and ends with the source. */
static gboolean check_head(const FdsetSource *source, guint64 json, guint32 *len, gboolean *is_head,
                           GError **error)
{
    guint8 head[HEAD_BYTES + 1];

    if (!fdset_source_read(source, json - HEAD_BYTES, head, sizeof head, "head of a description",
                           error))
        return FALSE;
    *len = (guint32)head[2] << 24 | (guint32)head[3] << 16 | (guint32)head[4] << 8 | head[5];
    *is_head = head[0] == FDSET_SECTION_EOF && head[1] == FDSET_SECTION_VMDESCRIPTION &&
               head[HEAD_BYTES] == '{' && *len == source->size - json;
    return TRUE;
}

gboolean fdset_vmdesc_find(const FdsetSource *source, guint64 from, guint64 *offset, guint32 *len,
                           GError **error)
{
    guint64 lowest = from;
    guint64 nul;
    gboolean any;

    if (source->size > JSON_MAX + HEAD_BYTES)
        lowest = MAX(from, source->size - JSON_MAX - HEAD_BYTES);
    if (!find_last_nul(source, lowest, &nul, &any, error) || !any)
        return FALSE;
    /* JSON holds no NUL, so the last one is a byte of the length or the EOF marker before it. */
    for (guint64 json = nul + 1; json <= nul + HEAD_BYTES && json < source->size; json++) {
        gboolean is_head;

        if (json < from + HEAD_BYTES)
            continue;
        if (!check_head(source, json, len, &is_head, error))
            return FALSE;
        if (is_head) {
            *offset = json - HEAD_BYTES + 1;
            return TRUE;
        }
    }
    return FALSE;
}

/* --- the JSON's outline, without recursion --- */

typedef struct {
    FdsetVmdesc *vmdesc;
    gsize depth;
    char closing[DEPTH_MAX]; /* the bracket that ends each level */
    gboolean in_string, escaped;
    gboolean in_devices;
    gsize string, string_end; /* the string seen last */
    gsize device;             /* where the object of the current device starts */
} Scan;

static gboolean refuse(const FdsetVmdesc *vmdesc, GError **error, int code, const char *why)
{
    g_set_error(error, FDSET_ERROR, code, "%s: device description at " FDSET_HEX " %s",
                vmdesc->source, vmdesc->offset, why);
    return FALSE;
}

static gboolean last_string_is(const Scan *scan, const char *key)
{
    gsize len = scan->string_end - scan->string;

    return len == strlen(key) && memcmp(scan->vmdesc->text + scan->string, key, len) == 0;
}

static void scan_string(Scan *scan, gsize i)
{
    char c = scan->vmdesc->text[i];

    if (scan->escaped) {
        scan->escaped = FALSE;
    } else if (c == '\\') {
        scan->escaped = TRUE;
    } else if (c == '"') {
        scan->in_string = FALSE;
        scan->string_end = i;
    }
}

static gboolean scan_open(Scan *scan, gsize i, GError **error)
{
    char c = scan->vmdesc->text[i];

    if (scan->depth == DEPTH_MAX)
        return refuse(scan->vmdesc, error, FDSET_ERROR_LIMIT,
                      "is nested deeper than the 128 levels allowed");
    scan->closing[scan->depth++] = c == '{' ? '}' : ']';
    if (scan->depth == 2 && c == '[' && last_string_is(scan, "devices"))
        scan->in_devices = TRUE;
    if (scan->depth == 3 && c == '{' && scan->in_devices)
        scan->device = i;
    return TRUE;
}

static gboolean scan_close(Scan *scan, gsize i, GError **error)
{
    FdsetVmdesc *vmdesc = scan->vmdesc;

    if (scan->depth == 0 || (scan->depth == 1 && i + 1 != vmdesc->len))
        return refuse(vmdesc, error, FDSET_ERROR_FORMAT, "goes on behind its last bracket");
    if (vmdesc->text[i] != scan->closing[scan->depth - 1])
        return refuse(vmdesc, error, FDSET_ERROR_FORMAT, "has brackets that do not match");
    if (scan->depth == 3 && scan->in_devices && vmdesc->text[i] == '}') {
        Device device = {.start = scan->device, .len = i + 1 - scan->device};

        if (vmdesc->devices->len == DEVICES_MAX)
            return refuse(vmdesc, error, FDSET_ERROR_LIMIT,
                          "lists more devices than the " G_STRINGIFY(DEVICES_MAX) " allowed");
        g_array_append_val(vmdesc->devices, device);
    }
    if (scan->depth == 2)
        scan->in_devices = FALSE;
    scan->depth--;
    return TRUE;
}

/* Text at 'i' is the value of page_size. */
static void scan_page_size(FdsetVmdesc *vmdesc, gsize i)
{
    guint64 value = 0;

    while (i < vmdesc->len && vmdesc->text[i] == ' ')
        i++;
    for (; i < vmdesc->len && g_ascii_isdigit(vmdesc->text[i]) && value < G_MAXUINT32; i++)
        value = value * 10 + (guint64)g_ascii_digit_value(vmdesc->text[i]);
    if (value >= 1024 && value <= 1024 * 1024 && (value & (value - 1)) == 0)
        vmdesc->page_size = value;
}

static gboolean scan_char(Scan *scan, gsize i, GError **error)
{
    switch (scan->vmdesc->text[i]) {
    case '"':
        scan->in_string = TRUE;
        scan->string = i + 1;
        return TRUE;
    case '{':
    case '[':
        return scan_open(scan, i, error);
    case '}':
    case ']':
        return scan_close(scan, i, error);
    case ':':
        if (scan->depth == 1 && last_string_is(scan, "page_size"))
            scan_page_size(scan->vmdesc, i + 1);
        return TRUE;
    default:
        return TRUE;
    }
}

static gboolean scan_outline(FdsetVmdesc *vmdesc, GError **error)
{
    Scan scan = {.vmdesc = vmdesc};

    for (gsize i = 0; i < vmdesc->len; i++) {
        if (scan.in_string)
            scan_string(&scan, i);
        else if (!scan_char(&scan, i, error))
            return FALSE;
    }
    if (scan.depth == 0)
        return TRUE;
    return refuse(vmdesc, error, FDSET_ERROR_FORMAT, "ends before its last bracket");
}

/* --- devices and their lengths --- */

static gboolean get_int(JsonObject *object, const char *key, gint64 *value)
{
    JsonNode *node = json_object_get_member(object, key);

    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_INT64)
        return FALSE;
    *value = json_node_get_int(node);
    return TRUE;
}

static const char *get_string(JsonObject *object, const char *key)
{
    JsonNode *node = json_object_get_member(object, key);

    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

/* The array of that name, or NULL; FALSE when it is something else. */
static gboolean get_array(JsonObject *object, const char *key, JsonArray **array)
{
    JsonNode *node = json_object_get_member(object, key);

    *array = NULL;
    if (node == NULL)
        return TRUE;
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return FALSE;
    *array = json_node_get_array(node);
    return TRUE;
}

static gboolean add_field(JsonNode *node, guint64 *length)
{
    gint64 size, count;

    if (!JSON_NODE_HOLDS_OBJECT(node) || !get_int(json_node_get_object(node), "size", &size))
        return FALSE;
    if (!get_int(json_node_get_object(node), "array_len", &count))
        count = 1;
    if (size < 0 || count < 0 || size > FIELD_MAX || count > FIELD_MAX)
        return FALSE;
    if (size != 0 && count > FIELD_MAX / size)
        return FALSE;
    return g_uint64_checked_add(length, *length, (guint64)size * (guint64)count);
}

/* In the stream: 0x05, u8 length and name, be32 version, then the fields. */
static gboolean add_subsection(JsonNode *node, guint64 *length)
{
    const char *name;
    guint64 body;

    if (!JSON_NODE_HOLDS_OBJECT(node))
        return FALSE;
    name = get_string(json_node_get_object(node), "vmsd_name");
    if (name == NULL || !fdset_vmdesc_body_length(json_node_get_object(node), &body))
        return FALSE;
    return g_uint64_checked_add(length, *length, 1 + 1 + strlen(name) + 4) &&
           g_uint64_checked_add(length, *length, body);
}

gboolean fdset_vmdesc_body_length(JsonObject *object, guint64 *length)
{
    JsonArray *fields, *subsections;

    *length = 0;
    if (!get_array(object, "fields", &fields) || !get_array(object, "subsections", &subsections))
        return FALSE;
    for (guint i = 0; fields != NULL && i < json_array_get_length(fields); i++) {
        if (!add_field(json_array_get_element(fields, i), length))
            return FALSE;
    }
    for (guint i = 0; subsections != NULL && i < json_array_get_length(subsections); i++) {
        if (!add_subsection(json_array_get_element(subsections, i), length))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_device(FdsetVmdesc *vmdesc, gsize i, GError **error)
{
    Device *device = &g_array_index(vmdesc->devices, Device, i);
    g_autoptr(JsonNode) node = NULL;
    JsonObject *object;
    gint64 instance_id;

    node = fdset_vmdesc_device_json(vmdesc, i, error);
    if (node == NULL)
        return FALSE;
    object = json_node_get_object(node);
    if (get_string(object, "name") == NULL || !get_int(object, "instance_id", &instance_id))
        return refuse(vmdesc, error, FDSET_ERROR_FORMAT,
                      "has a device without name or instance_id");
    device->name = g_strdup(get_string(object, "name"));
    device->device.name = device->name;
    device->device.instance_id = (guint32)instance_id;
    device->device.has_length = fdset_vmdesc_body_length(object, &device->device.length);
    return TRUE;
}

FdsetVmdesc *fdset_vmdesc_read(const FdsetSource *source, guint64 offset, guint32 len,
                               GError **error)
{
    g_autoptr(FdsetVmdesc) vmdesc = g_new0(FdsetVmdesc, 1);

    vmdesc->source = source->name;
    vmdesc->offset = offset;
    vmdesc->len = len;
    vmdesc->devices = g_array_new(FALSE, TRUE, sizeof(Device));
    g_array_set_clear_func(vmdesc->devices, device_clear);
    if (len > JSON_MAX) {
        refuse(vmdesc, error, FDSET_ERROR_LIMIT, "is longer than 64 MiB");
        return NULL;
    }
    vmdesc->text = g_malloc(len);
    if (!fdset_source_read(source, offset + HEAD_BYTES - 1, vmdesc->text, len, "device description",
                           error) ||
        !scan_outline(vmdesc, error))
        return NULL;
    for (gsize i = 0; i < vmdesc->devices->len; i++) {
        if (!read_device(vmdesc, i, error))
            return NULL;
    }
    return g_steal_pointer(&vmdesc);
}

guint64 fdset_vmdesc_offset(const FdsetVmdesc *vmdesc)
{
    return vmdesc->offset;
}

guint64 fdset_vmdesc_page_size(const FdsetVmdesc *vmdesc)
{
    return vmdesc->page_size;
}

gsize fdset_vmdesc_n_devices(const FdsetVmdesc *vmdesc)
{
    return vmdesc->devices->len;
}

const FdsetVmdescDevice *fdset_vmdesc_device(const FdsetVmdesc *vmdesc, gsize i)
{
    g_return_val_if_fail(i < vmdesc->devices->len, NULL);
    return &g_array_index(vmdesc->devices, Device, i).device;
}

JsonNode *fdset_vmdesc_device_json(const FdsetVmdesc *vmdesc, gsize i, GError **error)
{
    const Device *device = &g_array_index(vmdesc->devices, Device, i);
    g_autoptr(GError) problem = NULL;
    g_autoptr(JsonNode) node = NULL;

    g_return_val_if_fail(i < vmdesc->devices->len, NULL);
    if (device->len > DEVICE_JSON_MAX) {
        refuse(vmdesc, error, FDSET_ERROR_LIMIT, "has a device of more than 4 MiB of JSON");
        return NULL;
    }
    node = fdset_jsontext_parse(vmdesc->text + device->start, device->len, DEPTH_MAX, &problem);
    if (node == NULL) {
        g_set_error(error, FDSET_ERROR, problem->code,
                    "%s: device description at " FDSET_HEX ", device %" G_GSIZE_FORMAT
                    " at byte %" G_GSIZE_FORMAT " of its JSON: %s",
                    vmdesc->source, vmdesc->offset, i, device->start, problem->message);
        return NULL;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        refuse(vmdesc, error, FDSET_ERROR_FORMAT, "has a device that is no object");
        return NULL;
    }
    return g_steal_pointer(&node);
}

void fdset_vmdesc_free(FdsetVmdesc *vmdesc)
{
    if (vmdesc == NULL)
        return;
    g_free(vmdesc->text);
    g_clear_pointer(&vmdesc->devices, g_array_unref);
    g_free(vmdesc);
}
