/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * set.h - one numbered set: its state, its session, its image.
 *
 * A set is idle, or a session writes it, or it settles: after the last writer
 * has closed it, its stream is parsed (complete or partial), then everything is
 * synced and the manifest says so (durable). Opens wait, bounded, while a set
 * settles or while all writers have flushed and are about to be released, so
 * that "cp file MOUNT/7 && cmp file MOUNT/7" works. Reference-counted and
 * thread-safe; what is opened (handle.h) keeps the set alive.
 */
#ifndef FDSET_SET_H
#define FDSET_SET_H

#include "core/incident.h"
#include "core/manifest.h"
#include "core/policy.h"

/* What happens to a set, for those who watch. */
typedef enum {
    FDSET_EVENT_SESSION_STARTED,
    FDSET_EVENT_PARTIAL,  /* text: why */
    FDSET_EVENT_COMPLETE,
    FDSET_EVENT_DURABLE,
    FDSET_EVENT_REFUSED, /* text: the reason */
} FdsetEvent;

/*
 * Told in the thread where it happens, with the set's lock held: it must not
 * call back into core/, only take note. 'text' is borrowed and may be NULL.
 */
typedef void (*FdsetEventFunc)(gpointer data, FdsetEvent event, guint32 id, const char *text);

/* What the sets of one store share; lives longer than any of them. */
typedef struct {
    const FdsetPolicy *policy;
    FdsetIncidents *incidents;
    char *path;            /* the store's directory, absolute */
    char *uuid;            /* names the store in channel directories */
    GThreadPool *settlers; /* takes references to sets; NULL on a read-only store */
    FdsetEventFunc event;  /* nullable; atomic: sets may settle already when it is given */
    gpointer event_data;
} FdsetShared;

typedef struct FdsetSet FdsetSet;

/* Makes STORE/N anew. Errors: SYSTEM, NO_SPACE. */
FdsetSet *fdset_set_create(FdsetShared *shared, int store_dirfd, guint32 id, const FdsetKey *key,
                           guint32 mode, guint32 uid, guint32 gid, GError **error);

/*
 * Loads STORE/N. A set that is damaged is loaded all the same: it is listed, and
 * every open of it fails with the reason. 'writer' says, for a read-only store,
 * whether some other daemon has it for writing now. After a crash a writable
 * store settles the set anew. NULL only when there is no such set.
 */
FdsetSet *fdset_set_load(FdsetShared *shared, int store_dirfd, guint32 id, gboolean writer);

/* FALSE when another process replaced the manifest since, or was writing the set then. */
gboolean fdset_set_is_current(FdsetSet *set);

FdsetSet *fdset_set_ref(FdsetSet *set);
void fdset_set_unref(FdsetSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetSet, fdset_set_unref)

guint32 fdset_set_id(const FdsetSet *set);

/* With its number it names this set and no other that has the number later; not after a restart. */
guint32 fdset_set_tag(const FdsetSet *set);

typedef enum {
    FDSET_STATUS_WRITING,
    FDSET_STATUS_PARTIAL,
    FDSET_STATUS_COMPLETE,
    FDSET_STATUS_DURABLE,
    FDSET_STATUS_DAMAGED,
} FdsetStatus;

/* The word for it in xattrs and JSON: "writing", "partial", ... */
const char *fdset_status_name(FdsetStatus status);

typedef struct {
    FdsetStatus status;
    gboolean stable;    /* complete: content, size and times do not change any more */
    guint64 size;       /* bytes */
    guint64 data_bytes; /* bytes that are not in holes */
    guint64 stream_offset;
    guint n_channels;
    guint32 mode;
    guint32 uid;
    guint32 gid;
    gint64 mtime; /* nanoseconds since the epoch */
} FdsetSetInfo;

void fdset_set_info(FdsetSet *set, FdsetSetInfo *info);

/* Why the last request of this set was refused or failed, or why it is partial; NULL: nothing. */
char *fdset_set_last_error(FdsetSet *set);

/* What chmod, chown and utimens change; kept in the manifest. NULL: as it was. 0 or -errno. */
int fdset_set_change(FdsetSet *set, const guint32 *mode, const guint32 *uid, const guint32 *gid,
                     const gint64 *mtime);

/* truncate(2) by path: a session of its own. 0 or -errno. */
int fdset_set_truncate(FdsetSet *set, guint64 size);

/*
 * The set's directory was renamed to 'name' in the store: its files go when the
 * last user of the set does.
 */
void fdset_set_mark_removed(FdsetSet *set, const char *name);

/* Deletes a removed set whose files a crash left behind in the directory 'name'. */
void fdset_set_purge(FdsetShared *shared, int store_dirfd, guint32 id, const char *name);

/* The work of a settler thread; 'shared' is unused (GFunc of FdsetShared.settlers). */
void fdset_set_settle(gpointer set, gpointer shared);

#endif
