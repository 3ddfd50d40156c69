/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * confine.h - what a process that looks into a hostile file may still do.
 *
 * In two steps, each for good and for all threads. The first comes before a byte
 * of the file is parsed: no new privileges, no capabilities, no network, no
 * program, no other process, and files are changed in one directory only. The
 * second, before the first request is served: no file is opened any more either.
 * A system call that is not allowed fails with EPERM.
 *
 * Capabilities and Landlock are those of the calling thread and of what it starts
 * later, so the first step is taken while there is no other thread.
 */
#ifndef FS_CONFINE_H
#define FS_CONFINE_H

#include <glib.h>

/* Was fdsetfs built with libseccomp? Without it nothing is confined, and both steps succeed. */
gboolean fs_confine_is_built(void);

/*
 * The first step. Files may be made, changed and removed beneath 'writable', an
 * open directory (-1: nowhere), where the kernel has Landlock. Errors: SYSTEM.
 */
gboolean fs_confine_parse(int writable, GError **error);

/* The second step. Errors: SYSTEM. */
gboolean fs_confine_serve(GError **error);

#endif
