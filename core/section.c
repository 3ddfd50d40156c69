/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/section.h"
#include "core/error.h"

#include <string.h>

/* QEMU's commands end at 12 and its section versions at a few dozen. */
#define COMMAND_MAX 64
#define VERSION_MAX 0xffff
/* Type byte, id, length byte, name, instance, version. */
#define HEADER_MAX (1 + 4 + 1 + 255 + 4 + 4)

FdsetSection *fdset_section_read(FdsetReader *reader, guint8 type, GError **error)
{
    g_autoptr(FdsetSection) section = g_new0(FdsetSection, 1);

    section->type = type;
    section->device = -1;
    if (!fdset_reader_u32(reader, &section->id, "section id", error))
        return NULL;
    section->name = fdset_reader_counted_name(reader, "section name", error);
    if (section->name == NULL ||
        !fdset_reader_u32(reader, &section->instance_id, "section instance", error) ||
        !fdset_reader_u32(reader, &section->version, "section version", error))
        return NULL;
    section->offset = fdset_reader_tell(reader);
    return g_steal_pointer(&section);
}

gboolean fdset_section_skip_footer(FdsetReader *reader, guint32 id)
{
    guint64 offset = fdset_reader_tell(reader);
    guint8 type;
    guint32 found;

    if (fdset_reader_u8(reader, &type, "section footer", NULL) && type == FDSET_SECTION_FOOTER &&
        fdset_reader_u32(reader, &found, "section footer", NULL) && found == id)
        return TRUE;
    fdset_reader_seek(reader, offset);
    return FALSE;
}

static guint32 be32(const guint8 *bytes)
{
    return (guint32)bytes[0] << 24 | (guint32)bytes[1] << 16 | (guint32)bytes[2] << 8 | bytes[3];
}

static gboolean is_printable(const guint8 *bytes, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        if (!g_ascii_isprint(bytes[i]))
            return FALSE;
    }
    return len > 0;
}

static gboolean is_named_header(const guint8 *bytes, gsize len, const FdsetSectionContext *context)
{
    gsize name_len;
    const guint8 *behind;

    if (len < 6 || (gsize)bytes[5] + 14 > len)
        return FALSE;
    name_len = bytes[5];
    behind = bytes + 6 + name_len;
    if (!is_printable(bytes + 6, name_len) || be32(behind + 4) > VERSION_MAX)
        return FALSE;
    if (bytes[0] == FDSET_SECTION_START || !context->described)
        return TRUE;
    return context->next_name != NULL && strlen(context->next_name) == name_len &&
           memcmp(context->next_name, bytes + 6, name_len) == 0 &&
           be32(behind) == context->next_instance_id;
}

static gboolean is_eof(FdsetReader *reader, const guint8 *bytes, gsize len,
                       const FdsetSectionContext *context)
{
    if (fdset_reader_tell(reader) == context->eof)
        return TRUE;
    /* A description that is cut short comes behind; said when its turn comes. */
    return !context->described && len > 6 && bytes[1] == FDSET_SECTION_VMDESCRIPTION &&
           bytes[6] == '{';
}

gboolean fdset_section_can_follow(FdsetReader *reader, const FdsetSectionContext *context)
{
    gsize len = (gsize)MIN(fdset_reader_left(reader), HEADER_MAX);
    const guint8 *bytes = len == 0 ? NULL : fdset_reader_peek(reader, len, "section", NULL);

    if (bytes == NULL)
        return FALSE;
    switch (bytes[0]) {
    case FDSET_SECTION_EOF:
        return is_eof(reader, bytes, len, context);
    case FDSET_SECTION_START:
    case FDSET_SECTION_FULL:
        return is_named_header(bytes, len, context);
    case FDSET_SECTION_PART:
    case FDSET_SECTION_END:
        return len >= 5 &&
               g_hash_table_contains(context->started, GUINT_TO_POINTER(be32(bytes + 1)));
    case FDSET_SECTION_COMMAND:
        return len >= 5 && bytes[1] == 0 && bytes[2] <= COMMAND_MAX;
    default:
        return FALSE;
    }
}

/* Moves to the next place in the next 'len' bytes where the footer's bytes stand, or behind them.
 */
static gboolean seek_footer(FdsetReader *reader, guint32 id, gsize len, gboolean *found,
                            GError **error)
{
    const guint8 footer[FDSET_SECTION_FOOTER_BYTES] = {
        FDSET_SECTION_FOOTER, (guint8)(id >> 24), (guint8)(id >> 16), (guint8)(id >> 8), (guint8)id,
    };
    guint64 start = fdset_reader_tell(reader);
    const guint8 *bytes = fdset_reader_peek(reader, len, "section", error);
    const guint8 *at;

    if (bytes == NULL)
        return FALSE;
    at = memmem(bytes, len, footer, sizeof footer);
    *found = at != NULL;
    if (at != NULL)
        fdset_reader_seek(reader, start + (guint64)(at - bytes));
    else /* the footer may start in the last bytes of this piece */
        fdset_reader_seek(reader, start + len - MIN(len - 1, sizeof footer - 1));
    return TRUE;
}

gboolean fdset_section_find_footer(FdsetReader *reader, guint32 id, guint64 limit,
                                   const FdsetSectionContext *context, GError **error)
{
    guint64 start = fdset_reader_tell(reader);

    while (fdset_reader_tell(reader) - start < limit && fdset_reader_left(reader) > 0) {
        gsize len = (gsize)MIN(fdset_reader_left(reader), FDSET_READER_PEEK_MAX);
        guint64 offset;
        gboolean found;

        if (!seek_footer(reader, id, len, &found, error))
            return FALSE;
        if (!found)
            continue;
        offset = fdset_reader_tell(reader);
        if (fdset_section_skip_footer(reader, id) && fdset_section_can_follow(reader, context)) {
            fdset_reader_seek(reader, offset);
            return TRUE;
        }
        fdset_reader_seek(reader, offset + 1);
    }
    if (fdset_reader_left(reader) > 0)
        return fdset_reader_refuse(
            reader, error, FDSET_ERROR_LIMIT,
            "section %u at " FDSET_HEX " has no end within " FDSET_HEX " bytes", id, start, limit);
    return fdset_reader_refuse(reader, error, FDSET_ERROR_TRUNCATED,
                               "section %u at " FDSET_HEX
                               " has no end, but the file ends at " FDSET_HEX,
                               id, start, fdset_reader_tell(reader));
}

void fdset_section_free(FdsetSection *section)
{
    if (section == NULL)
        return;
    g_free(section->name);
    g_free(section);
}
