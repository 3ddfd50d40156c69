/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machines' rules, as tables. Sources: QEMU hw/i386/pc_piix.c, pc_q35.c,
 * microvm.c, x86-common.c, hw/arm/virt.c, hw/riscv/virt.c; those of x86 measured
 * with "info mtree -f" of QEMU 10.0.2 (t/views.t does so again).
 */
#include "config.h"
#include "core/gpa-internal.h"
#include "core/reader.h"

#include <stdlib.h>
#include <string.h>

#define GIB_4 G_GUINT64_CONSTANT(0x100000000)
#define LEGACY_START 0xc0000 /* where PAM registers choose between ROM and memory */
#define LEGACY_END 0x100000
#define LEGACY_PIECE 0x4000
#define LEGACY_BIOS 0x20000 /* at most this much of the firmware is also below 1 MiB */
#define PAM_BIOS_START 0xf0000
#define PAM_READ_MEMORY 1
#define VGA_START 0xa0000
#define VGA_END 0xc0000
/*
 * From pc-7.1 on, QEMU puts the memory above 4 GiB to 1 TiB instead when all
 * that it addresses, hot-plug area and PCI included, would reach the range AMD
 * CPUs reserve, and the CPU is one of AMD. Neither is in the file.
 */
#define AMD_RESERVED G_GUINT64_CONSTANT(0xfd00000000)
#define AMD_MARGIN G_GUINT64_CONSTANT(0x1000000000)

typedef struct {
    const char *prefix; /* of the machine's name */
    const char *memory; /* the block of its memory where no backend was named */
    FdsetArch arch;
    guint64 base;      /* address of memory */
    guint64 threshold; /* from this size on it is split ... */
    guint64 low;       /* ... here: what is behind lies at 4 GiB. 0: never */
    gboolean has_pam;
    gboolean takes_backends; /* is recognised without its memory's own name */
} Machine;

static const Machine machines[] = {
    {"pc-i440fx-", "pc.ram", FDSET_ARCH_X86_64, 0, 0xe0000000, 0xc0000000, TRUE, TRUE},
    {"pc-q35-", "pc.ram", FDSET_ARCH_X86_64, 0, 0xb0000000, 0x80000000, TRUE, TRUE},
    {"microvm", "microvm.ram", FDSET_ARCH_X86_64, 0, 0xc0000000, 0xc0000000, FALSE, TRUE},
    {"virt", "mach-virt.ram", FDSET_ARCH_AARCH64, 0x40000000, 0, 0, FALSE, FALSE},
    {"virt", "riscv_virt_board.ram", FDSET_ARCH_RISCV64, 0x80000000, 0, 0, FALSE, FALSE},
};

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
    {FDSET_ARCH_X86_64, "pc.bios", GIB_4, TRUE, 0, NULL},
    {FDSET_ARCH_X86_64, "pc.bios", LEGACY_END, TRUE, LEGACY_BIOS, NULL},
    {FDSET_ARCH_X86_64, "isa-bios", LEGACY_END, TRUE, LEGACY_BIOS, NULL},
    {FDSET_ARCH_X86_64, "pc.rom", LEGACY_START, FALSE, 0, NULL},
    {FDSET_ARCH_X86_64, "system.flash0", GIB_4, TRUE, 0, NULL},
    {FDSET_ARCH_X86_64, "system.flash0", LEGACY_END, TRUE, LEGACY_BIOS, NULL},
    {FDSET_ARCH_X86_64, "system.flash1", GIB_4, TRUE, 0, "system.flash0"},
    {FDSET_ARCH_AARCH64, "virt.flash0", 0, FALSE, 0, NULL},
    {FDSET_ARCH_AARCH64, "virt.flash1", 0x4000000, FALSE, 0, NULL},
    {FDSET_ARCH_RISCV64, "virt.flash0", 0x20000000, FALSE, 0, NULL},
    {FDSET_ARCH_RISCV64, "virt.flash1", 0x22000000, FALSE, 0, NULL},
};

/* Blocks of devices: any other may be memory. Those with a path in their name are, too. */
static const char *const device_prefixes[] = {
    "pc.", "isa-bios", "system.flash", "virt.flash", "vga.", "qxl.", NULL};

typedef struct {
    FdsetGpa *gpa;
    FdsetRam *ram; /* borrowed */
    const FdsetChipset *chipset;
    const Machine *machine;
    const char *name; /* of the machine */
} Derivation;

/* --- ROMs --- */

/* TRUE when reads from the piece at 'address' get what is below memory: PAM register 0 is odd. */
static gboolean shows_rom(const Derivation *derivation, guint64 address)
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

/* The parts of 'range' that lie below 1 MiB and are not hidden by memory. */
static void place_legacy(const Derivation *derivation, const FdsetGpaRange *range)
{
    guint64 end = range->address + range->length;

    for (guint64 at = range->address; at < end;) {
        guint64 next = MIN(end, (at / LEGACY_PIECE + 1) * LEGACY_PIECE);
        FdsetGpaRange piece = *range;

        piece.address = at;
        piece.offset += at - range->address;
        piece.length = next - at;
        if (shows_rom(derivation, at))
            fdset_gpa_place(derivation->gpa, &piece);
        at = next;
    }
}

