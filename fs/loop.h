/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.h - the request loop: threads that read requests and process them.
 *
 * libfuse's own loop, where it hands out aligned payloads (3.17 and later).
 * Before that a loop over the same calls whose buffers are placed so that the
 * payload of a write begins on a page boundary: it goes to an O_DIRECT file as
 * it is, without a copy of every byte. Each thread has a descriptor of
 * /dev/fuse of its own (clone_fd) and one buffer; threads are started when all
 * others are busy and end when too many are idle.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

#include "fs/fuse.h"

#include <glib.h>

/*
 * Serves until the session is unmounted or told to exit; 'one_thread' in the
 * calling thread alone. Returns 0, the signal that ended it, or -errno.
 */
int fs_loop_run(struct fuse_session *session, gboolean one_thread);

#endif
