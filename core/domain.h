/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain.h - what libvirt's XML of a domain tells about the guest's memory.
 *
 * libvirt docs/formatdomain: os/type (machine), cpu/numa/cell (id, memory,
 * unit), devices/memory (model; target/size; address type='dimm' with slot and
 * base, or target/address with base; alias). The XML is in the header of a save
 * image, or given by the user, and hostile either way: its size, depth and
 * number of elements have limits, and what is not understood is left out.
 * Immutable.
 */
#ifndef FDSET_DOMAIN_H
#define FDSET_DOMAIN_H

#include <glib.h>

/* Domains have some 10 KiB; one with thousands of devices a few hundred. */
#define FDSET_DOMAIN_BYTES_MAX (1024 * 1024)

typedef struct FdsetDomain FdsetDomain;

typedef struct {
    guint64 id;
    guint64 size; /* bytes */
} FdsetDomainCell;

/* A device that is memory: a DIMM, NVDIMM, virtio-mem ... */
typedef struct {
    char *backend; /* owned; the id libvirt gives its memory backend, "memdimm0", or NULL */
    guint64 size;  /* bytes */
    gboolean has_base;
    guint64 base; /* guest-physical */
} FdsetDomainMemory;

/*
 * 'origin' says in a user's words where the XML is from. Errors: LIMIT for its
 * size, depth or number of elements; FORMAT when it is no XML of a domain.
 */
FdsetDomain *fdset_domain_parse(const char *text, gsize len, const char *origin, GError **error);

const char *fdset_domain_origin(const FdsetDomain *domain);

/* "pc-q35-10.0", or NULL. */
const char *fdset_domain_machine(const FdsetDomain *domain);

/* The cells of its NUMA topology, sorted by id. */
gsize fdset_domain_n_cells(const FdsetDomain *domain);
const FdsetDomainCell *fdset_domain_cell(const FdsetDomain *domain, gsize i);

/* Its memory devices, as they stand there. */
gsize fdset_domain_n_memories(const FdsetDomain *domain);
const FdsetDomainMemory *fdset_domain_memory(const FdsetDomain *domain, gsize i);

void fdset_domain_free(FdsetDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetDomain, fdset_domain_free)

#endif
