/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/streamwriter.h"

#include <string.h>

#define RAM_ID 3
#define FOREIGN_ID 9

typedef struct {
    const StreamShape *shape;
    StreamFile *file;
    GString *devices; /* JSON */
    guint64 page_size;
} Writer;

static void put(Writer *writer, gconstpointer bytes, gsize len)
{
    g_byte_array_append(writer->file->bytes, bytes, (guint)len);
}

static void put_be(Writer *writer, guint64 value, gsize len)
{
    guint64 big = GUINT64_TO_BE(value);

    put(writer, (const guint8 *)&big + (sizeof big - len), len);
}

static void put_name(Writer *writer, const char *name)
{
    put_be(writer, strlen(name), 1);
    put(writer, name, strlen(name));
}

static guint64 tell(const Writer *writer)
{
    return writer->file->bytes->len;
}

static void pad_to(Writer *writer, guint64 offset)
{
    guint old = writer->file->bytes->len;

    g_assert_cmpuint(offset, >=, old);
    if (offset == old)
        return;
    g_byte_array_set_size(writer->file->bytes, (guint)offset);
    memset(writer->file->bytes->data + old, 0, (gsize)offset - old);
}

static void mark(Writer *writer, const char *what, const char *field)
{
    char *name = field == NULL ? g_strdup(what) : g_strdup_printf("%s:%s", what, field);

    g_hash_table_replace(writer->file->marks, name, GSIZE_TO_POINTER(tell(writer)));
}

gboolean stream_page_present(guint64 page)
{
    return page % 3 != 1;
}

guint8 stream_page_byte(const char *block, guint64 page)
{
    return (guint8)(g_str_hash(block) + page * 7) | 1;
}

static void put_page(Writer *writer, const char *block, guint64 page)
{
    g_autofree guint8 *bytes = g_malloc(writer->page_size);

    memset(bytes, stream_page_byte(block, page), writer->page_size);
    put(writer, bytes, writer->page_size);
}

static void put_header(Writer *writer)
{
    const StreamShape *shape = writer->shape;
    const char *machine = shape->machine != NULL ? shape->machine : "pc-q35-10.0";

    mark(writer, "magic", NULL);
    put(writer, "QEVM", 4);
    put_be(writer, 3, 4);
    if (shape->no_configuration)
        return;
    mark(writer, "configuration", NULL);
    put_be(writer, 0x07, 1);
    mark(writer, "machine", NULL);
    put_be(writer, strlen(machine), 4);
    put(writer, machine, strlen(machine));
    if (shape->page_bits != 0) {
        put_be(writer, 0x05, 1);
        put_name(writer, "configuration/target-page-bits");
        put_be(writer, 1, 4);
        mark(writer, "page-bits", NULL);
        put_be(writer, shape->page_bits, 4);
    }
    if (shape->capability != NULL || shape->ignore_shared) {
        put_be(writer, 0x05, 1);
        mark(writer, "capabilities:name", NULL);
        put_name(writer, "configuration/capabilities");
        put_be(writer, 1, 4);
        mark(writer, "capabilities:count", NULL);
        put_be(writer, (shape->capability != NULL) + (guint64)(shape->ignore_shared != 0), 4);
        if (shape->ignore_shared)
            put_name(writer, "x-ignore-shared");
        if (shape->capability != NULL)
            put_name(writer, shape->capability);
    }
    if (shape->uuid) {
        put_be(writer, 0x05, 1);
        put_name(writer, "configuration/uuid");
        put_be(writer, 1, 4);
        put(writer, "0123456789abcdef", 16);
    }
}

static void put_section(Writer *writer, guint8 type, guint32 id, const char *name, guint32 instance,
                        guint32 version)
{
    put_be(writer, type, 1);
    put_be(writer, id, 4);
    put_name(writer, name);
    put_be(writer, instance, 4);
    put_be(writer, version, 4);
}

static void put_footer(Writer *writer, guint32 id)
{
    if (writer->shape->no_footers)
        return;
    put_be(writer, 0x7e, 1);
    put_be(writer, id, 4);
}

static void put_end_of_ram_section(Writer *writer)
{
    if (writer->shape->flush_words)
        put_be(writer, 0x200, 8);
    put_be(writer, 0x10, 8);
    put_footer(writer, RAM_ID);
}

/* --- the RAM blocks --- */

static void put_bitmap(Writer *writer, const StreamBlock *block)
{
    for (guint64 word = 0; word * 64 < block->pages; word++) {
        guint64 bits = 0;

        for (guint64 page = word * 64; page < MIN(block->pages, word * 64 + 64); page++) {
            if (stream_page_present(page))
                bits |= G_GUINT64_CONSTANT(1) << page % 64;
        }
        bits = writer->shape->big_endian ? GUINT64_TO_BE(bits) : GUINT64_TO_LE(bits);
        put(writer, &bits, sizeof bits);
    }
}

