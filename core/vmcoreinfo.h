/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmcoreinfo.h - the note that a Linux guest leaves for whoever dumps it.
 *
 * With "-device vmcoreinfo" the guest writes address and size of an ELF note to
 * the fw_cfg file etc/vmcoreinfo, and the device's section carries both (QEMU
 * hw/misc/vmcoreinfo.c). The note itself lies in guest memory; without the device
 * it can be searched for, which reads all of that.
 */
#ifndef FDSET_VMCOREINFO_H
#define FDSET_VMCOREINFO_H

#include "core/devices.h"
#include "core/gpa.h"

typedef enum {
    FDSET_VMCOREINFO_AUTO,   /* where the device tells that it is */
    FDSET_VMCOREINFO_SEARCH, /* there, or else anywhere in memory */
    FDSET_VMCOREINFO_OFF,
} FdsetVmcoreinfoMode;

/* The whole note, as it has to stand in PT_NOTE; NULL when there is none that is well-formed. */
GBytes *fdset_vmcoreinfo_read(const FdsetDevices *devices, const FdsetGpa *gpa,
                              FdsetVmcoreinfoMode mode);

#endif
