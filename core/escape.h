/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * escape.h - names from a file as names of files.
 *
 * Bytes that are not printable ASCII, '/', '%', '~' and a '.' in front become
 * %XX. What then has more than 200 bytes is cut there and gets "~" and its
 * number, which no escaped name can hold. So a name is never empty, ".", ".." or
 * a path, and different names stay different.
 */
#ifndef FDSET_ESCAPE_H
#define FDSET_ESCAPE_H

#include <glib.h>

/* 'number' tells names apart that are cut. The caller frees. */
char *fdset_escape_name(const char *name, gsize number);

#endif