static void place_fixed(const Derivation *derivation, const Fixed *rom)
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

static void place_roms(const Derivation *derivation)
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
static void keep_vga_window(const Derivation *derivation)
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

/* --- which blocks are memory --- */

/* A backend: its number is what its name ends in. */
typedef struct {
    const FdsetRamblock *block;
    char *stem; /* owned; the name without its number */
    guint64 number;
} Backend;

static void backend_clear(gpointer data)
{
    g_free(((Backend *)data)->stem);
}

static gboolean is_of_device(const char *name)
{
    if (g_str_has_prefix(name, "/objects/"))
        return FALSE; /* a backend as machine types up to 4.0 call it */
    if (strchr(name, '/') != NULL)
        return TRUE;
    for (gsize i = 0; device_prefixes[i] != NULL; i++) {
        if (g_str_has_prefix(name, device_prefixes[i]))
            return TRUE;
    }
    return FALSE;
}

static GArray *find_backends(const Derivation *derivation)
{
    GArray *backends = g_array_new(FALSE, FALSE, sizeof(Backend));

    g_array_set_clear_func(backends, backend_clear);
    for (gsize i = 0; i < fdset_ram_n_blocks(derivation->ram); i++) {
        const FdsetRamblock *block = fdset_ram_block(derivation->ram, i);
        const char *name = fdset_ramblock_name(block);
        gsize digits = strlen(name);
        Backend backend = {.block = block};

        if (is_of_device(name))
            continue;
        while (digits > 0 && g_ascii_isdigit(name[digits - 1]))
            digits--;
        backend.stem = g_strndup(name, digits);
        backend.number = g_ascii_strtoull(name + digits, NULL, 10);
        g_array_append_val(backends, backend);
    }
    return backends;
}

static int compare_backends(gconstpointer a, gconstpointer b)
{
    const Backend *one = a, *two = b;
    int r = strcmp(one->stem, two->stem);

    if (r != 0)
        return r;
    return (one->number > two->number) - (one->number < two->number);
}

static guint64 sum_of(const GArray *backends, guint from, guint to)
{
    guint64 sum = 0;

    for (guint i = from; i < to; i++)
        sum += fdset_ramblock_used_length(g_array_index(backends, Backend, i).block);
    return sum;
}

/* As many bytes as firmware is told: then these, and no others, are the machine's own memory. */
static gboolean is_told(const Derivation *derivation, guint64 sum)
{
    const FdsetChipset *chipset = derivation->chipset;

    return chipset->has_split && chipset->below_4g + chipset->above_4g == sum;
}

/* Where the stem at 'from' ends; FALSE in *numbered when its numbers do not order them. */
static guint stem_end(const GArray *backends, guint from, gboolean *numbered)
{
    guint to = from + 1;

    for (*numbered = TRUE; to < backends->len; to++) {
        const Backend *last = &g_array_index(backends, Backend, to - 1);
        const Backend *next = &g_array_index(backends, Backend, to);

        if (strcmp(last->stem, next->stem) != 0)
            break;
        *numbered &= last->number != next->number;
    }
    return to;
}

/* The blocks that are the machine's memory, in order of addresses; empty when that is not known. */
static GPtrArray *choose_backends(const Derivation *derivation, const char **how)
{
    g_autoptr(GArray) backends = find_backends(derivation);
    GPtrArray *chosen = g_ptr_array_new();
    guint found = 0, start = 0, end = 0, stems = 0;
    gboolean numbered;

    *how = "memory backends in the order of the numbers in their names";
    g_array_sort(backends, compare_backends);
    for (guint from = 0, to; from < backends->len; from = to, stems++) {
        to = stem_end(backends, from, &numbered);
        if (!numbered ||
            (derivation->chipset->has_split && !is_told(derivation, sum_of(backends, from, to))))
            continue;
        found++;
        start = from;
        end = to;
    }
    if (found != 1 || (stems != 1 && !derivation->chipset->has_split))
        return chosen;
    if (end - start == 1)
        *how = "the only memory backend that fits";
    for (guint i = start; i < end; i++)
        g_ptr_array_add(chosen, (gpointer)g_array_index(backends, Backend, i).block);
    return chosen;
}

static void note_others(const Derivation *derivation, const GPtrArray *chosen)
{
    g_autoptr(GArray) backends = find_backends(derivation);

    for (guint i = 0; i < backends->len; i++) {
        const FdsetRamblock *block = g_array_index(backends, Backend, i).block;
        g_autofree char *shown = g_strescape(fdset_ramblock_name(block), NULL);

        if (!g_ptr_array_find((GPtrArray *)chosen, block, NULL))
            fdset_gpa_note(derivation->gpa,
                           "RAM block '%s' is not placed: nothing in the file tells its address "
                           "(a DIMM, a backend of unknown order, or of a device); gpa= can",
                           shown);
    }
}

