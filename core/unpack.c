/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/unpack.h"
#include "core/decoder.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/image.h"
#include "core/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHUNK (1u << 20)
#define PROGRESS_STEP (64u << 20)

/* A full disk is trouble for everybody on it. */
#define SPACE_LEFT (G_GUINT64_CONSTANT(256) << 20)

struct FdsetUnpacked {
    int fd;
    char *name; /* the source's */
    FdsetSource source;
};

typedef struct {
    const FdsetSource *source;
    const FdsetDecoder *decoder;
    const FdsetPageIndexOptions *options;
    gpointer state; /* of the member; NULL: between two of them */
    int fd;
    guint64 in;   /* offset of the next byte to be taken */
    guint64 out;  /* ... and to be written               */
    guint64 told; /* output at the last progress         */
    guint8 input[CHUNK];
    guint8 output[CHUNK];
} Unpack;

FdsetLibvirtFormat fdset_unpack_probe(const FdsetSource *source, guint64 offset)
{
    guint8 found[6] = {0};
    gssize got = source->pread(source->opaque, found, sizeof found, offset);

    for (const FdsetDecoder *decoder = fdset_decoders(); decoder->magic_len > 0; decoder++)
        if (got >= (gssize)decoder->magic_len &&
            memcmp(found, decoder->magic, decoder->magic_len) == 0)
            return decoder->format;
    return FDSET_LIBVIRT_RAW;
}

gboolean fdset_unpack_is_possible(FdsetLibvirtFormat format)
{
    const FdsetDecoder *decoder = fdset_decoder_find(format);

    return decoder && decoder->start;
}

static gboolean fail(const Unpack *unpack, FdsetError code, GError **error, const char *what)
{
    g_set_error(error, FDSET_ERROR, code, "%s: %s data at " FDSET_HEX " %s", unpack->source->name,
                fdset_libvirt_format_name(unpack->decoder->format), unpack->in, what);
    return FALSE;
}

static gboolean check_space(const Unpack *unpack, GError **error)
{
    struct statvfs st;

    if (fstatvfs(unpack->fd, &st) < 0 || (guint64)st.f_bavail * st.f_frsize > SPACE_LEFT)
        return TRUE;
    return fail(unpack, FDSET_ERROR_NO_SPACE, error,
                "cannot be unpacked: less than 256 MiB are left in the cache directory");
}

/* Zeros are left out. */
static gboolean write_out(Unpack *unpack, gsize len, GError **error)
{
    int r = 0;

    if (len > FDSET_IMAGE_MAX - unpack->out)
        return fail(unpack, FDSET_ERROR_LIMIT, error, "unpack to more than 64 TiB");
    for (gsize at = 0, part; r == 0 && at < len; at += part) {
        part = MIN(len - at, FDSET_BLOCK_SIZE - (unpack->out + at) % FDSET_BLOCK_SIZE);
        if (!fdset_bytes_are_zero(unpack->output + at, part))
            r = fdset_fd_pwrite(unpack->fd, unpack->output + at, part, unpack->out + at);
    }
    if (r < 0) {
        fdset_error_set_errno(error, -r, "%s: cannot write what it unpacks to",
                              unpack->source->name);
        return FALSE;
    }
    unpack->out += len;
    if (unpack->out - unpack->told < PROGRESS_STEP)
        return TRUE;
    unpack->told = unpack->out;
    if (unpack->options->progress)
        unpack->options->progress(unpack->options->data, unpack->in, unpack->source->size);
    return check_space(unpack, error);
}

/* One step with the input that there is; *ended: a member has. */
static gboolean run_step(Unpack *unpack, gsize at, gsize len, gsize *used, gboolean *ended,
                         GError **error)
{
    FdsetDecoderStep step = {.in = unpack->input + at,
                             .in_len = len - at,
                             .out = unpack->output,
                             .out_len = CHUNK};
    FdsetDecoderResult r = unpack->decoder->step(unpack->state, &step);

    *used = step.used;
    *ended = r == FDSET_DECODER_END;
    if (r == FDSET_DECODER_DAMAGED)
        return fail(unpack, FDSET_ERROR_CORRUPT, error, "is damaged");
    unpack->in += step.used;
    if (step.used == 0 && step.made == 0 && !*ended)
        *used = G_MAXSIZE; /* wants more than is there */
    return write_out(unpack, step.made, error);
}

