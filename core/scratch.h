/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scratch.h - page-aligned buffers for requests, and one kept by each thread.
 *
 * For a request of 1 MiB at any offset: as many blocks as it can touch. A buffer
 * lies in one huge page where the kernel gives one: a direct transfer is then
 * one segment for the disk in the place of 256, which a virtual disk rewards. A
 * fresh allocation for each request would cost its page faults every time.
 */
#ifndef FDSET_SCRATCH_H
#define FDSET_SCRATCH_H

#include <glib.h>

#define FDSET_REQUEST_MAX (1u << 20) /* bytes; the kernel's own limit for FUSE requests */
#define FDSET_SCRATCH_SIZE (FDSET_REQUEST_MAX + 2 * 4096u)

/* This thread's own, valid until it asks again; freed with the thread. */
gpointer fdset_scratch(void);

/* One more, FDSET_SCRATCH_SIZE bytes; given back with fdset_buffer_free(). */
gpointer fdset_buffer_new(void);
void fdset_buffer_free(gpointer buf);

#endif
