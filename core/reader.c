/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/reader.h"
#include "core/error.h"

#include <string.h>

#define WINDOW_MIN FDSET_READER_PEEK_MAX
#define WINDOW_MAX (1024 * 1024)
/* A step of at most this many bytes behind the window still counts as sequential. */
#define STEP_MAX (64 * 1024)
#define NAME_MAX_BYTES 255

struct FdsetReader {
    const FdsetSource *source; /* borrowed */
    guint64 offset;            /* absolute, of the next byte */
    guint64 start;             /* absolute, of buf[0] */
    gsize filled;              /* valid bytes in buf */
    gsize window;              /* bytes the last refill asked for, 0 before the first */
    guint8 *buf;               /* owned; 'window' bytes */
};

FdsetReader *fdset_reader_new(const FdsetSource *source, guint64 offset)
{
    FdsetReader *reader = g_new0(FdsetReader, 1);

    reader->source = source;
    reader->offset = offset;
    return reader;
}

const FdsetSource *fdset_reader_source(const FdsetReader *reader)
{
    return reader->source;
}

guint64 fdset_reader_tell(const FdsetReader *reader)
{
    return reader->offset;
}

void fdset_reader_seek(FdsetReader *reader, guint64 offset)
{
    reader->offset = offset;
}

guint64 fdset_reader_left(const FdsetReader *reader)
{
    return reader->offset < reader->source->size ? reader->source->size - reader->offset : 0;
}

static gboolean is_sequential(const FdsetReader *reader)
{
    return reader->window > 0 && reader->offset > reader->start &&
           reader->offset - reader->start <= reader->filled + STEP_MAX;
}

static gboolean refill(FdsetReader *reader, const char *what, GError **error)
{
    gsize window = is_sequential(reader) ? MIN(reader->window * 2, WINDOW_MAX) : WINDOW_MIN;
    gsize len = (gsize)MIN(window, fdset_reader_left(reader));

    if (window != reader->window)
        reader->buf = g_realloc(reader->buf, window);
    reader->window = window;
    reader->start = reader->offset;
    reader->filled = 0;
    if (!fdset_source_read(reader->source, reader->offset, reader->buf, len, what, error))
        return FALSE;
    reader->filled = len;
    return TRUE;
}

static gboolean check_left(const FdsetReader *reader, guint64 len, const char *what, GError **error)
{
    if (len <= fdset_reader_left(reader))
        return TRUE;
    return fdset_reader_refuse(reader, error, FDSET_ERROR_TRUNCATED,
                               "%s at " FDSET_HEX " needs %" G_GUINT64_FORMAT
                               " bytes, but the file ends at " FDSET_HEX,
                               what, reader->offset, len, reader->source->size);
}

const guint8 *fdset_reader_peek(FdsetReader *reader, gsize len, const char *what, GError **error)
{
    guint64 end = reader->start + reader->filled;

    g_return_val_if_fail(len <= FDSET_READER_PEEK_MAX, NULL);
    if (!check_left(reader, len, what, error))
        return NULL;
    if (reader->buf == NULL || reader->offset < reader->start || reader->offset > end ||
        len > end - reader->offset) {
        if (!refill(reader, what, error))
            return NULL;
    }
    return reader->buf + (reader->offset - reader->start);
}

static gboolean read_integer(FdsetReader *reader, gsize len, guint64 *value, const char *what,
                             GError **error)
{
    const guint8 *bytes = fdset_reader_peek(reader, len, what, error);

    if (bytes == NULL)
        return FALSE;
    *value = 0;
    for (gsize i = 0; i < len; i++)
        *value = *value << 8 | bytes[i];
    reader->offset += len;
    return TRUE;
}

gboolean fdset_reader_u8(FdsetReader *reader, guint8 *value, const char *what, GError **error)
{
    guint64 wide;

    if (!read_integer(reader, sizeof *value, &wide, what, error))
        return FALSE;
    *value = (guint8)wide;
    return TRUE;
}

gboolean fdset_reader_u16(FdsetReader *reader, guint16 *value, const char *what, GError **error)
{
    guint64 wide;

    if (!read_integer(reader, sizeof *value, &wide, what, error))
        return FALSE;
    *value = (guint16)wide;
    return TRUE;
}

gboolean fdset_reader_u32(FdsetReader *reader, guint32 *value, const char *what, GError **error)
{
    guint64 wide;

    if (!read_integer(reader, sizeof *value, &wide, what, error))
        return FALSE;
    *value = (guint32)wide;
    return TRUE;
}

gboolean fdset_reader_u64(FdsetReader *reader, guint64 *value, const char *what, GError **error)
{
    return read_integer(reader, sizeof *value, value, what, error);
}

gboolean fdset_reader_skip(FdsetReader *reader, guint64 len, const char *what, GError **error)
{
    if (!check_left(reader, len, what, error))
        return FALSE;
    reader->offset += len;
    return TRUE;
}

char *fdset_reader_name(FdsetReader *reader, guint32 len, const char *what, GError **error)
{
    const guint8 *bytes;

    if (len == 0 || len > NAME_MAX_BYTES) {
        fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                            "%s at " FDSET_HEX " has %u bytes, expected 1 to %d", what,
                            reader->offset, len, NAME_MAX_BYTES);
        return NULL;
    }
    bytes = fdset_reader_peek(reader, len, what, error);
    if (bytes == NULL)
        return NULL;
    if (memchr(bytes, '\0', len) != NULL) {
        fdset_reader_refuse(reader, error, FDSET_ERROR_FORMAT,
                            "%s at " FDSET_HEX " holds a NUL byte, expected text", what,
                            reader->offset);
        return NULL;
    }
    reader->offset += len;
    return g_strndup((const char *)bytes, len);
}

char *fdset_reader_counted_name(FdsetReader *reader, const char *what, GError **error)
{
    guint64 offset = reader->offset;
    guint8 len;
    char *name;

    if (!fdset_reader_u8(reader, &len, what, error))
        return NULL;
    name = fdset_reader_name(reader, len, what, error);
    if (name == NULL)
        reader->offset = offset;
    return name;
}

gboolean fdset_reader_refuse(const FdsetReader *reader, GError **error, int code,
                             const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, FDSET_ERROR, code, "%s: %s", reader->source->name, message);
    return FALSE;
}

void fdset_reader_free(FdsetReader *reader)
{
    if (reader == NULL)
        return;
    g_free(reader->buf);
    g_free(reader);
}
