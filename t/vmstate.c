/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device sections as JSON, by their description; and names of files. */
#include "config.h"
#include "core/devices.h"
#include "core/error.h"
#include "core/escape.h"
#include "core/vmstate.h"
#include "t/streamwriter.h"
#include "t/tap.h"

/* What 'bytes' (in hex) become; an error's text when they are not decoded. */
static char *decode(const char *description, const char *hex, gsize budget, GError **error)
{
    g_autoptr(JsonNode) node = json_from_string(description, NULL);
    g_autoptr(JsonNode) text = json_node_init_string(json_node_alloc(), hex);
    g_autoptr(GBytes) bytes = fdset_vmstate_bytes(text);
    g_autoptr(JsonNode) state = NULL;

    g_assert_nonnull(node);
    state = fdset_vmstate_decode(json_node_get_object(node), g_bytes_get_data(bytes, NULL),
                                 g_bytes_get_size(bytes), &budget, error);
    return state == NULL ? NULL : json_to_string(state, FALSE);
}

#define FIELD(name, type, size) "{\"name\":\"" name "\",\"type\":\"" type "\",\"size\":" #size "}"
#define FIELDS(fields) "{\"fields\":[" fields "]}"

static const struct {
    const char *claim, *description, *bytes, *expected;
} decoded[] = {
    {"numbers",
     FIELDS(FIELD("a", "uint8", 1) "," FIELD("b", "int16", 2) "," FIELD("c", "uint32", 4)),
     "fffffeffffffff", "{\"a\":255,\"b\":-2,\"c\":4294967295}"},
    {"numbers of 64 bits as text", FIELDS(FIELD("a", "uint64", 8) "," FIELD("t", "timer", 8)),
     "ffffffffffffffff0000000000000010", "{\"a\":\"0xffffffffffffffff\",\"t\":\"0x10\"}"},
    {"one that must be less or equal", FIELDS(FIELD("v", "int32 le", 4)), "00000002", "{\"v\":2}"},
    {"truth", FIELDS(FIELD("a", "bool", 1) "," FIELD("b", "bool", 1) "," FIELD("c", "bool", 1)),
     "000102", "{\"a\":false,\"b\":true,\"c\":\"02\"}"},
    {"bytes", FIELDS(FIELD("a", "buffer", 3) "," FIELD("b", "float64", 8)),
     "00ff100000000000000001", "{\"a\":\"00ff10\",\"b\":\"0000000000000001\"}"},
    {"arrays", FIELDS("{\"name\":\"a\",\"type\":\"uint8\",\"size\":1,\"array_len\":3}"), "010203",
     "{\"a\":[1,2,3]}"},
    {"an array with a place for each",
     FIELDS("{\"name\":\"a\",\"index\":0,\"type\":\"uint8\",\"size\":1},"
            "{\"name\":\"a\",\"index\":1,\"type\":\"uint16\",\"size\":2}"),
     "010002", "{\"a[0]\":1,\"a[1]\":2}"},
    {"structs",
     FIELDS("{\"name\":\"s\",\"type\":\"struct\",\"size\":3,\"array_len\":2,\"struct\":" FIELDS(
         FIELD("x", "uint8", 1) "," FIELD("y", "uint16", 2)) "}"),
     "010002030004", "{\"s\":[{\"x\":1,\"y\":2},{\"x\":3,\"y\":4}]}"},
    {"subsections",
     "{\"fields\":[],\"subsections\":[{\"vmsd_name\":\"d/s\",\"version\":1,"
     "\"fields\":[" FIELD("x", "uint8", 1) "]}]}",
     "0503642f730000000107", "{\"subsections\":{\"d/s\":{\"x\":7}}}"},
    {"nothing", "{\"fields\":[]}", "", "{}"},
    {"a million elements of no size",
     FIELDS("{\"name\":\"a\",\"type\":\"x\",\"size\":0,\"array_len\":1000000000000}"), "",
     "{\"a\":[]}"},
};

static const struct {
    const char *claim, *description, *bytes;
} raw[] = {
    {"a byte too many", FIELDS(FIELD("a", "uint8", 1)), "0102"},
    {"a byte too few", FIELDS(FIELD("a", "uint16", 2)), "01"},
    {"a field without a size", FIELDS("{\"name\":\"a\",\"type\":\"uint8\"}"), "01"},
    {"a field without a name", FIELDS("{\"type\":\"uint8\",\"size\":1}"), "01"},
    {"a field that is none", FIELDS("7"), "01"},
    {"a size below zero", FIELDS("{\"name\":\"a\",\"type\":\"uint8\",\"size\":-1}"), "01"},
    {"an array that wraps",
     FIELDS("{\"name\":\"a\",\"type\":\"x\",\"size\":4611686018427387904,"
            "\"array_len\":4611686018427387904}"),
     "01"},
    {"a struct whose parts are too small",
     FIELDS("{\"name\":\"s\",\"type\":\"struct\",\"size\":2,"
            "\"struct\":" FIELDS(FIELD("x", "uint8", 1)) "}"),
     "0102"},
    {"a struct whose parts are too large",
     FIELDS("{\"name\":\"s\",\"type\":\"struct\",\"size\":1,"
            "\"struct\":" FIELDS(FIELD("x", "uint16", 2)) "}"),
     "0102"},
    {"a subsection of another name", "{\"subsections\":[{\"vmsd_name\":\"d/t\",\"fields\":[]}]}",
     "0503642f7300000001"},
    {"a subsection that is cut", "{\"subsections\":[{\"vmsd_name\":\"d/s\",\"fields\":[]}]}",
     "0503642f73000000"},
};

