/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cases.h - migration files that must be refused, by name, each with the error
 * it must give. Made by t/streamwriter.c and damaged in exactly one way. What is
 * checked on them in one process (t/bad.t), through a mount (t/bad-files.t), and
 * by the fuzz targets, for which they are seeds, is the same.
 */
#ifndef FDSET_BAD_CASES_H
#define FDSET_BAD_CASES_H

#include "t/streamwriter.h"

typedef struct {
    const char *name;
    const char *words; /* that its error has */
    int code;          /* FdsetError of it */
    gboolean shown;    /* its head is whole: a mount shows that, with the error as a warning */
} BadCase;

gsize bad_n_cases(void);
const BadCase *bad_case(gsize i);

/* The file of a case; caller frees. */
GByteArray *bad_file(gsize i);

#endif
