/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/fuzz/targets.h"
#include "core/devices.h"
#include "core/domain.h"
#include "core/elfcore.h"
#include "core/error.h"
#include "core/escape.h"
#include "core/info.h"
#include "core/inspection.h"
#include "core/jsontext.h"
#include "core/lime.h"
#include "core/memraw.h"
#include "core/vmdesc.h"
#include "core/xbzrle.h"
#include "fs/qmp-frame.h"
#include "fs/qmp.h"

#include <string.h>

#define READ_MAX (64u << 10)

static GBytes *source_of(const guint8 *data, gsize size, FdsetSource *source)
{
    GBytes *bytes = g_bytes_new(data, size);

    fdset_source_init_memory(source, bytes, "FILE");
    return bytes;
}

/* Whatever is refused is refused with an error of ours. */
static void check_error(const GError *error)
{
    g_assert_true(error != NULL && error->domain == FDSET_ERROR && error->message[0] != '\0');
}

static void check_json(GBytes *text)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    gsize size;
    const char *data = g_bytes_get_data(text, &size);

    g_assert_true(json_parser_load_from_data(parser, data, (gssize)size, NULL));
}

/* Both ends of a file, and where its data is. */
static void read_view(const FdsetMemview *view)
{
    g_autofree guint8 *buf = g_malloc(READ_MAX);
    guint64 size = fdset_memview_size(view);
    gint64 data = fdset_memview_next_data(view, 0);

    fdset_memview_pread(view, buf, READ_MAX, 0);
    fdset_memview_pread(view, buf, READ_MAX, size > READ_MAX ? size - READ_MAX : 0);
    if (data >= 0) {
        g_assert_cmpuint((guint64)data, <, size);
        g_assert_cmpint(fdset_memview_next_hole(view, (guint64)data), >, data);
        fdset_memview_pread(view, buf, READ_MAX, (guint64)data);
    }
}

static void use_view(FdsetMemview *made)
{
    g_autoptr(FdsetMemview) view = made;

    if (view)
        read_view(view);
}

static void use_blocks(const FdsetInspection *inspection)
{
    const FdsetRam *ram = fdset_stream_ram(fdset_inspection_stream(inspection));

    for (gsize i = 0; i < MIN(fdset_ram_n_blocks(ram), 16); i++) {
        const FdsetRamblock *block = fdset_ram_block(ram, i);
        g_autofree char *name = fdset_escape_name(fdset_ramblock_name(block), i);
        g_autoptr(FdsetMemview) view = fdset_memview_new();

        g_assert_true(name[0] != '\0' && name[0] != '.' && !strchr(name, '/'));
        fdset_memview_add_ram(view, block, 0, fdset_ramblock_used_length(block));
        read_view(view);
    }
}

/* A file, as a mount looks into it. */
static void run_file(const guint8 *data, gsize size)
{
    const FdsetPageIndexOptions index = {.dirfd = -1};
    const FdsetInspectionOptions options = {.index = &index};
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    g_autoptr(GBytes) bytes = source_of(data, size, &source);
    g_autoptr(FdsetInspection) inspection = fdset_inspection_new(&source, &options, &error);
    g_autoptr(GBytes) info = NULL;
    g_autoptr(GBytes) devices = NULL;

    if (!inspection) {
        check_error(error);
        return;
    }
    info = fdset_info_render(inspection);
    devices = fdset_devices_render(fdset_inspection_devices(inspection));
    check_json(info);
    check_json(devices);
    use_blocks(inspection);
    use_view(fdset_memraw_new(fdset_inspection_gpa(inspection), NULL));
    use_view(fdset_lime_new(fdset_inspection_gpa(inspection), NULL));
    use_view(fdset_elfcore_new(fdset_inspection_gpa(inspection),
                               fdset_inspection_notes(inspection), NULL));
}

/* A stream, as a store judges it; a complete one parses the same way again. */
static void run_stream(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    g_autoptr(GBytes) bytes = source_of(data, size, &source);
    g_autoptr(FdsetStream) stream = fdset_stream_parse(&source, 0, &error);

    if (stream)
        g_assert_cmpuint(fdset_stream_end(stream), ==, size);
    else
        check_error(error);
    g_assert_cmpint(fdset_stream_is_complete(&source, 0, NULL), ==, stream != NULL);
}

