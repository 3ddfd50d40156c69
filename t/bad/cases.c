/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "t/bad/cases.h"
#include "core/error.h"

#include <string.h>

#define EDITS_MAX 4
#define LIBVIRT_HEADER 92
#define LIBVIRT_DATA 4096

/* What a file is made of before it is damaged. */
typedef enum {
    MAPPED,    /* two blocks with mapped-ram, pages of 1 KiB               */
    ODD,       /* the same, one block, whose page size is not said before  */
    STREAMING, /* two blocks in the streaming format                       */
    RESENT,    /* ... with pages that were sent again, and deltas          */
    SHARED,    /* mapped-ram with a shared block that is left out          */
    OLD,       /* streaming without footers and configuration              */
    PLAIN,     /* mapped-ram without a device description                  */
    TWINS,     /* streaming, two blocks of one name                        */
    LIBVIRT,   /* a libvirt header with nothing behind it                  */
} Base;

/* Puts the 'width' lowest bytes of 'value', big-endian, 'delta' bytes behind a mark. */
typedef struct {
    const char *mark;
    gint64 delta;
    guint width; /* bytes; 0: no more edits */
    guint64 value;
} Edit;

typedef struct {
    BadCase common;
    Base base;
    Edit edits[EDITS_MAX];
    const char *cut; /* nullable: a mark; the file ends 'keep' bytes behind it */
    gint64 keep;
    const char *json;        /* in the place of the description */
    char *(*make_json)(void);
    void (*change)(GByteArray *bytes);
} Recipe;

static const StreamBlock two[] = {{.name = "pc.ram", .pages = 70}, {.name = "vga.vram", .pages = 3}};
static const StreamBlock twins[] = {{.name = "pc.ram", .pages = 70},
                                    {.name = "pc.ram", .pages = 3}};
static const StreamBlock one[] = {{.name = "pc.ram", .pages = 70}};
static const StreamBlock shared[] = {{.name = "pc.ram", .pages = 70},
                                     {.name = "shm", .pages = 9, .shared = TRUE}};

static const StreamShape shapes[] = {
    [MAPPED] = {.capability = "mapped-ram", .page_bits = 10, .pages_align = 1024, .blocks = two,
                .n_blocks = 2},
    [ODD] = {.capability = "mapped-ram", .pages_align = 4096, .blocks = one, .n_blocks = 1},
    [STREAMING] = {.page_bits = 10, .blocks = two, .n_blocks = 2},
    [RESENT] = {.page_bits = 10, .blocks = two, .n_blocks = 2, .resent = TRUE},
    [SHARED] = {.capability = "mapped-ram", .ignore_shared = TRUE, .pages_align = 4096,
                .blocks = shared, .n_blocks = 2},
    [OLD] = {.no_footers = TRUE, .no_configuration = TRUE, .blocks = one, .n_blocks = 1},
    [TWINS] = {.blocks = twins, .n_blocks = 2},
    [PLAIN] = {.capability = "mapped-ram", .pages_align = 4096, .blocks = one, .n_blocks = 1,
               .no_vmdesc = TRUE},
};

/* --- what takes more than an edit --- */

static char *json_of_levels(guint n, const char *open, const char *close)
{
    GString *json = g_string_new("{\"page_size\": 1024, \"devices\": [{\"name\": \"x\", "
                                 "\"instance_id\": 0, \"fields\": [");

    for (guint i = 0; i < n; i++)
        g_string_append(json, open);
    for (guint i = 0; i < n; i++)
        g_string_append(json, close);
    g_string_append(json, "]}]}");
    return g_string_free(json, FALSE);
}

static char *deep_arrays(void)
{
    return json_of_levels(10000, "[", "]");
}

static char *deep_objects(void)
{
    return json_of_levels(10000, "{\"struct\": ", "}");
}

