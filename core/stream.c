/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/stream-internal.h"

static FdsetStream *parse(const FdsetSource *source, guint64 start, const FdsetStreamWalk *how,
                          GError **error)
{
    g_autoptr(FdsetReader) reader = fdset_reader_new(source, start);
    g_autoptr(FdsetStream) stream = g_new0(FdsetStream, 1);

    stream->start = start;
    stream->sections = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_section_free);
    if (!fdset_stream_walk(stream, reader, how, error))
        return NULL;
    return g_steal_pointer(&stream);
}

FdsetStream *fdset_stream_parse(const FdsetSource *source, guint64 start, GError **error)
{
    const FdsetStreamWalk how = {.head_only = FALSE};

    return parse(source, start, &how, error);
}

FdsetStream *fdset_stream_parse_head(const FdsetSource *source, guint64 start, GError **error)
{
    const FdsetStreamWalk how = {.head_only = TRUE};

    return parse(source, start, &how, error);
}

FdsetStream *fdset_stream_parse_pages(const FdsetSource *source, guint64 start,
                                      const FdsetPageVisitor *visitor, GError **error)
{
    const FdsetStreamWalk how = {.visitor = *visitor};

    return parse(source, start, &how, error);
}

gboolean fdset_stream_is_complete(const FdsetSource *source, guint64 start, GError **error)
{
    g_autoptr(FdsetStream) stream = fdset_stream_parse(source, start, error);

    return stream != NULL;
}

guint64 fdset_stream_start(const FdsetStream *stream)
{
    return stream->start;
}

guint64 fdset_stream_end(const FdsetStream *stream)
{
    return stream->end;
}

const FdsetConfiguration *fdset_stream_configuration(const FdsetStream *stream)
{
    return stream->configuration;
}

FdsetRam *fdset_stream_ram(const FdsetStream *stream)
{
    return stream->ram;
}

const FdsetVmdesc *fdset_stream_vmdesc(const FdsetStream *stream)
{
    return stream->vmdesc;
}

gsize fdset_stream_n_sections(const FdsetStream *stream)
{
    return stream->sections->len;
}

const FdsetSection *fdset_stream_section(const FdsetStream *stream, gsize i)
{
    g_return_val_if_fail(i < stream->sections->len, NULL);
    return g_ptr_array_index(stream->sections, i);
}

void fdset_stream_free(FdsetStream *stream)
{
    if (stream == NULL)
        return;
    fdset_configuration_free(stream->configuration);
    fdset_ram_free(stream->ram);
    fdset_vmdesc_free(stream->vmdesc);
    g_clear_pointer(&stream->sections, g_ptr_array_unref);
    g_free(stream);
}
