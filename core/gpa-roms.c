/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ROM, flash and windows, as a table. Sources: QEMU hw/i386/x86-common.c and
 * pc_sysfw.c, hw/pci-host/pam.c, hw/arm/virt.c, hw/riscv/virt.c.
 */
#include "config.h"
#include "core/gpa-internal.h"

#include <string.h>

#define LEGACY_START 0xc0000 /* where PAM registers choose between ROM and memory */
#define LEGACY_END 0x100000
#define LEGACY_PIECE 0x4000
#define LEGACY_BIOS 0x20000 /* at most this much of the firmware is also below 1 MiB */
#define PAM_BIOS_START 0xf0000
#define PAM_READ_MEMORY 1
#define VGA_START 0xa0000
#define VGA_END 0xc0000

/* ROM and flash at a fixed place: their start is at 'address', or their end with 'ends_there'. */
typedef struct {
    FdsetArch arch;
    const char *block;
    guint64 address;
    gboolean ends_there;
    guint64 tail;      /* only so many bytes of its end; 0: all */
    const char *below; /* it ends where this other block starts, or NULL */
} Fixed;

static const Fixed fixed[] = {
    {FDSET_ARCH_X86_64, "pc.bios", FDSET_GPA_4G, TRUE, 0, NULL},
    {FDSET_ARCH_X86_64, "pc.bios", LEGACY_END, TRUE, LEGACY_BIOS, NULL},
    {FDSET_ARCH_X86_64, "isa-bios", LEGACY_END, TRUE, LEGACY_BIOS, NULL},
    {FDSET_ARCH_X86_64, "pc.rom", LEGACY_START, FALSE, 0, NULL},
    {FDSET_ARCH_X86_64, "system.flash0", FDSET_GPA_4G, TRUE, 0, NULL},
    {FDSET_ARCH_X86_64, "system.flash0", LEGACY_END, TRUE, LEGACY_BIOS, NULL},
    {FDSET_ARCH_X86_64, "system.flash1", FDSET_GPA_4G, TRUE, 0, "system.flash0"},
    {FDSET_ARCH_AARCH64, "virt.flash0", 0, FALSE, 0, NULL},
    {FDSET_ARCH_AARCH64, "virt.flash1", 0x4000000, FALSE, 0, NULL},
    {FDSET_ARCH_RISCV64, "riscv_virt_board.mrom", 0x1000, FALSE, 0, NULL},
    {FDSET_ARCH_RISCV64, "virt.flash0", 0x20000000, FALSE, 0, NULL},
    {FDSET_ARCH_RISCV64, "virt.flash1", 0x22000000, FALSE, 0, NULL},
};

/* TRUE when reads from the piece at 'address' get what is below memory: PAM register 0 is odd. */
static gboolean shows_rom(const FdsetDerivation *derivation, guint64 address)
{
    const guint8 *pam = derivation->chipset->pam;
    guint64 piece = (address - LEGACY_START) / LEGACY_PIECE;
    guint8 bits;

    if (!derivation->machine->has_pam)
        return TRUE;
    if (!derivation->chipset->has_pam)
        return FALSE;
    if (address >= PAM_BIOS_START)
        bits = pam[0] >> 4;
    else
        bits = (guint8)(pam[1 + piece / 2] >> (piece % 2 * 4));
    return (bits & PAM_READ_MEMORY) == 0;
}

/* Where the pieces end that show the same as the one at 'at', ROM or memory. */
static guint64 same_until(const FdsetDerivation *derivation, guint64 at, guint64 end)
{
    gboolean rom = shows_rom(derivation, at);

    do
        at = (at / LEGACY_PIECE + 1) * LEGACY_PIECE;
    while (at < end && shows_rom(derivation, at) == rom);
    return MIN(at, end);
}

/* The parts of 'range' that lie below 1 MiB and are not hidden by memory. */
static void place_legacy(const FdsetDerivation *derivation, const FdsetGpaRange *range)
{
    guint64 end = range->address + range->length;

    for (guint64 at = range->address; at < end;) {
        guint64 next = same_until(derivation, at, end);
        FdsetGpaRange piece = *range;

        piece.address = at;
        piece.offset += at - range->address;
        piece.length = next - at;
        if (shows_rom(derivation, at))
            fdset_gpa_place(derivation->gpa, &piece);
        at = next;
    }
}

static void place_fixed(const FdsetDerivation *derivation, const Fixed *rom)
{
    const FdsetRamblock *block = fdset_ram_find_block(derivation->ram, rom->block);
    const FdsetRamblock *above =
        rom->below != NULL ? fdset_ram_find_block(derivation->ram, rom->below) : NULL;
    FdsetGpaRange range = {.block = block, .address = rom->address};
    guint64 end = rom->address, used;
    g_autofree char *how = g_strdup_printf("fixed place of %s", rom->block);

    if (block == NULL)
        return;
    used = fdset_ramblock_used_length(block);
    if (above != NULL)
        end -= MIN(end, fdset_ramblock_used_length(above));
    range.length = rom->tail != 0 ? MIN(used, rom->tail) : used;
    range.offset = used - range.length;
    range.how = how;
    if (rom->ends_there) {
        if (range.length > end)
            return;
        range.address = end - range.length;
    }
    if (range.address >= LEGACY_START && range.address + range.length <= LEGACY_END)
        place_legacy(derivation, &range);
    else if (range.address >= LEGACY_END || derivation->machine->arch != FDSET_ARCH_X86_64)
        fdset_gpa_place(derivation->gpa, &range);
}

static void place_roms(const FdsetDerivation *derivation)
{
    for (gsize i = 0; i < G_N_ELEMENTS(fixed); i++) {
        if (fixed[i].arch == derivation->machine->arch)
            place_fixed(derivation, &fixed[i]);
    }
    if (derivation->machine->has_pam && !derivation->chipset->has_pam)
        fdset_gpa_note(derivation->gpa,
                       "no host bridge could be decoded: 0xc0000 to 0xfffff is shown as memory, "
                       "as firmware leaves it; a guest that had not started yet sees ROM there");
}

/* A display device puts its window over memory; what lies below is the firmware's own (SMM). */
static void keep_vga_window(const FdsetDerivation *derivation)
{
    FdsetGpaRange window = {.address = VGA_START, .length = VGA_END - VGA_START};

    if (!derivation->machine->has_pam)
        return;
    for (gsize i = 0; i < fdset_ram_n_blocks(derivation->ram); i++) {
        const char *name = fdset_ramblock_name(fdset_ram_block(derivation->ram, i));

        if (!g_str_has_suffix(name, "vga.vram") && !g_str_has_suffix(name, "vgavram"))
            continue;
        fdset_gpa_place(derivation->gpa, &window);
        fdset_gpa_note(derivation->gpa,
                       "0xa0000 to 0xbffff is the window of a display device, not memory");
        return;
    }
}

gboolean fdset_gpa_is_rom(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(fixed); i++) {
        if (strcmp(fixed[i].block, name) == 0)
            return TRUE;
    }
    return FALSE;
}

void fdset_gpa_place_roms(const FdsetDerivation *derivation)
{
    keep_vga_window(derivation);
    place_roms(derivation);
}
