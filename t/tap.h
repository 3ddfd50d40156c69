/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tap.h - GLib's test framework speaking TAP, whoever starts the program:
 * automake's driver, prove, or a person. Include it in t/<noun>.c and use
 * tap_init() in the place of g_test_init().
 */
#ifndef FDSET_TAP_H
#define FDSET_TAP_H

#include <glib.h>
#include <string.h>

static inline void tap_init(int argc, char **argv)
{
    GPtrArray *args = g_ptr_array_new();
    char **vector;

    for (int i = 0; i < argc; i++)
        g_ptr_array_add(args, argv[i]);
    if (argc < 2)
        g_ptr_array_add(args, g_strdup("--tap"));
    argc = (int)args->len;
    g_ptr_array_add(args, NULL);
    vector = (char **)g_ptr_array_free(args, FALSE);
    g_test_init(&argc, &vector, NULL);
}

#endif