/* Absent pages hold what they held before they became zero: no reader may show it. */
static void put_mapped_pages(Writer *writer, const StreamBlock *block)
{
    guint64 align = writer->shape->pages_align != 0 ? writer->shape->pages_align : 1024 * 1024;

    pad_to(writer, (tell(writer) + align - 1) / align * align);
    stream_file_put_be64(
        writer->file,
        (guint64)GPOINTER_TO_SIZE(g_hash_table_lookup(writer->file->marks, "pages_offset")),
        tell(writer));
    for (guint64 page = 0; page < block->pages; page++)
        put_page(writer, block->name, page);
}

static void put_mapped_block(Writer *writer, const StreamBlock *block)
{
    mark(writer, block->name, "header");
    put_be(writer, 1, 4);
    mark(writer, block->name, "page_size");
    put_be(writer, writer->page_size, 8);
    mark(writer, block->name, "bitmap_offset");
    put_be(writer, block->shared ? 0 : tell(writer) + 16, 8);
    mark(writer, block->name, "pages_offset");
    mark(writer, "pages_offset", NULL);
    put_be(writer, 0, 8);
    if (block->shared)
        return;
    mark(writer, block->name, "bitmap");
    put_bitmap(writer, block);
    put_mapped_pages(writer, block);
}

static void put_block(Writer *writer, const StreamBlock *block)
{
    mark(writer, block->name, "name");
    put_name(writer, block->name);
    mark(writer, block->name, "length");
    put_be(writer, block->pages * writer->page_size, 8);
    if (block->huge_page != 0)
        put_be(writer, block->huge_page, 8);
    if (writer->shape->ignore_shared)
        put_be(writer, block->address, 8);
    if (writer->shape->capability != NULL)
        put_mapped_block(writer, block);
}

static void put_ram_start(Writer *writer)
{
    const StreamShape *shape = writer->shape;
    guint64 total = 0;

    for (gsize i = 0; i < shape->n_blocks; i++)
        total += shape->blocks[i].pages * writer->page_size;
    mark(writer, "ram", NULL);
    put_section(writer, 0x01, RAM_ID, "ram", 0, 4);
    mark(writer, "ram:total", NULL);
    put_be(writer, total | 0x04, 8);
    for (gsize i = 0; i < shape->n_blocks; i++)
        put_block(writer, &shape->blocks[i]);
    put_end_of_ram_section(writer);
}

/* The record of one page; it goes on with the block of the record before when 'more'. */
static void put_record(Writer *writer, const StreamBlock *block, guint64 page, gboolean more)
{
    guint64 flags = (more ? 0x20 : 0) | (stream_page_present(page) ? 0x08 : 0x02);

    put_be(writer, page * writer->page_size | flags, 8);
    if (!more)
        put_name(writer, block->name);
    if (stream_page_present(page))
        put_page(writer, block->name, page);
    else
        put_be(writer, 0, 1);
}

/* All pages in PART; END has the last block's first one once more and goes on with that block. */
static void put_records(Writer *writer, guint8 type)
{
    const StreamBlock *last = NULL;

    for (gsize i = 0; i < writer->shape->n_blocks; i++) {
        const StreamBlock *block = &writer->shape->blocks[i];

        if (block->shared)
            continue;
        last = block;
        for (guint64 page = 0; type == 0x02 && page < block->pages; page++)
            put_record(writer, block, page, page > 0);
    }
    if (type == 0x03 && last != NULL)
        put_record(writer, last, 0, TRUE);
}

/* A page as what changed in it: 'n' bytes at 'at' are 'byte' now. Both runs take one byte each. */
static void put_delta(Writer *writer, guint64 page, guint8 at, guint8 n, guint8 byte)
{
    guint8 delta[130];

    delta[0] = at;
    delta[1] = n;
    memset(delta + 2, byte, n);
    put_be(writer, page * writer->page_size | 0x60, 8);
    put_be(writer, 1, 1);
    put_be(writer, 2u + n, 2);
    mark(writer, "delta", NULL);
    put(writer, delta, 2u + n);
}

/*
 * A second round: page 0 is full of 0xe1 now, bytes 10 to 12 of page 1 are 0xe2,
 * page 2 is zero, page 3 has two deltas (0xe3 at 0 and at 100), page 4 is full of
 * 0x77. Page 3 may have been zero before.
 */
