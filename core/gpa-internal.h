/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gpa-internal.h - what gpa.c (the map) and gpa-machines.c (the rules) share, and nobody else. */
#ifndef FDSET_GPA_INTERNAL_H
#define FDSET_GPA_INTERNAL_H

#include "core/gpa.h"

struct FdsetGpa {
    FdsetArch arch;
    GArray *ranges;      /* owned, of FdsetGpaRange, sorted */
    GPtrArray *notes;    /* owned strings; NULL-terminated at the end */
    GStringChunk *texts; /* owned; the ranges' 'how' */
};

/*
 * Puts those parts of 'range' into the map that nothing covers yet: what comes
 * first wins. 'how' is copied. A range without a block keeps its place free.
 */
void fdset_gpa_place(FdsetGpa *gpa, const FdsetGpaRange *range);

void fdset_gpa_note(FdsetGpa *gpa, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Places what the machine's rules know. */
void fdset_gpa_derive(FdsetGpa *gpa, const FdsetStream *stream, const FdsetChipset *chipset);

#endif
