/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory map: by machine, size and blocks, without a guest. */
#include "config.h"
#include "core/bytes.h"
#include "core/error.h"
#include "core/gpa.h"
#include "t/tap.h"

#define BLOCKS_MAX 4
#define MIB G_GUINT64_CONSTANT(0x100000)
#define GIB (1024 * MIB)

typedef struct {
    const char *name;
    guint64 length;
} Block;

/* A file of any size of which only these few bytes are not zero. */
typedef struct {
    GByteArray *bytes[BLOCKS_MAX + 1];
    guint64 offsets[BLOCKS_MAX + 1];
    guint n;
    FdsetSource source;
} SparseFile;

static gssize sparse_pread(gpointer opaque, gpointer buf, gsize len, guint64 offset)
{
    const SparseFile *file = opaque;

    memset(buf, 0, len);
    for (guint i = 0; i < file->n; i++) {
        for (gsize at = 0; at < file->bytes[i]->len; at++) {
            guint64 place = file->offsets[i] + at;

            if (place >= offset && place - offset < len)
                ((guint8 *)buf)[place - offset] = file->bytes[i]->data[at];
        }
    }
    return (gssize)len;
}

static void put_be(GByteArray *bytes, guint64 value, guint len)
{
    guint64 big = GUINT64_TO_BE(value);

    g_byte_array_append(bytes, (const guint8 *)&big + (8 - len), len);
}

static void put_name(GByteArray *bytes, const char *name, guint len_bytes)
{
    put_be(bytes, strlen(name), len_bytes);
    g_byte_array_append(bytes, (const guint8 *)name, (guint)strlen(name));
}

static void put_head(GByteArray *bytes, const char *machine, const Block *blocks)
{
    guint64 total = 0;

    for (guint i = 0; blocks[i].name != NULL; i++)
        total += blocks[i].length;
    g_byte_array_append(bytes, (const guint8 *)"QEVM", 4);
    put_be(bytes, 3, 4);
    put_be(bytes, 7, 1);
    put_name(bytes, machine, 4);
    put_be(bytes, 5, 1);
    put_name(bytes, "configuration/capabilities", 1);
    put_be(bytes, 1, 4);
    put_be(bytes, 1, 4);
    put_name(bytes, "mapped-ram", 1);
    put_be(bytes, 1, 1);
    put_be(bytes, 1, 4);
    put_name(bytes, "ram", 1);
    put_be(bytes, 0, 4);
    put_be(bytes, 4, 4);
    put_be(bytes, total | 4, 8);
}

static void make_file(SparseFile *file, const char *machine, const Block *blocks)
{
    guint64 at = 0;

    file->n = 0;
    file->bytes[0] = g_byte_array_new();
    file->offsets[0] = 0;
    put_head(file->bytes[0], machine, blocks);
    for (; blocks[file->n].name != NULL; file->n++) {
        GByteArray *bytes = file->bytes[file->n];
        guint64 length = blocks[file->n].length, bitmap, pages;

        put_name(bytes, blocks[file->n].name, 1);
        put_be(bytes, length, 8);
        bitmap = at + bytes->len + 28;
        pages = (bitmap + (length / 4096 + 63) / 64 * 8 + MIB - 1) / MIB * MIB;
        put_be(bytes, 1, 4);
        put_be(bytes, 4096, 8);
        put_be(bytes, bitmap, 8);
        put_be(bytes, pages, 8);
        at = pages + length;
        file->bytes[file->n + 1] = g_byte_array_new();
        file->offsets[file->n + 1] = at;
    }
    put_be(file->bytes[file->n], 0x10, 8);
    file->n++;
    file->source = (FdsetSource){sparse_pread, file, at + 4096, "test"};
}

static void clear_file(SparseFile *file)
{
    for (guint i = 0; i < file->n; i++)
        g_byte_array_unref(file->bytes[i]);
}

static char *describe(const FdsetGpa *gpa)
{
    GString *text = g_string_new(NULL);

    for (gsize i = 0; i < fdset_gpa_n_ranges(gpa); i++) {
        const FdsetGpaRange *range = fdset_gpa_range(gpa, i);

        g_assert_nonnull(range->how);
        g_string_append_printf(text, "%s" FDSET_HEX "+" FDSET_HEX "=%s@" FDSET_HEX,
                               i == 0 ? "" : " ", range->address, range->length,
                               fdset_ramblock_name(range->block), range->offset);
    }
    return g_string_free(text, FALSE);
}

