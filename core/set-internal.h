/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* set-internal.h - what set.c, handle.c and settle.c share. */
#ifndef FDSET_SET_INTERNAL_H
#define FDSET_SET_INTERNAL_H

#include "core/fdrules.h"
#include "core/handle.h"
#include "core/image.h"
#include "core/set.h"

#include <sys/stat.h>

struct FdsetSet {
    gatomicrefcount refs;
    FdsetShared *shared; /* borrowed */
    guint32 id;
    guint32 tag; /* keeps its channel directories from those of a removed set of this number */
    char *name; /* "fdset 7" */
    char *path; /* STORE/7 */
    int store_dirfd; /* borrowed from the store */
    int dirfd;
    GMutex lock;    /* protects all below; never held while waiting for a request */
    GCond changed;  /* a handle was closed, flushed or expelled, or the set has settled */
    FdsetManifest *manifest;
    char *damage;       /* nullable: why the set cannot be used */
    FdsetImage *image;  /* open while there are users */
    guint image_users;
    GPtrArray *writers; /* borrowed FdsetHandle of the session, main first; its channels' owner */
    guint n_readers;
    GPtrArray *descriptors; /* owned FdsetDescriptor of a manager, in the order they came */
    guint16 session_first; /* number of the session's first channel */
    gboolean header_only;  /* the session may only rewrite the header */
    gboolean touched;      /* somebody wrote or truncated in this session */
    gboolean settling;
    gboolean crashed;   /* the next settling follows a crash of the daemon */
    gboolean lost;      /* ... and of the host: what was not synced may be gone */
    gboolean foreign;   /* read-only store: another daemon writes it now */
    struct stat stamp;  /* of the manifest's file when it was loaded */
    char *removed;      /* nullable: the directory's new name */
    char *last_error;   /* nullable */
    gint64 last_write;  /* microseconds since the epoch */
};

struct FdsetHandle {
    FdsetSet *set;         /* owned reference */
    FdsetChannel *channel; /* of the image; NULL: a reader, or refused */
    FdsetDescriptor *descriptor; /* owned, that the open was matched with; NULL: files of ours */
    int refused; /* refuse=write, or expelled: the errno that every write is answered with; 0 */
    gboolean reader;
    gboolean main; /* the first writer of its session, see take_over() */
    gboolean direct;
    gboolean header_only; /* a manager's, see fdset_rules_is_manager() */
    gboolean wrote;   /* protected by the set's lock, as is what follows */
    gboolean flushed; /* nothing was written since the last FLUSH */
};

/* Opens the image, or adds a user to it. Lock held. Errors name the file. */
gboolean fdset_set_use_image(FdsetSet *set, gboolean find_size, GError **error);
/* Drops a user; the last one closes the image. Lock held. */
void fdset_set_drop_image(FdsetSet *set);

/* Takes size and channels over from the image and saves the manifest. Lock held. */
gboolean fdset_set_save(FdsetSet *set, gboolean durable, GError **error);

/* The session has ended: hands the set to a settler. The image is open. Lock held. */
void fdset_set_start_settling(FdsetSet *set);

/*
 * Waits, bounded, while all writers have flushed and are about to be released, and while the set
 * settles. 'flags' are those of the open that waits. Lock held.
 */
void fdset_set_wait_until_settled(FdsetSet *set, int flags);

/*
 * After loading: settles what a crash left unfinished. 'writer' as for
 * fdset_set_load(). Lock held. Errors: the image cannot be opened.
 */
gboolean fdset_set_recover(FdsetSet *set, gboolean writer, GError **error);

/* Usable, and nobody writes it. Lock held. Errors: CORRUPT (damaged), BUSY. */
gboolean fdset_set_check_idle(const FdsetSet *set, GError **error);

/*
 * The descriptor that an open with 'flags' gets: of those that match in access
 * mode and O_DIRECT the one that is used least, and of these the newest. NULL:
 * none matches. Borrowed. Lock held.
 */
FdsetDescriptor *fdset_set_match(const FdsetSet *set, int flags);

/*
 * The rule about its descriptors that an open breaks, or NULL; also NULL for a
 * set without. 'secondary' as in fdrules.h. Lock held.
 */
const FdsetFdRule *fdset_set_check_match(const FdsetSet *set, int flags, gboolean secondary);

/* The channel for a writer that was matched with 'descriptor'. Lock held. */
FdsetChannel *fdset_set_channel_of(FdsetSet *set, const FdsetDescriptor *descriptor,
                                   GError **error);

/* Adds a descriptor, or refuses it (DENIED, BUSY) with a report. */
gboolean fdset_set_add_descriptor(FdsetSet *set, FdsetDescriptor *descriptor, GError **error);

/* Takes one out, or all (negative); FALSE: there is none of that number, or the set has none. */
gboolean fdset_set_remove_descriptor(FdsetSet *set, int fd);

/* Bytes of the manager's file now, or when its last descriptor went. Lock held. */
guint64 fdset_set_file_size(FdsetSet *set);

/* Descriptors of the set as numbers, those for reading first without O_DIRECT; caller unrefs. */
GArray *fdset_set_fd_numbers(const FdsetSet *set);

/* Tells those who watch. Lock held. */
void fdset_set_tell(FdsetSet *set, FdsetEvent event, const char *text);

/* Logs and keeps an incident. 'channel' as for fdset_incidents_add(). Lock held. */
void fdset_set_report(FdsetSet *set, int channel, int errnum, const char *rule, const char *text);

#endif
