/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * error.h - the one GError domain of fdsetfs.
 *
 * Set-up, parsing and control code reports with GError in this domain; code on
 * the data path returns -errno instead and never both. A message names the
 * file, the offset where there is one, and what was expected. One total switch
 * maps each code to an errno, another to a program's exit status.
 */
#ifndef FDSET_ERROR_H
#define FDSET_ERROR_H

#include <glib.h>

#define FDSET_ERROR (fdset_error_quark())
GQuark fdset_error_quark(void);

typedef enum {
    FDSET_ERROR_SYSTEM,      /* a system call failed; the message carries strerror()    */
    FDSET_ERROR_USAGE,       /* the caller asked for something that makes no sense      */
    FDSET_ERROR_NOT_FOUND,   /* no such set, channel or file                            */
    FDSET_ERROR_BUSY,        /* in use by somebody else (a second writer of a store)    */
    FDSET_ERROR_DENIED,      /* a rule forbids it                                       */
    FDSET_ERROR_NO_SPACE,    /* the disk is full or a quota is used up                  */
    FDSET_ERROR_FORMAT,      /* the bytes are not of the format they should be          */
    FDSET_ERROR_TRUNCATED,   /* the bytes end before the format does                    */
    FDSET_ERROR_CORRUPT,     /* a digest or an invariant of ours does not hold          */
    FDSET_ERROR_VERSION,     /* written by a newer version than this one                */
    FDSET_ERROR_UNSUPPORTED, /* valid, but not something this build can read            */
    FDSET_ERROR_LIMIT,       /* over a limit that protects us from hostile input        */
} FdsetError;

/* The errno a filesystem answers for 'code'; total over FdsetError. */
int fdset_error_to_errno(FdsetError code);

/* The exit status of a program for 'code' (documented in the man pages); total. */
int fdset_error_to_exit(FdsetError code);

/*
 * Sets an error for a failed system call: "MESSAGE: strerror(errnum)". The code
 * follows errnum: ENOSPC and EDQUOT give NO_SPACE, ENOENT NOT_FOUND, everything
 * else SYSTEM.
 */
void fdset_error_set_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
