/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fdrules.h - the rules of an fdset that is made of descriptors.
 *
 * Two tables and two pure functions: may this descriptor join the set (asked by
 * add-fd), and does the set have what this open needs (asked at open(), before
 * rules.h). A breach is reported as soon as it can be known. A set whose
 * descriptors are write-only is a source, one whose are read-only a destination.
 * Source of the rules: QEMU's migration documentation for fdsets (9.1 and
 * later), monitor/fds.c for how an open is matched, and for the v4 profile the
 * fixed-ram series of February 2024.
 */
#ifndef FDSET_FDRULES_H
#define FDSET_FDRULES_H

#include "core/descriptor.h"
#include "core/rules.h"

/* As many as multifd has channels, and the main one. */
#define FDSET_DESCRIPTORS_MAX (FDSET_SECONDARY_MAX + 1)

/* What the descriptors of a set are, counted by their flags. */
typedef struct {
    guint n_source;      /* write-only, without O_DIRECT */
    guint n_source_direct;
    guint n_destination; /* read-only, without O_DIRECT  */
    guint n_destination_direct;
} FdsetDescriptorCounts;

/* The facts of one add-fd. */
typedef struct {
    FdsetProfile profile;
    FdsetDio dio;
    FdsetDescriptorCounts set; /* those that are in the set already */
    FdsetFileKind kind;
    int flags;          /* of the new one: access mode, O_DIRECT, O_APPEND */
    gboolean duplicate; /* of one that is in the set                       */
} FdsetAdd;

typedef struct FdsetFdRule FdsetFdRule;

/* The rule that refuses this add-fd, or NULL when it is allowed. Pure. */
const FdsetFdRule *fdset_fdrules_check_add(const FdsetAdd *add);

/* The facts of one open. */
typedef struct {
    FdsetProfile profile;
    FdsetDio dio;
    FdsetDescriptorCounts set;
    int flags;          /* of the open: access mode and O_DIRECT       */
    gboolean secondary; /* a writer, and not the first of its session  */
    gboolean changed;   /* a descriptor got O_APPEND since it was added */
    gboolean missing;   /* a file of the set's save has no descriptor here */
} FdsetMatch;

/* The rule that refuses this open with EACCES, or NULL when a descriptor matches it. Pure. */
const FdsetFdRule *fdset_fdrules_check_open(const FdsetMatch *match);

/* The name of a rule, stable, for scripts ("fd-pipe"). */
const char *fdset_fdrule_name(const FdsetFdRule *rule);

/* The reason in a user's words, as fdset_rule_explain(). Caller frees. */
char *fdset_fdrule_explain(const FdsetFdRule *rule, guint32 id, int flags);

#endif
