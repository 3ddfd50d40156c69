/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lime.h - guest memory in the LiME format: for each range a header of 32
 * bytes (magic 0x4c694d45, version 1, first and last address, 8 reserved, all
 * little-endian), then its bytes.
 */
#ifndef FDSET_LIME_H
#define FDSET_LIME_H

#include "core/gpa.h"
#include "core/memview.h"

/* Errors: NOT_FOUND without a memory map, LIMIT. */
FdsetMemview *fdset_lime_new(const FdsetGpa *gpa, GError **error);

#endif
