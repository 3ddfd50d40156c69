/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/decoder.h"

#include <gio/gio.h>

#ifdef HAVE_BZIP2
#include <bzlib.h>
#endif
#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

/* What a decoder of xz may take; the largest dictionary of xz -9 needs 65 MiB. */
#define MEMORY_MAX (256u << 20)

/* --- gzip, by GLib --- */

static gpointer gzip_start(void)
{
    return g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
}

static FdsetDecoderResult gzip_step(gpointer state, FdsetDecoderStep *step)
{
    g_autoptr(GError) error = NULL;
    GConverterResult r =
        g_converter_convert(G_CONVERTER(state), step->in, step->in_len, step->out, step->out_len,
                            G_CONVERTER_NO_FLAGS, &step->used, &step->made, &error);

    if (r == G_CONVERTER_FINISHED)
        return FDSET_DECODER_END;
    if (r == G_CONVERTER_CONVERTED || g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT))
        return FDSET_DECODER_MORE;
    return FDSET_DECODER_DAMAGED;
}

/* --- bzip2 --- */

#ifdef HAVE_BZIP2
static gpointer bzip2_start(void)
{
    bz_stream *stream = g_new0(bz_stream, 1);

    if (BZ2_bzDecompressInit(stream, 0, 0) != BZ_OK)
        g_clear_pointer(&stream, g_free);
    return stream;
}

static FdsetDecoderResult bzip2_step(gpointer state, FdsetDecoderStep *step)
{
    bz_stream *stream = state;
    int r;

    stream->next_in = (char *)step->in;
    stream->avail_in = (unsigned)step->in_len;
    stream->next_out = (char *)step->out;
    stream->avail_out = (unsigned)step->out_len;
    r = BZ2_bzDecompress(stream);
    step->used = step->in_len - stream->avail_in;
    step->made = step->out_len - stream->avail_out;
    if (r == BZ_STREAM_END)
        return FDSET_DECODER_END;
    return r == BZ_OK ? FDSET_DECODER_MORE : FDSET_DECODER_DAMAGED;
}

static void bzip2_end(gpointer state)
{
    BZ2_bzDecompressEnd(state);
    g_free(state);
}
#else
#define bzip2_start NULL
#define bzip2_step NULL
#define bzip2_end NULL
#endif

/* --- xz --- */

#ifdef HAVE_LZMA
static gpointer xz_start(void)
{
    lzma_stream *stream = g_new0(lzma_stream, 1);

    if (lzma_stream_decoder(stream, MEMORY_MAX, 0) != LZMA_OK)
        g_clear_pointer(&stream, g_free);
    return stream;
}

static FdsetDecoderResult xz_step(gpointer state, FdsetDecoderStep *step)
{
    lzma_stream *stream = state;
    lzma_ret r;

    stream->next_in = step->in;
    stream->avail_in = step->in_len;
    stream->next_out = step->out;
    stream->avail_out = step->out_len;
    r = lzma_code(stream, LZMA_RUN);
    step->used = step->in_len - stream->avail_in;
    step->made = step->out_len - stream->avail_out;
    if (r == LZMA_STREAM_END)
        return FDSET_DECODER_END;
    return r == LZMA_OK || r == LZMA_BUF_ERROR ? FDSET_DECODER_MORE : FDSET_DECODER_DAMAGED;
}

static void xz_end(gpointer state)
{
    lzma_end(state);
    g_free(state);
}
#else
#define xz_start NULL
#define xz_step NULL
#define xz_end NULL
#endif

/* --- zstd --- */

#ifdef HAVE_ZSTD
static gpointer zstd_start(void)
{
    return ZSTD_createDStream();
}

static FdsetDecoderResult zstd_step(gpointer state, FdsetDecoderStep *step)
{
    ZSTD_inBuffer in = {step->in, step->in_len, 0};
    ZSTD_outBuffer out = {step->out, step->out_len, 0};
    size_t r = ZSTD_decompressStream(state, &out, &in);

    step->used = in.pos;
    step->made = out.pos;
    if (ZSTD_isError(r))
        return FDSET_DECODER_DAMAGED;
    return r == 0 ? FDSET_DECODER_END : FDSET_DECODER_MORE;
}

static void zstd_end(gpointer state)
{
    ZSTD_freeDStream(state);
}
#else
#define zstd_start NULL
#define zstd_step NULL
#define zstd_end NULL
#endif

static const FdsetDecoder decoders[] = {
    {FDSET_LIBVIRT_GZIP, {0x1f, 0x8b}, 2, gzip_start, gzip_step, g_object_unref},
    {FDSET_LIBVIRT_BZIP2, {'B', 'Z', 'h'}, 3, bzip2_start, bzip2_step, bzip2_end},
    {FDSET_LIBVIRT_XZ, {0xfd, '7', 'z', 'X', 'Z', 0}, 6, xz_start, xz_step, xz_end},
    {FDSET_LIBVIRT_LZOP, {0x89, 'L', 'Z', 'O', 0, 0x0d}, 6, NULL, NULL, NULL},
    {FDSET_LIBVIRT_ZSTD, {0x28, 0xb5, 0x2f, 0xfd}, 4, zstd_start, zstd_step, zstd_end},
    {FDSET_LIBVIRT_RAW, {0}, 0, NULL, NULL, NULL},
};

const FdsetDecoder *fdset_decoders(void)
{
    return decoders;
}

const FdsetDecoder *fdset_decoder_find(FdsetLibvirtFormat format)
{
    for (const FdsetDecoder *decoder = decoders; decoder->magic_len > 0; decoder++)
        if (decoder->format == format)
            return decoder;
    return NULL;
}
