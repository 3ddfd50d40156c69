/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon.h - going to the background, and the log that still works there.
 *
 * The process forks before it does anything, and the parent waits until the
 * child says how it went: errors are printed where the user sees them, threads
 * and locks belong to the process that stays.
 */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include <glib.h>

/*
 * Forks. In the child it returns a descriptor for fs_daemon_ready(); the parent
 * stays in here and exits with the child's verdict. -1: cannot fork (errno).
 */
int fs_daemon_start(void);

/*
 * Detaches from the terminal and lets the parent exit with status 0. 'null' is
 * an open /dev/null, taken over, for a process that can open it no more; or -1.
 */
void fs_daemon_ready(int fd, int null);

/*
 * libfuse ends its threads with pthread_cancel(), for which the C library loads
 * libgcc_s on first use, and aborts where it cannot open a file any more. After
 * this it is loaded.
 */
void fs_daemon_prepare_cancel(void);

/* Log messages go to stderr ('daemon' FALSE), or to the journal or syslog. */
void fs_log_init(gboolean daemon, gboolean debug);

#endif
