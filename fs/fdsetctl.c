/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdsetctl - talks to a running fdsetfs. */
#include "config.h"
#include "core/error.h"
#include "fs/ctl-client-command.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const GError *error)
{
    int status = error->domain == FDSET_ERROR ? fdset_error_to_exit((FdsetError)error->code) : 1;

    fflush(stdout);
    fprintf(stderr, "fdsetctl: %s\n", error->message);
    if (error->domain == FDSET_ERROR && error->code == FDSET_ERROR_USAGE)
        fprintf(stderr, "fdsetctl: --help tells what it takes\n");
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FsCtl) ctl = NULL;
    FsCtlFunc run;

    setlocale(LC_ALL, "");
    ctl = fs_ctl_parse(argc, argv, &run, &error);
    if (!ctl)
        return fail(error);
    if (!run)
        printf("%s", ctl->help ? fs_ctl_help() : "fdsetctl " PACKAGE_VERSION "\n");
    else if (!run(ctl, &error))
        return fail(error);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