static GPtrArray *choose_memory(const Derivation *derivation, const char **how)
{
    FdsetRamblock *block = fdset_ram_find_block(derivation->ram, derivation->machine->memory);
    GPtrArray *chosen;

    if (block == NULL)
        return choose_backends(derivation, how);
    *how = "the machine's own memory";
    chosen = g_ptr_array_new();
    g_ptr_array_add(chosen, block);
    return chosen;
}

/* --- memory --- */

/* How many bytes lie below 4 GiB, and why. */
static guint64 split(const Derivation *derivation, guint64 size, char **why)
{
    const Machine *machine = derivation->machine;
    guint64 low = machine->low != 0 && size >= machine->threshold ? machine->low : size;

    if (is_told(derivation, size) && derivation->chipset->below_4g <= GIB_4) {
        *why = g_strdup_printf("the RTC's CMOS tells of " FDSET_HEX " bytes below 4 GiB",
                               derivation->chipset->below_4g);
        return derivation->chipset->below_4g;
    }
    if (machine->low == 0)
        *why = g_strdup_printf("%s has memory at " FDSET_HEX, machine->memory, machine->base);
    else
        *why = g_strdup_printf("%s splits memory of " FDSET_HEX " bytes and more at " FDSET_HEX
                               " (default max-ram-below-4g)",
                               derivation->name, machine->threshold, machine->low);
    return low;
}

static gboolean may_be_moved(const Derivation *derivation, guint64 above)
{
    if (!derivation->machine->has_pam || above <= AMD_RESERVED - GIB_4 - AMD_MARGIN)
        return FALSE;
    fdset_gpa_note(derivation->gpa,
                   FDSET_HEX " bytes above 4 GiB are not placed: they start at " FDSET_HEX
                             ", or with an AMD CPU at 0x10000000000, and the file does not tell "
                             "the CPU; gpa= can",
                   above, GIB_4);
    return TRUE;
}

/* Places the part of 'block' whose place in all memory is [from, to) of [start, start + used). */
static void place_part(const Derivation *derivation, const FdsetRamblock *block, guint64 start,
                       guint64 from, guint64 to, guint64 address, const char *how)
{
    guint64 end = start + fdset_ramblock_used_length(block);
    guint64 first = MAX(start, from), last = MIN(end, to);
    FdsetGpaRange range = {.block = block, .how = how};

    if (first >= last)
        return;
    range.address = address + (first - from);
    range.offset = first - start;
    range.length = last - first;
    fdset_gpa_place(derivation->gpa, &range);
}

static void place_memory(const Derivation *derivation, const GPtrArray *blocks, const char *which)
{
    guint64 size = 0, low, start = 0;
    g_autofree char *why = NULL;
    g_autofree char *how = NULL;
    gboolean moved;

    for (guint i = 0; i < blocks->len; i++)
        size += fdset_ramblock_used_length(blocks->pdata[i]);
    low = split(derivation, size, &why);
    moved = may_be_moved(derivation, size - low);
    how = g_strdup_printf("%s; %s", which, why);
    for (guint i = 0; i < blocks->len; i++) {
        place_part(derivation, blocks->pdata[i], start, 0, low, derivation->machine->base, how);
        if (!moved)
            place_part(derivation, blocks->pdata[i], start, low, size, GIB_4, how);
        start += fdset_ramblock_used_length(blocks->pdata[i]);
    }
}

/* --- the machine --- */

/* Machines before 2.0 split otherwise. */
static gboolean is_ancient(const char *version)
{
    return g_ascii_isdigit(version[0]) && g_ascii_strtod(version, NULL) < 2.0;
}

static const Machine *find_machine(const Derivation *derivation)
{
    for (gsize i = 0; i < G_N_ELEMENTS(machines); i++) {
        const Machine *machine = &machines[i];

        if (!g_str_has_prefix(derivation->name, machine->prefix) ||
            (machine->has_pam && is_ancient(derivation->name + strlen(machine->prefix))))
            continue;
        if (machine->takes_backends || fdset_ram_find_block(derivation->ram, machine->memory))
            return machine;
    }
    return NULL;
}

void fdset_gpa_derive(FdsetGpa *gpa, const FdsetStream *stream, const FdsetChipset *chipset)
{
    const char *name = fdset_configuration_machine(fdset_stream_configuration(stream));
    Derivation derivation = {gpa, fdset_stream_ram(stream), chipset, NULL, name};
    g_autofree char *shown = g_strescape(name != NULL ? name : "", NULL);
    g_autoptr(GPtrArray) memory = NULL;
    const char *how = NULL;

    derivation.machine = name != NULL ? find_machine(&derivation) : NULL;
    if (derivation.machine == NULL) {
        fdset_gpa_note(gpa, "the memory map of machine '%s' is not known; gpa= can tell it", shown);
        return;
    }
    gpa->arch = derivation.machine->arch;
    memory = choose_memory(&derivation, &how);
    if (memory->len == 0)
        fdset_gpa_note(gpa,
                       "which RAM blocks are the memory of machine '%s', and in which order, "
                       "is not known; gpa= can tell it",
                       shown);
    note_others(&derivation, memory);
    keep_vga_window(&derivation);
    place_roms(&derivation);
    place_memory(&derivation, memory, how);
}
