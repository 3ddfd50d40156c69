/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/inspection.h"
#include "core/cpunotes.h"
#include "core/error.h"
#include "core/streamfind.h"
#include "core/unpack.h"

#include <string.h>

struct FdsetInspection {
    const FdsetSource *source; /* borrowed */
    FdsetUnpacked *unpacked;   /* owned, or NULL; then the source is its */
    FdsetLibvirt *libvirt;     /* owned, or NULL */
    FdsetStream *stream;       /* owned */
    FdsetPageIndex *index;     /* owned, or NULL; the stream's blocks borrow it */
    char *problem;             /* owned, or NULL */
    FdsetDevices *devices;     /* owned */
    FdsetGpa *gpa;             /* owned */
    GBytes *notes;             /* owned */
    guint n_cpus;
    gboolean has_vmcoreinfo;
    gboolean is_big_endian;
    const char *order_source;
};

/* --- where the stream is --- */

static gboolean refuse_compressed(const FdsetInspection *inspection, FdsetLibvirtFormat format,
                                  guint64 offset, GError **error)
{
    const char *tool = fdset_libvirt_format_name(format);

    g_set_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED,
                "%s: compressed with %s, which cannot be unpacked here: unpack it with %s first "
                "(tail -c +%" G_GUINT64_FORMAT " FILE | %s -dc), or save with --image-format sparse",
                inspection->source->name, tool, tool, offset + 1, tool);
    return FALSE;
}

/* From here on the file is as if it had never been compressed. */
static gboolean unpack(FdsetInspection *inspection, const FdsetInspectionOptions *options,
                       FdsetLibvirtFormat format, guint64 offset, GError **error)
{
    if (options->index == NULL || !fdset_unpack_is_possible(format))
        return refuse_compressed(inspection, format, offset, error);
    inspection->unpacked =
        fdset_unpack(inspection->source, offset, format, options->index, error);
    if (inspection->unpacked == NULL)
        return FALSE;
    inspection->source = fdset_unpacked_source(inspection->unpacked);
    return TRUE;
}

static gboolean read_libvirt(FdsetInspection *inspection, const FdsetInspectionOptions *options,
                             guint64 *start, GError **error)
{
    FdsetLibvirtFormat format;

    inspection->libvirt = fdset_libvirt_read(inspection->source, error);
    if (inspection->libvirt == NULL)
        return FALSE;
    *start = fdset_libvirt_stream_offset(inspection->libvirt);
    format = fdset_libvirt_format(inspection->libvirt);
    return format == FDSET_LIBVIRT_RAW || format == FDSET_LIBVIRT_SPARSE ||
           unpack(inspection, options, format, *start, error);
}

/* Where the stream is known: what lies in front is told when it is the header of this stream. */
static void look_in_front(FdsetInspection *inspection, guint64 start)
{
    g_autoptr(FdsetLibvirt) header = NULL;

    if (start > 0 && fdset_libvirt_probe(inspection->source))
        header = fdset_libvirt_read(inspection->source, NULL);
    if (header != NULL && fdset_libvirt_stream_offset(header) == start)
        inspection->libvirt = g_steal_pointer(&header);
}

static gboolean find_stream(FdsetInspection *inspection, const FdsetInspectionOptions *options,
                            guint64 *start, GError **error)
{
    FdsetLibvirtFormat format;

    *start = options->offset;
    if (options->has_offset) {
        look_in_front(inspection, options->offset);
        return TRUE;
    }
    if (fdset_libvirt_probe(inspection->source))
        return read_libvirt(inspection, options, start, error);
    *start = 0;
    format = fdset_unpack_probe(inspection->source, 0);
    if (format != FDSET_LIBVIRT_RAW && !unpack(inspection, options, format, 0, error))
        return FALSE;
    return fdset_stream_has_magic(inspection->source, 0) ||
           fdset_stream_search(inspection->source, start, error);
}

/* --- what it says --- */

