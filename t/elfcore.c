/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The headers of vmcore.elf and mem.lime, byte by byte. */
#include "config.h"
#include "core/cpunotes.h"
#include "core/elfcore.h"
#include "core/error.h"
#include "core/inspection.h"
#include "core/lime.h"
#include "t/streamwriter.h"
#include "t/tap.h"

#include <elf.h>

#define PAGE 4096

typedef struct {
    StreamFile *file;
    FdsetSource source;
    FdsetInspection *inspection;
} Fixture;

/* 160 pages of memory and 2 of firmware: two pieces. */
static void set_up(Fixture *fixture, gconstpointer data)
{
    static const StreamBlock blocks[] = {{.name = "pc.ram", .pages = 160},
                                         {.name = "pc.bios", .pages = 2}};
    static const StreamShape shape = {.capability = "mapped-ram", .blocks = blocks, .n_blocks = 2};
    const FdsetInspectionOptions options = {0};
    g_autoptr(GError) error = NULL;

    fixture->file = stream_file_new(&shape);
    stream_file_source(fixture->file, G_MAXUINT64, &fixture->source);
    fixture->inspection = fdset_inspection_new(&fixture->source, &options, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    fdset_inspection_free(fixture->inspection);
    stream_file_free(fixture->file);
}

static void test_elf(Fixture *fixture, gconstpointer data)
{
    static const char text[] = "VMCOREINFO text";
    GByteArray *array = g_byte_array_new();
    g_autoptr(GBytes) notes = NULL;
    g_autoptr(FdsetMemview) view = NULL;
    struct {
        Elf64_Ehdr head;
        Elf64_Phdr segments[3];
        guint8 notes[40];
    } got;
    guint8 pages[2];

    fdset_cpunotes_append(array, "ABCDEF", 7, text, sizeof text);
    notes = g_byte_array_free_to_bytes(array);
    view = fdset_elfcore_new(fdset_inspection_gpa(fixture->inspection), notes, NULL);
    g_assert_nonnull(view);
    g_assert_cmpuint(fdset_memview_size(view), ==, (1 + 160 + 2) * PAGE);
    g_assert_cmpint(fdset_memview_pread(view, &got, sizeof got, 0), ==, sizeof got);
    g_assert_cmpmem(got.head.e_ident, 7, ELFMAG "\2\1\1", 7);
    g_assert_cmpint(got.head.e_type, ==, ET_CORE);
    g_assert_cmpint(got.head.e_machine, ==, EM_X86_64);
    g_assert_cmpint(got.head.e_phnum, ==, 3);
    g_assert_cmpint(got.head.e_phoff, ==, sizeof(Elf64_Ehdr));
    g_assert_cmpint(got.segments[0].p_type, ==, PT_NOTE);
    g_assert_cmpuint(got.segments[0].p_offset, ==, sizeof got.head + sizeof got.segments);
    g_assert_cmpuint(got.segments[0].p_filesz, ==, 12 + 8 + 16);
    g_assert_cmpmem(got.notes, 12 + 8, "\7\0\0\0\x10\0\0\0\7\0\0\0ABCDEF\0\0", 20);
    g_assert_cmpmem(got.notes + 20, sizeof text, text, sizeof text);
    g_assert_cmpuint(got.segments[1].p_offset, ==, PAGE);
    g_assert_cmpuint(got.segments[1].p_align, ==, 0); /* what crash knows kdump's cores by */
    g_assert_cmpuint(got.segments[1].p_paddr, ==, 0);
    g_assert_cmpuint(got.segments[1].p_memsz, ==, 160 * PAGE);
    g_assert_cmpuint(got.segments[2].p_offset, ==, 161 * PAGE);
    g_assert_cmphex(got.segments[2].p_paddr, ==, 0xffffe000);
    g_assert_cmphex(got.segments[2].p_vaddr, ==, 0xffffe000);
    g_assert_cmpuint(got.segments[2].p_filesz, ==, 2 * PAGE);
    g_assert_cmpint(fdset_memview_pread(view, &pages[0], 1, 4 * PAGE), ==, 1);
    g_assert_cmpint(pages[0], ==, stream_page_byte("pc.ram", 3));
    g_assert_cmpint(fdset_memview_pread(view, &pages[1], 1, 161 * PAGE), ==, 1);
    g_assert_cmpint(pages[1], ==, stream_page_byte("pc.bios", 0));
}

static void test_lime(Fixture *fixture, gconstpointer data)
{
    g_autoptr(FdsetMemview) view = fdset_lime_new(fdset_inspection_gpa(fixture->inspection), NULL);
    guint8 header[33];

    g_assert_nonnull(view);
    g_assert_cmpuint(fdset_memview_size(view), ==, 162 * PAGE + 2 * 32);
    g_assert_cmpint(fdset_memview_pread(view, header, 32, 0), ==, 32);
    g_assert_cmpmem(header, 32,
                    "EMiL\1\0\0\0"
                    "\0\0\0\0\0\0\0\0"
                    "\xff\xff\x09\0\0\0\0\0"
                    "\0\0\0\0\0\0\0\0",
                    32);
    g_assert_cmpint(fdset_memview_pread(view, header, 33, 32 + 160 * PAGE), ==, 33);
    g_assert_cmpmem(header, 24,
                    "EMiL\1\0\0\0"
                    "\0\xe0\xff\xff\0\0\0\0"
                    "\xff\xff\xff\xff\0\0\0\0",
                    24);
    g_assert_cmpint(header[32], ==, stream_page_byte("pc.bios", 0));
}

/* readelf does not take a PT_NOTE of nothing. */
static void test_no_notes(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GBytes) notes = g_bytes_new_static("", 0);
    g_autoptr(FdsetMemview) view =
        fdset_elfcore_new(fdset_inspection_gpa(fixture->inspection), notes, NULL);
    Elf64_Ehdr head;
    Elf64_Phdr first;

    g_assert_nonnull(view);
    g_assert_cmpint(fdset_memview_pread(view, &head, sizeof head, 0), ==, sizeof head);
    g_assert_cmpint(fdset_memview_pread(view, &first, sizeof first, sizeof head), ==, sizeof first);
    g_assert_cmpuint(head.e_phnum, ==, 2);
    g_assert_cmpuint(first.p_type, ==, PT_LOAD);
}