/* The RAM blocks of a stream with mapped-ram: a page at a time gives what all at once give. */
static void run_mapped_ram(const guint8 *data, gsize size)
{
    FdsetSource source;
    g_autoptr(GBytes) bytes = source_of(data, size, &source);
    g_autoptr(FdsetStream) stream = fdset_stream_parse_head(&source, 0, NULL);
    g_autofree guint8 *all = g_malloc(READ_MAX);
    guint8 byte;

    for (gsize i = 0; stream && i < MIN(fdset_ram_n_blocks(fdset_stream_ram(stream)), 16); i++) {
        const FdsetRamblock *block = fdset_ram_block(fdset_stream_ram(stream), i);
        gssize got = fdset_ramblock_pread(block, all, READ_MAX, 0);

        for (gssize at = 0; at < got; at += 509) {
            g_assert_cmpint(fdset_ramblock_pread(block, &byte, 1, (guint64)at), ==, 1);
            g_assert_cmpuint(byte, ==, all[at]);
        }
    }
}

static void run_domain(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetDomain) domain = fdset_domain_parse((const char *)data, size, "FILE", &error);

    if (!domain) {
        check_error(error);
        return;
    }
    for (gsize i = 1; i < fdset_domain_n_cells(domain); i++)
        g_assert_cmpuint(fdset_domain_cell(domain, i - 1)->id, <=,
                         fdset_domain_cell(domain, i)->id);
}

static void run_libvirt(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    g_autoptr(GBytes) bytes = source_of(data, size, &source);
    g_autoptr(FdsetLibvirt) libvirt = fdset_libvirt_read(&source, &error);
    guint64 offset, len;

    if (!libvirt) {
        check_error(error);
        return;
    }
    fdset_libvirt_xml(libvirt, &offset, &len);
    g_assert_true(offset <= size && len <= size - offset);
    if (fdset_libvirt_cookie(libvirt, &offset, &len))
        g_assert_true(offset <= size && len <= size - offset);
    g_assert_cmpuint(fdset_libvirt_stream_offset(libvirt), <=, size);
}

/* JSON behind an EOF marker and a length, as it ends a stream. */
static void run_vmdesc(const guint8 *data, gsize size)
{
    g_autoptr(GByteArray) file = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(FdsetVmdesc) vmdesc = NULL;
    guint32 len = GUINT32_TO_BE((guint32)size), found;
    guint64 offset;
    FdsetSource source;

    g_byte_array_append(file, (const guint8 *)"\0\6", 2);
    g_byte_array_append(file, (const guint8 *)&len, 4);
    g_byte_array_append(file, data, (guint)size);
    bytes = source_of(file->data, file->len, &source);
    if (fdset_vmdesc_find(&source, 0, &offset, &found, &error))
        vmdesc = fdset_vmdesc_read(&source, offset, found, &error);
    if (error)
        check_error(error);
}

static void run_jsontext(const guint8 *data, gsize size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = fdset_jsontext_parse((const char *)data, size, 32, &error);

    if (!node)
        check_error(error);
}

/* What a client of the control socket sends, in pieces whose length the first byte says. */
static void run_qmp(const guint8 *data, gsize size)
{
    g_autoptr(FsQmpFrame) frame = fs_qmp_frame_new();
    gsize piece = size ? data[0] + 1u : 1;

    for (gsize at = 0; at < size; at += piece) {
        FsQmpResult result;
        g_autofree char *line = NULL;

        fs_qmp_frame_push(frame, (const char *)data + at, MIN(piece, size - at));
        while ((result = fs_qmp_frame_next(frame, &line)) != FS_QMP_MORE) {
            g_autoptr(JsonNode) id = NULL;
            g_autoptr(GError) error = NULL;
            g_autoptr(FsQmpRequest) request = NULL;

            g_assert_true(g_utf8_validate(line, -1, NULL));
            if (result == FS_QMP_COMMAND && !(request = fs_qmp_request_parse(line, &id, &error)))
                check_error(error);
            g_clear_pointer(&line, g_free);
        }
    }
}

/* A delta, to a page that is larger than it says there is: nothing behind it may change. */
static void run_xbzrle(const guint8 *data, gsize size)
{
    guint8 page[4096 + 64];

    memset(page, 0x5a, sizeof page);
    fdset_xbzrle_apply(data, size, page, 4096);
    for (gsize i = 4096; i < sizeof page; i++)
        g_assert_cmpuint(page[i], ==, 0x5a);
}

const FuzzTarget fuzz_targets[] = {
    {"file", run_file},       {"stream", run_stream}, {"mapped-ram", run_mapped_ram},
    {"libvirt", run_libvirt}, {"vmdesc", run_vmdesc}, {"jsontext", run_jsontext},
    {"qmp", run_qmp},         {"xbzrle", run_xbzrle}, {"domain", run_domain},
    {NULL, NULL},
};

const FuzzTarget *fuzz_target_find(const char *name)
{
    for (const FuzzTarget *target = fuzz_targets; target->name; target++)
        if (strcmp(target->name, name) == 0)
            return target;
    return NULL;
}
