/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The wire format of the control socket: cutting, limits, arguments, messages. */
#include "config.h"
#include "fs/qmp.h"
#include "fs/qmp-frame.h"
#include "t/tap.h"

/* All that comes out of 'text', pushed 'step' bytes at a time: "C:..." and "B:..." joined by '|'.
 */
static char *cut(const char *text, gsize len, gsize step)
{
    g_autoptr(FsQmpFrame) frame = fs_qmp_frame_new();
    GString *out = g_string_new(NULL);

    for (gsize at = 0; at < len; at += step) {
        char *line;
        FsQmpResult result;

        fs_qmp_frame_push(frame, text + at, MIN(step, len - at));
        while ((result = fs_qmp_frame_next(frame, &line)) != FS_QMP_MORE) {
            g_string_append_printf(out, "%s%c:%s", out->len ? "|" : "",
                                   result == FS_QMP_COMMAND ? 'C' : 'B', line);
            g_free(line);
        }
    }
    return g_string_free(out, FALSE);
}

static const struct {
    const char *in;
    const char *out;
} cuts[] = {
    {"", ""},
    {" \r\n\n", ""},
    {"{}\n", "C:{}"},
    {"{}{}", "C:{}|C:{}"},
    {"{\"a\":\"}\"}", "C:{\"a\":\"}\"}"},
    {"{\"a\":\"\\\"}\"}\r\n", "C:{\"a\":\"\\\"}\"}"},
    {"[1]\n", "C:[1]"},
    {"{\"a\"", ""},
    {"{\"a\"\n{}\n", "B:JSON parse error, the line ends inside a command|C:{}"},
    {"{\"a\n{}\n", "B:JSON parse error, the line ends inside a string|C:{}"},
    {"nonsense {}\n{}\n", "B:JSON parse error, expected an object|C:{}"},
    {"}\n{}\n", "B:JSON parse error, expected an object|C:{}"},
    {"{\"\xff\"}\n{}\n", "B:JSON parse error, not UTF-8|C:{}"},
};

static void test_cut(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cuts); i++)
        for (gsize step = 1; step < 30; step += 7) {
            g_autofree char *out = cut(cuts[i].in, strlen(cuts[i].in), step);

            g_assert_cmpstr(out, ==, cuts[i].out);
        }
}

static void test_cut_nul(void)
{
    g_autofree char *out = cut("{\"a\0b\":1}\n{}", 12, 12);

    g_assert_cmpstr(out, ==, "B:JSON parse error, not UTF-8|C:{}");
}

/* A line of 'n' times 'unit' between 'head' and 'tail', then an honest one. */
static char *cut_repeated(const char *head, const char *unit, guint n, const char *tail)
{
    g_autoptr(GString) text = g_string_new(head);

    for (guint i = 0; i < n; i++)
        g_string_append(text, unit);
    g_string_append_printf(text, "%s\n{}", tail);
    return cut(text->str, text->len, 4096);
}

static void test_limits(void)
{
    g_autofree char *long_ok = cut_repeated("{\"", "a", FS_QMP_LINE_MAX - 4, "\"}");
    g_autofree char *too_long = cut_repeated("{\"", "a", FS_QMP_LINE_MAX - 3, "\"}");
    g_autofree char *endless = cut_repeated("{\"", "a", 10 * FS_QMP_LINE_MAX, "");
    g_autofree char *deep = cut_repeated("{", "[", FS_QMP_DEPTH_MAX, "");
    g_autofree char *wide = cut_repeated("[0", ",0", FS_QMP_MEMBERS_MAX + 1, "]");

    g_assert_true(g_str_has_prefix(long_ok, "C:{\"aaa") && g_str_has_suffix(long_ok, "|C:{}"));
    g_assert_cmpstr(too_long, ==, "B:JSON token size limit exceeded|C:{}");
    g_assert_cmpstr(endless, ==, "B:JSON token size limit exceeded|C:{}");
    g_assert_cmpstr(deep, ==, "B:JSON nesting depth limit exceeded|C:{}");
    g_assert_cmpstr(wide, ==, "B:JSON token count limit exceeded|C:{}");
}

static const struct {
    const char *line;
    const char *problem; /* NULL: none */
} requests[] = {
    {"{\"execute\":\"x\"}", NULL},
    {"{\"execute\":\"x\",\"arguments\":{},\"id\":null}", NULL},
    {"{\"execute\":}", "JSON parse error, byte *: *"},
    {"{\"execute\":/*\"*/1}", "JSON parse error, byte 11: no value of JSON"},
    {"{\"execute\":'x'}", "JSON parse error, byte 11: no value of JSON"},
    {"{\"execute\":\"\\ud83d\\u0041\"}",
     "JSON parse error, byte 18: expected a low surrogate behind a high one"},
    {"{\"execute\":\"x\",\"id\":[1e999]}", "JSON parse error, number out of range"},
    {"[]", "QMP input must be a JSON object"},
    {"{}", "QMP input lacks member 'execute'"},
    {"{\"execute\":7}", "QMP input member 'execute' must be a string"},
    {"{\"execute\":\"x\",\"arguments\":[]}", "QMP input member 'arguments' must be an object"},
    {"{\"execute\":\"x\",\"more\":1}", "QMP input member 'more' is unexpected"},
};