/* 200 single pages with gaps: more program headers than readers look at. */
static void test_too_many(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GPtrArray) overrides = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GBytes) notes = g_bytes_new_static("", 0);
    g_autoptr(FdsetGpa) gpa = NULL;
    g_autoptr(GError) error = NULL;
    FdsetChipset chipset = {0};
    FdsetGpaHints hints = {.chipset = &chipset};

    for (int i = 0; i < 150; i++)
        g_ptr_array_add(overrides, g_strdup_printf("pc.ram:0:4096:%d", 0x10000000 + i * 2 * PAGE));
    g_ptr_array_add(overrides, NULL);
    hints.overrides = (const char *const *)overrides->pdata;
    gpa = fdset_gpa_new(fdset_inspection_stream(fixture->inspection), &hints, NULL);
    g_assert_nonnull(gpa);
    g_assert_null(fdset_elfcore_new(gpa, notes, &error));
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_LIMIT);
}

#define NOTE_HEAD "\x0b\0\0\0\x05\0\0\0\0\0\0\0VMCOREINFO\0\0"

static const struct {
    const char *claim;
    guint64 address;
    guint32 len;
    const char *note;
    gboolean is_taken;
} vmcoreinfos[] = {
    {"is taken", 0x3008, 32, NOTE_HEAD "A=1\n\0\0\0", TRUE},
    {"of another name is not", 0x3008, 32, "\x0b\0\0\0\x05\0\0\0\0\0\0\0VMCOREINFX\0\0A=1\n\0\0\0",
     FALSE},
    {"longer than told is not", 0x3008, 28, NOTE_HEAD "A=1\n\0\0\0", FALSE},
    {"behind the end of memory is not", 0x7fffffff0, 32, NOTE_HEAD "A=1\n\0\0\0", FALSE},
    {"of 4 GiB is not", 0x3008, 0xffffffff, NOTE_HEAD "A=1\n\0\0\0", FALSE},
    {"of nothing is not", 0x3008, 0, NOTE_HEAD "A=1\n\0\0\0", FALSE},
};

static void test_vmcoreinfo(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    const StreamBlock block = {.name = "pc.ram", .pages = 8};
    const StreamShape shape = {.capability = "mapped-ram",
                               .blocks = &block,
                               .n_blocks = 1,
                               .note = vmcoreinfos[i].address,
                               .note_len = vmcoreinfos[i].len};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    const FdsetInspectionOptions options = {0};
    g_autoptr(FdsetInspection) inspection = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    GBytes *notes;

    memcpy(file->bytes->data + 1024 * 1024 + 0x3008, vmcoreinfos[i].note, 32);
    stream_file_source(file, G_MAXUINT64, &source);
    inspection = fdset_inspection_new(&source, &options, &error);
    g_assert_no_error(error);
    g_assert_null(fdset_inspection_problem(inspection));
    g_assert_cmpint(fdset_inspection_has_vmcoreinfo(inspection), ==, vmcoreinfos[i].is_taken);
    notes = fdset_inspection_notes(inspection);
    g_assert_cmpuint(g_bytes_get_size(notes), ==, vmcoreinfos[i].is_taken ? 32 : 0);
    if (vmcoreinfos[i].is_taken)
        g_assert_cmpmem(g_bytes_get_data(notes, NULL), 32, vmcoreinfos[i].note, 32);
}

