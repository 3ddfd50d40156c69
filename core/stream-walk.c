/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/stream-internal.h"
#include "core/error.h"

#include <string.h>

#define STREAM_MAGIC 0x5145564du /* "QEVM" */
#define STREAM_VERSION 3
#define DEFAULT_PAGE_SIZE 4096
/* What stands before ram (virtio-mem's early sections) is small; attaching must stay quick. */
#define HEAD_SEARCH_MAX (16 * 1024 * 1024)

typedef enum { RAM_NONE, RAM_STARTED, RAM_ENDED } RamState;

typedef struct {
    FdsetStream *stream;
    FdsetReader *reader;
    const FdsetStreamWalk *how;
    RamState ram_state;
    guint32 ram_id;
    const FdsetRamblock *last_block; /* of the page record seen last */
    gboolean vmdesc_sought;
    gsize next_device;   /* the next one of the description */
    gboolean no_footers; /* machine types of old: known once ram has started */
    gboolean has_global_state;
    GHashTable *started; /* owned; borrows START sections, by id */
} Walk;

static const FdsetSource *source_of(const Walk *walk)
{
    return fdset_reader_source(walk->reader);
}

static gboolean read_header(Walk *walk, GError **error)
{
    guint32 magic, version;

    if (!fdset_reader_u32(walk->reader, &magic, "stream header", error) ||
        !fdset_reader_u32(walk->reader, &version, "stream header", error))
        return FALSE;
    if (magic != STREAM_MAGIC)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "magic 0x%08x at " FDSET_HEX
                                   ", expected 0x%08x (QEVM) of a QEMU migration stream",
                                   magic, walk->stream->start, STREAM_MAGIC);
    if (version != STREAM_VERSION)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_VERSION,
                                   "stream version %u at " FDSET_HEX ", expected %d", version,
                                   walk->stream->start + 4, STREAM_VERSION);
    return TRUE;
}

static gboolean load_vmdesc(Walk *walk, GError **error)
{
    GError *problem = NULL;
    guint64 offset;
    guint32 len;

    if (walk->vmdesc_sought)
        return TRUE;
    walk->vmdesc_sought = TRUE;
    if (!fdset_vmdesc_find(source_of(walk), fdset_reader_tell(walk->reader), &offset, &len,
                           &problem)) {
        if (problem == NULL)
            return TRUE;
        g_propagate_error(error, problem);
        return FALSE;
    }
    walk->stream->vmdesc = fdset_vmdesc_read(source_of(walk), offset, len, error);
    return walk->stream->vmdesc != NULL;
}

static const FdsetVmdescDevice *next_device(const Walk *walk)
{
    const FdsetVmdesc *vmdesc = walk->stream->vmdesc;

    if (vmdesc == NULL || walk->next_device >= fdset_vmdesc_n_devices(vmdesc))
        return NULL;
    return fdset_vmdesc_device(vmdesc, walk->next_device);
}

static void init_context(const Walk *walk, FdsetSectionContext *context)
{
    const FdsetVmdescDevice *device = next_device(walk);
    const FdsetVmdesc *vmdesc = walk->stream->vmdesc;

    *context = (FdsetSectionContext){
        .next_name = device != NULL ? device->name : NULL,
        .next_instance_id = device != NULL ? device->instance_id : 0,
        .described = vmdesc != NULL,
        .eof = (vmdesc != NULL ? fdset_vmdesc_offset(vmdesc) : source_of(walk)->size) - 1,
        .started = walk->started,
    };
}

/* The cursor is behind the body of 'section', whose format told its length. */
static gboolean read_footer(Walk *walk, guint32 id, GError **error)
{
    guint64 offset = fdset_reader_tell(walk->reader);

    if (walk->no_footers || fdset_section_skip_footer(walk->reader, id))
        return TRUE;
    if (fdset_reader_left(walk->reader) < FDSET_SECTION_FOOTER_BYTES)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_TRUNCATED,
                                   "footer of section %u at " FDSET_HEX
                                   " is cut, the file ends at " FDSET_HEX,
                                   id, offset, source_of(walk)->size);
    return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                               "no footer of section %u at " FDSET_HEX, id, offset);
}

