/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/chipset.h"
#include "core/vmstate.h"

#include <string.h>

#define UNIT 0x10000
#define BELOW_BASE 0x1000000 /* the CMOS counts from 16 MiB */
#define CMOS_BELOW 0x34
#define CMOS_ABOVE 0x5b

/* Host bridges and where their PAM registers are in PCI configuration space. */
static const struct {
    const char *device;
    gsize pam;
} bridges[] = {
    {"0000:00:00.0/I440FX", 0x59},
    {"0000:00:00.0/mch", 0x90},
};

static const char *const cmos_paths[][2] = {{"cmos_data", NULL}};

/* Where the 256 bytes of configuration space are, by version of QEMU. */
static const char *const config_paths[][3] = {
    {"parent_obj", "config[0]", NULL},
    {"parent_obj", "config", NULL},
    {"dev", "config[0]", NULL},
    {"dev", "config", NULL},
};

static GBytes *find_bytes(const FdsetDevices *devices, const char *name, const char *const *paths,
                          gsize n_paths, gsize stride)
{
    g_autoptr(JsonNode) state = fdset_devices_find(devices, name, 0);
    GBytes *bytes = NULL;

    for (gsize i = 0; bytes == NULL && i < n_paths; i++)
        bytes = fdset_vmstate_bytes(fdset_vmstate_find(state, paths + i * stride));
    return bytes;
}

static void read_cmos(const FdsetDevices *devices, FdsetChipset *chipset)
{
    g_autoptr(GBytes) bytes =
        find_bytes(devices, "mc146818rtc", cmos_paths[0], G_N_ELEMENTS(cmos_paths), 2);
    const guint8 *cmos;
    gsize len;
    guint64 below, above;

    if (bytes == NULL)
        return;
    cmos = g_bytes_get_data(bytes, &len);
    if (len < 128)
        return;
    below = cmos[CMOS_BELOW] | (guint64)cmos[CMOS_BELOW + 1] << 8;
    above =
        cmos[CMOS_ABOVE] | (guint64)cmos[CMOS_ABOVE + 1] << 8 | (guint64)cmos[CMOS_ABOVE + 2] << 16;
    chipset->has_split = below != 0;
    chipset->below_4g = below * UNIT + BELOW_BASE;
    chipset->above_4g = above * UNIT;
}

static void read_pam(const FdsetDevices *devices, FdsetChipset *chipset)
{
    for (gsize i = 0; i < G_N_ELEMENTS(bridges) && !chipset->has_pam; i++) {
        g_autoptr(GBytes) bytes =
            find_bytes(devices, bridges[i].device, config_paths[0], G_N_ELEMENTS(config_paths), 3);
        gsize len = bytes != NULL ? g_bytes_get_size(bytes) : 0;

        if (len < bridges[i].pam + FDSET_PAM_REGISTERS)
            continue;
        memcpy(chipset->pam, (const guint8 *)g_bytes_get_data(bytes, NULL) + bridges[i].pam,
               FDSET_PAM_REGISTERS);
        chipset->has_pam = TRUE;
    }
}

static void read_virtio_mem(const FdsetDevices *devices, gsize i, FdsetChipset *chipset)
{
    static const char *const address[] = {"tmp", "addr", NULL};
    static const char *const length[] = {"tmp", "region_size", NULL};
    const char *name = fdset_devices_section(devices, i)->name;
    const char *suffix = "/virtio-mem-device-early";
    FdsetVirtioMem *virtio = &chipset->virtio_mems[chipset->n_virtio_mems];
    gsize budget = 4096, len;
    g_autoptr(JsonNode) state = NULL;

    if (!g_str_has_suffix(name, suffix) || chipset->n_virtio_mems == FDSET_VIRTIO_MEMS_MAX)
        return;
    len = strlen(name) - strlen(suffix);
    if (len >= sizeof virtio->device)
        return;
    state = fdset_devices_decode(devices, i, &budget, NULL);
    if (!fdset_vmstate_number(fdset_vmstate_find(state, address), &virtio->address) ||
        !fdset_vmstate_number(fdset_vmstate_find(state, length), &virtio->length))
        return;
    memcpy(virtio->device, name, len);
    virtio->device[len] = '\0';
    chipset->n_virtio_mems++;
}

void fdset_chipset_read(const FdsetDevices *devices, FdsetChipset *chipset)
{
    *chipset = (FdsetChipset){.has_split = FALSE};
    if (devices == NULL)
        return;
    read_cmos(devices, chipset);
    read_pam(devices, chipset);
    for (gsize i = 0; i < fdset_devices_count(devices); i++)
        read_virtio_mem(devices, i, chipset);
}
