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
    char tap[] = "--tap";
    char *with_tap[] = {argv[0], tap, NULL};
    char **vector = argc < 2 ? with_tap : argv;

    argc = MAX(argc, 2);
    g_test_init(&argc, &vector, NULL);
}

#endif
