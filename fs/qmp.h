/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp.h - the messages of QEMU's machine protocol, as text and as values.
 *
 * A command {"execute", "arguments", "id"} becomes a FsQmpRequest; greeting,
 * answers and events become one line each, ending in CR LF as QEMU's do.
 * Arguments are checked against a table, strictly, with QEMU's own words:
 * what a command gets has every argument it asks for, of the right type, and
 * none it does not know. Errors: FDSET_ERROR_USAGE, text for the client.
 * Source of the format: QEMU, docs/interop/qmp-spec.rst and qapi/.
 */
#ifndef FS_QMP_H
#define FS_QMP_H

#include "core/error.h"

#include <glib.h>
#include <json-glib/json-glib.h>

typedef enum {
    FS_QMP_INTEGER,
    FS_QMP_NUMBER, /* an integer or one with a fraction */
    FS_QMP_STRING,
    FS_QMP_BOOLEAN,
    FS_QMP_ARRAY,
} FsQmpType;

/* One argument of a command. A table of them ends with a name of NULL. */
typedef struct {
    const char *name;
    FsQmpType type;
    gboolean optional;
    const char *const *choices; /* nullable; what a string may be, ends with NULL */
} FsQmpArgument;

typedef struct {
    char *execute;
    JsonObject *arguments; /* never NULL */
} FsQmpRequest;

/*
 * Takes a command apart. *id, when it has one, is set also on error, so that the
 * complaint can carry it; caller unrefs.
 */
FsQmpRequest *fs_qmp_request_parse(const char *line, JsonNode **id, GError **error);
void fs_qmp_request_free(FsQmpRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsQmpRequest, fs_qmp_request_free)

/* Are these the arguments the table asks for? 'table' NULL: none. */
gboolean fs_qmp_arguments_check(const FsQmpArgument *table, JsonObject *arguments, GError **error);

/* {"qemu": {...}, "package": "fdsetfs"}: what query-version returns. */
JsonNode *fs_qmp_version(void);

/* Lines to send; callers free. 'id' is nullable, and 'value' (taken over) is {} when NULL. */
char *fs_qmp_greeting(void);
char *fs_qmp_return(JsonNode *value, JsonNode *id);
char *fs_qmp_event(const char *name, JsonNode *data, gint64 time);

/* The word for an error code of ours in answers, and back; an unknown word is SYSTEM. */
const char *fs_qmp_code_name(FdsetError code);
FdsetError fs_qmp_code_find(const char *name);

/* 'code' (nullable) is a member beside class and desc: the name of one of our error codes. */
char *fs_qmp_error(const char *class, const char *code, const char *desc, JsonNode *id);

#endif
