/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gpa.h - where RAM blocks lie in the guest's physical address space.
 *
 * A migration file does not say. It is derived from the machine's name, the
 * names and lengths of the RAM blocks, what the devices tell (chipset.h), and
 * libvirt's XML where there is one (domain.h); gpa-machines.c has the rules, each
 * range says how it was derived, and what cannot be known is a note and not a
 * guess. The user's own ranges win.
 *
 * Ranges are sorted by address and do not overlap; each lies within its block
 * and ends at G_MAXINT64 at most. Only blocks whose content is in the file are
 * in the map. Immutable.
 */
#ifndef FDSET_GPA_H
#define FDSET_GPA_H

#include "core/chipset.h"
#include "core/domain.h"
#include "core/stream.h"

typedef struct FdsetGpa FdsetGpa;

typedef struct {
    guint64 address;            /* guest-physical */
    guint64 length;             /* bytes, never 0 */
    const FdsetRamblock *block; /* borrowed from the stream */
    guint64 offset;             /* in the block */
    const char *how;            /* borrowed; in a user's words */
} FdsetGpaRange;

/* What CPU the addresses are of. */
typedef enum {
    FDSET_ARCH_UNKNOWN,
    FDSET_ARCH_X86_64,
    FDSET_ARCH_AARCH64,
    FDSET_ARCH_RISCV64,
} FdsetArch;

/* What is known besides the stream; all borrowed. */
typedef struct {
    const FdsetChipset *chipset; /* what the devices tell */
    const FdsetDomain *domain;   /* what libvirt tells, or NULL */
    const char *domain_problem;  /* why that cannot be read, or NULL */
    /* NULL-terminated (or NULL): BLOCK:OFFSET:LENGTH:ADDRESS each, decimal or in hex with 0x */
    const char *const *overrides;
} FdsetGpaHints;

/* The stream is borrowed, too. Error: USAGE for an override that makes no sense. */
FdsetGpa *fdset_gpa_new(const FdsetStream *stream, const FdsetGpaHints *hints, GError **error);

FdsetArch fdset_gpa_arch(const FdsetGpa *gpa);

gsize fdset_gpa_n_ranges(const FdsetGpa *gpa);
const FdsetGpaRange *fdset_gpa_range(const FdsetGpa *gpa, gsize i);

/* What is not known, or assumed, in a user's words; NULL-terminated. */
const char *const *fdset_gpa_notes(const FdsetGpa *gpa);

void fdset_gpa_free(FdsetGpa *gpa);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetGpa, fdset_gpa_free)

#endif
