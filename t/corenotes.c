/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * corenotes - prints the notes of an ELF64 core, a line for each: its name, its
 * type and its bytes in hex. As readelf -n, which does not show those of
 * another architecture.
 */
#include "config.h"

#include <elf.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX (1024 * 1024) /* notes lie in front of memory */

static G_NORETURN void die(const char *what)
{
    fprintf(stderr, "corenotes: %s\n", what);
    exit(1);
}

static gsize padded(gsize len)
{
    return (len + 3) / 4 * 4;
}

static void print_notes(const guint8 *bytes, gsize len)
{
    for (gsize at = 0; at + sizeof(Elf64_Nhdr) <= len;) {
        Elf64_Nhdr note;
        gsize name = at + sizeof note, desc, end;

        memcpy(&note, bytes + at, sizeof note);
        desc = name + padded(note.n_namesz);
        end = desc + padded(note.n_descsz);
        if (end > len)
            die("a note does not end with its segment");
        printf("%.*s %u ", (int)note.n_namesz, (const char *)bytes + name, note.n_type);
        for (gsize i = 0; i < note.n_descsz; i++)
            printf("%02x", bytes[desc + i]);
        putchar('\n');
        at = end;
    }
}

int main(int argc, char **argv)
{
    g_autofree guint8 *bytes = g_malloc(HEAD_MAX);
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    Elf64_Ehdr header;
    gsize len;

    if (file == NULL)
        die("usage: corenotes FILE");
    len = fread(bytes, 1, HEAD_MAX, file);
    fclose(file);
    if (len < sizeof header)
        die("no ELF header");
    memcpy(&header, bytes, sizeof header);
    for (guint i = 0; i < header.e_phnum; i++) {
        gsize at = (gsize)header.e_phoff + i * sizeof(Elf64_Phdr);
        Elf64_Phdr segment;

        if (at + sizeof segment > len)
            die("program headers are too far");
        memcpy(&segment, bytes + at, sizeof segment);
        if (segment.p_type == PT_NOTE && segment.p_offset + segment.p_filesz <= len)
            print_notes(bytes + segment.p_offset, segment.p_filesz);
    }
    return EXIT_SUCCESS;
}