typedef struct {
    const char *claim, *machine;
    Block blocks[BLOCKS_MAX];
    FdsetChipset chipset;
    const char *overrides[3];
    const char *expected;
    FdsetArch arch;
    guint notes;
} Case;

#define PC "pc-i440fx-10.0"
#define Q35 "pc-q35-10.0"
#define LOW(size) "0x0+" size "=pc.ram@0x0"

static const Case cases[] = {
    {"pc of 3 GiB is one piece",
     PC,
     {{"pc.ram", 3 * GIB}},
     {0},
     {NULL},
     LOW("0xc0000000"),
     FDSET_ARCH_X86_64,
     1},
    {"pc just below 3.5 GiB is one piece",
     PC,
     {{"pc.ram", 3583 * MIB}},
     {0},
     {NULL},
     LOW("0xdff00000"),
     FDSET_ARCH_X86_64,
     1},
    {"pc of 3.5 GiB is split at 3 GiB",
     PC,
     {{"pc.ram", 3584 * MIB}},
     {0},
     {NULL},
     LOW("0xc0000000") " 0x100000000+0x20000000=pc.ram@0xc0000000",
     FDSET_ARCH_X86_64,
     1},
    {"q35 just below 2.75 GiB is one piece",
     Q35,
     {{"pc.ram", 2815 * MIB}},
     {0},
     {NULL},
     LOW("0xaff00000"),
     FDSET_ARCH_X86_64,
     1},
    {"q35 of 2.75 GiB is split at 2 GiB",
     Q35,
     {{"pc.ram", 2816 * MIB}},
     {0},
     {NULL},
     LOW("0x80000000") " 0x100000000+0x30000000=pc.ram@0x80000000",
     FDSET_ARCH_X86_64,
     1},
    {"microvm of 4 GiB is split at 3 GiB",
     "microvm",
     {{"microvm.ram", 4 * GIB}},
     {0},
     {NULL},
     "0x0+0xc0000000=microvm.ram@0x0 0x100000000+0x40000000=microvm.ram@0xc0000000",
     FDSET_ARCH_X86_64,
     0},
    {"the CMOS knows better than the rule",
     Q35,
     {{"pc.ram", 2 * GIB}},
     {TRUE, GIB, GIB, FALSE, {0}},
     {NULL},
     LOW("0x40000000") " 0x100000000+0x40000000=pc.ram@0x40000000",
     FDSET_ARCH_X86_64,
     1},
    {"a CMOS that does not fit is not believed",
     Q35,
     {{"pc.ram", 2 * GIB}},
     {TRUE, GIB, GIB + MIB, FALSE, {0}},
     {NULL},
     LOW("0x80000000"),
     FDSET_ARCH_X86_64,
     1},
    {"the window of VGA is no memory",
     Q35,
     {{"pc.ram", 64 * MIB}, {"0000:00:01.0/vga.vram", MIB}},
     {0},
     {NULL},
     LOW("0xa0000") " 0xc0000+0x3f40000=pc.ram@0xc0000",
     FDSET_ARCH_X86_64,
     2},
    {"firmware ends at 4 GiB, and PAM shows where else",
     PC,
     {{"pc.ram", 64 * MIB}, {"pc.bios", 256 * 1024}, {"pc.rom", 128 * 1024}},
     {FALSE, 0, 0, TRUE, {0x00, 0x33, 0x30, 0x33, 0x33, 0x33, 0x33}},
     {NULL},
     LOW("0xc8000") " 0xc8000+0x4000=pc.rom@0x8000 0xcc000+0x24000=pc.ram@0xcc000 "
                    "0xf0000+0x10000=pc.bios@0x30000 "
                    "0x100000+0x3f00000=pc.ram@0x100000 0xfffc0000+0x40000=pc.bios@0x0",
     FDSET_ARCH_X86_64,
     0},
    {"flash lies below flash",
     Q35,
     {{"pc.ram", MIB}, {"system.flash0", MIB}, {"system.flash1", 512 * 1024}},
     {0},
     {NULL},
     LOW("0x100000") " 0xffe80000+0x80000=system.flash1@0x0 0xfff00000+0x100000=system.flash0@0x0",
     FDSET_ARCH_X86_64,
     1},
    {"nodes are in the order of their numbers",
     Q35,
     {{"ram-node10", MIB}, {"ram-node9", 2 * MIB}},
     {0},
     {NULL},
     "0x0+0x200000=ram-node9@0x0 0x200000+0x100000=ram-node10@0x0",
     FDSET_ARCH_X86_64,
     1},
    {"a node goes across the hole",
     Q35,
     {{"m0", 2 * GIB}, {"m1", GIB}},
     {0},
     {NULL},
     "0x0+0x80000000=m0@0x0 0x100000000+0x40000000=m1@0x0",
     FDSET_ARCH_X86_64,
     1},
    {"backends in no order are not guessed",
     Q35,
     {{"left", MIB}, {"right", MIB}},
     {0},
     {NULL},
     "",
     FDSET_ARCH_X86_64,
     4},
    {"the CMOS tells nodes from a DIMM",
     Q35,
     {{"ram-node0", 32 * MIB}, {"memdimm0", 16 * MIB}},
     {TRUE, 32 * MIB, 0, FALSE, {0}},
     {NULL},
     "0x0+0x2000000=ram-node0@0x0",
     FDSET_ARCH_X86_64,
     2},
    {"a DIMM beside the machine's memory is not placed",
     PC,
     {{"pc.ram", MIB}, {"dimm0", MIB}},
     {0},
     {NULL},
     LOW("0x100000"),
     FDSET_ARCH_X86_64,
     2},
    {"a TiB above 4 GiB may be elsewhere",
     Q35,
     {{"pc.ram", 1024 * GIB}},
     {0},
     {NULL},
     LOW("0x80000000"),
     FDSET_ARCH_X86_64,
     2},
    {"arm virt starts at 1 GiB",
     "virt-10.0",
     {{"mach-virt.ram", MIB}, {"virt.flash0", 4096}},
     {0},
     {NULL},
     "0x0+0x1000=virt.flash0@0x0 0x40000000+0x100000=mach-virt.ram@0x0",
     FDSET_ARCH_AARCH64,
     0},
    {"riscv virt starts at 2 GiB",
     "virt",
     {{"riscv_virt_board.ram", 5 * GIB}},
     {0},
     {NULL},
     "0x80000000+0x140000000=riscv_virt_board.ram@0x0",
     FDSET_ARCH_RISCV64,
     0},
    {"arm virt with backends is known by its flash",
     "virt-10.0",
     {{"m1", MIB}, {"virt.flash0", 4096}, {"m0", MIB}},
     {0},
     {NULL},
     "0x0+0x1000=virt.flash0@0x0 0x40000000+0x100000=m0@0x0 0x40100000+0x100000=m1@0x0",
     FDSET_ARCH_AARCH64,
     0},
    {"riscv virt with a backend is known by its ROM",
     "virt",
     {{"mem", MIB}, {"riscv_virt_board.mrom", 0xf000}},
     {0},
     {NULL},
     "0x1000+0xf000=riscv_virt_board.mrom@0x0 0x80000000+0x100000=mem@0x0",
     FDSET_ARCH_RISCV64,
     0},
    {"another virt is not known",
     "virt-10.0",
     {{"m68k_virt.ram", MIB}},
     {0},
     {NULL},
     "",
     FDSET_ARCH_UNKNOWN,
     1},
    {"machines before 2.0 are not known",
     "pc-i440fx-1.7",
     {{"pc.ram", MIB}},
     {0},
     {NULL},
     "",
     FDSET_ARCH_UNKNOWN,
     1},
    {"a machine of a distribution is",
     "pc-q35-rhel9.6.0",
     {{"pc.ram", MIB}},
     {0},
     {NULL},
     LOW("0x100000"),
     FDSET_ARCH_X86_64,
     1},
    {"what the user says comes first",
     PC,
     {{"pc.ram", MIB}, {"a:b", MIB}},
     {0},
     {"a:b:0x1000:4096:0x2000", NULL},
     LOW("0x2000") " 0x2000+0x1000=a:b@0x1000 0x3000+0xfd000=pc.ram@0x3000",
     FDSET_ARCH_X86_64,
     1},
    {"of an unknown machine it is all",
     "nobody",
     {{"x", MIB}},
     {0},
     {"x:0:0x100000:0x100000", NULL},
     "0x100000+0x100000=x@0x0",
     FDSET_ARCH_UNKNOWN,
     1},
};

