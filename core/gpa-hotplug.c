/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory besides the machine's own: DIMMs, whose address only a domain's XML
 * tells, and virtio-mem, whose section does (QEMU hw/virtio/virtio-mem.c,
 * vmstate_virtio_mem_device_early).
 */
#include "config.h"
#include "core/gpa-internal.h"

#include <string.h>

static gboolean is_placed(const FdsetGpa *gpa, const FdsetRamblock *block)
{
    for (guint i = 0; i < gpa->ranges->len; i++) {
        if (g_array_index(gpa->ranges, FdsetGpaRange, i).block == block)
            return TRUE;
    }
    return FALSE;
}

/* By the id of its backend; machine types up to 4.0 put a path in front. */
static FdsetRamblock *find_backend(const FdsetDerivation *derivation, const char *id)
{
    FdsetRamblock *block = fdset_ram_find_block(derivation->ram, id);
    g_autofree char *path = g_strdup_printf("/objects/%s", id);

    return block != NULL ? block : fdset_ram_find_block(derivation->ram, path);
}

/* --- cells of the domain --- */

GPtrArray *fdset_gpa_find_cells(const FdsetDerivation *derivation)
{
    const FdsetDomain *domain = derivation->domain;
    gsize n = domain != NULL ? fdset_domain_n_cells(domain) : 0;
    GPtrArray *blocks = g_ptr_array_new();

    for (gsize i = 0; i < n; i++) {
        const FdsetDomainCell *cell = fdset_domain_cell(domain, i);
        g_autofree char *name = g_strdup_printf("ram-node%" G_GUINT64_FORMAT, cell->id);
        FdsetRamblock *block = find_backend(derivation, name);

        if (block == NULL || fdset_ramblock_used_length(block) != cell->size) {
            g_ptr_array_set_size(blocks, 0);
            break;
        }
        g_ptr_array_add(blocks, block);
    }
    return blocks;
}

/* --- memory devices of the domain --- */

/* The only backend of that size that has no place yet, or NULL. */
static const FdsetRamblock *find_by_size(const FdsetDerivation *derivation, guint64 size)
{
    const FdsetRamblock *found = NULL;

    for (gsize i = 0; i < fdset_ram_n_blocks(derivation->ram); i++) {
        const FdsetRamblock *block = fdset_ram_block(derivation->ram, i);

        if (!fdset_gpa_is_backend(fdset_ramblock_name(block)) ||
            fdset_ramblock_used_length(block) != size || is_placed(derivation->gpa, block))
            continue;
        if (found != NULL)
            return NULL;
        found = block;
    }
    return found;
}

static void place_device(const FdsetDerivation *derivation, const FdsetDomainMemory *memory)
{
    const char *origin = fdset_domain_origin(derivation->domain);
    FdsetGpaRange range = {.address = memory->base};
    const char *why = "";
    g_autofree char *how = NULL;

    if (memory->backend != NULL)
        range.block = find_backend(derivation, memory->backend);
    if (range.block == NULL) {
        range.block = find_by_size(derivation, memory->size);
        why = ", the only RAM block of its size";
    }
    if (range.block == NULL) {
        fdset_gpa_note(derivation->gpa,
                       "which RAM block is the memory device at " FDSET_HEX
                       " is not known, %s tells no more; gpa= can",
                       memory->base, origin);
        return;
    }
    range.length = fdset_ramblock_used_length(range.block);
    if (memory->size != 0)
        range.length = MIN(range.length, memory->size);
    how = g_strdup_printf("a memory device in %s%s", origin, why);
    range.how = how;
    fdset_gpa_place(derivation->gpa, &range);
}

/* --- virtio-mem --- */

/* Its block has the name of its PCI device in front of the backend's. */
static void place_virtio_mem(const FdsetDerivation *derivation, const FdsetVirtioMem *virtio)
{
    gsize len = strlen(virtio->device);

    for (gsize i = 0; i < fdset_ram_n_blocks(derivation->ram); i++) {
        const FdsetRamblock *block = fdset_ram_block(derivation->ram, i);
        const char *name = fdset_ramblock_name(block);
        FdsetGpaRange range = {.block = block, .address = virtio->address};

        range.length = fdset_ramblock_used_length(block);
        range.how = "the section of its virtio-mem device tells";
        if (strncmp(name, virtio->device, len) == 0 && name[len] == '/' &&
            range.length == virtio->length)
            fdset_gpa_place(derivation->gpa, &range);
    }
}

void fdset_gpa_place_hotplug(const FdsetDerivation *derivation)
{
    const FdsetDomain *domain = derivation->domain;
    gsize n = domain != NULL ? fdset_domain_n_memories(domain) : 0;

    for (guint i = 0; i < derivation->chipset->n_virtio_mems; i++)
        place_virtio_mem(derivation, &derivation->chipset->virtio_mems[i]);
    for (gsize i = 0; i < n; i++) {
        if (fdset_domain_memory(domain, i)->has_base)
            place_device(derivation, fdset_domain_memory(domain, i));
    }
}

/* --- what is left --- */

void fdset_gpa_note_unplaced(const FdsetDerivation *derivation)
{
    for (gsize i = 0; i < fdset_ram_n_blocks(derivation->ram); i++) {
        const FdsetRamblock *block = fdset_ram_block(derivation->ram, i);
        g_autofree char *shown = g_strescape(fdset_ramblock_name(block), NULL);

        if (fdset_gpa_is_backend(fdset_ramblock_name(block)) && !is_placed(derivation->gpa, block))
            fdset_gpa_note(derivation->gpa,
                           "RAM block '%s' is not placed: nothing in the file tells its address "
                           "(a DIMM, a backend of unknown order, or of a device); domain-xml= "
                           "or gpa= can",
                           shown);
    }
}