/* Steps over a body of unknown length and its footer; sets *end to where the body ends. */
static gboolean skip_opaque(Walk *walk, guint32 id, guint64 *end, GError **error)
{
    guint64 limit = walk->how->head_only ? HEAD_SEARCH_MAX : G_MAXUINT64;
    FdsetSectionContext context;

    if (walk->no_footers)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_UNSUPPORTED,
                                   "section %u at " FDSET_HEX
                                   " is of unknown length, and this stream has no section footers",
                                   id, fdset_reader_tell(walk->reader));
    init_context(walk, &context);
    if (!fdset_section_find_footer(walk->reader, id, limit, &context, error))
        return FALSE;
    *end = fdset_reader_tell(walk->reader);
    return read_footer(walk, id, error);
}

static guint64 record_page_size(const Walk *walk)
{
    const FdsetStream *stream = walk->stream;
    guint64 size = fdset_configuration_page_size(stream->configuration);

    if (size == 0 && stream->vmdesc != NULL)
        size = fdset_vmdesc_page_size(stream->vmdesc);
    return size != 0 ? size : DEFAULT_PAGE_SIZE;
}

/* Footers came with QEMU 2.4; the machine types before it have none. */
static gboolean detect_footers(Walk *walk, GError **error)
{
    const guint8 *type = fdset_reader_peek(walk->reader, 1, "footer of the ram section", error);

    if (type == NULL)
        return FALSE;
    walk->no_footers =
        *type == FDSET_SECTION_PART || *type == FDSET_SECTION_END || *type == FDSET_SECTION_START;
    return TRUE;
}

static gboolean start_ram(Walk *walk, const FdsetSection *section, GError **error)
{
    const FdsetConfiguration *configuration = walk->stream->configuration;
    const FdsetRamLayout layout = {
        .mapped_ram = fdset_configuration_is_mapped_ram(configuration),
        .ignores_shared = fdset_configuration_ignores_shared(configuration),
    };

    if (walk->ram_state != RAM_NONE)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "a second ram section at " FDSET_HEX, section->offset);
    if (section->version != FDSET_RAM_VERSION)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_VERSION,
                                   "ram section at " FDSET_HEX " has version %u, expected %d",
                                   section->offset, section->version, FDSET_RAM_VERSION);
    if (!layout.mapped_ram && !load_vmdesc(walk, error))
        return FALSE;
    walk->ram_state = RAM_STARTED;
    walk->ram_id = section->id;
    walk->stream->ram = fdset_ram_read(walk->reader, &layout, record_page_size(walk), error);
    return walk->stream->ram != NULL;
}

static gboolean read_start(Walk *walk, FdsetSection *section, GError **error)
{
    guint64 end;

    g_hash_table_insert(walk->started, GUINT_TO_POINTER(section->id), section);
    if (strcmp(section->name, "ram") == 0) {
        if (!start_ram(walk, section, error))
            return FALSE;
        section->exact = TRUE;
        section->length = fdset_reader_tell(walk->reader) - section->offset;
        if (walk->how->head_only)
            return TRUE;
        return detect_footers(walk, error) && read_footer(walk, section->id, error);
    }
    if (!load_vmdesc(walk, error) || !skip_opaque(walk, section->id, &end, error))
        return FALSE;
    section->length = end - section->offset;
    return TRUE;
}

/* TRUE when the described length ends at the section's footer: then the cursor is behind it. */
static gboolean skip_described(Walk *walk, FdsetSection *section, const FdsetVmdescDevice *device)
{
    FdsetSectionContext context;
    gboolean fits;

    if (!device->has_length || device->length > fdset_reader_left(walk->reader))
        return FALSE;
    init_context(walk, &context);
    fdset_reader_seek(walk->reader, section->offset + device->length);
    fits = walk->no_footers ? fdset_section_can_follow(walk->reader, &context)
                            : fdset_section_skip_footer(walk->reader, section->id);
    if (!fits) {
        fdset_reader_seek(walk->reader, section->offset);
        return FALSE;
    }
    section->exact = TRUE;
    section->length = device->length;
    return TRUE;
}

static gboolean read_full(Walk *walk, FdsetSection *section, GError **error)
{
    const FdsetVmdescDevice *device;
    guint64 end;

    if (!load_vmdesc(walk, error))
        return FALSE;
    walk->has_global_state |= strcmp(section->name, "globalstate") == 0;
    device = next_device(walk);
    if (device != NULL && strcmp(device->name, section->name) == 0 &&
        device->instance_id == section->instance_id) {
        section->device = (gint64)walk->next_device++;
        if (skip_described(walk, section, device))
            return TRUE;
    }
    if (!skip_opaque(walk, section->id, &end, error))
        return FALSE;
    section->length = end - section->offset;
    return TRUE;
}

