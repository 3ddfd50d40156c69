/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp-frame.h - cuts what a control client sends into commands.
 *
 * A command is one JSON object on one line: it ends where its braces close, or
 * else, broken, with the line. Whatever comes in, size, depth and number of
 * members are limited here, before a JSON parser sees a byte. After a command
 * that is too big or broken the rest of its line is dropped, so the next line
 * is a fresh start and the connection lives.
 */
#ifndef FS_QMP_FRAME_H
#define FS_QMP_FRAME_H

#include <glib.h>

#define FS_QMP_LINE_MAX                                                                            \
    65536u                       /* bytes; the longest honest command is an add-fd with its opaque \
                                  */
#define FS_QMP_DEPTH_MAX 32u     /* brackets; commands need 3, an id may be any value */
#define FS_QMP_MEMBERS_MAX 1024u /* commas; more than any command has by far */

typedef enum {
    FS_QMP_MORE,    /* no whole command is there yet            */
    FS_QMP_COMMAND, /* *line is one command                     */
    FS_QMP_BROKEN,  /* *line says what is wrong, for the client */
} FsQmpResult;

typedef struct FsQmpFrame FsQmpFrame;

FsQmpFrame *fs_qmp_frame_new(void);

/* Takes bytes in. Call fs_qmp_frame_next() until it wants more before the next push. */
void fs_qmp_frame_push(FsQmpFrame *frame, const char *data, gsize len);

/* The next command or complaint; caller frees *line. It is UTF-8 without NUL. */
FsQmpResult fs_qmp_frame_next(FsQmpFrame *frame, char **line);

/* TRUE when nothing is left over: no part of a command. */
gboolean fs_qmp_frame_is_empty(const FsQmpFrame *frame);

void fs_qmp_frame_free(FsQmpFrame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsQmpFrame, fs_qmp_frame_free)

#endif
