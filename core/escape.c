/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/escape.h"

#define ESCAPED_MAX 200 /* with a number behind it a name has to fit 255 bytes */

static gboolean is_plain(const char *name, gsize i)
{
    char c = name[i];

    if (c == '/' || c == '%' || c == '~' || (c == '.' && i == 0))
        return FALSE;
    return g_ascii_isgraph(c) || c == ' ';
}

char *fdset_escape_name(const char *name, gsize number)
{
    GString *escaped = g_string_new(NULL);

    for (gsize i = 0; name[i] != '\0'; i++) {
        if (is_plain(name, i))
            g_string_append_c(escaped, name[i]);
        else
            g_string_append_printf(escaped, "%%%02X", (guchar)name[i]);
    }
    if (escaped->len > ESCAPED_MAX) {
        g_string_truncate(escaped, ESCAPED_MAX);
        g_string_append_printf(escaped, "~%" G_GSIZE_FORMAT, number);
    }
    return g_string_free(escaped, FALSE);
}