static gboolean read_named(Walk *walk, guint8 type, GError **error)
{
    FdsetSection *section;

    if (walk->stream->sections->len == FDSET_SECTIONS_MAX)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_LIMIT,
                                   "more sections at " FDSET_HEX " than the %d expected at most",
                                   fdset_reader_tell(walk->reader), FDSET_SECTIONS_MAX);
    section = fdset_section_read(walk->reader, type, error);
    if (section == NULL)
        return FALSE;
    g_ptr_array_add(walk->stream->sections, section);
    return type == FDSET_SECTION_START ? read_start(walk, section, error)
                                       : read_full(walk, section, error);
}

/* The words of one part of the ram section; or over them, when somebody knows where it ends. */
static gboolean walk_pages(Walk *walk, gboolean is_last, GError **error)
{
    const FdsetPageVisitor *visitor = &walk->how->visitor;
    guint64 body = fdset_reader_tell(walk->reader);
    guint64 end = visitor->skip ? visitor->skip(visitor->opaque, body) : 0;

    if (end > body) {
        fdset_reader_seek(walk->reader, end);
        return TRUE;
    }
    if (!fdset_ram_walk(walk->stream->ram, walk->reader, &walk->last_block, visitor->page,
                        visitor->opaque, error))
        return FALSE;
    if (visitor->part)
        visitor->part(visitor->opaque, body, fdset_reader_tell(walk->reader), is_last);
    return TRUE;
}

/* PART or END of a section that has started. */
static gboolean read_more(Walk *walk, guint8 type, GError **error)
{
    guint64 offset = fdset_reader_tell(walk->reader), end;
    guint32 id;

    if (!fdset_reader_u32(walk->reader, &id, "section id", error))
        return FALSE;
    if (!g_hash_table_contains(walk->started, GUINT_TO_POINTER(id)))
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "section id %u at " FDSET_HEX
                                   ", expected that of a section that has started",
                                   id, offset);
    if (walk->ram_state == RAM_NONE || id != walk->ram_id)
        return skip_opaque(walk, id, &end, error);
    if (walk->ram_state == RAM_ENDED)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "ram section goes on at " FDSET_HEX " behind its end", offset);
    if (!walk_pages(walk, type == FDSET_SECTION_END, error) || !read_footer(walk, id, error))
        return FALSE;
    if (type == FDSET_SECTION_END)
        walk->ram_state = RAM_ENDED;
    return TRUE;
}

static gboolean read_command(Walk *walk, GError **error)
{
    guint16 command, len;

    return fdset_reader_u16(walk->reader, &command, "command", error) &&
           fdset_reader_u16(walk->reader, &len, "command", error) &&
           fdset_reader_skip(walk->reader, len, "command", error);
}

/* The cursor is behind the EOF marker. */
static gboolean check_devices(Walk *walk, GError **error)
{
    const FdsetVmdesc *vmdesc = walk->stream->vmdesc;
    guint64 offset = fdset_reader_tell(walk->reader);

    if (offset != fdset_vmdesc_offset(vmdesc))
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "EOF marker before " FDSET_HEX
                                   ", expected it before the device description at " FDSET_HEX,
                                   offset, fdset_vmdesc_offset(vmdesc));
    if (walk->next_device != fdset_vmdesc_n_devices(vmdesc))
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "%" G_GSIZE_FORMAT " device sections before " FDSET_HEX
                                   ", but the description there lists %" G_GSIZE_FORMAT,
                                   walk->next_device, offset, fdset_vmdesc_n_devices(vmdesc));
    walk->stream->end = source_of(walk)->size;
    return TRUE;
}

/*
 * Without a description the devices' ends were searched for, and what a guest
 * put into a device can look like one. QEMU registers globalstate last of all
 * that is there at start, and no guest writes into it; the machine types that
 * do not have it have no configuration section either (both came with 2.4).
 */
static gboolean check_global_state(Walk *walk, GError **error)
{
    if (walk->has_global_state || fdset_configuration_machine(walk->stream->configuration) == NULL)
        return TRUE;
    return fdset_reader_refuse(
        walk->reader, error, FDSET_ERROR_TRUNCATED,
        "neither a device description nor a section 'globalstate' before " FDSET_HEX,
        fdset_reader_tell(walk->reader));
}

