/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mkstream - a small complete migration stream for stories without a QEMU.
 *
 *   mkstream [START [PAGES [FORM [NAME]]]] >FILE
 *
 * START zeros in front of it (0), one block of PAGES pages (300) called NAME
 * (pc.ram), as mapped-ram or, when FORM is "plain", in the streaming format,
 * which has no offsets within the file.
 */
#include "config.h"
#include "t/streamwriter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    StreamBlock block = {.name = "pc.ram", .pages = 300};
    StreamShape shape = {.capability = "mapped-ram", .blocks = &block, .n_blocks = 1};
    g_autoptr(StreamFile) file = NULL;

    if (argc > 1)
        shape.start = g_ascii_strtoull(argv[1], NULL, 10);
    if (argc > 2)
        block.pages = g_ascii_strtoull(argv[2], NULL, 10);
    if (argc > 3 && strcmp(argv[3], "plain") == 0)
        shape.capability = NULL;
    if (argc > 4)
        block.name = argv[4];
    file = stream_file_new(&shape);
    if (fwrite(file->bytes->data, 1, file->bytes->len, stdout) != file->bytes->len ||
        fflush(stdout) != 0) {
        perror("mkstream");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