static void put_resent(Writer *writer)
{
    const StreamBlock *block = &writer->shape->blocks[0];
    g_autofree guint8 *bytes = g_malloc(writer->page_size);

    put_be(writer, 0x02, 1);
    put_be(writer, RAM_ID, 4);
    put_be(writer, 0x08, 8);
    put_name(writer, block->name);
    memset(bytes, 0xe1, writer->page_size);
    put(writer, bytes, writer->page_size);
    put_delta(writer, 1, 10, 3, 0xe2);
    put_be(writer, 2 * writer->page_size | 0x22, 8);
    put_be(writer, 0, 1);
    put_delta(writer, 3, 0, 1, 0xe3);
    put_delta(writer, 3, 100, 1, 0xe3);
    put_be(writer, 4 * writer->page_size | 0x22, 8);
    put_be(writer, 0x77, 1);
    if (writer->shape->compressed) {
        put_be(writer, 5 * writer->page_size | 0x120, 8);
        put_be(writer, 4, 4);
        put_be(writer, 0, 4);
    }
    /* END goes on with the last block. */
    put_record(writer, &writer->shape->blocks[writer->shape->n_blocks - 1], 0, FALSE);
    put_end_of_ram_section(writer);
}

static void put_ram_more(Writer *writer, guint8 type)
{
    mark(writer, type == 0x03 ? "ram:end" : "ram:part", NULL);
    put_be(writer, type, 1);
    put_be(writer, RAM_ID, 4);
    if (writer->shape->capability == NULL)
        put_records(writer, type);
    put_end_of_ram_section(writer);
}

static void put_foreign(Writer *writer, guint8 type)
{
    /* Its body holds its own footer with nothing that could follow, and another's. */
    static const char body[] = "\x7e\0\0\0\x09\x55 opaque \x7e\0\0\0\x03\0\0\0";

    if (!writer->shape->foreign)
        return;
    if (type == 0x01)
        put_section(writer, type, FOREIGN_ID, "dirty-bitmap", 0, 1);
    else {
        put_be(writer, type, 1);
        put_be(writer, FOREIGN_ID, 4);
    }
    put(writer, body, sizeof body - 1);
    put_footer(writer, FOREIGN_ID);
}

/* --- devices --- */

static void put_device(Writer *writer, guint32 id, const char *name, guint32 instance,
                       const char *fields, gconstpointer body, gsize len)
{
    mark(writer, "device", name);
    put_section(writer, 0x04, id, name, instance, 2);
    mark(writer, "body", name);
    put(writer, body, len);
    put_footer(writer, id);
    g_string_append_printf(writer->devices,
                           "%s{\"name\": \"%s\", \"instance_id\": %u, \"vmsd_name\": \"%s\", "
                           "\"version\": 2, %s}",
                           writer->devices->len == 0 ? "" : ", ", name, instance, name, fields);
}

/* What QEMU's device vmcoreinfo writes: an ELF note of 'note_len' bytes lies at 'note'. */
static void put_vmcoreinfo(Writer *writer)
{
    guint64 address = GUINT64_TO_BE(writer->shape->note);
    guint32 len = GUINT32_TO_BE(writer->shape->note_len);
    guint8 body[17] = {1, 0, 1, 0, 1};

    if (writer->shape->note == 0)
        return;
    memcpy(body + 5, &len, sizeof len);
    memcpy(body + 9, &address, sizeof address);
    put_device(writer, 15, "vmcoreinfo", 0,
               "\"fields\": [{\"name\": \"has_vmcoreinfo\", \"type\": \"bool\", \"size\": 1}, "
               "{\"name\": \"vmcoreinfo.host_format\", \"type\": \"uint16\", \"size\": 2}, "
               "{\"name\": \"vmcoreinfo.guest_format\", \"type\": \"uint16\", \"size\": 2}, "
               "{\"name\": \"vmcoreinfo.size\", \"type\": \"uint32\", \"size\": 4}, "
               "{\"name\": \"vmcoreinfo.paddr\", \"type\": \"uint64\", \"size\": 8}]",
               body, sizeof body);
}

