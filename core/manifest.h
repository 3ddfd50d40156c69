/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manifest.h - what a store keeps about one set besides its bytes.
 *
 * The file "manifest" of a set's directory (keyfile.h): plain data, loaded and
 * saved whole. "session" is TRUE on disk while somebody writes, so that a crash
 * is noticed; "durable" once everything the manifest speaks of was synced
 * before it. "boot" names the run of the host that wrote it: what was written
 * but not synced survives the daemon, not the host.
 */
#ifndef FDSET_MANIFEST_H
#define FDSET_MANIFEST_H

#include "core/channel.h"
#include "core/digest.h"

typedef enum {
    FDSET_STATE_PARTIAL,  /* its stream does not parse to the end */
    FDSET_STATE_COMPLETE, /* it does                              */
} FdsetState;

/* Where the bytes of a set are. */
typedef enum {
    FDSET_BACKING_STORE, /* in files of ours                                                */
    FDSET_BACKING_FILE,  /* in one file of a manager, who handed descriptors over           */
    FDSET_BACKING_FILES, /* in several files of a manager, put together with our block map  */
} FdsetBacking;

typedef struct {
    guint32 id;
    FdsetBacking backing;
    FdsetState state;
    char *reason; /* why partial, or NULL */
    gboolean session;
    gboolean durable;
    gboolean sealed;    /* complete, and its header is not writable either */
    guint64 generation; /* counts sessions */
    guint64 size;       /* bytes of the image */
    guint64 stream_offset;
    guint64 data_blocks; /* blocks that are not holes */
    guint32 mode;        /* permission bits */
    guint32 uid;
    guint32 gid;
    gint64 mtime; /* nanoseconds since the epoch */
    FdsetKey key;
    char *boot;                   /* the host's boot id */
    guint8 sums[FDSET_SUM_SIZE];  /* digest of the file "sums"; zero: there is none */
    GPtrArray *channels;          /* of FdsetChannelInfo, by number */
} FdsetManifest;

FdsetManifest *fdset_manifest_new(guint32 id, const FdsetKey *key);
FdsetManifest *fdset_manifest_copy(const FdsetManifest *manifest);
void fdset_manifest_free(FdsetManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetManifest, fdset_manifest_free)

/*
 * Loads "manifest" in 'dirfd', which must be that of set 'id'. 'path' is what
 * messages call it. Errors: NOT_FOUND, SYSTEM, CORRUPT, VERSION.
 */
FdsetManifest *fdset_manifest_load(int dirfd, guint32 id, const char *path, GError **error);
gboolean fdset_manifest_save(const FdsetManifest *manifest, int dirfd, const char *path,
                             gboolean durable, GError **error);

/* The name of a state as users see it: "partial" or "complete". */
const char *fdset_state_name(FdsetState state);

/* The name of a backing: "store", "file" or "files". */
const char *fdset_backing_name(FdsetBacking backing);

/* The host's boot id (Linux: /proc/sys/kernel/random/boot_id), or "unknown"; caller frees. */
char *fdset_boot_id(void);

#endif
