/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/libvirt.h"
#include "core/error.h"
#include "core/reader.h"

#include <string.h>

#define HEADER_BYTES 92
#define MAGIC_BYTES 16
#define MAGIC_FINISHED "LibvirtQemudSave"
#define MAGIC_PARTIAL "LibvirtQemudPart"
#define VERSION_MAX 2
/* libvirt itself refuses domain XML of more than 10 MiB. */
#define TEXT_MAX (16 * 1024 * 1024)
#define SCAN_CHUNK 4096

static const char *const format_names[] = {
    [FDSET_LIBVIRT_RAW] = "raw",       [FDSET_LIBVIRT_GZIP] = "gzip",
    [FDSET_LIBVIRT_BZIP2] = "bzip2",   [FDSET_LIBVIRT_XZ] = "xz",
    [FDSET_LIBVIRT_LZOP] = "lzop",     [FDSET_LIBVIRT_ZSTD] = "zstd",
    [FDSET_LIBVIRT_SPARSE] = "sparse",
};

struct FdsetLibvirt {
    gboolean finished;
    gboolean swapped;
    guint32 version;
    guint32 data_len; /* bytes behind the header, before the stream */
    guint32 was_running;
    guint32 format;
    guint32 cookie_offset; /* from the end of the header; 0 when there is none */
    guint64 xml_len;       /* bytes without the NUL */
    guint64 cookie_len;    /* the same */
};

static gboolean refuse(const FdsetSource *source, GError **error, int code, guint64 offset,
                       const char *what, guint32 value, const char *expected)
{
    g_set_error(error, FDSET_ERROR, code,
                "%s: %s of the libvirt header at " FDSET_HEX " is %u, expected %s", source->name,
                what, offset, value, expected);
    return FALSE;
}

static guint32 field(const FdsetLibvirt *libvirt, const guint8 *header, gsize number)
{
    guint32 value;

    memcpy(&value, header + MAGIC_BYTES + number * sizeof value, sizeof value);
    return libvirt->swapped ? GUINT32_SWAP_LE_BE(value) : value;
}

static void decode(FdsetLibvirt *libvirt, const guint8 *header)
{
    libvirt->finished = memcmp(header, MAGIC_FINISHED, MAGIC_BYTES) == 0;
    /* What libvirt does: a version out of range can only be of the other byte order. */
    libvirt->swapped = field(libvirt, header, 0) > VERSION_MAX;
    libvirt->version = field(libvirt, header, 0);
    libvirt->data_len = field(libvirt, header, 1);
    libvirt->was_running = field(libvirt, header, 2);
    libvirt->format = field(libvirt, header, 3);
    libvirt->cookie_offset = field(libvirt, header, 4);
}

static gboolean check(const FdsetLibvirt *libvirt, const FdsetSource *source, GError **error)
{
    if (libvirt->version == 0 || libvirt->version > VERSION_MAX)
        return refuse(source, error, FDSET_ERROR_VERSION, MAGIC_BYTES, "version", libvirt->version,
                      "1 or 2");
    if (libvirt->format >= G_N_ELEMENTS(format_names))
        return refuse(source, error, FDSET_ERROR_UNSUPPORTED, MAGIC_BYTES + 12, "format",
                      libvirt->format, "0 (raw) to 6 (sparse)");
    if (libvirt->data_len == 0)
        return refuse(source, error, FDSET_ERROR_FORMAT, MAGIC_BYTES + 4, "data length",
                      libvirt->data_len, "room for the domain's XML");
    if (libvirt->data_len > source->size - HEADER_BYTES)
        return refuse(source, error, FDSET_ERROR_TRUNCATED, MAGIC_BYTES + 4, "data length",
                      libvirt->data_len, "no more than the file has");
    if (libvirt->cookie_offset >= libvirt->data_len)
        return refuse(source, error, FDSET_ERROR_FORMAT, MAGIC_BYTES + 16, "cookie offset",
                      libvirt->cookie_offset, "less than the data length");
    return TRUE;
}