/* Pages in the order they were sent: one pass tells where each lies. */
static gboolean read_pages(FdsetInspection *inspection, const FdsetPageIndexOptions *options,
                           guint64 start, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (options == NULL) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED,
                    "%s: saved in the streaming format, without mapped-ram: its pages have no fixed "
                    "place, and there is to be no index of them",
                    inspection->source->name);
        return FALSE;
    }
    inspection->index = fdset_pageindex_open(options, inspection->source, start,
                                             &inspection->stream, &problem, error);
    if (problem != NULL)
        inspection->problem = g_strdup(problem->message);
    return inspection->index != NULL;
}

static gboolean read_stream(FdsetInspection *inspection, const FdsetInspectionOptions *options,
                            guint64 start, GError **error)
{
    g_autoptr(FdsetStream) head = fdset_stream_parse_head(inspection->source, start, error);
    g_autoptr(GError) problem = NULL;

    if (head == NULL)
        return FALSE;
    if (!fdset_configuration_is_mapped_ram(fdset_stream_configuration(head)))
        return read_pages(inspection, options->index, start, error);
    inspection->stream = fdset_stream_parse(inspection->source, start, &problem);
    if (inspection->stream == NULL) {
        inspection->problem = g_strdup(problem->message);
        inspection->stream = g_steal_pointer(&head);
    }
    return TRUE;
}

/* One host wrote all bitmaps: big-endian when one shows that and none the opposite. */
static void find_byte_order(FdsetInspection *inspection, FdsetByteOrder told)
{
    FdsetRam *ram = fdset_stream_ram(inspection->stream);
    gboolean little = FALSE, big = FALSE;

    for (gsize i = 0; i < fdset_ram_n_blocks(ram); i++) {
        int guess = fdset_ramblock_guess_big_endian(fdset_ram_block(ram, i));

        little |= guess == 0;
        big |= guess == 1;
    }
    inspection->is_big_endian =
        told == FDSET_BYTE_ORDER_AUTO ? big && !little : told == FDSET_BYTE_ORDER_BIG;
    inspection->order_source = told != FDSET_BYTE_ORDER_AUTO ? "told"
                               : big != little               ? "derived"
                                                             : "assumed";
    for (gsize i = 0; i < fdset_ram_n_blocks(ram); i++)
        fdset_ramblock_set_big_endian(fdset_ram_block(ram, i), inspection->is_big_endian);
}

static void make_notes(FdsetInspection *inspection, FdsetVmcoreinfoMode mode)
{
    g_autoptr(GBytes) cpus = fdset_cpunotes_new(inspection->devices, &inspection->n_cpus);
    g_autoptr(GBytes) info = fdset_vmcoreinfo_read(inspection->devices, inspection->gpa, mode);
    GByteArray *notes = g_byte_array_new();

    g_byte_array_append(notes, g_bytes_get_data(cpus, NULL), (guint)g_bytes_get_size(cpus));
    if (info != NULL)
        g_byte_array_append(notes, g_bytes_get_data(info, NULL), (guint)g_bytes_get_size(info));
    inspection->has_vmcoreinfo = info != NULL;
    inspection->notes = g_byte_array_free_to_bytes(notes);
}

/* --- where memory is --- */

/* Of a header that is not what it should be there is no more than a note. */
static FdsetDomain *read_header_xml(const FdsetInspection *inspection, GError **error)
{
    static const char origin[] = "the XML in libvirt's header";
    g_autofree char *text = NULL;
    guint64 offset, len;

    fdset_libvirt_xml(inspection->libvirt, &offset, &len);
    if (len > FDSET_DOMAIN_BYTES_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT, "%s has more than %d bytes", origin,
                    FDSET_DOMAIN_BYTES_MAX);
        return NULL;
    }
    text = g_malloc((gsize)len + 1);
    if (!fdset_source_read(inspection->source, offset, text, (gsize)len, origin, error))
        return NULL;
    return fdset_domain_parse(text, (gsize)len, origin, error);
}