static void put_devices(Writer *writer)
{
    /* Bodies hold bytes that look like the end of their section. */
    static const char timer[] = "\x7e\0\0\0\x0a\0\x06\0\x7e\0\0\0\x0b\0\0\0";
    static const char cpu[] = "AAAABBCCDD\x05\x07"
                              "cpu/sub\0\0\0\1"
                              "EEE";
    const char *timer_fields =
        "\"fields\": [{\"name\": \"ticks\", \"type\": \"int64\", \"size\": 8}, "
        "{\"name\": \"unused\", \"type\": \"unused_buffer\", \"size\": 8}]";
    const char *cpu_fields =
        "\"fields\": [{\"name\": \"a\", \"type\": \"uint32\", \"size\": 4}, "
        "{\"name\": \"{[\\\"\", \"array_len\": 3, \"type\": \"struct\", \"struct\": "
        "{\"vmsd_name\": "
        "\"x\", \"version\": 1, \"fields\": [{\"name\": \"y\", \"type\": \"uint16\", \"size\": "
        "2}]}, "
        "\"size\": 2}], \"subsections\": [{\"vmsd_name\": \"cpu/sub\", \"version\": 1, \"fields\": "
        "[{\"name\": \"e\", \"type\": \"buffer\", \"size\": 3}]}]";
    const char *wrong = "\"fields\": [{\"name\": \"a\", \"type\": \"uint32\", \"size\": 4}]";

    put_device(writer, 10, "timer", 0, timer_fields, timer, sizeof timer - 1);
    put_device(writer, 11, "cpu", 0, writer->shape->wrong_sizes ? wrong : cpu_fields, cpu,
               sizeof cpu - 1);
    put_device(writer, 12, "cpu", 1, cpu_fields, cpu, sizeof cpu - 1);
    put_device(writer, 0, "empty", 0, "\"fields\": []", "", 0);
    put_vmcoreinfo(writer);
    put_device(writer, 14, "globalstate", 0,
               "\"fields\": [{\"name\": \"runstate\", \"type\": \"buffer\", \"size\": 12}]",
               "paused\0\0\0\0\0\0", 12);
}

static void put_vmdesc(Writer *writer)
{
    g_autofree char *json = NULL;

    if (writer->shape->json != NULL)
        json = g_strdup(writer->shape->json);
    else
        json = g_strdup_printf("{\"configuration\": {\"vmsd_name\": \"configuration\"}, "
                               "\"page_size\": %" G_GUINT64_FORMAT ", \"devices\": [%s]}",
                               writer->page_size, writer->devices->str);
    mark(writer, "vmdesc", NULL);
    put_be(writer, 0x06, 1);
    put_be(writer, strlen(json), 4);
    mark(writer, "json", NULL);
    put(writer, json, strlen(json));
}

static void put_behind_ram(Writer *writer)
{
    put_be(writer, 0x08, 1);
    put_be(writer, 11, 2);
    put_be(writer, 0, 2);
    put_ram_more(writer, 0x03);
    put_foreign(writer, 0x03);
    put_devices(writer);
    mark(writer, "eof", NULL);
    put_be(writer, 0x00, 1);
    if (!writer->shape->no_vmdesc)
        put_vmdesc(writer);
}

StreamFile *stream_file_new(const StreamShape *shape)
{
    g_autoptr(StreamFile) file = g_new0(StreamFile, 1);
    g_autoptr(GString) devices = g_string_new(NULL);
    Writer writer = {.shape = shape, .file = file, .devices = devices};

    writer.page_size = G_GUINT64_CONSTANT(1) << (shape->page_bits != 0 ? shape->page_bits : 12);
    file->bytes = g_byte_array_new();
    file->marks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pad_to(&writer, shape->start);
    put_header(&writer);
    if (shape->early)
        put_device(&writer, 13, "virtio-mem-early", 0,
                   "\"fields\": [{\"name\": \"e\", \"type\": \"buffer\", \"size\": 3}]", "\x01\x02",
                   3);
    put_foreign(&writer, 0x01);
    put_ram_start(&writer);
    put_ram_more(&writer, 0x02);
    put_foreign(&writer, 0x02);
    if (shape->resent)
        put_resent(&writer);
    if (!shape->unfinished)
        put_behind_ram(&writer);
    return g_steal_pointer(&file);
}

guint64 stream_file_at(const StreamFile *file, const char *name)
{
    gpointer offset;

    if (!g_hash_table_lookup_extended(file->marks, name, NULL, &offset))
        g_error("the stream has no field %s", name);
    return GPOINTER_TO_SIZE(offset);
}

void stream_file_put_be32(StreamFile *file, guint64 offset, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);

    g_assert_cmpuint(offset + sizeof big, <=, file->bytes->len);
    memcpy(file->bytes->data + offset, &big, sizeof big);
}

void stream_file_put_be64(StreamFile *file, guint64 offset, guint64 value)
{
    stream_file_put_be32(file, offset, (guint32)(value >> 32));
    stream_file_put_be32(file, offset + 4, (guint32)value);
}

void stream_file_source(StreamFile *file, guint64 size, FdsetSource *source)
{
    g_clear_pointer(&file->view, g_bytes_unref);
    file->view = g_bytes_new_static(file->bytes->data, (gsize)MIN(size, file->bytes->len));
    fdset_source_init_memory(source, file->view, "test");
}

void stream_file_free(StreamFile *file)
{
    if (file == NULL)
        return;
    g_clear_pointer(&file->view, g_bytes_unref);
    g_clear_pointer(&file->bytes, g_byte_array_unref);
    g_clear_pointer(&file->marks, g_hash_table_unref);
    g_free(file);
}