/* Bytes of the text at 'offset' up to its NUL, which lies within 'room' bytes. */
static gboolean text_length(const FdsetSource *source, guint64 offset, guint64 room,
                            const char *what, guint64 *len, GError **error)
{
    guint8 chunk[SCAN_CHUNK];

    for (*len = 0; *len < MIN(room, TEXT_MAX);) {
        gsize want = (gsize)MIN(room - *len, sizeof chunk);
        const guint8 *nul;

        if (!fdset_source_read(source, offset + *len, chunk, want, what, error))
            return FALSE;
        nul = memchr(chunk, '\0', want);
        if (nul != NULL) {
            *len += (guint64)(nul - chunk);
            return TRUE;
        }
        *len += want;
    }
    g_set_error(error, FDSET_ERROR, *len < room ? FDSET_ERROR_LIMIT : FDSET_ERROR_FORMAT,
                "%s: %s at " FDSET_HEX " has no end within %" G_GUINT64_FORMAT " bytes",
                source->name, what, offset, *len);
    return FALSE;
}

static gboolean find_texts(FdsetLibvirt *libvirt, const FdsetSource *source, GError **error)
{
    guint64 cookie = libvirt->cookie_offset;
    guint64 xml_room = cookie != 0 ? cookie : libvirt->data_len;

    if (!text_length(source, HEADER_BYTES, xml_room, "domain XML", &libvirt->xml_len, error))
        return FALSE;
    return cookie == 0 || text_length(source, HEADER_BYTES + cookie, libvirt->data_len - cookie,
                                      "libvirt cookie", &libvirt->cookie_len, error);
}

static gboolean is_magic(const guint8 *magic)
{
    return memcmp(magic, MAGIC_FINISHED, MAGIC_BYTES) == 0 ||
           memcmp(magic, MAGIC_PARTIAL, MAGIC_BYTES) == 0;
}

gboolean fdset_libvirt_probe(const FdsetSource *source)
{
    guint8 magic[MAGIC_BYTES];

    return fdset_source_read(source, 0, magic, sizeof magic, "libvirt magic", NULL) &&
           is_magic(magic);
}

FdsetLibvirt *fdset_libvirt_read(const FdsetSource *source, GError **error)
{
    g_autoptr(FdsetLibvirt) libvirt = g_new0(FdsetLibvirt, 1);
    guint8 header[HEADER_BYTES];

    if (!fdset_source_read(source, 0, header, sizeof header, "libvirt header", error))
        return NULL;
    if (!is_magic(header)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT,
                    "%s: no libvirt magic at 0x0, expected " MAGIC_FINISHED " or " MAGIC_PARTIAL,
                    source->name);
        return NULL;
    }
    decode(libvirt, header);
    if (!check(libvirt, source, error) || !find_texts(libvirt, source, error))
        return NULL;
    return g_steal_pointer(&libvirt);
}

gboolean fdset_libvirt_is_finished(const FdsetLibvirt *libvirt)
{
    return libvirt->finished;
}

gboolean fdset_libvirt_is_swapped(const FdsetLibvirt *libvirt)
{
    return libvirt->swapped;
}

gboolean fdset_libvirt_was_running(const FdsetLibvirt *libvirt)
{
    return libvirt->was_running != 0;
}

FdsetLibvirtFormat fdset_libvirt_format(const FdsetLibvirt *libvirt)
{
    return (FdsetLibvirtFormat)libvirt->format;
}

const char *fdset_libvirt_format_name(FdsetLibvirtFormat format)
{
    g_return_val_if_fail((guint)format < G_N_ELEMENTS(format_names), NULL);
    return format_names[format];
}

void fdset_libvirt_xml(const FdsetLibvirt *libvirt, guint64 *offset, guint64 *len)
{
    *offset = HEADER_BYTES;
    *len = libvirt->xml_len;
}

gboolean fdset_libvirt_cookie(const FdsetLibvirt *libvirt, guint64 *offset, guint64 *len)
{
    *offset = HEADER_BYTES + (guint64)libvirt->cookie_offset;
    *len = libvirt->cookie_len;
    return libvirt->cookie_offset != 0;
}

guint64 fdset_libvirt_stream_offset(const FdsetLibvirt *libvirt)
{
    return HEADER_BYTES + (guint64)libvirt->data_len;
}

void fdset_libvirt_free(FdsetLibvirt *libvirt)
{
    g_free(libvirt);
}