#define LINUX_HEAD "\x0b\0\0\0\x0d\0\0\0\0\0\0\0VMCOREINFO\0\0"
#define LINUX_NOTE LINUX_HEAD "OSRELEASE=1.2\0\0\0"
#define LINUX_NOTE_BYTES 40

/* Notes that no device tells of. */
static const struct {
    const char *claim;
    guint64 addresses[2]; /* in memory; the second may be 0 for none */
    FdsetVmcoreinfoMode mode;
    gboolean is_damaged; /* the first one */
    gboolean is_found;
} searches[] = {
    {"is not looked for", {0x3008, 0}, FDSET_VMCOREINFO_AUTO, FALSE, FALSE},
    {"is found by a search", {0x3008, 0}, FDSET_VMCOREINFO_SEARCH, FALSE, TRUE},
    {"is found across two pages", {0x4ffc, 0}, FDSET_VMCOREINFO_SEARCH, FALSE, TRUE},
    {"is found where a chunk ends", {0x100000 - 16, 0}, FDSET_VMCOREINFO_SEARCH, FALSE, TRUE},
    {"is found at the very end", {0x101000 - 40, 0}, FDSET_VMCOREINFO_SEARCH, FALSE, TRUE},
    {"that is damaged is not the one", {0x3008, 0x6000}, FDSET_VMCOREINFO_SEARCH, TRUE, TRUE},
    {"that is damaged is none", {0x3008, 0}, FDSET_VMCOREINFO_SEARCH, TRUE, FALSE},
    {"at an odd address is none", {0x3009, 0}, FDSET_VMCOREINFO_SEARCH, FALSE, FALSE},
    {"is not even searched for when it is not wanted",
     {0x3008, 0},
     FDSET_VMCOREINFO_OFF,
     FALSE,
     FALSE},
};

static void test_search(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    const StreamBlock block = {.name = "pc.ram", .pages = 257};
    const StreamShape shape = {.capability = "mapped-ram", .blocks = &block, .n_blocks = 1};
    const FdsetInspectionOptions options = {.vmcoreinfo = searches[i].mode};
    g_autoptr(StreamFile) file = stream_file_new(&shape);
    guint8 *memory = file->bytes->data + 1024 * 1024;
    g_autoptr(FdsetInspection) inspection = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSource source;
    GBytes *notes;

    memset(file->bytes->data + stream_file_at(file, "pc.ram:bitmap"), 0xff, 257 / 8);
    file->bytes->data[stream_file_at(file, "pc.ram:bitmap") + 257 / 8] |= 1;
    for (gsize n = 0; n < 2 && searches[i].addresses[n] != 0; n++)
        memcpy(memory + searches[i].addresses[n], LINUX_NOTE, LINUX_NOTE_BYTES);
    if (searches[i].is_damaged)
        memory[searches[i].addresses[0]]++;
    stream_file_source(file, G_MAXUINT64, &source);
    inspection = fdset_inspection_new(&source, &options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fdset_inspection_has_vmcoreinfo(inspection), ==, searches[i].is_found);
    notes = fdset_inspection_notes(inspection);
    g_assert_cmpuint(g_bytes_get_size(notes), ==, searches[i].is_found ? LINUX_NOTE_BYTES : 0);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add("/elfcore/an ELF core has a segment for each piece of memory", Fixture, NULL, set_up,
               test_elf, tear_down);
    g_test_add("/elfcore/an ELF core without notes has no PT_NOTE", Fixture, NULL, set_up,
               test_no_notes, tear_down);
    g_test_add("/elfcore/LiME has a header for each range", Fixture, NULL, set_up, test_lime,
               tear_down);
    g_test_add("/elfcore/program headers stay within 8 KiB", Fixture, NULL, set_up, test_too_many,
               tear_down);
    for (gsize i = 0; i < G_N_ELEMENTS(vmcoreinfos); i++) {
        g_autofree char *name =
            g_strdup_printf("/elfcore/a VMCOREINFO note %s", vmcoreinfos[i].claim);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_vmcoreinfo);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(searches); i++) {
        g_autofree char *name = g_strdup_printf(
            "/elfcore/a VMCOREINFO note that no device tells of %s", searches[i].claim);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_search);
    }
    return g_test_run();
}
