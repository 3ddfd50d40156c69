/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * configuration.h - what a stream says about the machine that wrote it.
 *
 * Section type 0x07 right behind the stream header (QEMU migration/savevm.c,
 * vmstate_configuration; reference 1.1): be32 length and the machine's name,
 * then subsections (0x05, u8 length and name, be32 version) that are each there
 * or not. Machine types of old leave the whole section out. Immutable.
 */
#ifndef FDSET_CONFIGURATION_H
#define FDSET_CONFIGURATION_H

#include "core/reader.h"

typedef struct FdsetConfiguration FdsetConfiguration;

/*
 * Reads the section whose type byte is the next one; when another type follows
 * there is none, and the configuration is empty. Errors: FORMAT, TRUNCATED,
 * LIMIT, UNSUPPORTED for a subsection of unknown name, whose length nobody knows.
 */
FdsetConfiguration *fdset_configuration_read(FdsetReader *reader, GError **error);

/* "pc-q35-10.0", or NULL. */
const char *fdset_configuration_machine(const FdsetConfiguration *configuration);

/* Bytes of a target page when the stream says so, else 0 (usual on x86). */
guint64 fdset_configuration_page_size(const FdsetConfiguration *configuration);

/* The capabilities listed, NULL-terminated, never NULL. */
const char *const *fdset_configuration_capabilities(const FdsetConfiguration *configuration);

/* RAM has a fixed place in the file: mapped-ram, or fixed-ram as it was called in 2024. */
gboolean fdset_configuration_is_mapped_ram(const FdsetConfiguration *configuration);

/* Blocks carry their guest address and shared ones may be left out (x-ignore-shared). */
gboolean fdset_configuration_ignores_shared(const FdsetConfiguration *configuration);

/* The 16 raw bytes of the VM's UUID, or NULL. */
const guint8 *fdset_configuration_uuid(const FdsetConfiguration *configuration);

void fdset_configuration_free(FdsetConfiguration *configuration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetConfiguration, fdset_configuration_free)

#endif
