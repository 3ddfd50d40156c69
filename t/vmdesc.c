/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/vmdesc.h"
#include "t/tap.h"

/* A file of 'before', EOF marker, type byte, length and 'json'; 'len' lies when not 0. */
static GBytes *make_file(const char *before, const char *json, gsize json_len, guint32 len)
{
    GByteArray *bytes = g_byte_array_new();
    guint32 big = GUINT32_TO_BE(len != 0 ? len : (guint32)json_len);

    g_byte_array_append(bytes, (const guint8 *)before, (guint)strlen(before));
    g_byte_array_append(bytes, (const guint8 *)"\0\x06", 2);
    g_byte_array_append(bytes, (const guint8 *)&big, sizeof big);
    g_byte_array_append(bytes, (const guint8 *)json, (guint)json_len);
    return g_byte_array_free_to_bytes(bytes);
}

static FdsetVmdesc *read_json(const char *json, gsize len, GError **error)
{
    g_autoptr(GBytes) bytes = make_file("stream", json, len, 0);
    FdsetSource source;
    guint64 offset;
    guint32 found;

    fdset_source_init_memory(&source, bytes, "test");
    g_assert_true(fdset_vmdesc_find(&source, 0, &offset, &found, error));
    g_assert_cmpuint(offset, ==, strlen("stream") + 1);
    g_assert_cmpuint(found, ==, len);
    return fdset_vmdesc_read(&source, offset, found, error);
}

static void test_devices(void)
{
    const char *json =
        "{\"configuration\": {\"fields\": [{\"name\": \"devices\", \"x\": [{}]}]}, "
        "\"page_size\": 16384, \"devices\": ["
        "{\"name\": \"\\u0041}]\\\"\", \"instance_id\": 7, \"vmsd_name\": \"a\", \"version\": 1, "
        "\"fields\": [{\"name\": \"f\", \"type\": \"uint8\", \"size\": 3}, {\"name\": \"g\", "
        "\"array_len\": 5, \"type\": \"struct\", \"struct\": {\"fields\": [{\"size\": 2}]}, "
        "\"size\": 2}, {\"name\": \"h\", \"index\": 9, \"type\": \"struct\", \"size\": 1}], "
        "\"subsections\": [{\"vmsd_name\": \"a/b\", \"version\": 1, \"fields\": [{\"size\": 4}], "
        "\"subsections\": [{\"vmsd_name\": \"a/b/c\", \"fields\": []}]}]}, "
        "{\"name\": \"old\", \"instance_id\": 4294967295, \"size\": 9, \"fields\": [{\"name\": "
        "\"data\", \"size\": 9, \"type\": \"buffer\"}]}, "
        "{\"name\": \"odd\", \"instance_id\": 0, \"fields\": [{\"size\": -1}]}]}";
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetVmdesc) vmdesc = read_json(json, strlen(json), &error);
    g_autoptr(JsonNode) node = NULL;

    g_assert_no_error(error);
    g_assert_cmpuint(fdset_vmdesc_page_size(vmdesc), ==, 16384);
    g_assert_cmpuint(fdset_vmdesc_n_devices(vmdesc), ==, 3);
    g_assert_cmpstr(fdset_vmdesc_device(vmdesc, 0)->name, ==, "A}]\"");
    g_assert_cmpuint(fdset_vmdesc_device(vmdesc, 0)->instance_id, ==, 7);
    g_assert_cmpuint(fdset_vmdesc_device(vmdesc, 0)->length, ==,
                     3 + 5 * 2 + 1 + (6 + 3 + 4) + (6 + 5));
    g_assert_cmpuint(fdset_vmdesc_device(vmdesc, 1)->instance_id, ==, G_MAXUINT32);
    g_assert_cmpuint(fdset_vmdesc_device(vmdesc, 1)->length, ==, 9);
    g_assert_true(fdset_vmdesc_device(vmdesc, 1)->has_length);
    g_assert_false(fdset_vmdesc_device(vmdesc, 2)->has_length);
    node = fdset_vmdesc_device_json(vmdesc, 1, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "name"), ==, "old");
}

static void test_senseless_lengths(void)
{
    static const char *const fields[] = {
        "{\"size\": -1}",
        "{\"size\": 1.5}",
        "{\"size\": \"4\"}",
        "{\"size\": 9223372036854775807}",
        "{\"size\": 2, \"array_len\": -3}",
        "{\"size\": 1099511627776, \"array_len\": 1099511627776}",
        "{\"name\": \"no size\"}",
        "null",
        "[]",
        "7",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"devices\": [{\"name\": \"d\", \"instance_id\": 0, \"fields\": [%s]}]}", fields[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetVmdesc) vmdesc = read_json(json, strlen(json), &error);

        g_assert_no_error(error);
        g_assert_false(fdset_vmdesc_device(vmdesc, 0)->has_length);
    }
}

