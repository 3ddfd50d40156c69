/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memraw.h - guest memory with each byte at its guest-physical address; what is none is a hole. */
#ifndef FDSET_MEMRAW_H
#define FDSET_MEMRAW_H

#include "core/gpa.h"
#include "core/memview.h"

/* Error: NOT_FOUND without a memory map. */
FdsetMemview *fdset_memraw_new(const FdsetGpa *gpa, GError **error);

#endif
