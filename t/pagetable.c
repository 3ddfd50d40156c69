/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagetable - reads guest memory at a virtual address, as the CPU would, out of
 * a file of any of the formats that show guest memory: it is a reader of its
 * own for each, written from the format's description alone.
 *
 *   pagetable FILE TABLE ADDRESS BYTES
 *       prints the physical address and the text there, to the first NUL or newline
 *
 * TABLE is the content of CR3: four levels, pages of 4 KiB, 2 MiB and 1 GiB
 * (Intel's manual, volume 3, 4.5). FILE is an ELF64 core, LiME's format (doc of
 * its format 1: be sure of nothing but a header of 32 bytes before each range),
 * or memory as it is.
 */
#include "config.h"

#include <elf.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIME_MAGIC 0x4c694d45u
#define LIME_HEADER 32
#define LEVELS 4
#define ENTRY_PRESENT 1u
#define ENTRY_LARGE 0x80u
#define ADDRESS_MASK G_GUINT64_CONSTANT(0x000ffffffffff000)
#define TEXT_MAX 4096

/* Where a range of guest memory is in the file. */
typedef struct {
    guint64 address, length, offset;
} Range;

typedef struct {
    int fd;
    GArray *ranges; /* of Range */
} Memory;

static G_NORETURN void die(const char *what)
{
    fprintf(stderr, "pagetable: %s\n", what);
    exit(1);
}

static void read_file(int fd, gpointer buf, gsize len, guint64 offset)
{
    if (pread(fd, buf, len, (off_t)offset) != (gssize)len)
        die("the file is too short");
}

static guint64 le(const guint8 *bytes, int n)
{
    guint64 value = 0;

    while (n-- > 0)
        value = value << 8 | bytes[n];
    return value;
}

static void add_range(Memory *memory, guint64 address, guint64 length, guint64 offset)
{
    Range range = {address, length, offset};

    g_array_append_val(memory->ranges, range);
}

static void read_elf(Memory *memory)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    read_file(memory->fd, &header, sizeof header, 0);
    for (guint i = 0; i < header.e_phnum; i++) {
        read_file(memory->fd, &segment, sizeof segment, header.e_phoff + i * sizeof segment);
        if (segment.p_type == PT_LOAD)
            add_range(memory, segment.p_paddr, segment.p_filesz, segment.p_offset);
    }
}

static void read_lime(Memory *memory, guint64 size)
{
    guint8 header[LIME_HEADER];

    for (guint64 at = 0; at < size;) {
        guint64 first, last;

        read_file(memory->fd, header, sizeof header, at);
        first = le(header + 8, 8);
        last = le(header + 16, 8);
        if (le(header, 4) != LIME_MAGIC || le(header + 4, 4) != 1 || last < first)
            die("no LiME header where one has to be");
        add_range(memory, first, last - first + 1, at + LIME_HEADER);
        at += LIME_HEADER + (last - first + 1);
    }
}

static void read_ranges(Memory *memory)
{
    guint64 size = (guint64)lseek(memory->fd, 0, SEEK_END);
    guint8 magic[4];

    read_file(memory->fd, magic, sizeof magic, 0);
    if (memcmp(magic, ELFMAG, SELFMAG) == 0)
        read_elf(memory);
    else if (le(magic, 4) == LIME_MAGIC)
        read_lime(memory, size);
    else
        add_range(memory, 0, size, 0);
}

static void read_memory(const Memory *memory, gpointer buf, gsize len, guint64 address)
{
    for (guint i = 0; i < memory->ranges->len; i++) {
        const Range *range = &g_array_index(memory->ranges, Range, i);

        if (address >= range->address && address - range->address < range->length) {
            read_file(memory->fd, buf, len, range->offset + (address - range->address));
            return;
        }
    }
    die("no memory at a physical address");
}

static guint64 translate(const Memory *memory, guint64 table, guint64 address)
{
    guint64 entry = table;

    for (int level = LEVELS - 1; level >= 0; level--) {
        int shift = 12 + 9 * level;
        guint64 at = (entry & ADDRESS_MASK) + (address >> shift & 511) * 8;
        guint8 bytes[8];

        read_memory(memory, bytes, sizeof bytes, at);
        entry = le(bytes, 8);
        if ((entry & ENTRY_PRESENT) == 0)
            die("not mapped");
        if (level > 0 && (entry & ENTRY_LARGE) != 0) {
            guint64 within = (G_GUINT64_CONSTANT(1) << shift) - 1;

            return (entry & ADDRESS_MASK & ~within) | (address & within);
        }
    }
    return (entry & ADDRESS_MASK) | (address & 4095);
}

int main(int argc, char **argv)
{
    Memory memory = {.ranges = g_array_new(FALSE, FALSE, sizeof(Range))};
    char text[TEXT_MAX + 1] = "";
    guint64 address, len;

    if (argc != 5 || (len = strtoull(argv[4], NULL, 0)) > TEXT_MAX)
        die("usage: pagetable FILE TABLE ADDRESS BYTES");
    memory.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (memory.fd < 0)
        die("cannot open the file");
    read_ranges(&memory);
    address = translate(&memory, strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
    read_memory(&memory, text, (gsize)len, address);
    text[strcspn(text, "\n")] = '\0';
    printf("0x%" G_GINT64_MODIFIER "x %s\n", address, text);
    g_array_unref(memory.ranges);
    close(memory.fd);
    return EXIT_SUCCESS;
}