static void test_malformed(void)
{
    static const struct {
        const char *json;
        const char *words;
    } cases[] = {
        {"{", "ends before its last bracket"},
        {"{\"devices\": [", "ends before its last bracket"},
        {"{\"a\": \"}", "ends before its last bracket"},
        {"{}}", "goes on behind its last bracket"},
        {"{}, {}", "goes on behind its last bracket"},
        {"{\"devices\": [{]]}", "brackets that do not match"},
        {"{\"devices\": [{]}]}", "brackets that do not match"},
        {"{\"devices\": [{\"name\": \"a\"}]}", "without name or instance_id"},
        {"{\"devices\": [{\"name\": 1, \"instance_id\": 1}]}", "without name or instance_id"},
        {"{\"devices\": [{\"name\": \"a\", \"instance_id\": \"1\"}]}", "without name or"},
        {"{\"devices\": [{\"name\": \"\xff\xfe\", \"instance_id\": 1}]}", "device description at"},
        {"{\"devices\": [{nonsense}]}", "device description at 0x7"},
        {"{\"devices\": [{\"name\": \"\\ud83d\\u0041\", \"instance_id\": 1}]}",
         "device 0 at byte 13 of its JSON: byte 16: expected a low surrogate behind a high one"},
        {"{\"devices\": [{}, {\"name\": \"a\\u0000b\", \"instance_id\": 1}]}", "without name"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetVmdesc) vmdesc = read_json(cases[i].json, strlen(cases[i].json), &error);

        g_assert_null(vmdesc);
        g_assert_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT);
        if (strstr(error->message, cases[i].words) == NULL)
            g_error("expected '%s' in '%s'", cases[i].words, error->message);
    }
}

static void test_odd_but_empty(void)
{
    static const char *const cases[] = {"{}",
                                        "{\"devices\": []}",
                                        "{\"devices\": {}}",
                                        "{\"devices\": [7, [{}], \"{\"]}",
                                        "{\"page_size\": 99999999999999999999}",
                                        "{\"page_size\": 1000}",
                                        "{\"page_size\":"};

    for (gsize i = 0; i + 1 < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetVmdesc) vmdesc = read_json(cases[i], strlen(cases[i]), &error);

        g_assert_no_error(error);
        g_assert_cmpuint(fdset_vmdesc_n_devices(vmdesc), ==, 0);
        g_assert_cmpuint(fdset_vmdesc_page_size(vmdesc), ==, 0);
    }
}

static void test_depth(void)
{
    static const char *const openings[] = {"{\"fields\":[", "{\"struct\":", "[", "{\"a\":{\"b\":"};

    for (gsize i = 0; i < G_N_ELEMENTS(openings); i++) {
        g_autoptr(GString) json =
            g_string_new("{\"devices\": [{\"name\": \"d\", \"instance_id\": 0, \"fields\": ");
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetVmdesc) vmdesc = NULL;

        for (int level = 0; level < 10000; level++)
            g_string_append(json, openings[i]);
        vmdesc = read_json(json->str, json->len, &error);
        g_assert_null(vmdesc);
        g_assert_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT);
        g_assert_nonnull(strstr(error->message, "nested deeper than the 128 levels"));
    }
}

/* json-glib would skip the comment, and with it the quote that hides the brackets from us. */
static void test_hidden_depth(void)
{
    static const char *const hiding[] = {"/*\"*/", "//\"\n", "'\"', ", "\"\\\"\n\", '\"', "};

    for (gsize i = 0; i < G_N_ELEMENTS(hiding); i++) {
        g_autoptr(GString) json =
            g_string_new("{\"devices\": [{\"name\": \"d\", \"instance_id\": 0, \"fields\": [");
        g_autoptr(GError) error = NULL;
        g_autoptr(FdsetVmdesc) vmdesc = NULL;

        g_string_append(json, hiding[i]);
        for (int level = 0; level < 1000000; level++)
            g_string_append_c(json, '[');
        g_string_append(json, "\"]}]}");
        vmdesc = read_json(json->str, json->len, &error);
        g_assert_null(vmdesc);
        g_assert_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT);
    }
}

