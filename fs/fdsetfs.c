/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdsetfs - serves a store of fdsets for VM migration files, or the inside of one such file. */
#include "config.h"
#include "core/error.h"
#include "fs/daemon.h"
#include "fs/mount.h"
#include "fs/options.h"
#include "fs/view-mount.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(GError *error)
{
    int status = error->domain == FDSET_ERROR ? fdset_error_to_exit((FdsetError)error->code) : 1;

    fprintf(stderr, "fdsetfs: %s\n", error->message);
    if (status == 2)
        fprintf(stderr, "fdsetfs: --help tells what it takes\n");
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FsOptions) options = fs_options_parse(argc, argv, &error);
    int ready = -1;

    if (!options)
        return fail(error);
    if (options->help || options->version) {
        printf("%s", options->help ? fs_options_help() : PACKAGE_STRING "\n");
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (!options->foreground && (ready = fs_daemon_start()) < 0) {
        perror("fdsetfs: cannot go to the background");
        return EXIT_FAILURE;
    }
    fs_log_init(!options->foreground, options->debug);
    if (fs_view_is_wanted(options))
        return fs_view_serve(options, ready, &error) ? EXIT_SUCCESS : fail(error);
    return fs_serve(options, ready, &error) ? EXIT_SUCCESS : fail(error);
}
