/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elfcore.h - guest memory as an ELF64 core file.
 *
 * ET_CORE with one PT_NOTE and one PT_LOAD for each piece of guest-physical
 * memory without a gap, its virtual address the physical one, as no paging is
 * looked at. File and memory sizes are the same and each piece starts at a
 * multiple of 4096, though p_align is 0 as in kdump's cores (crash tells them
 * by that); the program headers end within the first 8 KiB (makedumpfile
 * and crash read no more).
 */
#ifndef FDSET_ELFCORE_H
#define FDSET_ELFCORE_H

#include "core/gpa.h"
#include "core/memview.h"

/* 'notes' is the content of PT_NOTE, which is not there when it is empty. Errors: NOT_FOUND without a memory map, LIMIT. */
FdsetMemview *fdset_elfcore_new(const FdsetGpa *gpa, GBytes *notes, GError **error);

#endif