static void test_case(gconstpointer data)
{
    const Case *test = data;
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(FdsetGpa) gpa = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *got = NULL;
    FdsetGpaHints hints = {.chipset = &test->chipset, .overrides = test->overrides};
    SparseFile file;

    make_file(&file, test->machine, test->blocks);
    stream = fdset_stream_parse_head(&file.source, 0, &error);
    g_assert_no_error(error);
    gpa = fdset_gpa_new(stream, &hints, &error);
    g_assert_no_error(error);
    got = describe(gpa);
    g_assert_cmpstr(got, ==, test->expected);
    g_assert_cmpint(fdset_gpa_arch(gpa), ==, test->arch);
    g_assert_cmpuint(g_strv_length((char **)fdset_gpa_notes(gpa)), ==, test->notes);
    clear_file(&file);
}

#define DIMM(attributes, size)                                                                     \
    "<memory model='dimm'><target><size unit='KiB'>" size "</size></target><address type='dimm' " \
    attributes "/></memory>"
#define DOMAIN(inside) "<domain><os><type machine='" PC "'>hvm</type></os>" inside "</domain>"

/* What a domain's XML tells besides. */
static const struct {
    const char *claim, *xml;
    Block blocks[BLOCKS_MAX + 1];
    const char *expected;
    guint notes;
} domain_cases[] = {
    {"a DIMM has the place that the domain tells",
     DOMAIN("<devices>" DIMM("slot='3' base='0x100000000'", "1024") "</devices>"),
     {{"pc.ram", MIB}, {"memdimm3", MIB}, {"memdimm1", MIB}},
     "0x0+0x100000=pc.ram@0x0 0x100000000+0x100000=memdimm3@0x0",
     1},
    {"backends of old machine types have a path",
     DOMAIN("<cpu><numa><cell id='0' memory='1024'/></numa></cpu>"
            "<devices>" DIMM("slot='0' base='0x100000000'", "1024") "</devices>"),
     {{"/objects/memdimm0", MIB}, {"/objects/ram-node0", MIB}},
     "0x0+0x100000=/objects/ram-node0@0x0 0x100000000+0x100000=/objects/memdimm0@0x0",
     0},
    {"a DIMM is the only block of its size",
     DOMAIN("<devices>" DIMM("base='0x100000000'", "2048") "</devices>"),
     {{"pc.ram", MIB}, {"m7", 2 * MIB}, {"other", MIB}},
     "0x0+0x100000=pc.ram@0x0 0x100000000+0x200000=m7@0x0",
     1},
    {"a DIMM that may be either of two has no place",
     DOMAIN("<devices>" DIMM("base='0x100000000'", "1024") "</devices>"),
     {{"pc.ram", MIB}, {"x", MIB}, {"y", MIB}},
     "0x0+0x100000=pc.ram@0x0",
     3},
    {"a DIMM does not push other memory away",
     DOMAIN("<devices>" DIMM("slot='0' base='0x80000'", "1024") "</devices>"),
     {{"pc.ram", MIB}, {"memdimm0", MIB}},
     "0x0+0x100000=pc.ram@0x0 0x100000+0x80000=memdimm0@0x80000",
     0},
    {"a DIMM at the end of all addresses has no place",
     DOMAIN("<devices>" DIMM("slot='0' base='0x7fffffffffffffff'", "1024") "</devices>"),
     {{"pc.ram", MIB}, {"memdimm0", MIB}},
     "0x0+0x100000=pc.ram@0x0",
     1},
    {"cells have the order of the domain, whatever else there is",
     DOMAIN("<cpu><numa><cell id='1' memory='1024'/><cell id='0' memory='2048'/></numa></cpu>"),
     {{"ram-node1", MIB}, {"z5", MIB}, {"ram-node0", 2 * MIB}, {"z6", MIB}},
     "0x0+0x200000=ram-node0@0x0 0x200000+0x100000=ram-node1@0x0",
     2},
    {"cells of another size are not believed",
     DOMAIN("<cpu><numa><cell id='0' memory='1024'/><cell id='1' memory='1024'/></numa></cpu>"),
     {{"ram-node1", MIB}, {"ram-node0", 2 * MIB}},
     "0x0+0x200000=ram-node0@0x0 0x200000+0x100000=ram-node1@0x0",
     0},
    {"a domain of another machine is noted",
     "<domain><os><type machine='pc-q35-9.9'/></os></domain>",
     {{"pc.ram", MIB}},
     "0x0+0x100000=pc.ram@0x0",
     1},
};

