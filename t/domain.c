/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The XML of a domain: what is taken of it, and what is refused. */
#include "config.h"
#include "core/domain.h"
#include "core/error.h"
#include "core/reader.h"
#include "t/tap.h"

#include <string.h>

#define MEMORY(inside)                                                                             \
    "<domain><devices><memory model='dimm'>" inside "</memory></devices></domain>"

static const struct {
    const char *claim, *xml, *expected;
} taken[] = {
    {"a machine",
     "<domain type='kvm'><os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os></domain>",
     "pc-q35-10.0"},
    {"what libvirt keeps of a domain that runs",
     "<domstatus><domain><os><type machine='virt-10.0'/></os></domain></domstatus>", "virt-10.0"},
    {"comments and a declaration",
     "<?xml version='1.0'?><!-- <os> --><domain><os><type machine='a&amp;b'/></os></domain>",
     "a&b"},
    {"no machine of another element",
     "<domain><sysinfo><os><type machine='x'/></os></sysinfo></domain>", "-"},
    {"cells, sorted, in any unit",
     "<domain><cpu><numa><cell id='1' memory='1' unit='GiB'/><cell id='0' "
     "memory='4'/></numa></cpu></domain>",
     "- cell 0 0x1000 cell 1 0x40000000"},
    {"a cell of a unit that is none",
     "<domain><cpu><numa><cell id='0' memory='4' unit='X'/></numa></cpu></domain>", "- cell 0 0x0"},
    {"a cell of too many bytes",
     "<domain><cpu><numa><cell id='0' memory='9223372036854775807'/></numa></cpu></domain>",
     "- cell 0 0x0"},
    {"a DIMM",
     MEMORY("<target><size unit='MiB'> 512\n</size><node>0</node></target><alias name='dimm4'/>"
            "<address type='dimm' slot='1' base='0x100000000'/>"),
     "- memory memdimm4 0x20000000 0x100000000"},
    {"a DIMM without an alias, by its slot",
     MEMORY("<target><size>4</size></target><address type='dimm' slot='1' base='0x100000000'/>"),
     "- memory memdimm1 0x1000 0x100000000"},
    {"a memory device that has its address in its target",
     MEMORY(
         "<target><size>4</size><address base='0x8000'/></target><address type='pci' slot='0x2'/>"),
     "- memory memdimm2 0x1000 0x8000"},
    {"a memory device without an address", MEMORY("<target><size>4</size></target>"),
     "- memory - 0x1000 -"},
    {"a base that is no number", MEMORY("<address slot='x' base='0x'/>"), "- memory - 0x0 -"},
    {"a size that is too long",
     MEMORY(
         "<target><size>"
         "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "4</size></target>"),
     "- memory - 0x0 -"},
};

static char *describe(const FdsetDomain *domain)
{
    const char *machine = fdset_domain_machine(domain);
    GString *text = g_string_new(machine != NULL ? machine : "-");

    for (gsize i = 0; i < fdset_domain_n_cells(domain); i++) {
        const FdsetDomainCell *cell = fdset_domain_cell(domain, i);

        g_string_append_printf(text, " cell %d " FDSET_HEX, (int)cell->id, cell->size);
    }
    for (gsize i = 0; i < fdset_domain_n_memories(domain); i++) {
        const FdsetDomainMemory *memory = fdset_domain_memory(domain, i);

        g_string_append_printf(text, " memory %s " FDSET_HEX,
                               memory->backend != NULL ? memory->backend : "-", memory->size);
        if (memory->has_base)
            g_string_append_printf(text, " " FDSET_HEX, memory->base);
        else
            g_string_append(text, " -");
    }
    return g_string_free(text, FALSE);
}

static void test_taken(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(FdsetDomain) domain =
        fdset_domain_parse(taken[i].xml, strlen(taken[i].xml), "file x", &error);
    g_autofree char *got = NULL;

    g_assert_no_error(error);
    got = describe(domain);
    g_assert_cmpstr(got, ==, taken[i].expected);
    g_assert_cmpstr(fdset_domain_origin(domain), ==, "file x");
}

/* HEAD, so many times REPEATED, TAIL. */
static const struct {
    const char *claim, *head, *repeated;
    guint times;
    const char *tail;
    int code;
} refused[] = {
    {"nothing", "", "", 0, "", FDSET_ERROR_FORMAT},
    {"no XML", "domain", "", 0, "", FDSET_ERROR_FORMAT},
    {"XML of something else", "<network/>", "", 0, "", FDSET_ERROR_FORMAT},
    {"an end that is missing", "<domain><os>", "", 0, "", FDSET_ERROR_FORMAT},
    {"bytes that are no UTF-8", "<domain>\xff</domain>", "", 0, "", FDSET_ERROR_FORMAT},
    {"an entity of its own", "<!DOCTYPE a [<!ENTITY b 'c'>]><domain>&b;</domain>", "", 0, "",
     FDSET_ERROR_FORMAT},
    {"elements that are too deep", "<domain>", "<a>", 65, "", FDSET_ERROR_LIMIT},
    {"a name that is too long", "<domain><", "aaaaaaaaaaaaaaaa", 17, "/></domain>",
     FDSET_ERROR_LIMIT},
    {"too many cells", "<domain><cpu><numa>", "<cell/>", 1025, "</numa></cpu></domain>",
     FDSET_ERROR_LIMIT},
    {"too many memory devices", "<domain><devices>", "<memory/>", 1025, "</devices></domain>",
     FDSET_ERROR_LIMIT},
    {"too many bytes", "<domain>", "                ", 65536, "</domain>", FDSET_ERROR_LIMIT},
};

static void test_refused(gconstpointer data)
{
    gsize i = GPOINTER_TO_SIZE(data);
    g_autoptr(GString) xml = g_string_new(refused[i].head);
    g_autoptr(GError) error = NULL;

    for (guint n = 0; n < refused[i].times; n++)
        g_string_append(xml, refused[i].repeated);
    g_string_append(xml, refused[i].tail);
    g_assert_null(fdset_domain_parse(xml->str, xml->len, "file x", &error));
    g_assert_error(error, FDSET_ERROR, refused[i].code);
    g_assert_nonnull(strstr(error->message, "file x"));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    for (gsize i = 0; i < G_N_ELEMENTS(taken); i++) {
        g_autofree char *name = g_strdup_printf("/domain/taken/%s", taken[i].claim);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_taken);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *name = g_strdup_printf("/domain/refused/%s", refused[i].claim);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_refused);
    }
    return g_test_run();
}
