/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/qmp-frame.h"

#include <string.h>

typedef enum {
    OUTSIDE, /* between commands                             */
    INSIDE,  /* in a command                                 */
    STRING,  /* in a string of it                            */
    ESCAPE,  /* behind a backslash in a string               */
    SKIP,    /* behind a complaint, until the end of the line */
} State;

struct FsQmpFrame {
    GByteArray *bytes;
    guint start; /* of the command                            */
    guint at;    /* all before it was looked at               */
    State state;
    guint depth;
    guint members;
};

FsQmpFrame *fs_qmp_frame_new(void)
{
    FsQmpFrame *frame = g_new0(FsQmpFrame, 1);

    frame->bytes = g_byte_array_new();
    return frame;
}

void fs_qmp_frame_free(FsQmpFrame *frame)
{
    if (!frame)
        return;
    g_byte_array_unref(frame->bytes);
    g_free(frame);
}

void fs_qmp_frame_push(FsQmpFrame *frame, const char *data, gsize len)
{
    g_byte_array_remove_range(frame->bytes, 0, frame->start);
    frame->at -= frame->start;
    frame->start = 0;
    g_byte_array_append(frame->bytes, (const guint8 *)data, (guint)len);
}

gboolean fs_qmp_frame_is_empty(const FsQmpFrame *frame)
{
    return frame->start == frame->bytes->len;
}

/* What one byte of a command does to the state; the problem it makes, or NULL. */
static const char *step(FsQmpFrame *frame, guint8 byte)
{
    switch (byte) {
    case '"':
        frame->state = STRING;
        break;
    case '{':
    case '[':
        if (++frame->depth > FS_QMP_DEPTH_MAX)
            return "JSON nesting depth limit exceeded";
        break;
    case '}':
    case ']':
        frame->depth--;
        break;
    case ',':
        if (++frame->members > FS_QMP_MEMBERS_MAX)
            return "JSON token count limit exceeded";
        break;
    case '\n':
        return "JSON parse error, the line ends inside a command";
    }
    return NULL;
}

static const char *step_string(FsQmpFrame *frame, guint8 byte)
{
    if (byte == '\n')
        return "JSON parse error, the line ends inside a string";
    if (frame->state == ESCAPE)
        frame->state = STRING;
    else if (byte == '\\')
        frame->state = ESCAPE;
    else if (byte == '"')
        frame->state = INSIDE;
    return NULL;
}

static const char *step_outside(FsQmpFrame *frame, guint8 byte)
{
    if (byte != '{' && byte != '[')
        return "JSON parse error, expected an object";
    frame->state = INSIDE;
    frame->depth = 1;
    frame->members = 0;
    return NULL;
}

/* Takes one byte; TRUE when something came to its end: *problem, or a command. */
static gboolean take(FsQmpFrame *frame, guint8 byte, const char **problem)
{
    *problem = NULL;
    if (frame->state == SKIP) {
        frame->state = byte == '\n' ? OUTSIDE : SKIP;
        frame->start = frame->at;
        return FALSE;
    }
    if (frame->state == OUTSIDE && g_ascii_isspace(byte)) {
        frame->start = frame->at;
        return FALSE;
    }
    if (frame->state == OUTSIDE)
        *problem = step_outside(frame, byte);
    else if (frame->state == INSIDE)
        *problem = step(frame, byte);
    else
        *problem = step_string(frame, byte);
    if (!*problem && frame->at - frame->start > FS_QMP_LINE_MAX)
        *problem = "JSON token size limit exceeded";
    if (!*problem && (frame->state != INSIDE || frame->depth > 0))
        return FALSE;
    frame->state = *problem && byte != '\n' ? SKIP : OUTSIDE;
    return TRUE;
}

FsQmpResult fs_qmp_frame_next(FsQmpFrame *frame, char **line)
{
    while (frame->at < frame->bytes->len) {
        const char *problem;
        const char *text = (const char *)frame->bytes->data + frame->start;
        gsize len;

        if (!take(frame, frame->bytes->data[frame->at++], &problem))
            continue;
        len = frame->at - frame->start;
        frame->start = frame->at;
        if (!problem && !g_utf8_validate_len(text, len, NULL))
            problem = "JSON parse error, not UTF-8";
        *line = problem ? g_strdup(problem) : g_strndup(text, len);
        return problem ? FS_QMP_BROKEN : FS_QMP_COMMAND;
    }
    return FS_QMP_MORE;
}
