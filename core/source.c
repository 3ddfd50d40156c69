/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/source.h"
#include "core/error.h"
#include "core/fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

gboolean fdset_source_read(const FdsetSource *source, guint64 offset, gpointer buf, gsize len,
                           const char *what, GError **error)
{
    gssize got;

    if (offset > source->size || len > source->size - offset) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_TRUNCATED,
                    "%s: %s at offset %" G_GUINT64_FORMAT " needs %" G_GSIZE_FORMAT
                    " bytes, but the file ends at %" G_GUINT64_FORMAT,
                    source->name, what, offset, len, source->size);
        return FALSE;
    }
    got = source->pread(source->opaque, buf, len, offset);
    if (got < 0) {
        fdset_error_set_errno(error, (int)-got, "%s: cannot read %s at offset %" G_GUINT64_FORMAT,
                              source->name, what, offset);
        return FALSE;
    }
    if ((gsize)got != len) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_TRUNCATED,
                    "%s: %s at offset %" G_GUINT64_FORMAT " has %" G_GSSIZE_FORMAT
                    " bytes, expected %" G_GSIZE_FORMAT,
                    source->name, what, offset, got, len);
        return FALSE;
    }
    return TRUE;
}

static gssize memory_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(opaque, &size);

    if (offset >= size)
        return 0;
    len = MIN(len, size - offset);
    memcpy(buf, data + offset, len);
    return (gssize)len;
}

void fdset_source_init_memory(FdsetSource *source, const GBytes *bytes, const char *name)
{
    *source = (FdsetSource){
        .pread = memory_pread,
        .opaque = (gpointer)bytes,
        .size = g_bytes_get_size((GBytes *)bytes),
        .name = name,
    };
}

static gssize fd_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    return fdset_fd_pread(GPOINTER_TO_INT(opaque), buf, len, offset);
}

static gint64 fd_next_data(gpointer opaque, guint64 offset)
{
    off_t found = lseek(GPOINTER_TO_INT(opaque), (off_t)offset, SEEK_DATA);

    return found < 0 ? -errno : found;
}

void fdset_source_init_fd(FdsetSource *source, int fd, guint64 size, const char *name)
{
    *source = (FdsetSource){
        .pread = fd_pread,
        .opaque = GINT_TO_POINTER(fd),
        .size = size,
        .name = name,
        .next_data = fd_next_data,
    };
}