static char *many_devices(void)
{
    GString *json = g_string_new("{\"page_size\": 1024, \"devices\": [{\"name\": \"x\", "
                                 "\"instance_id\": 0, \"fields\": []}");

    for (guint i = 0; i < 65536; i++)
        g_string_append(json, ",{\"name\": \"x\", \"instance_id\": 0, \"fields\": []}");
    g_string_append(json, "]}");
    return g_string_free(json, FALSE);
}

static char *big_device(void)
{
    g_autofree char *spaces = g_strnfill(5 << 20, ' ');

    return g_strdup_printf("{\"page_size\": 1024, \"devices\": [{\"name\": \"x\", "
                           "\"instance_id\": 0, %s \"fields\": []}]}",
                           spaces);
}

static void append_be(GByteArray *bytes, guint64 value, guint width)
{
    guint64 big = GUINT64_TO_BE(value);

    g_byte_array_append(bytes, (const guint8 *)&big + 8 - width, width);
}

/* A head and one section "ram" that lists a million blocks. */
static void million_blocks(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, (const guint8 *)"QEVM\0\0\0\3\1\0\0\0\3\3ram\0\0\0\0\0\0\0\4", 25);
    append_be(bytes, (G_GUINT64_CONSTANT(1000000) << 12) | 4, 8);
    for (guint i = 0; i < 1000000; i++) {
        g_autofree char *name = g_strdup_printf("b%u", i);
        guint8 len = (guint8)strlen(name);

        g_byte_array_append(bytes, &len, 1);
        g_byte_array_append(bytes, (const guint8 *)name, len);
        append_be(bytes, 4096, 8);
    }
}

/* 70,000 sections that are empty. */
static void many_sections(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, (const guint8 *)"QEVM\0\0\0\3", 8);
    for (guint i = 0; i < 70000; i++) {
        append_be(bytes, 4, 1);
        append_be(bytes, i, 4);
        g_byte_array_append(bytes, (const guint8 *)"\1x", 2);
        append_be(bytes, 0, 4);
        append_be(bytes, 1, 4);
        append_be(bytes, 0x7e, 1);
        append_be(bytes, i, 4);
    }
}

static void no_bytes(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, 0);
}

static void only_zeros(GByteArray *bytes)
{
    memset(bytes->data, 0, bytes->len);
}

static void other_endian_version(GByteArray *bytes)
{
    memcpy(bytes->data + 4, "\3\0\0\0", 4);
}

static void bytes_behind(GByteArray *bytes)
{
    g_byte_array_append(bytes, (const guint8 *)"trailer", 7);
}

/* --- the cases --- */

#define AT(mark, delta, width, value)                                                              \
    {                                                                                              \
        mark, delta, width, (guint64)(value)                                                       \
    }
#define HUGE_63 0x8000000000000000
#define ALL_ONES 0xffffffffffffffff

#define REFUSED(name, code, words) {name, words, FDSET_ERROR_##code, FALSE}
#define SHOWN(name, code, words) {name, words, FDSET_ERROR_##code, TRUE}