static void test_decoded(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autofree char *got = decode(decoded[i].description, decoded[i].bytes, 1000, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(got, ==, decoded[i].expected);
}

static void test_raw(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autofree char *got = decode(raw[i].description, raw[i].bytes, 1000, &error);

    g_assert_cmpstr(got, ==, NULL);
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT);
}

static void test_budget(void)
{
    const char *description =
        FIELDS("{\"name\":\"a\",\"type\":\"uint8\",\"size\":1,\"array_len\":4}");
    g_autoptr(GError) error = NULL;
    g_autofree char *got = decode(description, "01020304", 5, NULL);

    g_assert_cmpstr(got, ==, "{\"a\":[1,2,3,4]}");
    g_assert_null(decode(description, "01020304", 4, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT);
}

static void test_devices(void)
{
    const StreamBlock block = {.name = "pc.ram", .pages = 1};
    const StreamShape shape = {
        .capability = "mapped-ram", .blocks = &block, .n_blocks = 1, .wrong_sizes = TRUE};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    g_autoptr(FdsetDevices) devices = NULL;
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(GBytes) text = NULL;
    FdsetSource source;
    const char *json;

    stream_file_source(file, G_MAXUINT64, &source);
    stream = fdset_stream_parse(&source, 0, NULL);
    g_assert_nonnull(stream);
    devices = fdset_devices_new(&source, stream);
    g_assert_cmpuint(fdset_devices_count(devices), ==, 5);
    text = fdset_devices_render(devices);
    json = g_bytes_get_data(text, NULL);
    g_assert_nonnull(g_strstr_len(json, -1, "\"ticks\":\"0x7e0000000a000600\""));
    g_assert_nonnull(g_strstr_len(json, -1, "\"e\":\"454545\""));
    g_assert_nonnull(g_strstr_len(json, -1, "\"raw\":\"at byte 4: the description ends"));
    g_assert_null(g_strstr_len(strstr(json, "\"raw\"") + 1, -1, "\"raw\""));
    g_assert_null(fdset_devices_find(devices, "cpu", 0));
    g_assert_null(fdset_devices_find(devices, "nobody", 0));
}

static const struct {
    const char *name, *escaped;
} names[] = {
    {"pc.ram", "pc.ram"},
    {"0000:00:01.0/vga.vram", "0000:00:01.0%2Fvga.vram"},
    {"/rom@etc/acpi/tables", "%2From@etc%2Facpi%2Ftables"},
    {".", "%2E"},
    {"..", "%2E."},
    {"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
    {"a%2Fb", "a%252Fb"},
    {"a~1", "a%7E1"},
    {"\xff\n\t\x7f", "%FF%0A%09%7F"},
    {"a b", "a b"},
};

static void test_names(void)
{
    g_autofree char *name = g_strnfill(255, '/');
    g_autofree char *escaped = fdset_escape_name(name, 12);

    g_assert_cmpuint(strlen(escaped), ==, 203);
    g_assert_true(g_str_has_suffix(escaped, "%2F%2~12"));
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *got = fdset_escape_name(names[i].name, i);

        g_assert_cmpstr(got, ==, names[i].escaped);
    }
}

static void add(const char *format, const char *claim, gsize i, GTestDataFunc test)
{
    g_autofree char *name = g_strconcat(format, claim, NULL);

    g_test_add_data_func(name, GSIZE_TO_POINTER(i), test);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    for (gsize i = 0; i < G_N_ELEMENTS(decoded); i++)
        add("/vmstate/decodes ", decoded[i].claim, i, test_decoded);
    for (gsize i = 0; i < G_N_ELEMENTS(raw); i++)
        add("/vmstate/does not decode ", raw[i].claim, i, test_raw);
    g_test_add_func("/vmstate/makes no more values than allowed", test_budget);
    g_test_add_func("/vmstate/devices that do not fit are raw, others decoded", test_devices);
    g_test_add_func("/vmstate/names of files cannot leave their directory", test_names);
    return g_test_run();
}
