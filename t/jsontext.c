/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "core/jsontext.h"
#include "t/tap.h"

#define DEPTH 8u

/* What is said of the text; "" when it may be given to json-glib. */
static char *verdict(const char *text, gsize len)
{
    g_autoptr(GError) error = NULL;

    if (fdset_jsontext_check(text, len, DEPTH, &error))
        return g_strdup("");
    g_assert_true(error->domain == FDSET_ERROR);
    return g_strdup_printf("%s: %s", error->code == FDSET_ERROR_LIMIT ? "limit" : "format",
                           error->message);
}

typedef struct {
    const char *text;
    const char *verdict; /* it starts with that */
} Case;

static void check_cases(const Case *cases, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        g_autofree char *got = verdict(cases[i].text, strlen(cases[i].text));

        if (*cases[i].verdict ? !g_str_has_prefix(got, cases[i].verdict) : *got)
            g_error("%s\n  got:      %s\n  expected: %s", cases[i].text, got, cases[i].verdict);
    }
}

/* RFC 8259 section 7: a character outside the BMP is a high and a low surrogate. */
static const Case escapes[] = {
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", ""},
    {"\"\\u0041\\u00e4\\uFFFF\\ue000\\ud7ff\"", ""},
    {"\"\\ud83d\\ude00\"", ""},
    {"\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", ""},
    {"\"\\ud83d\"", "format: byte 7: expected a low surrogate"},
    {"\"\\ud83dx\"", "format: byte 7: expected a low surrogate"},
    {"\"\\ud83d\\n\"", "format: byte 7: expected a low surrogate"},
    {"\"\\ud83d\\u0041\"", "format: byte 7: expected a low surrogate"},
    {"\"\\ud83d\\ud83d\"", "format: byte 7: expected a low surrogate"},
    {"\"\\ud83d\\ude0", "format: byte 7: expected a low surrogate"},
    {"\"\\ude00\"", "format: byte 1: a low surrogate without"},
    {"\"\\ude00\\ud83d\"", "format: byte 1: a low surrogate without"},
    {"\"a\\u0000b\"", "format: byte 2: an escaped NUL"},
    {"\"\\u12\"", "format: byte 1: \\u without four"},
    {"\"\\u12g4\"", "format: byte 1: \\u without four"},
    {"\"\\u", "format: byte 1: \\u without four"},
    {"\"\\U0041\"", "format: byte 1: a backslash that escapes nothing"},
    {"\"\\x41\"", "format: byte 1: a backslash that escapes nothing"},
    {"\"\\", "format: byte 1: a backslash that escapes nothing"},
    {"\"a", "format: byte 2: the text ends in a string"},
    {"\"a\nb\"", "format: byte 2: a control character"},
    {"\"a\tb\"", "format: byte 2: a control character"},
};

static const Case values[] = {
    {"", ""},
    {" \t\r\n{} ", ""},
    {"[true,false,null]", ""},
    {"[0,-0,7,-12,1.5,0.25e3,1E-2,1e+10]", ""},
    {"True", "format: byte 0: no value"},
    {"truefalse", "format: byte 0: no value"},
    {"[01]", "format: byte 1: no value"},
    {"[0x10]", "format: byte 1: no value"},
    {"[+1]", "format: byte 1: no value"},
    {"[.5]", "format: byte 1: no value"},
    {"[1.]", "format: byte 1: no value"},
    {"[1.e3]", "format: byte 1: no value"},
    {"[1e]", "format: byte 1: no value"},
    {"[1e+]", "format: byte 1: no value"},
    {"[-]", "format: byte 1: no value"},
    {"[1-2]", "format: byte 1: no value"},
    {"[NaN]", "format: byte 1: no value"},
    {"['a']", "format: byte 1: no value"},
    {"[/*\"*/[[[[[", "format: byte 1: no value"},
    {"[//\"\n[[[[[", "format: byte 1: no value"},
    {"[#\"\n[[[[[", "format: byte 1: no value"},
    {"[a\xc3\xa4]", "format: byte 1: no value"},
    {"[\x7f]", "format: byte 1: no value"},
    {"[\"\xff\"]", "format: byte 2: not UTF-8"},
    {"[\"\xed\xa0\x80\"]", "format: byte 2: not UTF-8"},
};

