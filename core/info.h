/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * info.h - info.json: what is known of a migration file, for programs.
 *
 * Schema "fdsetfs-info", version 1; fdsetfs(8) lists the members. Offsets,
 * lengths and addresses are text in hex ("0x1f"), as JSON numbers lose bits in
 * many readers. Members may be added within a version.
 */
#ifndef FDSET_INFO_H
#define FDSET_INFO_H

#include "core/inspection.h"

GBytes *fdset_info_render(const FdsetInspection *inspection);

#endif
