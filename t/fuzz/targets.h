/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * targets.h - what is fuzzed: each parser of bytes that others made, as one
 * function. scripts/fuzz runs them with libFuzzer; t/fuzz.t, in every build, on
 * the corpus of bad files and on mutations of good ones.
 */
#ifndef FDSET_FUZZ_TARGETS_H
#define FDSET_FUZZ_TARGETS_H

#include <glib.h>

typedef struct {
    const char *name;
    /* Takes any bytes. It aborts when what is promised of them does not hold. */
    void (*run)(const guint8 *data, gsize size);
} FuzzTarget;

/* The table ends with a name of NULL. */
extern const FuzzTarget fuzz_targets[];

/* NULL: there is none of this name. */
const FuzzTarget *fuzz_target_find(const char *name);

#endif
