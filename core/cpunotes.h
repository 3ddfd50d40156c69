/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpunotes.h - the state of the CPUs as ELF notes, as dump-guest-memory writes
 * them: for each an NT_PRSTATUS of Linux (name "CORE", type 1), then on x86-64
 * for each one of QEMU (name "QEMU", type 0, QEMUCPUState version 1 in QEMU
 * target/i386/arch_dump.c). Floating point registers are not in them.
 *
 * From the "cpu" sections of x86-64, arm64 and riscv64, decoded with the
 * stream's description. Arm's in a 32-bit state are shown as the architecture
 * maps them; other CPUs have no notes.
 */
#ifndef FDSET_CPUNOTES_H
#define FDSET_CPUNOTES_H

#include "core/devices.h"

/* Notes of all CPUs that could be decoded, *count of them; empty when none could. */
GBytes *fdset_cpunotes_new(const FdsetDevices *devices, guint *count);

/* Adds one note: a 12-byte head, name with NUL and descriptor, each padded to 4 bytes. */
void fdset_cpunotes_append(GByteArray *notes, const char *name, guint32 type, gconstpointer desc,
                           guint32 len);

#endif