static void test_domain(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(FdsetDomain) domain = NULL;
    g_autoptr(FdsetGpa) gpa = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *got = NULL;
    FdsetChipset chipset = {.has_pam = TRUE, .pam = {0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33}};
    FdsetGpaHints hints = {.chipset = &chipset};
    SparseFile file;

    domain = fdset_domain_parse(domain_cases[i].xml, strlen(domain_cases[i].xml), "XML", &error);
    g_assert_no_error(error);
    make_file(&file, PC, domain_cases[i].blocks);
    stream = fdset_stream_parse_head(&file.source, 0, &error);
    g_assert_no_error(error);
    hints.domain = domain;
    gpa = fdset_gpa_new(stream, &hints, &error);
    g_assert_no_error(error);
    got = describe(gpa);
    g_assert_cmpstr(got, ==, domain_cases[i].expected);
    g_assert_cmpuint(g_strv_length((char **)fdset_gpa_notes(gpa)), ==, domain_cases[i].notes);
    clear_file(&file);
}

static void test_virtio_mem(void)
{
    const Block blocks[] = {
        {"pc.ram", MIB}, {"0000:00:01.0/vm0", MIB}, {"0000:00:01.0x/vm0", MIB}, {NULL, 0}};
    FdsetChipset chipset = {.has_pam = TRUE,
                            .pam = {0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33},
                            .n_virtio_mems = 2,
                            .virtio_mems = {{"0000:00:01.0", 0x100000000, MIB},
                                            {"0000:00:02.0", 0x200000000, MIB}}};
    FdsetGpaHints hints = {.chipset = &chipset};
    g_autoptr(FdsetStream) stream = NULL;
    g_autoptr(FdsetGpa) gpa = NULL;
    g_autofree char *got = NULL;
    SparseFile file;

    make_file(&file, PC, blocks);
    stream = fdset_stream_parse_head(&file.source, 0, NULL);
    gpa = fdset_gpa_new(stream, &hints, NULL);
    got = describe(gpa);
    g_assert_cmpstr(got, ==,
                    "0x0+0x100000=pc.ram@0x0 0x100000000+0x100000=0000:00:01.0/vm0@0x0");
    clear_file(&file);
}