static void test_too_many_devices(void)
{
    g_autoptr(GString) json = g_string_new("{\"devices\": [{}");
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetVmdesc) vmdesc = NULL;

    for (int i = 0; i < 70000; i++)
        g_string_append(json, ",{}");
    g_string_append(json, "]}");
    vmdesc = read_json(json->str, json->len, &error);
    g_assert_null(vmdesc);
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT);
}

static void test_huge_device(void)
{
    g_autoptr(GString) json =
        g_string_new("{\"devices\": [{\"name\": \"d\", \"instance_id\": 0, \"fields\": [");
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetVmdesc) vmdesc = NULL;

    for (int i = 0; i < 400000; i++)
        g_string_append(json, "{\"size\": 1},");
    g_string_append(json, "{\"size\": 1}]}]}");
    vmdesc = read_json(json->str, json->len, &error);
    g_assert_null(vmdesc);
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT);
}

/* --- where the description is --- */

static gboolean find_in(GBytes *bytes, guint64 size, guint64 from)
{
    g_autoptr(GBytes) part = g_bytes_new_from_bytes(bytes, 0, MIN(size, g_bytes_get_size(bytes)));
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    guint64 offset;
    guint32 len;
    gboolean found;

    fdset_source_init_memory(&source, part, "test");
    found = fdset_vmdesc_find(&source, from, &offset, &len, &error);
    g_assert_no_error(error);
    return found;
}

static void test_find(void)
{
    g_autoptr(GBytes) good = make_file("stream", "{}", 2, 0);
    g_autoptr(GBytes) longer = make_file("stream", "{}", 2, 3);
    g_autoptr(GBytes) shorter = make_file("stream", "{}", 2, 1);
    g_autoptr(GBytes) array = make_file("stream", "[]", 2, 0);
    g_autoptr(GBytes) nul = make_file("stream", "{\0}", 3, 0);

    g_assert_true(find_in(good, G_MAXUINT64, 0));
    g_assert_true(find_in(good, G_MAXUINT64, 6));
    g_assert_false(find_in(good, G_MAXUINT64, 7));
    for (gsize size = 0; size < g_bytes_get_size(good); size++)
        g_assert_false(find_in(good, size, 0));
    g_assert_false(find_in(longer, G_MAXUINT64, 0));
    g_assert_false(find_in(shorter, G_MAXUINT64, 0));
    g_assert_false(find_in(array, G_MAXUINT64, 0));
    g_assert_false(find_in(nul, G_MAXUINT64, 0));
}

/* Lengths whose bytes are zero or not at each place, and JSON longer than one piece of the search.
 */
static void test_find_any_length(void)
{
    static const gsize lens[] = {2,     255,   256,     257,       65535,
                                 65536, 65537, 0x10101, 0x1000000, 0x1010101};

    for (gsize i = 0; i < G_N_ELEMENTS(lens); i++) {
        g_autofree char *json = g_malloc(lens[i]);
        g_autoptr(GBytes) bytes = NULL;

        memset(json, ' ', lens[i]);
        json[0] = '{';
        json[lens[i] - 1] = '}';
        bytes = make_file("stream", json, lens[i], 0);
        g_assert_true(find_in(bytes, G_MAXUINT64, 0));
    }
}

static void test_find_is_bounded(void)
{
    const gsize size = 70 * 1024 * 1024;
    g_autofree char *json = g_malloc(size);
    g_autoptr(GBytes) bytes = NULL;

    memset(json, ' ', size);
    json[0] = '{';
    json[size - 1] = '}';
    bytes = make_file("stream", json, size, 0);
    g_assert_false(find_in(bytes, G_MAXUINT64, 0));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/vmdesc/devices have names and lengths", test_devices);
    g_test_add_func("/vmdesc/senseless field sizes give no length", test_senseless_lengths);
    g_test_add_func("/vmdesc/malformed JSON is refused", test_malformed);
    g_test_add_func("/vmdesc/odd JSON lists no devices", test_odd_but_empty);
    g_test_add_func("/vmdesc/10000 levels are refused", test_depth);
    g_test_add_func("/vmdesc/levels that comments and quotes hide are refused", test_hidden_depth);
    g_test_add_func("/vmdesc/70000 devices are refused", test_too_many_devices);
    g_test_add_func("/vmdesc/a device of too much JSON is refused", test_huge_device);
    g_test_add_func("/vmdesc/it is found only where it ends with the file", test_find);
    g_test_add_func("/vmdesc/it is found whatever its length", test_find_any_length);
    g_test_add_func("/vmdesc/the search for it is bounded", test_find_is_bounded);
    return g_test_run();
}
