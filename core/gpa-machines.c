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

/*
 * From pc-7.1 on, QEMU puts the memory above 4 GiB to 1 TiB instead when all
 * that it addresses, hot-plug area and PCI included, would reach the range AMD
 * CPUs reserve, and the CPU is one of AMD. Neither is in the file.
 */
#define AMD_RESERVED G_GUINT64_CONSTANT(0xfd00000000)
#define AMD_MARGIN G_GUINT64_CONSTANT(0x1000000000)

/*
 * Arm's machine has a version behind its name, RISC-V's has none. Other
 * architectures have a "virt", too: without a block of its own it is none of
 * these.
 */
static const FdsetMachine machines[] = {
    {"pc-i440fx-", "pc.ram", NULL, FDSET_ARCH_X86_64, 0, 0xe0000000, 0xc0000000, TRUE},
    {"pc-q35-", "pc.ram", NULL, FDSET_ARCH_X86_64, 0, 0xb0000000, 0x80000000, TRUE},
    {"microvm", "microvm.ram", NULL, FDSET_ARCH_X86_64, 0, 0xc0000000, 0xc0000000, FALSE},
    {"virt-", "mach-virt.ram", "virt.flash0", FDSET_ARCH_AARCH64, 0x40000000, 0, 0, FALSE},
    {"virt", "riscv_virt_board.ram", "riscv_virt_board.mrom", FDSET_ARCH_RISCV64, 0x80000000, 0, 0,
     FALSE},
};

/* Blocks of devices: any other may be memory. Those with a path in their name are, too. */
static const char *const device_prefixes[] = {
    "pc.", "isa-bios", "system.flash", "virt.flash", "virt.secure-ram", "vga.", "qxl.", NULL};

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
    return fdset_gpa_is_rom(name);
}

gboolean fdset_gpa_is_backend(const char *name)
{
    return !is_of_device(name);
}

static GArray *find_backends(const FdsetDerivation *derivation)
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
static gboolean is_told(const FdsetDerivation *derivation, guint64 sum)
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
static GPtrArray *choose_backends(const FdsetDerivation *derivation, const char **how)
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

static GPtrArray *choose_memory(const FdsetDerivation *derivation, const char **how)
{
    FdsetRamblock *block = fdset_ram_find_block(derivation->ram, derivation->machine->memory);
    g_autoptr(GPtrArray) chosen = fdset_gpa_find_cells(derivation);

    *how = "the domain's NUMA cells";
    if (block != NULL) {
        g_ptr_array_set_size(chosen, 0);
        g_ptr_array_add(chosen, block);
        *how = "the machine's own memory";
    }
    return chosen->len > 0 ? g_steal_pointer(&chosen) : choose_backends(derivation, how);
}

/* --- memory --- */

/* How many bytes lie below 4 GiB, and why. */
static guint64 split(const FdsetDerivation *derivation, guint64 size, char **why)
{
    const FdsetMachine *machine = derivation->machine;
    guint64 low = machine->low != 0 && size >= machine->threshold ? machine->low : size;

    if (is_told(derivation, size) && derivation->chipset->below_4g <= FDSET_GPA_4G) {
        *why = g_strdup_printf("the RTC's CMOS tells of " FDSET_HEX " bytes below 4 GiB",
                               derivation->chipset->below_4g);
        return derivation->chipset->below_4g;
    }
    if (machine->low == 0)
        *why = g_strdup_printf("%s has memory at " FDSET_HEX, derivation->name, machine->base);
    else
        *why = g_strdup_printf("%s splits memory of " FDSET_HEX " bytes and more at " FDSET_HEX
                               " (default max-ram-below-4g)",
                               derivation->name, machine->threshold, machine->low);
    return low;
}

static gboolean may_be_moved(const FdsetDerivation *derivation, guint64 above)
{
    if (!derivation->machine->has_pam || above <= AMD_RESERVED - FDSET_GPA_4G - AMD_MARGIN)
        return FALSE;
    fdset_gpa_note(derivation->gpa,
                   FDSET_HEX " bytes above 4 GiB are not placed: they start at " FDSET_HEX
                             ", or with an AMD CPU at 0x10000000000, and the file does not tell "
                             "the CPU; gpa= can",
                   above, FDSET_GPA_4G);
    return TRUE;
}

/* Places the part of 'block' whose place in all memory is [from, to) of [start, start + used). */
static void place_part(const FdsetDerivation *derivation, const FdsetRamblock *block, guint64 start,
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

static void place_memory(const FdsetDerivation *derivation, const GPtrArray *blocks,
                         const char *which)
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
            place_part(derivation, blocks->pdata[i], start, low, size, FDSET_GPA_4G, how);
        start += fdset_ramblock_used_length(blocks->pdata[i]);
    }
}

/* --- the machine --- */

/* Machines before 2.0 split otherwise. */
static gboolean is_ancient(const char *version)
{
    return g_ascii_isdigit(version[0]) && g_ascii_strtod(version, NULL) < 2.0;
}

static const FdsetMachine *find_machine(const FdsetDerivation *derivation)
{
    for (gsize i = 0; i < G_N_ELEMENTS(machines); i++) {
        const FdsetMachine *machine = &machines[i];

        if (!g_str_has_prefix(derivation->name, machine->prefix) ||
            (machine->has_pam && is_ancient(derivation->name + strlen(machine->prefix))))
            continue;
        if (machine->always == NULL || fdset_ram_find_block(derivation->ram, machine->always) ||
            fdset_ram_find_block(derivation->ram, machine->memory))
            return machine;
    }
    return NULL;
}

/* The stream's own word for the machine, or else the domain's. */
static const char *name_machine(const FdsetDerivation *derivation, const char *name)
{
    const char *told = derivation->domain != NULL ? fdset_domain_machine(derivation->domain) : NULL;

    if (told != NULL && name == NULL)
        fdset_gpa_note(derivation->gpa, "the stream does not name its machine: taken from %s",
                       fdset_domain_origin(derivation->domain));
    else if (told != NULL && strcmp(told, name) != 0)
        fdset_gpa_note(derivation->gpa, "%s is of another machine than the stream",
                       fdset_domain_origin(derivation->domain));
    return name != NULL ? name : told;
}

void fdset_gpa_derive(FdsetGpa *gpa, const FdsetStream *stream, const FdsetGpaHints *hints)
{
    FdsetDerivation derivation = {
        gpa, fdset_stream_ram(stream), hints->chipset, hints->domain, NULL, NULL};
    g_autofree char *shown = NULL;
    g_autoptr(GPtrArray) memory = NULL;
    const char *how = NULL;

    derivation.name =
        name_machine(&derivation, fdset_configuration_machine(fdset_stream_configuration(stream)));
    shown = g_strescape(derivation.name != NULL ? derivation.name : "", NULL);
    derivation.machine = derivation.name != NULL ? find_machine(&derivation) : NULL;
    if (derivation.machine == NULL) {
        fdset_gpa_note(gpa, "the memory map of machine '%s' is not known; gpa= can tell it", shown);
        return;
    }
    gpa->arch = derivation.machine->arch;
    memory = choose_memory(&derivation, &how);
    if (memory->len == 0)
        fdset_gpa_note(gpa,
                       "which RAM blocks are the memory of machine '%s', and in which order, "
                       "is not known; domain-xml= or gpa= can tell it",
                       shown);
    fdset_gpa_place_roms(&derivation);
    place_memory(&derivation, memory, how);
    fdset_gpa_place_hotplug(&derivation);
    fdset_gpa_note_unplaced(&derivation);
}