static void test_requests(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_autoptr(JsonNode) id = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(FsQmpRequest) request = fs_qmp_request_parse(requests[i].line, &id, &error);

        g_assert_true((error != NULL) == (requests[i].problem != NULL));
        if (error && !g_pattern_match_simple(requests[i].problem, error->message))
            g_error("expected '%s' in place of '%s'", requests[i].problem, error->message);
        g_assert_true((request != NULL) == (error == NULL));
    }
}

static void test_id_of_a_complaint(void)
{
    g_autoptr(JsonNode) id = NULL;
    g_autoptr(FsQmpRequest) request =
        fs_qmp_request_parse("{\"id\":[1,\"a\"],\"execute\":7}", &id, NULL);
    g_autofree char *line = fs_qmp_error("GenericError", NULL, "no", id);

    g_assert_null(request);
    g_assert_cmpstr(
        line, ==, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"},\"id\":[1,\"a\"]}\r\n");
}

static const char *const colours[] = {"red", "blue", NULL};
static const FsQmpArgument table[] = {
    {"number", FS_QMP_INTEGER, FALSE, NULL},  {"time", FS_QMP_NUMBER, TRUE, NULL},
    {"text", FS_QMP_STRING, TRUE, NULL},      {"flag", FS_QMP_BOOLEAN, TRUE, NULL},
    {"colour", FS_QMP_STRING, TRUE, colours}, {NULL},
};

static const struct {
    const char *arguments;
    const char *problem;
} checks[] = {
    {"{\"number\":1}", NULL},
    {"{\"number\":-1,\"time\":1,\"text\":\"\",\"flag\":true,\"colour\":\"blue\"}", NULL},
    {"{\"number\":1,\"time\":1.5}", NULL},
    {"{}", "Parameter 'number' is missing"},
    {"{\"number\":1,\"x\":2}", "Parameter 'x' is unexpected"},
    {"{\"number\":\"1\"}", "Invalid parameter type for 'number', expected: integer"},
    {"{\"number\":1.5}", "Invalid parameter type for 'number', expected: integer"},
    {"{\"number\":null}", "Invalid parameter type for 'number', expected: integer"},
    {"{\"number\":[]}", "Invalid parameter type for 'number', expected: integer"},
    {"{\"number\":1,\"time\":\"1\"}", "Invalid parameter type for 'time', expected: number"},
    {"{\"number\":1,\"text\":1}", "Invalid parameter type for 'text', expected: string"},
    {"{\"number\":1,\"flag\":0}", "Invalid parameter type for 'flag', expected: boolean"},
    {"{\"number\":1,\"colour\":\"pink\"}", "Parameter 'colour' does not accept value 'pink'"},
};

static void test_arguments(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autoptr(JsonNode) node = json_from_string(checks[i].arguments, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_true(fs_qmp_arguments_check(table, json_node_get_object(node), &error) ==
                      (checks[i].problem == NULL));
        g_assert_cmpstr(error ? error->message : NULL, ==, checks[i].problem);
    }
}

static void test_messages(void)
{
    g_autofree char *greeting = fs_qmp_greeting();
    g_autofree char *empty = fs_qmp_return(NULL, NULL);
    g_autofree char *event = fs_qmp_event("SET_COMPLETE", NULL, 1500000);
    g_autofree char *error = fs_qmp_error("GenericError", "busy", "no", NULL);

    g_assert_true(g_str_has_prefix(greeting, "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":"));
    g_assert_cmpstr(empty, ==, "{\"return\":{}}\r\n");
    g_assert_cmpstr(event, ==,
                    "{\"timestamp\":{\"seconds\":1,\"microseconds\":500000},"
                    "\"event\":\"SET_COMPLETE\",\"data\":{}}\r\n");
    g_assert_cmpstr(
        error, ==,
        "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\",\"code\":\"busy\"}}\r\n");
}

static void test_codes(void)
{
    for (int code = FDSET_ERROR_SYSTEM; code <= FDSET_ERROR_LIMIT; code++)
        g_assert_cmpint(fs_qmp_code_find(fs_qmp_code_name((FdsetError)code)), ==, code);
    g_assert_cmpint(fs_qmp_code_find("nonsense"), ==, FDSET_ERROR_SYSTEM);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/qmp/a command ends with its braces, a broken one with the line", test_cut);
    g_test_add_func("/qmp/a NUL byte is no text", test_cut_nul);
    g_test_add_func("/qmp/size, depth and members are limited", test_limits);
    g_test_add_func("/qmp/a request has QMP's members and no others", test_requests);
    g_test_add_func("/qmp/a complaint carries the id", test_id_of_a_complaint);
    g_test_add_func("/qmp/arguments are checked strictly", test_arguments);
    g_test_add_func("/qmp/messages are one line each", test_messages);
    g_test_add_func("/qmp/every error code has a word", test_codes);
    return g_test_run();
}
