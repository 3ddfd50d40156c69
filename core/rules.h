/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rules.h - the open rules of an fdset: may this open() go on, and if not, why.
 *
 * One table (rules.c) and one pure function over the facts of one open. The
 * first row that applies refuses; when none does, the open is allowed. Roles
 * follow from the facts: a writer is the main channel when no session runs and
 * secondary otherwise; a reader is first when no other reader has the set open.
 * Source of the rules: QEMU's migration documentation for fdsets (9.1 and
 * later) and, for the v4 profile, the fixed-ram series of February 2024.
 */
#ifndef FDSET_RULES_H
#define FDSET_RULES_H

#include <glib.h>

typedef enum {
    FDSET_PROFILE_QEMU, /* rules=qemu: QEMU >= 9.1          */
    FDSET_PROFILE_V4,   /* rules=v4: the February 2024 series, to the letter */
} FdsetProfile;

typedef enum {
    FDSET_DIO_AUTO, /* follows the first secondary channel of a session */
    FDSET_DIO_ON,
    FDSET_DIO_OFF,
} FdsetDio;

typedef enum {
    FDSET_PEER_NONE,   /* no secondary channel in this session yet      */
    FDSET_PEER_PLAIN,  /* the first one was opened without O_DIRECT     */
    FDSET_PEER_DIRECT, /* the first one was opened with O_DIRECT        */
} FdsetPeer;

/* QEMU's multifd-channels parameter is 1 to 255. */
#define FDSET_SECONDARY_MAX 255

/* The facts of one open of a path-backed set. */
typedef struct {
    FdsetProfile profile;
    FdsetDio dio;
    int flags;         /* as open(2) got them; O_CREAT, O_LARGEFILE and the like are ignored */
    gboolean session;  /* a session runs                                        */
    gboolean complete; /* the image is complete                                 */
    gboolean header;   /* bytes in front of the stream may be rewritten         */
    gboolean sealed;   /* nothing of a complete image may be rewritten any more */
    guint n_secondary; /* secondary channels open in the session                */
    FdsetPeer peer;    /* how the session's first secondary channel was opened  */
    guint n_readers;   /* readers that have the set open                        */
} FdsetOpen;

typedef struct FdsetRule FdsetRule;

/* The rule that refuses this open, or NULL when it is allowed. Pure. */
const FdsetRule *fdset_rules_check(const FdsetOpen *open);

/*
 * TRUE for a manager that comes back to its header before the VMM has closed: a
 * writer without O_DIRECT in a session whose secondary channels have it. What it
 * writes must lie in front of the stream. (libvirt, since 11.2, marks the file
 * as finished while QEMU still holds the descriptors it was given.) Pure.
 */
gboolean fdset_rules_is_manager(const FdsetOpen *open);

/* The errno (positive) that the refusal is answered with: EACCES or EBUSY. */
int fdset_rule_errno(const FdsetRule *rule);

/* TRUE for a rule about a secondary channel, whose refusal kills QEMU 10.x at open(). */
gboolean fdset_rule_is_secondary(const FdsetRule *rule);

/*
 * The reason in a user's words: which set, what was opened, which rule, and what
 * to change. Caller frees.
 */
char *fdset_rule_explain(const FdsetRule *rule, guint32 id, int flags);

/* The name of a rule, stable, for scripts ("secondary-without-direct"). */
const char *fdset_rule_name(const FdsetRule *rule);

/* The rule by which a truncation of a running session by anyone but main is refused. */
const FdsetRule *fdset_rules_truncate_foreign(void);

#endif
