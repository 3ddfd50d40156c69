/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * world.h - a store with a set in it, and what a VMM does with that set, for the
 * tests of sessions. What is called ..._ok fails the test when it is refused.
 */
#ifndef FDSET_WORLD_H
#define FDSET_WORLD_H

#include "core/handle.h"
#include "core/store.h"
#include "t/fixture.h"
#include "t/streamwriter.h"

#define HEADER 67644 /* bytes in front of the stream, as in a file of libvirt */
#define DIRECT (O_WRONLY | O_DIRECT)

typedef struct {
    Dir *dir;  /* of the store */
    Dir *disk; /* for channels, or NULL */
    FdsetPolicy policy;
    char *channel_dirs[2];
    FdsetStore *store;
    FdsetSet *set;   /* number 7 */
    GString *events; /* S, P, C, D, R as they were told; protected by lock */
    GMutex lock;
} World;

extern const FdsetPolicy world_defaults;
extern const StreamShape world_plain;      /* a complete stream at 0        */
extern const StreamShape world_header;     /* one behind HEADER bytes       */
extern const StreamShape world_unfinished; /* one that ends within its RAM */

World *world_new(const FdsetPolicy *policy);
/* Secondary channels lie in a directory of their own. */
World *world_new_with_disk(void);
/* Nothing but a directory, for a child to fill. */
World *world_new_closed(void);
void world_open(World *world);
void world_close(World *world);
void world_reopen(World *world);
void world_free(World *world);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

FdsetHandle *world_open_ok(const World *world, int flags);
/* The open is answered with 'errnum', and its reason names the set. */
void world_open_fails(const World *world, int flags, int errnum);

FdsetSetInfo set_info(FdsetSet *set);
gboolean set_is_durable(gpointer set);
gboolean set_is_partial(gpointer set);
/* Nobody writes it, and the verdict on its stream is out. */
gboolean set_is_settled(gpointer set);
/* Fails the test, with the set's own reason, unless it is partial. */
void set_check_partial(FdsetSet *set);

void handle_write_ok(FdsetHandle *handle, gconstpointer data, gsize len, guint64 offset);
/* As the kernel does: FLUSH at close(2), RELEASE after it. */
void handle_close_file(FdsetHandle *handle);

/* Blocks in turn through the 'n' handles, what is not aligned through the first. */
void world_write_stream(const StreamFile *file, guint64 start, FdsetHandle *const *handles,
                        guint n);
/* A whole save as QEMU makes it; 'flags' are those of the secondary channels. */
void world_save(const World *world, const StreamFile *file, guint64 start, guint n_secondary,
                int flags);

/* The image is these bytes and no more. */
void world_check_content(const World *world, const guint8 *bytes, gsize len);
void world_check_file(const World *world, const StreamFile *file);

#endif
