/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jsontext.h - JSON that others wrote, looked at before json-glib gets it.
 *
 * The one way from text to a JsonNode in core/ and fs/. One pass without
 * recursion takes what RFC 8259 has and nothing else: brackets (which match, up
 * to a depth), words, numbers (section 6), strings (section 7), in their order.
 * json-glib takes more than that, and some of it does harm: its comments and
 * single quotes would hide brackets from a count of levels, on which it recurses;
 * of a malformed surrogate pair it leaks the string (1.6) or makes text that is
 * not UTF-8; behind an escaped NUL it forgets the rest; and of what it refuses it
 * leaks the part that it had read.
 */
#ifndef FDSET_JSONTEXT_H
#define FDSET_JSONTEXT_H

#include <json-glib/json-glib.h>

/* Nobody may ask for more levels than this. */
#define FDSET_JSONTEXT_DEPTH_MAX 128u

/*
 * Whether the text (without a NUL at its end) may be given to json-glib.
 * Errors name the byte, counted from 0: LIMIT (more than 'depth' levels of
 * brackets), FORMAT.
 */
gboolean fdset_jsontext_check(const char *text, gsize len, guint depth, GError **error);

/* The value that it is, when it may; caller unrefs. Errors: the same, and json-glib's as FORMAT. */
JsonNode *fdset_jsontext_parse(const char *text, gsize len, guint depth, GError **error);

#endif
