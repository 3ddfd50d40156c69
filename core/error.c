/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"

#include <errno.h>

G_DEFINE_QUARK(fdset-error-quark, fdset_error)

int fdset_error_to_errno(FdsetError code)
{
    switch (code) {
    case FDSET_ERROR_USAGE:
        return EINVAL;
    case FDSET_ERROR_NOT_FOUND:
        return ENOENT;
    case FDSET_ERROR_BUSY:
        return EBUSY;
    case FDSET_ERROR_DENIED:
        return EACCES;
    case FDSET_ERROR_NO_SPACE:
        return ENOSPC;
    case FDSET_ERROR_VERSION:
    case FDSET_ERROR_UNSUPPORTED:
        return EOPNOTSUPP;
    case FDSET_ERROR_SYSTEM:
    case FDSET_ERROR_FORMAT:
    case FDSET_ERROR_TRUNCATED:
    case FDSET_ERROR_CORRUPT:
    case FDSET_ERROR_LIMIT:
        return EIO;
    }
    return EIO;
}

int fdset_error_to_exit(FdsetError code)
{
    switch (code) {
    case FDSET_ERROR_USAGE:
        return 2;
    case FDSET_ERROR_NOT_FOUND:
        return 3;
    case FDSET_ERROR_BUSY:
        return 4;
    case FDSET_ERROR_DENIED:
        return 5;
    case FDSET_ERROR_FORMAT:
    case FDSET_ERROR_TRUNCATED:
    case FDSET_ERROR_CORRUPT:
    case FDSET_ERROR_LIMIT:
        return 6;
    case FDSET_ERROR_VERSION:
    case FDSET_ERROR_UNSUPPORTED:
        return 7;
    case FDSET_ERROR_SYSTEM:
    case FDSET_ERROR_NO_SPACE:
        return 1;
    }
    return 1;
}

static FdsetError code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return FDSET_ERROR_NO_SPACE;
    case ENOENT:
        return FDSET_ERROR_NOT_FOUND;
    default:
        return FDSET_ERROR_SYSTEM;
    }
}

void fdset_error_set_errno(GError **error, int errnum, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, FDSET_ERROR, code_of_errno(errnum), "%s: %s", message, g_strerror(errnum));
}
