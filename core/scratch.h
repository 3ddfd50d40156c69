/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scratch.h - a page-aligned buffer for one request, kept by each thread.
 *
 * For a request of 1 MiB at any offset: as many blocks as it can touch. Valid
 * until the same thread asks for it again; freed with the thread. A fresh
 * allocation for each request would cost its page faults every time. It lies in
 * one huge page where the kernel gives one: a direct transfer is then one
 * segment for the disk in the place of 256, which a virtual disk rewards.
 */
#ifndef FDSET_SCRATCH_H
#define FDSET_SCRATCH_H

#include <glib.h>

#define FDSET_REQUEST_MAX (1u << 20) /* bytes; the kernel's own limit for FUSE requests */
#define FDSET_SCRATCH_SIZE (FDSET_REQUEST_MAX + 2 * 4096u)

gpointer fdset_scratch(void);

#endif
