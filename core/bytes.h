/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bytes.h - little-endian numbers at the end of a byte array, for the formats that are written. */
#ifndef FDSET_BYTES_H
#define FDSET_BYTES_H

#include <glib.h>
#include <string.h>

static inline void fdset_bytes_zeros(GByteArray *bytes, gsize len)
{
    guint old = bytes->len;

    g_byte_array_set_size(bytes, old + (guint)len);
    memset(bytes->data + old, 0, len);
}

static inline void fdset_bytes_le16(GByteArray *bytes, guint16 value)
{
    guint16 little = GUINT16_TO_LE(value);

    g_byte_array_append(bytes, (const guint8 *)&little, sizeof little);
}

static inline void fdset_bytes_le32(GByteArray *bytes, guint32 value)
{
    guint32 little = GUINT32_TO_LE(value);

    g_byte_array_append(bytes, (const guint8 *)&little, sizeof little);
}

static inline void fdset_bytes_le64(GByteArray *bytes, guint64 value)
{
    guint64 little = GUINT64_TO_LE(value);

    g_byte_array_append(bytes, (const guint8 *)&little, sizeof little);
}

#endif