/* The stream has no description that ends with the file: then nothing may follow. */
static gboolean check_last_byte(Walk *walk, GError **error)
{
    guint64 offset = fdset_reader_tell(walk->reader);
    guint64 left = fdset_reader_left(walk->reader);
    guint32 len;
    guint8 type;

    walk->stream->end = offset;
    if (left == 0)
        return check_global_state(walk, error);
    if (!fdset_reader_u8(walk->reader, &type, "section type", error))
        return FALSE;
    if (type != FDSET_SECTION_VMDESCRIPTION)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "%" G_GUINT64_FORMAT " bytes at " FDSET_HEX
                                   " behind the end of the stream, expected none",
                                   left, offset);
    if (!fdset_reader_u32(walk->reader, &len, "length of the device description", error) ||
        !fdset_reader_skip(walk->reader, len, "device description", error))
        return FALSE;
    return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                               "device description at " FDSET_HEX " of %u bytes, expected one "
                               "in JSON that ends where the file does, at " FDSET_HEX,
                               offset, len, source_of(walk)->size);
}

static gboolean finish(Walk *walk, GError **error)
{
    guint64 offset = fdset_reader_tell(walk->reader) - 1;

    if (walk->ram_state == RAM_NONE)
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "EOF marker at " FDSET_HEX ", but there was no ram section",
                                   offset);
    if (walk->ram_state == RAM_STARTED)
        return fdset_reader_refuse(
            walk->reader, error, FDSET_ERROR_FORMAT,
            "ram section has no end: the save was interrupted (zeros at " FDSET_HEX
            ", where a section should start)",
            offset);
    if (!load_vmdesc(walk, error))
        return FALSE;
    return walk->stream->vmdesc != NULL ? check_devices(walk, error) : check_last_byte(walk, error);
}

/* Sets *done behind the last section. */
static gboolean read_section(Walk *walk, gboolean *done, GError **error)
{
    guint64 offset = fdset_reader_tell(walk->reader);
    guint8 type;

    if (!fdset_reader_u8(walk->reader, &type, "section type", error))
        return FALSE;
    switch (type) {
    case FDSET_SECTION_EOF:
        *done = TRUE;
        return finish(walk, error);
    case FDSET_SECTION_START:
    case FDSET_SECTION_FULL:
        if (!read_named(walk, type, error))
            return FALSE;
        *done = walk->how->head_only && walk->ram_state != RAM_NONE;
        return TRUE;
    case FDSET_SECTION_PART:
    case FDSET_SECTION_END:
        return read_more(walk, type, error);
    case FDSET_SECTION_COMMAND:
        return read_command(walk, error);
    default:
        return fdset_reader_refuse(walk->reader, error, FDSET_ERROR_FORMAT,
                                   "byte 0x%02x at " FDSET_HEX ", expected a section's type", type,
                                   offset);
    }
}

static gboolean walk_stream(Walk *walk, GError **error)
{
    gboolean done = FALSE;

    if (!read_header(walk, error))
        return FALSE;
    walk->stream->configuration = fdset_configuration_read(walk->reader, error);
    if (walk->stream->configuration == NULL)
        return FALSE;
    while (!done) {
        if (!read_section(walk, &done, error))
            return FALSE;
    }
    if (walk->how->head_only)
        walk->stream->end = fdset_reader_tell(walk->reader);
    return TRUE;
}

/* Says what a file that ends too early means to the user; takes 'problem'. */
static void explain_end(const Walk *walk, GError *problem, GError **error)
{
    const FdsetSource *source = source_of(walk);
    const char *missing[] = {
        [RAM_NONE] = "stream ends before its RAM",
        [RAM_STARTED] = "ram section has no end",
        [RAM_ENDED] = "device state has no end",
    };
    const char *detail = problem->message;

    if (g_str_has_prefix(detail, source->name))
        detail += strlen(source->name) + strlen(": ");
    g_set_error(error, problem->domain, problem->code,
                "%s: %s: the save was interrupted (stream ends at " FDSET_HEX ": %s)", source->name,
                missing[walk->ram_state], source->size, detail);
    g_error_free(problem);
}

gboolean fdset_stream_walk(FdsetStream *stream, FdsetReader *reader, const FdsetStreamWalk *how,
                           GError **error)
{
    g_autoptr(GHashTable) started = g_hash_table_new(NULL, NULL);
    Walk walk = {.stream = stream, .reader = reader, .how = how, .started = started};
    GError *problem = NULL;

    if (walk_stream(&walk, &problem))
        return TRUE;
    if (g_error_matches(problem, FDSET_ERROR, FDSET_ERROR_TRUNCATED))
        explain_end(&walk, problem, error);
    else
        g_propagate_error(error, problem);
    return FALSE;
}
