/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/error.h"
#include "t/tap.h"

#include <errno.h>

static void test_every_code_maps(void)
{
    for (int code = FDSET_ERROR_SYSTEM; code <= FDSET_ERROR_LIMIT; code++) {
        g_assert_cmpint(fdset_error_to_errno(code), >, 0);
        g_assert_cmpint(fdset_error_to_exit(code), >, 0);
    }
    g_assert_cmpint(fdset_error_to_errno(FDSET_ERROR_DENIED), ==, EACCES);
    g_assert_cmpint(fdset_error_to_errno(FDSET_ERROR_BUSY), ==, EBUSY);
}

static void test_full_disk_is_its_own_code(void)
{
    g_autoptr(GError) error = NULL;

    fdset_error_set_errno(&error, ENOSPC, "store/7/map: cannot write at %d", 12);
    g_assert_error(error, FDSET_ERROR, FDSET_ERROR_NO_SPACE);
    g_assert_cmpstr(error->message, ==, "store/7/map: cannot write at 12: No space left on device");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/error/every code has an errno and an exit status", test_every_code_maps);
    g_test_add_func("/error/a full disk is its own code", test_full_disk_is_its_own_code);
    return g_test_run();
}
