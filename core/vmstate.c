/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/vmstate.h"
#include "core/error.h"
#include "core/section.h"
#include "core/vmdesc.h"

#include <string.h>

typedef struct {
    const guint8 *bytes;
    gsize at;
    gsize len;
    gsize *budget;
} Cursor;

static JsonNode *decode_body(JsonObject *description, Cursor *cursor, GError **error);

static gpointer refuse(GError **error, const Cursor *cursor, const char *why)
{
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT, "at byte %" G_GSIZE_FORMAT ": %s",
                cursor->at, why);
    return NULL;
}

static gboolean spend(Cursor *cursor, GError **error)
{
    if (*cursor->budget > 0) {
        (*cursor->budget)--;
        return TRUE;
    }
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT, "more values than are decoded at most");
    return FALSE;
}

static const char *get_string(JsonObject *object, const char *key)
{
    JsonNode *node = json_object_get_member(object, key);

    if (node == NULL || json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

static gboolean get_size(JsonObject *object, const char *key, gint64 fallback, gsize *size)
{
    JsonNode *node = json_object_get_member(object, key);
    gint64 value = fallback;

    if (node != NULL) {
        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
            return FALSE;
        value = json_node_get_int(node);
    }
    *size = (gsize)value;
    return value >= 0;
}

static JsonNode *text_node(char *text)
{
    JsonNode *node = json_node_init_string(json_node_alloc(), text);

    g_free(text);
    return node;
}

static JsonNode *hex_node(const guint8 *bytes, gsize len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = g_malloc(len * 2 + 1);

    for (gsize i = 0; i < len; i++) {
        text[i * 2] = digits[bytes[i] >> 4];
        text[i * 2 + 1] = digits[bytes[i] & 15];
    }
    text[len * 2] = '\0';
    return text_node(text);
}

static JsonNode *number_node(const guint8 *bytes, gsize size, gboolean is_signed)
{
    guint64 value = 0;

    for (gsize i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    if (size == 8)
        return text_node(g_strdup_printf(FDSET_HEX, value));
    if (is_signed && value >> (size * 8 - 1) != 0)
        value |= G_MAXUINT64 << (size * 8);
    return json_node_init_int(json_node_alloc(), (gint64)value);
}

static gboolean is_number_size(gsize size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

/* One value that has no parts. */
static JsonNode *decode_value(const char *type, const guint8 *bytes, gsize size)
{
    if (type != NULL && is_number_size(size)) {
        if (strcmp(type, "bool") == 0 && size == 1 && bytes[0] <= 1)
            return json_node_init_boolean(json_node_alloc(), bytes[0]);
        if (g_str_has_prefix(type, "uint"))
            return number_node(bytes, size, FALSE);
        if (g_str_has_prefix(type, "int") || strcmp(type, "timer") == 0)
            return number_node(bytes, size, TRUE);
    }
    return hex_node(bytes, size);
}

/* The object that tells the parts of 'field', or NULL when it has none. */
static JsonObject *parts_of(JsonObject *field)
{
    JsonNode *node = json_object_get_member(field, "struct");

    if (node != NULL && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_get_object(node);
    node = json_object_get_member(field, "fields");
    return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? field : NULL;
}

static JsonNode *decode_element(JsonObject *field, Cursor *cursor, gsize size, GError **error)
{
    JsonObject *parts = parts_of(field);
    Cursor inner = {cursor->bytes + cursor->at, 0, size, cursor->budget};
    g_autoptr(JsonNode) node = NULL;

    if (!spend(cursor, error))
        return NULL;
    if (parts == NULL) {
        cursor->at += size;
        return decode_value(get_string(field, "type"), inner.bytes, size);
    }
    node = decode_body(parts, &inner, error);
    if (node == NULL)
        return NULL;
    if (inner.at != size)
        return refuse(error, cursor, "the parts of a struct do not add up to its size");
    cursor->at += size;
    return g_steal_pointer(&node);
}

static JsonNode *decode_array(JsonObject *field, Cursor *cursor, gsize size, gsize count,
                              GError **error)
{
    g_autoptr(JsonArray) array = json_array_new();

    for (gsize i = 0; i < count; i++) {
        JsonNode *node = decode_element(field, cursor, size, error);

        if (node == NULL)
            return NULL;
        json_array_add_element(array, node);
    }
    return json_node_init_array(json_node_alloc(), array);
}

static JsonNode *decode_field(JsonObject *field, Cursor *cursor, GError **error)
{
    gboolean is_array = json_object_has_member(field, "array_len");
    gsize size, count;

    if (!get_size(field, "size", -1, &size) || !get_size(field, "array_len", 1, &count))
        return refuse(error, cursor, "a field without a size");
    if (size != 0 && count > (cursor->len - cursor->at) / size)
        return refuse(error, cursor, "a field goes beyond the end of the section");
    if (is_array)
        return decode_array(field, cursor, size, size == 0 ? 0 : count, error);
    return decode_element(field, cursor, size, error);
}

/* Elements of an array that differ are fields of one name with an index each. */
static void add_member(JsonObject *object, JsonObject *field, const char *name, JsonNode *node)
{
    gsize index;

    if (json_object_has_member(field, "index") && get_size(field, "index", -1, &index)) {
        g_autofree char *indexed = g_strdup_printf("%s[%" G_GSIZE_FORMAT "]", name, index);

        json_object_set_member(object, indexed, node);
        return;
    }
    json_object_set_member(object, name, node);
}

static gboolean decode_fields(JsonArray *fields, JsonObject *object, Cursor *cursor, GError **error)
{
    for (guint i = 0; fields != NULL && i < json_array_get_length(fields); i++) {
        JsonNode *field = json_array_get_element(fields, i);
        const char *name;
        JsonNode *node;

        if (!JSON_NODE_HOLDS_OBJECT(field) ||
            (name = get_string(json_node_get_object(field), "name")) == NULL)
            return refuse(error, cursor, "a field without a name") != NULL;
        node = decode_field(json_node_get_object(field), cursor, error);
        if (node == NULL)
            return FALSE;
        add_member(object, json_node_get_object(field), name, node);
    }
    return TRUE;
}

/* 0x05, u8 length and name, be32 version: as the description says? */
static gboolean skip_subsection_head(const char *name, Cursor *cursor)
{
    const guint8 *bytes = cursor->bytes + cursor->at;
    gsize len = strlen(name);

    if (cursor->len - cursor->at < len + 6 || bytes[0] != FDSET_SECTION_SUBSECTION ||
        bytes[1] != len || memcmp(bytes + 2, name, len) != 0)
        return FALSE;
    cursor->at += len + 6;
    return TRUE;
}

static gboolean decode_subsections(JsonArray *array, JsonObject *object, Cursor *cursor,
                                   GError **error)
{
    JsonObject *all;

    if (array == NULL || json_array_get_length(array) == 0)
        return TRUE;
    all = json_object_new();
    json_object_set_object_member(object, "subsections", all);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *subsection = json_array_get_element(array, i);
        const char *name;
        JsonNode *node;

        if (!JSON_NODE_HOLDS_OBJECT(subsection) ||
            (name = get_string(json_node_get_object(subsection), "vmsd_name")) == NULL ||
            !skip_subsection_head(name, cursor))
            return refuse(error, cursor, "no such subsection stands here") != NULL;
        node = decode_body(json_node_get_object(subsection), cursor, error);
        if (node == NULL)
            return FALSE;
        json_object_set_member(all, name, node);
    }
    return TRUE;
}

static JsonArray *get_array(JsonObject *object, const char *key)
{
    JsonNode *node = json_object_get_member(object, key);

    return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* Recursion is as deep as the description, which is bounded when it is read. */
static JsonNode *decode_body(JsonObject *description, Cursor *cursor, GError **error)
{
    g_autoptr(JsonObject) object = json_object_new();

    if (!spend(cursor, error) ||
        !decode_fields(get_array(description, "fields"), object, cursor, error) ||
        !decode_subsections(get_array(description, "subsections"), object, cursor, error))
        return NULL;
    return json_node_init_object(json_node_alloc(), object);
}

JsonNode *fdset_vmstate_decode(JsonObject *description, gconstpointer bytes, gsize len,
                               gsize *budget, GError **error)
{
    Cursor cursor = {bytes, 0, len, budget};
    g_autoptr(JsonNode) node = decode_body(description, &cursor, error);

    if (node == NULL)
        return NULL;
    if (cursor.at != len)
        return refuse(error, &cursor, "the description ends before the section does");
    return g_steal_pointer(&node);
}

JsonNode *fdset_vmstate_find(JsonNode *state, const char *const *path)
{
    for (; state != NULL && *path != NULL; path++) {
        if (!JSON_NODE_HOLDS_OBJECT(state))
            return NULL;
        state = json_object_get_member(json_node_get_object(state), *path);
    }
    return state;
}

gboolean fdset_vmstate_number(JsonNode *node, guint64 *value)
{
    const char *text;

    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node))
        return FALSE;
    if (json_node_get_value_type(node) == G_TYPE_INT64) {
        *value = (guint64)json_node_get_int(node);
        return TRUE;
    }
    if (json_node_get_value_type(node) != G_TYPE_STRING)
        return FALSE;
    text = json_node_get_string(node);
    return g_str_has_prefix(text, "0x") &&
           g_ascii_string_to_unsigned(text + 2, 16, 0, G_MAXUINT64, value, NULL);
}

GBytes *fdset_vmstate_bytes(JsonNode *node)
{
    const char *text;
    GByteArray *bytes;

    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    text = json_node_get_string(node);
    bytes = g_byte_array_new();
    for (; g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1]); text += 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));

        g_byte_array_append(bytes, &byte, 1);
    }
    return g_byte_array_free_to_bytes(bytes);
}
