/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gpa-internal.h - what gpa.c (the map), gpa-machines.c (memory), gpa-roms.c (ROM
 * and flash) and gpa-hotplug.c (other memory) share, and nobody else.
 */
#ifndef FDSET_GPA_INTERNAL_H
#define FDSET_GPA_INTERNAL_H

#include "core/gpa.h"

struct FdsetGpa {
    FdsetArch arch;
    GArray *ranges;      /* owned, of FdsetGpaRange, sorted */
    GPtrArray *notes;    /* owned strings; NULL-terminated at the end */
    GStringChunk *texts; /* owned; the ranges' 'how' */
};

#define FDSET_GPA_4G G_GUINT64_CONSTANT(0x100000000)

/* What the memory map of a type of machine is made of. */
typedef struct {
    const char *prefix; /* of the machine's name */
    const char *memory; /* the block of its memory where no backend was named */
    const char *always; /* another block of its own to know it by; NULL: the prefix will do */
    FdsetArch arch;
    guint64 base;      /* address of memory */
    guint64 threshold; /* from this size on it is split ... */
    guint64 low;       /* ... here: what is behind lies at 4 GiB. 0: never */
    gboolean has_pam;
} FdsetMachine;

/* What the rules work with; all borrowed. */
typedef struct {
    FdsetGpa *gpa;
    FdsetRam *ram;
    const FdsetChipset *chipset;
    const FdsetDomain *domain; /* or NULL */
    const FdsetMachine *machine;
    const char *name; /* of the machine */
} FdsetDerivation;

/*
 * Puts those parts of 'range' into the map that nothing covers yet: what comes
 * first wins. 'how' is copied. A range without a block keeps its place free.
 */
void fdset_gpa_place(FdsetGpa *gpa, const FdsetGpaRange *range);

void fdset_gpa_note(FdsetGpa *gpa, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Places what the machine's rules know. */
void fdset_gpa_derive(FdsetGpa *gpa, const FdsetStream *stream, const FdsetGpaHints *hints);

/* Whether a block of this name may be memory, as it is no device's and no ROM. */
gboolean fdset_gpa_is_backend(const char *name);

/* Places ROM and flash, and keeps free what is a window over memory. */
void fdset_gpa_place_roms(const FdsetDerivation *derivation);

/* Whether this name is that of a ROM or flash with a fixed place. */
gboolean fdset_gpa_is_rom(const char *name);

/* The blocks of the domain's NUMA cells in their order; empty when they do not fit. */
GPtrArray *fdset_gpa_find_cells(const FdsetDerivation *derivation);

/* Places what was plugged in, as far as its address is told. */
void fdset_gpa_place_hotplug(const FdsetDerivation *derivation);

/* A note for each block that may be memory and has no place. */
void fdset_gpa_note_unplaced(const FdsetDerivation *derivation);

#endif
