/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/jsontext.h"
#include "core/error.h"

#include <string.h>

/* Backslash, u and four digits. */
#define UNICODE_ESCAPE_BYTES 6

/* A token of JSON; a string is one, whether it is a name or a value. */
typedef enum {
    TOKEN_STRING = 1 << 0,
    TOKEN_WORD = 1 << 1,
    TOKEN_OPENING = 1 << 2,
    TOKEN_CLOSING = 1 << 3,
    TOKEN_COMMA = 1 << 4,
    TOKEN_COLON = 1 << 5,
} Token;

#define TOKENS_OF_VALUE (TOKEN_STRING | TOKEN_WORD | TOKEN_OPENING)

/* What may come next. */
typedef enum {
    EXPECT_VALUE,
    EXPECT_ELEMENT, /* the first of an array, or its end             */
    EXPECT_MEMBER,  /* the first name of an object, or its end       */
    EXPECT_NAME,    /* of one more member                            */
    EXPECT_COLON,
    EXPECT_MORE,    /* a comma, or the end of the array or object    */
    EXPECT_NOTHING, /* behind the value                              */
} Expect;

static const struct {
    guint tokens;
    const char *problem; /* with any other */
} expectations[] = {
    [EXPECT_VALUE] = {TOKENS_OF_VALUE, "expected a value"},
    [EXPECT_ELEMENT] = {TOKENS_OF_VALUE | TOKEN_CLOSING, "expected a value or a closing bracket"},
    [EXPECT_MEMBER] = {TOKEN_STRING | TOKEN_CLOSING, "expected a name or a closing brace"},
    [EXPECT_NAME] = {TOKEN_STRING, "expected a name"},
    [EXPECT_COLON] = {TOKEN_COLON, "expected a colon"},
    [EXPECT_MORE] = {TOKEN_COMMA | TOKEN_CLOSING, "expected a comma or a closing bracket"},
    [EXPECT_NOTHING] = {0, "more than one value"},
};

typedef struct {
    const char *text;
    gsize len;
    gsize at; /* the next byte to look at */
    Expect expect;
    guint limit;
    guint depth;
    char closing[FDSET_JSONTEXT_DEPTH_MAX]; /* the bracket that ends each level */
} Scan;

static gboolean refuse(const Scan *scan, FdsetError code, const char *what, GError **error)
{
    g_set_error(error, FDSET_ERROR, code, "byte %" G_GSIZE_FORMAT ": %s", scan->at, what);
    return FALSE;
}

static gboolean malformed(const Scan *scan, const char *what, GError **error)
{
    return refuse(scan, FDSET_ERROR_FORMAT, what, error);
}

/* --- strings --- */

/* The code unit of the escape that stands there; FALSE: there is none, or not four digits. */
static gboolean peek_unit(const Scan *scan, gsize at, guint *unit)
{
    *unit = 0;
    if (scan->len - at < UNICODE_ESCAPE_BYTES || scan->text[at] != '\\' ||
        scan->text[at + 1] != 'u')
        return FALSE;
    for (gsize i = at + 2; i < at + UNICODE_ESCAPE_BYTES; i++) {
        int digit = g_ascii_xdigit_value(scan->text[i]);

        if (digit < 0)
            return FALSE;
        *unit = *unit << 4 | (guint)digit;
    }
    return TRUE;
}

