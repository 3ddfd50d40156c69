/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * badfile - writes the files of the corpus for stories.
 *
 *   badfile DIRECTORY   writes all of them there, and for each a line on stdout:
 *                       name, exit status of fdsetfs (0: its head is shown), words
 *                       of its error, separated by tabs
 */
#include "config.h"
#include "core/error.h"
#include "t/bad/cases.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: badfile DIRECTORY\n");
        return 2;
    }
    for (gsize i = 0; i < bad_n_cases(); i++) {
        const BadCase *bad = bad_case(i);
        g_autoptr(GByteArray) file = bad_file(i);
        g_autofree char *path = g_build_filename(argv[1], bad->name, NULL);
        g_autoptr(GError) error = NULL;

        if (!g_file_set_contents(path, (const char *)file->data, file->len, &error)) {
            fprintf(stderr, "badfile: %s\n", error->message);
            return 1;
        }
        printf("%s\t%d\t%s\n", bad->name,
               bad->shown ? 0 : fdset_error_to_exit((FdsetError)bad->code), bad->words);
    }
    return 0;
}