static const Case order[] = {
    {"{\"a\":1,\"b\":[],\"c\":{\"d\":\"e\"}}", ""},
    {"[1,[2],{\"a\":3}]", ""},
    {"1", ""},
    {"1 2", "format: byte 2: more than one value"},
    {"{} {}", "format: byte 3: more than one value"},
    {"[1 2]", "format: byte 3: expected a comma or"},
    {"[,1]", "format: byte 1: expected a value or"},
    {"[1,]", "format: byte 3: expected a value"},
    {"[1,,2]", "format: byte 3: expected a value"},
    {"[1:2]", "format: byte 2: expected a comma or"},
    {"{1:2}", "format: byte 1: expected a name or"},
    {"{,}", "format: byte 1: expected a name or"},
    {"{\"a\"}", "format: byte 4: expected a colon"},
    {"{\"a\",1}", "format: byte 4: expected a colon"},
    {"{\"a\":}", "format: byte 5: expected a value"},
    {"{\"a\":1,}", "format: byte 7: expected a name"},
    {"{\"a\":1 \"b\":2}", "format: byte 7: expected a comma or"},
    {"{\"a\":1,2:3}", "format: byte 7: expected a name"},
    {",", "format: byte 0: expected a value"},
};

static const Case brackets[] = {
    {"[[[[[[[[]]]]]]]]", ""},
    {"{\"a\":[{\"b\":[]}]}", ""},
    {"[\"[[[[[[[[[[[[\"]", ""},
    {"[[[[[[[[[]]]]]]]]]", "limit: byte 8: nested deeper"},
    {"[[[[[[[[{", "limit: byte 8: nested deeper"},
    {"[", "format: byte 1: the text ends before its last bracket"},
    {"]", "format: byte 0: a bracket that closes nothing"},
    {"[}", "format: byte 1: a bracket that closes nothing"},
    {"{}}", "format: byte 2: a bracket that closes nothing"},
};

static void test_escapes(void)
{
    check_cases(escapes, G_N_ELEMENTS(escapes));
}

static void test_values(void)
{
    check_cases(values, G_N_ELEMENTS(values));
}

static void test_order(void)
{
    check_cases(order, G_N_ELEMENTS(order));
}

static void test_brackets(void)
{
    check_cases(brackets, G_N_ELEMENTS(brackets));
}

static void test_nul(void)
{
    g_autofree char *between = verdict("[\0]", 3);
    g_autofree char *inside = verdict("[\"\0\"]", 5);

    g_assert_cmpstr(between, ==, "format: byte 1: not UTF-8");
    g_assert_cmpstr(inside, ==, "format: byte 2: not UTF-8");
}

/* The text ends where 'len' says: under the sanitizers a byte too far is an error. */
static void test_bounds(void)
{
    static const char text[] = "{\"a\":[1.5e3,\"\\ud83d\\ude00\\n\",true]}";

    for (gsize len = 1; len < strlen(text); len++) {
        g_autofree char *part = g_malloc(len);
        g_autofree char *got = NULL;

        memcpy(part, text, len);
        got = verdict(part, len);
        g_assert_true(g_str_has_prefix(got, "format: byte "));
    }
}

static void test_parse(void)
{
    static const char text[] = "{\"a\":\"\\ud83d\\ude00\"}behind";
    static const char *const wrong[] = {"", "{\"a\" 1}", "[1 2]", "{1:2}", "[1,]", "[:]", "1 2"};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = fdset_jsontext_parse(text, strlen(text) - 6, DEPTH, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "a"), ==,
                    "\xf0\x9f\x98\x80");
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(JsonNode) none =
            fdset_jsontext_parse(wrong[i], strlen(wrong[i]), DEPTH, &problem);

        g_assert_null(none);
        g_assert_error(problem, FDSET_ERROR, FDSET_ERROR_FORMAT);
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/jsontext/escapes are those of RFC 8259, surrogates come in pairs",
                    test_escapes);
    g_test_add_func("/jsontext/words and numbers are those of RFC 8259", test_values);
    g_test_add_func("/jsontext/brackets match, up to a depth", test_brackets);
    g_test_add_func("/jsontext/tokens come in the order of RFC 8259", test_order);
    g_test_add_func("/jsontext/a NUL byte is refused", test_nul);
    g_test_add_func("/jsontext/nothing is read behind the end", test_bounds);
    g_test_add_func("/jsontext/a value is what json-glib makes of it", test_parse);
    return g_test_run();
}
