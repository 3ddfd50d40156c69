/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/domain-xml.h"
#include "core/domain.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

GBytes *fs_domain_xml_read(const char *path, GError **error)
{
    autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    g_autofree char *text = NULL;
    FdsetSource source;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        fdset_error_set_errno(error, errno, "option domain-xml=%s: cannot open", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FDSET_DOMAIN_BYTES_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                    "option domain-xml=%s: expected a regular file of at most %d bytes", path,
                    FDSET_DOMAIN_BYTES_MAX);
        return NULL;
    }
    text = g_malloc((gsize)st.st_size + 1);
    fdset_source_init_fd(&source, fd, (guint64)st.st_size, path);
    if (!fdset_source_read(&source, 0, text, (gsize)st.st_size, "XML of a domain", error))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&text), (gsize)st.st_size);
}
