/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader.h - a cursor over a source, for formats that are read front to back.
 *
 * Integers are big-endian, as in QEMU's stream. Reads go through one window
 * that starts small and doubles while the reading is sequential (4 KiB to
 * 1 MiB), so that a few fields behind a jump cost one small read and a walk
 * over all page records runs in big chunks. Every read is checked against the
 * size of the source first; a failed read leaves the cursor where it was.
 * Not thread-safe: a reader belongs to one parse.
 */
#ifndef FDSET_READER_H
#define FDSET_READER_H

#include "core/source.h"

typedef struct FdsetReader FdsetReader;

/* printf form of an offset or a length in a message. */
#define FDSET_HEX "0x%" G_GINT64_MODIFIER "x"

/* Most bytes one fdset_reader_peek() can ask for. */
#define FDSET_READER_PEEK_MAX 4096

/* A reader at 'offset', which may lie behind the end. 'source' is borrowed. */
FdsetReader *fdset_reader_new(const FdsetSource *source, guint64 offset);

const FdsetSource *fdset_reader_source(const FdsetReader *reader);

/* Absolute offset of the next byte. */
guint64 fdset_reader_tell(const FdsetReader *reader);

/* Moves the cursor anywhere; what lies there is checked by the next read. */
void fdset_reader_seek(FdsetReader *reader, guint64 offset);

/* Bytes from the cursor to the end of the source, 0 behind it. */
guint64 fdset_reader_left(const FdsetReader *reader);

/*
 * The next 'len' bytes (at most FDSET_READER_PEEK_MAX) without moving; valid
 * until the next call. NULL with FDSET_ERROR_TRUNCATED when the source ends
 * before, FDSET_ERROR_SYSTEM when reading fails. 'what' names them.
 */
const guint8 *fdset_reader_peek(FdsetReader *reader, gsize len, const char *what, GError **error);

/* Reads one big-endian integer. Errors as above. */
gboolean fdset_reader_u8(FdsetReader *reader, guint8 *value, const char *what, GError **error);
gboolean fdset_reader_u16(FdsetReader *reader, guint16 *value, const char *what, GError **error);
gboolean fdset_reader_u32(FdsetReader *reader, guint32 *value, const char *what, GError **error);
gboolean fdset_reader_u64(FdsetReader *reader, guint64 *value, const char *what, GError **error);

/* Steps over 'len' bytes that must exist; they are not read. Error: TRUNCATED. */
gboolean fdset_reader_skip(FdsetReader *reader, guint64 len, const char *what, GError **error);

/*
 * A name of 'len' bytes, 1 to 255, owned by the caller. Any bytes but NUL are
 * accepted: '/', '..' and invalid UTF-8 are for whoever shows it to escape.
 * Errors: FDSET_ERROR_FORMAT when it is empty, too long or holds a NUL.
 */
char *fdset_reader_name(FdsetReader *reader, guint32 len, const char *what, GError **error);

/* The same with its length in one byte before it. */
char *fdset_reader_counted_name(FdsetReader *reader, const char *what, GError **error);

/*
 * Sets 'error' to "NAME: MESSAGE" with the name of the source and returns
 * FALSE. 'code' is a FdsetError.
 */
gboolean fdset_reader_refuse(const FdsetReader *reader, GError **error, int code,
                             const char *format, ...) G_GNUC_PRINTF(4, 5);

void fdset_reader_free(FdsetReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetReader, fdset_reader_free)

#endif