static const Recipe recipes[] = {
    /* the head */
    {REFUSED("empty", TRUNCATED, "stream header at 0x0 needs 4 bytes"), MAPPED, .change = no_bytes},
    {REFUSED("zeros", FORMAT, "magic 0x00000000 at 0x0"), MAPPED, .change = only_zeros},
    {REFUSED("magic", FORMAT, "expected 0x5145564d (QEVM)"), MAPPED, {AT("magic", 0, 1, 'q')}},
    {REFUSED("magic-cut", TRUNCATED, "stream header at 0x0 needs 4 bytes"), MAPPED, .cut = "magic", .keep = 3},
    {REFUSED("version-2", VERSION, "stream version 2 at 0x4, expected 3"), MAPPED,
     {AT("magic", 4, 4, 2)}},
    {REFUSED("version-4", VERSION, "stream version 4 at 0x4, expected 3"), MAPPED,
     {AT("magic", 4, 4, 4)}},
    {REFUSED("version-little-endian", VERSION, "stream version 50331648"), MAPPED,
     .change = other_endian_version},
    {REFUSED("nothing-behind-version", TRUNCATED, "ends at 0x8"), MAPPED, .cut = "magic", .keep = 8},
    {REFUSED("type-unknown", FORMAT, "byte 0x42 at 0x8, expected a section's type"), OLD,
     {AT("magic", 8, 1, 0x42)}},
    {REFUSED("machine-empty", FORMAT, "machine name at 0xd has 0 bytes, expected 1 to 255"), MAPPED,
     {AT("machine", 0, 4, 0)}},
    {REFUSED("machine-256", FORMAT, "has 256 bytes, expected 1 to 255"), MAPPED,
     {AT("machine", 0, 4, 256)}},
    {REFUSED("machine-4g", FORMAT, "has 4294967295 bytes"), MAPPED, {AT("machine", 0, 4, 0xffffffff)}},
    {REFUSED("machine-nul", FORMAT, "machine name"), MAPPED, {AT("machine", 6, 1, 0)}},
    {REFUSED("machine-cut", TRUNCATED, "machine name"), MAPPED, .cut = "machine", .keep = 9},
    {REFUSED("page-bits-0", FORMAT, "are 0, expected 10 to 20"), MAPPED, {AT("page-bits", 0, 4, 0)}},
    {REFUSED("page-bits-9", FORMAT, "are 9, expected 10 to 20"), MAPPED, {AT("page-bits", 0, 4, 9)}},
    {REFUSED("page-bits-21", FORMAT, "are 21, expected 10 to 20"), MAPPED,
     {AT("page-bits", 0, 4, 21)}},
    {REFUSED("page-bits-64", FORMAT, "are 64, expected 10 to 20"), MAPPED,
     {AT("page-bits", 0, 4, 64)}},
    {REFUSED("page-bits-version", UNSUPPORTED, "version 2"), MAPPED, {AT("page-bits", -4, 4, 2)}},
    {REFUSED("subsection-unknown", UNSUPPORTED, "is not known"), MAPPED,
     {AT("capabilities:name", 1, 1, 'x')}},
    {REFUSED("subsection-empty-name", FORMAT, "has 0 bytes"), MAPPED,
     {AT("capabilities:name", 0, 1, 0)}},
    {REFUSED("capabilities-65", LIMIT, "65 capabilities"), MAPPED,
     {AT("capabilities:count", 0, 4, 65)}},
    {REFUSED("capabilities-4g", LIMIT, "4294967295 capabilities"), MAPPED,
     {AT("capabilities:count", 0, 4, 0xffffffff)}},
    {REFUSED("capability-lost", FORMAT, "RAM block"), MAPPED, {AT("capabilities:count", 5, 1, 'M')}},
    {REFUSED("capabilities-cut", TRUNCATED, "ends at"), MAPPED, .cut = "capabilities:count",
     .keep = 7},
    /* the list of RAM blocks */
    {REFUSED("ram-version-3", VERSION, "version 3, expected 4"), MAPPED, {AT("ram", 13, 4, 3)}},
    {REFUSED("ram-version-5", VERSION, "version 5, expected 4"), MAPPED, {AT("ram", 13, 4, 5)}},
    {REFUSED("ram-total-flag", FORMAT, "where the ram section starts"), MAPPED,
     {AT("ram:total", 7, 1, 0)}},
    {REFUSED("ram-total-0", FORMAT, "expected none in a mapped-ram stream"), MAPPED,
     {AT("ram:total", 0, 8, 4)}},
    {REFUSED("ram-total-less", FORMAT, "expected at most the"), MAPPED,
     {AT("ram:total", 0, 8, 0x11404)}},
    {REFUSED("ram-total-more", FORMAT, "RAM block"), MAPPED, {AT("ram:total", 0, 8, 0x20004)}},
    {REFUSED("ram-total-2-63", FORMAT, "RAM block"), MAPPED, {AT("ram:total", 0, 8, 0x8000000000000004)}},
    {REFUSED("ram-total-all-ones", FORMAT, "where the ram section starts"), MAPPED,
     {AT("ram:total", 0, 8, ALL_ONES)}},
    {REFUSED("ram-cut", TRUNCATED, "ends at"), MAPPED, .cut = "ram", .keep = 12},
    {REFUSED("blocks-million", LIMIT, "more RAM blocks"), STREAMING, .change = million_blocks},
    {REFUSED("block-name-empty", FORMAT, "RAM block name"), MAPPED, {AT("pc.ram:name", 0, 1, 0)}},
    {REFUSED("block-name-nul", FORMAT, "RAM block name"), MAPPED, {AT("pc.ram:name", 3, 1, 0)}},
    {REFUSED("block-name-long", FORMAT, "RAM block"), MAPPED, {AT("pc.ram:name", 0, 1, 255)}},
    {REFUSED("block-name-twice", FORMAT, "a second RAM block 'pc.ram'"), TWINS},
    {REFUSED("block-length-0", FORMAT, "RAM block"), MAPPED, {AT("pc.ram:length", 0, 8, 0)}},
    {REFUSED("block-length-odd", FORMAT, "is no multiple of its page size"), MAPPED,
     {AT("pc.ram:length", 0, 8, 0x11801 - 0x201)}},
    {REFUSED("block-length-2-63", FORMAT, "expected at most the"), MAPPED,
     {AT("pc.ram:length", 0, 8, HUGE_63)}},
    {REFUSED("block-length-all-ones", FORMAT, "expected at most the"), MAPPED,
     {AT("pc.ram:length", 0, 8, ALL_ONES)}},
    {REFUSED("block-length-2-62", TRUNCATED, "but the file ends at"), MAPPED,
     {AT("ram:total", 0, 8, 0x4000000000000004), AT("pc.ram:length", 0, 8, 0x4000000000000000)}},
    {REFUSED("block-header-version-0", VERSION, "has version 0, expected 1"), MAPPED,
     {AT("pc.ram:header", 0, 4, 0)}},
    {REFUSED("block-header-version-2", VERSION, "has version 2, expected 1"), MAPPED,
     {AT("pc.ram:header", 0, 4, 2)}},
    {REFUSED("page-size-0", FORMAT, "page size 0x0"), MAPPED, {AT("pc.ram:page_size", 0, 8, 0)}},
    {REFUSED("page-size-1", FORMAT, "page size 0x1"), MAPPED, {AT("pc.ram:page_size", 0, 8, 1)}},
    {REFUSED("page-size-odd", FORMAT, "expected a power of two"), MAPPED,
     {AT("pc.ram:page_size", 0, 8, 1025)}},
    {REFUSED("page-size-2-63", FORMAT, "page size 0x8000000000000000"), MAPPED,
     {AT("pc.ram:page_size", 0, 8, HUGE_63)}},
    {REFUSED("page-size-larger", FORMAT, "is no multiple of its page size"), MAPPED,
     {AT("pc.ram:page_size", 0, 8, 0x10000)}},
    {REFUSED("bitmap-at-0", FORMAT, "overlaps what is before it"), MAPPED,
     {AT("pc.ram:bitmap_offset", 0, 8, 0)}},
    {REFUSED("bitmap-in-record", FORMAT, "overlaps what is before it"), MAPPED,
     {AT("pc.ram:bitmap_offset", 7, 1, 0)}},
    {REFUSED("bitmap-behind-eof", TRUNCATED, "but the file ends at"), MAPPED,
     {AT("pc.ram:bitmap_offset", 0, 8, 0x7000000)}},
    {REFUSED("bitmap-wraps", FORMAT, "wrap around"), MAPPED,
     {AT("pc.ram:bitmap_offset", 0, 8, ALL_ONES)}},
    {REFUSED("bitmap-2-63", TRUNCATED, "bitmap at 0x8000000000000000"), MAPPED,
     {AT("pc.ram:bitmap_offset", 0, 8, HUGE_63)}},
    {REFUSED("pages-at-0", FORMAT, "overlaps what is before it"), MAPPED,
     {AT("pc.ram:pages_offset", 0, 8, 0)}},
    {REFUSED("pages-unaligned", FORMAT, "expected a multiple of the page size"), MAPPED,
     {AT("pc.ram:pages_offset", 7, 1, 1)}},
    {REFUSED("pages-behind-eof", TRUNCATED, "but the file ends at"), MAPPED,
     {AT("pc.ram:pages_offset", 0, 8, 0x7000000)}},
    {REFUSED("pages-wrap", FORMAT, "wrap around"), MAPPED,
     {AT("pc.ram:pages_offset", 0, 8, 0xfffffffffffffc00)}},
    {REFUSED("pages-2-63", TRUNCATED, "pages at 0x8000000000000000"), MAPPED,
     {AT("pc.ram:pages_offset", 0, 8, HUGE_63)}},
    {REFUSED("second-block-in-first", FORMAT, "overlaps what is before it"), MAPPED,
     {AT("vga.vram:pages_offset", 0, 8, 0x400)}},
    {REFUSED("shared-without-capability", FORMAT, "overlaps what is before it"), ODD,
     {AT("pc.ram:bitmap_offset", 0, 8, 0), AT("pc.ram:pages_offset", 0, 8, 0)}},
    {REFUSED("shared-with-bitmap", FORMAT, "RAM block 'shm'"), SHARED,
     {AT("shm:bitmap_offset", 0, 8, 0x100)}},
    {REFUSED("blocks-cut", TRUNCATED, "ends at"), MAPPED, .cut = "vga.vram:name", .keep = 4},
    {REFUSED("header-cut", TRUNCATED, "ends at"), MAPPED, .cut = "pc.ram:header", .keep = 20},
    {REFUSED("bitmap-cut", TRUNCATED, "but the file ends at"), MAPPED, .cut = "pc.ram:bitmap",
     .keep = 8},
    /* the sections behind it */
    {SHOWN("cut-behind-blocks", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "ram:part"},
    {SHOWN("cut-in-part", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "ram:part",
     .keep = 7},
    {SHOWN("cut-before-end", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "ram:end",
     .keep = 1},
    {SHOWN("cut-in-device", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "body:timer",
     .keep = 5},
    {SHOWN("cut-at-eof", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "eof"},
    {SHOWN("cut-in-vmdesc-length", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "vmdesc",
     .keep = 3},
    {SHOWN("cut-in-json", TRUNCATED, "the save was interrupted"), MAPPED, .cut = "json",
     .keep = 100},
    {SHOWN("part-of-nobody", FORMAT, "expected that of a section that has started"), MAPPED,
     {AT("ram:part", 1, 4, 99)}},
    {SHOWN("part-without-end", FORMAT, "expected a page record or the end"), MAPPED,
     {AT("ram:part", 5, 8, 0x20)}},
    {SHOWN("page-in-mapped-ram", FORMAT, "expected none in a mapped-ram stream"), MAPPED,
     {AT("ram:part", 5, 8, 0x08)}},
    {SHOWN("footer-of-another", FORMAT, "no footer of section 3"), MAPPED,
     {AT("ram:part", 14, 4, 4)}},
    {SHOWN("footer-missing", FORMAT, "no footer of section 3"), MAPPED, {AT("ram:part", 13, 1, 0)}},
    {SHOWN("eof-too-early", FORMAT, "the save was interrupted"), MAPPED, {AT("ram:part", 0, 1, 0)}},
    {SHOWN("end-twice", FORMAT, "behind its end"), MAPPED, {AT("ram:part", 0, 1, 3)}},
    {REFUSED("sections-70000", LIMIT, "more sections at"), MAPPED, .change = many_sections},
    {SHOWN("bytes-behind", FORMAT, "expected one in JSON that ends where the file does"), MAPPED,
     .change = bytes_behind},
    {SHOWN("bytes-behind-eof-marker", TRUNCATED, "section"), PLAIN, .change = bytes_behind},
    /* page records */
    {SHOWN("record-offset-at-end", FORMAT, "is of offset 0x11800 in a RAM block"), STREAMING,
     {AT("ram:part", 5, 8, 0x11808)}},
    {SHOWN("record-offset-wraps", FORMAT, "is of offset 0xfffffffffffffc00"), STREAMING,
     {AT("ram:part", 5, 8, 0xfffffffffffffc08)}},
    {SHOWN("record-continues-nothing", FORMAT, "but there was none before it"), STREAMING,
     {AT("ram:part", 5, 8, 0x28)}},
    {SHOWN("record-of-unknown-block", FORMAT, "expected one of those that the ram section lists"),
     STREAMING, {AT("ram:part", 14, 1, 'X')}},
    {SHOWN("record-flag-unknown", FORMAT, "expected a page record or the end"), STREAMING,
     {AT("ram:part", 5, 8, 0x01)}},
    {SHOWN("record-cut", TRUNCATED, "the save was interrupted"), STREAMING, .cut = "ram:part",
     .keep = 500},
    {SHOWN("delta-encoding", FORMAT, "has encoding 2, expected 1"), RESENT, {AT("delta", -3, 1, 2)}},
    {SHOWN("delta-length", FORMAT, "word"), RESENT, {AT("delta", -2, 2, 0)}},
    /* the description of the devices */
    {SHOWN("json-levels-of-arrays", LIMIT, "nested deeper"), MAPPED, .make_json = deep_arrays},
    {SHOWN("json-levels-of-objects", LIMIT, "nested deeper"), MAPPED, .make_json = deep_objects},
    {SHOWN("json-devices-65537", LIMIT, "more devices than"), MAPPED, .make_json = many_devices},
    {SHOWN("json-device-5-mib", LIMIT, "a device of more than 4 MiB"), MAPPED,
     .make_json = big_device},
    {SHOWN("json-brackets", FORMAT, "brackets that do not match"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": [}]"},
    {SHOWN("json-no-end", FORMAT, "ends before its last bracket"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": ["},
    {SHOWN("json-goes-on", FORMAT, "goes on behind its last bracket"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": []} {}"},
    {SHOWN("json-device-no-name", FORMAT, "without name or instance_id"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": [{\"instance_id\": 0, \"fields\": []}]}"},
    {SHOWN("json-device-no-object", TRUNCATED, "section 10 at 0x12c49 has no end"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": [5]}"},
    {SHOWN("json-instance-negative", TRUNCATED, "section 10 at 0x12c49 has no end"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": [{\"name\": \"timer\", \"instance_id\": -1, "
             "\"fields\": []}]}"},
    {SHOWN("json-surrogate", FORMAT, "device"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": [{\"name\": \"\\ud800\", \"instance_id\": 0, "
             "\"fields\": []}]}"},
    {SHOWN("json-fewer-devices", TRUNCATED, "section 10 at 0x12c49 has no end"), MAPPED,
     .json = "{\"page_size\": 1024, \"devices\": []}"},
    {SHOWN("json-size-wrong", FORMAT, "expected one in JSON"), MAPPED, {AT("vmdesc", 1, 4, 10)}},
    {SHOWN("json-size-4g", TRUNCATED, "device description"), MAPPED,
     {AT("vmdesc", 1, 4, 0xffffffff)}},
    /* libvirt's header; the stream is missing */
    {REFUSED("libvirt-version-0", VERSION, "expected 1 or 2"), LIBVIRT, {AT("host", 16, 4, 0)}},
    {REFUSED("libvirt-version-3", VERSION, "expected 1 or 2"), LIBVIRT, {AT("host", 16, 4, 3)}},
    {REFUSED("libvirt-data-0", FORMAT, "expected room for the domain's XML"), LIBVIRT,
     {AT("host", 20, 4, 0)}},
    {REFUSED("libvirt-data-behind-eof", TRUNCATED, "expected no more than the file has"), LIBVIRT,
     {AT("host", 20, 4, 0x7fffffff)}},
    {REFUSED("libvirt-data-4g", TRUNCATED, "expected no more than the file has"), LIBVIRT,
     {AT("host", 20, 4, 0xffffffff)}},
    {REFUSED("libvirt-format-7", UNSUPPORTED, "expected 0 (raw) to 6 (sparse)"), LIBVIRT,
     {AT("host", 28, 4, 7)}},
    {REFUSED("libvirt-cookie-behind", FORMAT, "expected less than the data length"), LIBVIRT,
     {AT("host", 32, 4, LIBVIRT_DATA)}},
    {REFUSED("libvirt-cookie-4g", FORMAT, "expected less than the data length"), LIBVIRT,
     {AT("host", 32, 4, 0xffffffff)}},
    {REFUSED("libvirt-cut", TRUNCATED, "libvirt header"), LIBVIRT, .cut = "magic", .keep = 91},
    {REFUSED("libvirt-no-stream", FORMAT, "magic 0x"), LIBVIRT, {AT("magic", 0, 1, 'L')}},
};

/* --- making them --- */

static GByteArray *libvirt_header(void)
{
    GByteArray *bytes = g_byte_array_new();
    const guint32 words[] = {2, LIBVIRT_DATA, 1, 6, 1000};

    g_byte_array_set_size(bytes, LIBVIRT_HEADER + LIBVIRT_DATA + 64);
    memset(bytes->data, 0, bytes->len);
    memcpy(bytes->data, "LibvirtQemudSave", 16);
    memcpy(bytes->data + 16, words, sizeof words);
    memcpy(bytes->data + LIBVIRT_HEADER, "<domain/>", 9);
    memcpy(bytes->data + LIBVIRT_HEADER + 1000, "<cookie/>", 9);
    return bytes;
}

/* "host": at the start, in host byte order. */
static void apply_edit(const StreamFile *file, GByteArray *bytes, const Edit *edit)
{
    gboolean host = strcmp(edit->mark, "host") == 0;
    gint64 at = (file ? (gint64)stream_file_at(file, edit->mark) : 0) + edit->delta;
    guint64 big = GUINT64_TO_BE(edit->value);
    guint32 word = (guint32)edit->value;

    g_assert_cmpint(at + edit->width, <=, bytes->len);
    if (host)
        memcpy(bytes->data + at, &word, sizeof word);
    else
        memcpy(bytes->data + at, (const guint8 *)&big + 8 - edit->width, edit->width);
}

static void damage(const Recipe *recipe, const StreamFile *file, GByteArray *bytes)
{
    for (gsize i = 0; i < EDITS_MAX && recipe->edits[i].width > 0; i++)
        apply_edit(file, bytes, &recipe->edits[i]);
    if (recipe->cut)
        g_byte_array_set_size(
            bytes, (guint)((file ? (gint64)stream_file_at(file, recipe->cut) : 0) + recipe->keep));
    if (recipe->change)
        recipe->change(bytes);
}

GByteArray *bad_file(gsize i)
{
    const Recipe *recipe = &recipes[i];
    g_autoptr(StreamFile) file = NULL;
    g_autofree char *json = recipe->make_json ? recipe->make_json() : NULL;
    StreamShape shape;
    GByteArray *bytes;

    if (recipe->base == LIBVIRT) {
        bytes = libvirt_header();
        damage(recipe, NULL, bytes);
        return bytes;
    }
    shape = shapes[recipe->base];
    shape.json = json ? json : recipe->json;
    file = stream_file_new(&shape);
    bytes = g_byte_array_ref(file->bytes);
    damage(recipe, file, bytes);
    return bytes;
}

gsize bad_n_cases(void)
{
    return G_N_ELEMENTS(recipes);
}

const BadCase *bad_case(gsize i)
{
    return &recipes[i].common;
}