/* Takes the input, member after member. *left: bytes at its end that more must follow. */
static gboolean run_input(Unpack *unpack, gsize len, gsize *left, GError **error)
{
    gsize used;
    gboolean ended;

    for (gsize at = 0; at < len; at += used) {
        if (!unpack->state && !(unpack->state = unpack->decoder->start()))
            return fail(unpack, FDSET_ERROR_SYSTEM, error, "cannot be unpacked: no memory");
        if (!run_step(unpack, at, len, &used, &ended, error))
            return FALSE;
        if (used == G_MAXSIZE) {
            *left = len - at;
            memmove(unpack->input, unpack->input + at, *left);
            return TRUE;
        }
        if (ended) {
            unpack->decoder->end(unpack->state);
            unpack->state = NULL;
        }
    }
    *left = 0;
    return TRUE;
}

static gboolean run(Unpack *unpack, GError **error)
{
    gsize left = 0;

    for (guint64 at = unpack->in; at < unpack->source->size;) {
        gsize want = (gsize)MIN(CHUNK - left, unpack->source->size - at);
        gsize before = left;

        if (!fdset_source_read(unpack->source, at, unpack->input + left, want, "compressed data",
                               error) ||
            !run_input(unpack, left + want, &left, error))
            return FALSE;
        if (left == CHUNK && before == 0)
            return fail(unpack, FDSET_ERROR_CORRUPT, error, "is damaged");
        at += want;
    }
    if (unpack->state)
        return fail(unpack, FDSET_ERROR_TRUNCATED, error, "ends before its end");
    if (ftruncate(unpack->fd, (off_t)unpack->out) == 0)
        return TRUE;
    fdset_error_set_errno(error, errno, "%s: cannot write what it unpacks to",
                          unpack->source->name);
    return FALSE;
}

static gboolean copy_front(Unpack *unpack, guint64 len, GError **error)
{
    while (unpack->out < len) {
        gsize part = (gsize)MIN(CHUNK, len - unpack->out);

        if (!fdset_source_read(unpack->source, unpack->out, unpack->output, part, "header", error) ||
            !write_out(unpack, part, error))
            return FALSE;
    }
    return TRUE;
}

FdsetUnpacked *fdset_unpack(const FdsetSource *source, guint64 offset, FdsetLibvirtFormat format,
                            const FdsetPageIndexOptions *options, GError **error)
{
    g_autoptr(FdsetUnpacked) unpacked = g_new0(FdsetUnpacked, 1);
    g_autofree Unpack *unpack = g_new0(Unpack, 1);
    gboolean done;

    *unpack = (Unpack){.source = source, .options = options, .in = offset};
    unpack->decoder = fdset_decoder_find(format);
    unpacked->fd = fdset_fd_open_nameless(options->dirfd, error);
    unpacked->name = g_strdup(source->name);
    unpack->fd = unpacked->fd;
    if (unpacked->fd < 0)
        return NULL;
    done = copy_front(unpack, offset, error) && run(unpack, error);
    if (unpack->state)
        unpack->decoder->end(unpack->state);
    if (!done)
        return NULL;
    fdset_source_init_fd(&unpacked->source, unpacked->fd, unpack->out, unpacked->name);
    return g_steal_pointer(&unpacked);
}

const FdsetSource *fdset_unpacked_source(const FdsetUnpacked *unpacked)
{
    return &unpacked->source;
}

void fdset_unpacked_free(FdsetUnpacked *unpacked)
{
    if (!unpacked)
        return;
    fdset_fd_clear(&unpacked->fd);
    g_free(unpacked->name);
    g_free(unpacked);
}