static gboolean find_domain(const FdsetInspection *inspection, GBytes *xml, FdsetDomain **domain,
                            char **reason, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (xml != NULL)
        *domain = fdset_domain_parse(g_bytes_get_data(xml, NULL), g_bytes_get_size(xml),
                                     "option domain-xml", &problem);
    else if (inspection->libvirt != NULL)
        *domain = read_header_xml(inspection, &problem);
    if (problem == NULL)
        return TRUE;
    if (xml != NULL) {
        g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_USAGE, problem->message);
        return FALSE;
    }
    *reason = g_strdup(problem->message);
    return TRUE;
}

static gboolean map_memory(FdsetInspection *inspection, const FdsetInspectionOptions *options,
                           GError **error)
{
    g_autoptr(FdsetDomain) domain = NULL;
    g_autofree char *problem = NULL;
    FdsetChipset chipset;
    FdsetGpaHints hints = {.chipset = &chipset, .overrides = options->gpa};

    if (!find_domain(inspection, options->domain_xml, &domain, &problem, error))
        return FALSE;
    fdset_chipset_read(inspection->devices, &chipset);
    hints.domain = domain;
    hints.domain_problem = problem;
    inspection->gpa = fdset_gpa_new(inspection->stream, &hints, error);
    return inspection->gpa != NULL;
}

FdsetInspection *fdset_inspection_new(const FdsetSource *source,
                                      const FdsetInspectionOptions *options, GError **error)
{
    g_autoptr(FdsetInspection) inspection = g_new0(FdsetInspection, 1);
    guint64 start;

    inspection->source = source;
    if (!find_stream(inspection, options, &start, error) || !read_stream(inspection, options, start, error))
        return NULL;
    find_byte_order(inspection, options->bitmap);
    inspection->devices = fdset_devices_new(source, inspection->stream);
    if (!map_memory(inspection, options, error))
        return NULL;
    make_notes(inspection, options->vmcoreinfo);
    return g_steal_pointer(&inspection);
}

const FdsetSource *fdset_inspection_source(const FdsetInspection *inspection)
{
    return inspection->source;
}

const FdsetStream *fdset_inspection_stream(const FdsetInspection *inspection)
{
    return inspection->stream;
}

const FdsetLibvirt *fdset_inspection_libvirt(const FdsetInspection *inspection)
{
    return inspection->libvirt;
}

const FdsetDevices *fdset_inspection_devices(const FdsetInspection *inspection)
{
    return inspection->devices;
}

const FdsetGpa *fdset_inspection_gpa(const FdsetInspection *inspection)
{
    return inspection->gpa;
}

const FdsetPageIndex *fdset_inspection_index(const FdsetInspection *inspection)
{
    return inspection->index;
}

const char *fdset_inspection_problem(const FdsetInspection *inspection)
{
    return inspection->problem;
}

const char *fdset_inspection_byte_order_source(const FdsetInspection *inspection)
{
    return inspection->order_source;
}

gboolean fdset_inspection_is_big_endian(const FdsetInspection *inspection)
{
    return inspection->is_big_endian;
}

guint fdset_inspection_n_cpus(const FdsetInspection *inspection)
{
    return inspection->n_cpus;
}

GBytes *fdset_inspection_notes(const FdsetInspection *inspection)
{
    return inspection->notes;
}

gboolean fdset_inspection_has_vmcoreinfo(const FdsetInspection *inspection)
{
    return inspection->has_vmcoreinfo;
}

void fdset_inspection_free(FdsetInspection *inspection)
{
    if (inspection == NULL)
        return;
    g_clear_pointer(&inspection->notes, g_bytes_unref);
    fdset_gpa_free(inspection->gpa);
    fdset_devices_free(inspection->devices);
    g_free(inspection->problem);
    fdset_stream_free(inspection->stream);
    fdset_pageindex_free(inspection->index);
    fdset_libvirt_free(inspection->libvirt);
    fdset_unpacked_free(inspection->unpacked);
    g_free(inspection);
}