static gboolean is_high_surrogate(guint unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static gboolean is_low_surrogate(guint unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static gboolean take_unicode(Scan *scan, GError **error)
{
    guint unit, low;

    if (!peek_unit(scan, scan->at, &unit))
        return malformed(scan, "\\u without four hexadecimal digits", error);
    if (unit == 0)
        return malformed(scan, "an escaped NUL, which no string here can hold", error);
    if (is_low_surrogate(unit))
        return malformed(scan, "a low surrogate without a high one before it", error);
    if (is_high_surrogate(unit)) {
        scan->at += UNICODE_ESCAPE_BYTES;
        if (!peek_unit(scan, scan->at, &low) || !is_low_surrogate(low))
            return malformed(scan, "expected a low surrogate behind a high one", error);
    }
    scan->at += UNICODE_ESCAPE_BYTES;
    return TRUE;
}

static gboolean take_escape(Scan *scan, GError **error)
{
    char c = scan->at + 1 < scan->len ? scan->text[scan->at + 1] : '\0';

    if (c == 'u')
        return take_unicode(scan, error);
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return malformed(scan, "a backslash that escapes nothing", error);
    scan->at += 2;
    return TRUE;
}

static gboolean take_string(Scan *scan, GError **error)
{
    for (scan->at++; scan->at < scan->len;) {
        guchar c = (guchar)scan->text[scan->at];

        if (c == '"') {
            scan->at++;
            return TRUE;
        }
        if (c < ' ')
            return malformed(scan, "a control character in a string", error);
        if (c == '\\') {
            if (!take_escape(scan, error))
                return FALSE;
        } else {
            scan->at++;
        }
    }
    return malformed(scan, "the text ends in a string", error);
}

/* --- what stands between strings --- */

static gboolean take_opening(Scan *scan, char c, GError **error)
{
    if (scan->depth == scan->limit)
        return refuse(scan, FDSET_ERROR_LIMIT, "nested deeper than is allowed", error);
    scan->closing[scan->depth++] = c == '{' ? '}' : ']';
    scan->at++;
    return TRUE;
}

static gboolean take_closing(Scan *scan, char c, GError **error)
{
    if (scan->depth == 0 || scan->closing[scan->depth - 1] != c)
        return malformed(scan, "a bracket that closes nothing", error);
    scan->depth--;
    scan->at++;
    return TRUE;
}

/* One or more digits; how many. */
static gsize digits(const char *word, gsize len)
{
    gsize n = 0;

    while (n < len && g_ascii_isdigit(word[n]))
        n++;
    return n;
}

static gboolean is_number(const char *word, gsize len)
{
    gsize at = len > 0 && word[0] == '-' ? 1 : 0;
    gsize n = digits(word + at, len - at);

    if (n == 0 || (n > 1 && word[at] == '0'))
        return FALSE;
    at += n;
    if (at < len && word[at] == '.') {
        n = digits(word + at + 1, len - at - 1);
        if (n == 0)
            return FALSE;
        at += 1 + n;
    }
    if (at < len && (word[at] == 'e' || word[at] == 'E')) {
        at++;
        at += at < len && (word[at] == '+' || word[at] == '-') ? 1 : 0;
        n = digits(word + at, len - at);
        if (n == 0)
            return FALSE;
        at += n;
    }
    return at == len;
}

static gboolean is_name(const char *word, gsize len)
{
    static const char *const names[] = {"true", "false", "null"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (len == strlen(names[i]) && memcmp(word, names[i], len) == 0)
            return TRUE;
    return FALSE;
}

static gboolean take_word(Scan *scan, GError **error)
{
    const char *word = scan->text + scan->at;
    gsize len = 0;

    while (scan->at + len < scan->len &&
           (g_ascii_isalnum(word[len]) || (word[len] != '\0' && strchr("+-.", word[len]))))
        len++;
    if (!is_name(word, len) && !is_number(word, len))
        return malformed(scan, "no value of JSON", error);
    scan->at += len;
    return TRUE;
}

/* --- their order --- */

static Token token_of(char c)
{
    switch (c) {
    case '"':
        return TOKEN_STRING;
    case '{':
    case '[':
        return TOKEN_OPENING;
    case '}':
    case ']':
        return TOKEN_CLOSING;
    case ',':
        return TOKEN_COMMA;
    case ':':
        return TOKEN_COLON;
    default:
        return TOKEN_WORD;
    }
}

/* What may follow 'token', which was taken; the brackets are those of now. */
static Expect behind(const Scan *scan, Token token)
{
    gboolean in_object = scan->depth > 0 && scan->closing[scan->depth - 1] == '}';

    if (token == TOKEN_OPENING)
        return in_object ? EXPECT_MEMBER : EXPECT_ELEMENT;
    if (token == TOKEN_STRING && (scan->expect == EXPECT_MEMBER || scan->expect == EXPECT_NAME))
        return EXPECT_COLON;
    if (token == TOKEN_COLON)
        return EXPECT_VALUE;
    if (token == TOKEN_COMMA)
        return in_object ? EXPECT_NAME : EXPECT_VALUE;
    return scan->depth > 0 ? EXPECT_MORE : EXPECT_NOTHING;
}

static gboolean take_token(Scan *scan, Token token, char c, GError **error)
{
    switch (token) {
    case TOKEN_STRING:
        return take_string(scan, error);
    case TOKEN_OPENING:
        return take_opening(scan, c, error);
    case TOKEN_CLOSING:
        return take_closing(scan, c, error);
    case TOKEN_COMMA:
    case TOKEN_COLON:
        scan->at++;
        return TRUE;
    default:
        return take_word(scan, error);
    }
}

static gboolean take(Scan *scan, GError **error)
{
    char c = scan->text[scan->at];
    Token token = token_of(c);
    gsize start = scan->at;

    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        scan->at++;
        return TRUE;
    }
    if (!take_token(scan, token, c, error))
        return FALSE;
    if (!(expectations[scan->expect].tokens & token)) {
        scan->at = start;
        return malformed(scan, expectations[scan->expect].problem, error);
    }
    scan->expect = behind(scan, token);
    return TRUE;
}

gboolean fdset_jsontext_check(const char *text, gsize len, guint depth, GError **error)
{
    Scan scan = {.text = text, .len = len, .limit = depth};
    const char *end;

    g_return_val_if_fail(depth <= FDSET_JSONTEXT_DEPTH_MAX, FALSE);
    if (!g_utf8_validate_len(text, len, &end)) {
        scan.at = (gsize)(end - text);
        return malformed(&scan, "not UTF-8", error);
    }
    while (scan.at < len)
        if (!take(&scan, error))
            return FALSE;
    return scan.depth == 0 || malformed(&scan, "the text ends before its last bracket", error);
}

JsonNode *fdset_jsontext_parse(const char *text, gsize len, guint depth, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) problem = NULL;
    JsonNode *root;

    if (!fdset_jsontext_check(text, len, depth, error))
        return NULL;
    if (!json_parser_load_from_data(parser, text, (gssize)len, &problem)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT, "invalid syntax, %s", problem->message);
        return NULL;
    }
    root = json_parser_steal_root(parser);
    if (root == NULL)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT, "invalid syntax, no value at all");
    return root;
}