static void test_overrides(void)
{
    static const char *const bad[] = {
        "",
        "pc.ram",
        "pc.ram:0:4096",
        "pc.ram:0:0:0",
        ":0:4096:0",
        "x:0:1:0",
        "pc.ram:0:-1:0",
        "pc.ram:0:0x200000:0",
        "pc.ram:4096:0x100000:0",
        "pc.ram:0:4096:0x7fffffffffffffff",
        "pc.ram:0xfffffffffffffff0:4096:0",
        "pc.ram:0:4096: 1",
    };
    const Block blocks[] = {{"pc.ram", MIB}, {NULL, 0}};
    g_autoptr(FdsetStream) stream = NULL;
    FdsetChipset chipset = {0};
    SparseFile file;

    make_file(&file, PC, blocks);
    stream = fdset_stream_parse_head(&file.source, 0, NULL);
    g_assert_nonnull(stream);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *const overrides[] = {bad[i], NULL};
        FdsetGpaHints hints = {.chipset = &chipset, .overrides = overrides};
        g_autoptr(GError) error = NULL;

        g_assert_null(fdset_gpa_new(stream, &hints, &error));
        g_assert_error(error, FDSET_ERROR, FDSET_ERROR_USAGE);
    }
    clear_file(&file);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/gpa/%s", cases[i].claim);

        g_test_add_data_func(name, &cases[i], test_case);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(domain_cases); i++) {
        g_autofree char *name = g_strdup_printf("/gpa/domain/%s", domain_cases[i].claim);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_domain);
    }
    g_test_add_func("/gpa/virtio-mem has the place that its section tells", test_virtio_mem);
    g_test_add_func("/gpa/an override that makes no sense is refused", test_overrides);
    return g_test_run();
}
