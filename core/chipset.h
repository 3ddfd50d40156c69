/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chipset.h - what the device sections of a PC tell about its memory map.
 *
 * Firmware asks the RTC's CMOS how much memory lies below and above 4 GiB (QEMU
 * hw/i386/pc.c, pc_cmos_init; 0x34 and 0x5b, in units of 64 KiB), and the host
 * bridge's PAM registers say for the range 0xc0000 to 0xfffff, piece by piece,
 * whether reads get memory or ROM (hw/pci-host/pam.c). Both are written by the
 * guest too, so who uses them checks them against the sizes of the RAM blocks.
 * virtio-mem devices of any machine tell address and size of their memory.
 */
#ifndef FDSET_CHIPSET_H
#define FDSET_CHIPSET_H

#include "core/devices.h"

#define FDSET_PAM_REGISTERS 7

#define FDSET_VIRTIO_MEMS_MAX 64 /* QEMU's machines have fewer slots for memory devices */

typedef struct {
    char device[128]; /* "0000:00:01.0": what its section's and its RAM block's names start with */
    guint64 address, length;
} FdsetVirtioMem;

typedef struct {
    gboolean has_split;
    guint64 below_4g; /* bytes, to 64 KiB */
    guint64 above_4g; /* bytes, to 64 KiB */
    gboolean has_pam;
    guint8 pam[FDSET_PAM_REGISTERS];
    guint n_virtio_mems;
    FdsetVirtioMem virtio_mems[FDSET_VIRTIO_MEMS_MAX];
} FdsetChipset;

/* What cannot be found is not there; 'devices' may be NULL. */
void fdset_chipset_read(const FdsetDevices *devices, FdsetChipset *chipset);

#endif
