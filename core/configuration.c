/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/configuration.h"
#include "core/error.h"
#include "core/section.h"

#include <string.h>

/* QEMU knows two dozen capabilities and writes at most two. */
#define CAPABILITIES_MAX 64
/* Target pages of 1 KiB (old ARM) to 1 MiB; the flags of a page record need the low ten bits. */
#define PAGE_BITS_MIN 10
#define PAGE_BITS_MAX 20
#define UUID_BYTES 16
#define SUBSECTION_VERSION 1

struct FdsetConfiguration {
    char *machine;           /* owned, or NULL */
    GPtrArray *capabilities; /* owned, of char *; NULL-terminated */
    guint64 page_size;       /* bytes, 0 when not said */
    gboolean has_uuid;
    guint8 uuid[UUID_BYTES];
};

static gboolean read_page_bits(FdsetReader *reader, FdsetConfiguration *configuration,
                               GError **error)
{
    guint64 offset = fdset_reader_tell(reader);
    guint32 bits;

    if (!fdset_reader_u32(reader, &bits, "target page bits", error))
        return FALSE;
    if (bits < PAGE_BITS_MIN || bits > PAGE_BITS_MAX)
        return fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                                   "target page bits at " FDSET_HEX " are %u, expected %d to %d",
                                   offset, bits, PAGE_BITS_MIN, PAGE_BITS_MAX);
    configuration->page_size = G_GUINT64_CONSTANT(1) << bits;
    return TRUE;
}

static gboolean read_capabilities(FdsetReader *reader, FdsetConfiguration *configuration,
                                  GError **error)
{
    guint64 offset = fdset_reader_tell(reader);
    guint32 count;

    if (!fdset_reader_u32(reader, &count, "number of capabilities", error))
        return FALSE;
    if (count > CAPABILITIES_MAX)
        return fdset_reader_refuse(reader, error, FDSET_ERROR_LIMIT,
                                   "%u capabilities at " FDSET_HEX ", expected at most %d", count,
                                   offset, CAPABILITIES_MAX);
    g_ptr_array_set_size(configuration->capabilities, 0);
    for (guint32 i = 0; i < count; i++) {
        char *name = fdset_reader_counted_name(reader, "capability", error);

        if (name == NULL)
            return FALSE;
        g_ptr_array_add(configuration->capabilities, name);
    }
    g_ptr_array_add(configuration->capabilities, NULL);
    return TRUE;
}

static gboolean read_uuid(FdsetReader *reader, FdsetConfiguration *configuration, GError **error)
{
    const guint8 *bytes = fdset_reader_peek(reader, UUID_BYTES, "UUID", error);

    if (bytes == NULL)
        return FALSE;
    memcpy(configuration->uuid, bytes, UUID_BYTES);
    configuration->has_uuid = TRUE;
    return fdset_reader_skip(reader, UUID_BYTES, "UUID", error);
}

static const struct {
    const char *name;
    gboolean (*read)(FdsetReader *reader, FdsetConfiguration *configuration, GError **error);
} subsections[] = {
    {"configuration/target-page-bits", read_page_bits},
    {"configuration/capabilities", read_capabilities},
    {"configuration/uuid", read_uuid},
};

/* The cursor is behind the type byte. */
static gboolean read_subsection(FdsetReader *reader, FdsetConfiguration *configuration,
                                GError **error)
{
    guint64 offset = fdset_reader_tell(reader);
    g_autofree char *name = fdset_reader_counted_name(reader, "subsection name", error);
    g_autofree char *shown = name == NULL ? NULL : g_strescape(name, NULL);
    guint32 version;

    if (name == NULL || !fdset_reader_u32(reader, &version, "subsection version", error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(subsections); i++) {
        if (strcmp(name, subsections[i].name) != 0)
            continue;
        if (version != SUBSECTION_VERSION)
            break;
        return subsections[i].read(reader, configuration, error);
    }
    return fdset_reader_refuse(reader, error, FDSET_ERROR_UNSUPPORTED,
                               "subsection '%s' version %u at " FDSET_HEX
                               " is not known: the stream is of a newer QEMU",
                               shown, version, offset);
}

static gboolean read_body(FdsetReader *reader, FdsetConfiguration *configuration, GError **error)
{
    const guint8 *type;
    guint32 len;

    if (!fdset_reader_u32(reader, &len, "length of the machine name", error))
        return FALSE;
    configuration->machine = fdset_reader_name(reader, len, "machine name", error);
    if (configuration->machine == NULL)
        return FALSE;
    while ((type = fdset_reader_peek(reader, 1, "section type", error)) != NULL) {
        if (*type != FDSET_SECTION_SUBSECTION)
            return TRUE;
        fdset_reader_seek(reader, fdset_reader_tell(reader) + 1);
        if (!read_subsection(reader, configuration, error))
            return FALSE;
    }
    return FALSE;
}

FdsetConfiguration *fdset_configuration_read(FdsetReader *reader, GError **error)
{
    g_autoptr(FdsetConfiguration) configuration = g_new0(FdsetConfiguration, 1);
    const guint8 *type = fdset_reader_peek(reader, 1, "section type", error);

    configuration->capabilities = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(configuration->capabilities, NULL);
    if (type == NULL)
        return NULL;
    if (*type == FDSET_SECTION_CONFIGURATION) {
        fdset_reader_seek(reader, fdset_reader_tell(reader) + 1);
        if (!read_body(reader, configuration, error))
            return NULL;
    }
    return g_steal_pointer(&configuration);
}

const char *fdset_configuration_machine(const FdsetConfiguration *configuration)
{
    return configuration->machine;
}

guint64 fdset_configuration_page_size(const FdsetConfiguration *configuration)
{
    return configuration->page_size;
}

const char *const *fdset_configuration_capabilities(const FdsetConfiguration *configuration)
{
    return (const char *const *)configuration->capabilities->pdata;
}

static gboolean has_capability(const FdsetConfiguration *configuration, const char *name)
{
    return g_strv_contains(fdset_configuration_capabilities(configuration), name);
}

gboolean fdset_configuration_is_mapped_ram(const FdsetConfiguration *configuration)
{
    return has_capability(configuration, "mapped-ram") ||
           has_capability(configuration, "fixed-ram");
}

gboolean fdset_configuration_ignores_shared(const FdsetConfiguration *configuration)
{
    return has_capability(configuration, "x-ignore-shared");
}

const guint8 *fdset_configuration_uuid(const FdsetConfiguration *configuration)
{
    return configuration->has_uuid ? configuration->uuid : NULL;
}

void fdset_configuration_free(FdsetConfiguration *configuration)
{
    if (configuration == NULL)
        return;
    g_free(configuration->machine);
    g_clear_pointer(&configuration->capabilities, g_ptr_array_unref);
    g_free(configuration);
}
