/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/rules.h"

#include <errno.h>
#include <fcntl.h>

/* What can be true of an open; a row of the table names what must and must not be. */
enum {
    WRITE = 1 << 0,       /* O_WRONLY */
    READ = 1 << 1,        /* O_RDONLY */
    RDWR = 1 << 2,        /* O_RDWR   */
    APPEND = 1 << 3,      /* O_APPEND */
    DIRECT = 1 << 4,      /* O_DIRECT */
    TRUNC = 1 << 5,       /* O_TRUNC  */
    SESSION = 1 << 6,     /* a session runs: a writer is a secondary channel   */
    COMPLETE = 1 << 7,    /* the image is complete                             */
    HEADER = 1 << 8,      /* its header may still be rewritten                 */
    MANAGER = 1 << 17,    /* a header lies in front of the running session's stream, all of whose
                             secondary channels have O_DIRECT: one without is its manager's */
    FULL = 1 << 9,        /* as many secondary channels as QEMU can have       */
    DIO_ON = 1 << 10,     /* dio=on                                            */
    DIO_OFF = 1 << 11,    /* dio=off                                           */
    PEER_DIRECT = 1 << 12, /* dio=auto, first secondary channel with O_DIRECT    */
    PEER_PLAIN = 1 << 13, /* dio=auto, first secondary channel without O_DIRECT */
    READERS = 1 << 14,    /* somebody else has the set open for reading        */
    V4 = 1 << 15,         /* rules=v4                                          */
    SEALED = 1 << 16,     /* complete, and sealed                              */
};

struct FdsetRule {
    guint must;
    guint must_not;
    int errnum;
    const char *name;
    const char *what; /* what was opened */
    const char *why;  /* the rule, and what to change */
};

#define SECONDARY (WRITE | SESSION)

static const FdsetRule rules[] = {
    {RDWR, 0, EACCES, "read-write", "an open for reading and writing",
     "a channel is write-only and a reader read-only: open it with O_WRONLY or O_RDONLY"},
    {APPEND, 0, EACCES, "append", "an open with O_APPEND",
     "channels write at offsets of their own: open it without O_APPEND"},
    {READ | TRUNC, 0, EACCES, "read-truncate", "an open for reading with O_TRUNC",
     "truncation is a write: open it with O_WRONLY"},
    {READ | SESSION, COMPLETE, EBUSY, "being-written", "an open for reading",
     "the set is being written: wait until every channel is closed"},
    {SECONDARY | COMPLETE, 0, EBUSY, "header-busy", "a second writer",
     "the header of this complete set is being rewritten: wait until that is closed"},
    {WRITE | COMPLETE | SEALED, 0, EACCES, "sealed", "an open for writing",
     "the set is sealed, its header too: save into another number, or reset or remove this one "
     "first"},
    {WRITE | COMPLETE, HEADER, EACCES, "complete", "an open for writing",
     "the set is complete and does not change any more: save into another number, or remove this "
     "one first (rm)"},
    {WRITE | COMPLETE | TRUNC, 0, EACCES, "complete-truncate", "an open with O_TRUNC",
     "the set is complete, only the header in front of its stream may be rewritten: remove the set "
     "first (rm) to save into it again"},
    {WRITE | DIRECT, SESSION, EACCES, "main-direct", "the main channel with O_DIRECT",
     "the first open of a session is the main channel, which writes unaligned: open it without "
     "O_DIRECT, and only the secondary channels with it"},
    {SECONDARY | TRUNC, 0, EBUSY, "foreign-truncate", "a second open with O_TRUNC",
     "somebody is saving into this set: a second VMM has to use another number"},
    {SECONDARY | FULL, 0, EACCES, "too-many-channels", "one more secondary channel",
     "255 are open, as many as multifd-channels allows: close some first"},
    {SECONDARY | DIO_ON, DIRECT | MANAGER, EACCES, "secondary-without-direct",
     "a secondary channel without O_DIRECT",
     "but dio=on: set the VMM's direct-io parameter on, or mount with dio=auto or dio=off"},
    {SECONDARY | DIO_OFF | DIRECT, 0, EACCES, "secondary-with-direct",
     "a secondary channel with O_DIRECT",
     "but dio=off: set the VMM's direct-io parameter off, or mount with dio=auto or dio=on"},
    {SECONDARY | PEER_DIRECT, DIRECT | MANAGER, EACCES, "secondary-unlike-direct",
     "a secondary channel without O_DIRECT",
     "but this session's first secondary channel had it: all must be alike"},
    {SECONDARY | PEER_PLAIN | DIRECT, 0, EACCES, "secondary-unlike-plain",
     "a secondary channel with O_DIRECT",
     "but this session's first secondary channel had it not: all must be alike"},
    {READ | V4 | READERS, 0, EACCES, "second-reader", "a second reader",
     "rules=v4 has one file description on the destination: share it, or mount with rules=qemu"},
    {READ | V4 | DIRECT, 0, EACCES, "v4-reader-direct", "a reader with O_DIRECT",
     "rules=v4 has one plain read-only file description: open it without O_DIRECT, or mount with "
     "rules=qemu"},
    {READ | DIO_OFF | DIRECT, 0, EACCES, "reader-with-direct", "a reader with O_DIRECT",
     "but dio=off: set the VMM's direct-io parameter off, or mount with dio=auto or dio=on"},
};

static const FdsetRule truncate_foreign = {
    0, 0, EBUSY, "foreign-truncate", "a truncation by a channel that is not the main one",
    "somebody is saving into this set: a second VMM has to use another number"};

static guint facts_of_flags(int flags)
{
    static const guint modes[] = {[O_RDONLY] = READ, [O_WRONLY] = WRITE, [O_RDWR] = RDWR};
    int mode = flags & O_ACCMODE;
    guint facts = mode < (int)G_N_ELEMENTS(modes) ? modes[mode] : RDWR;

    facts |= flags & O_APPEND ? APPEND : 0;
    facts |= flags & O_DIRECT ? DIRECT : 0;
    facts |= flags & O_TRUNC ? TRUNC : 0;
    return facts;
}

static guint facts_of(const FdsetOpen *open)
{
    guint facts = facts_of_flags(open->flags);

    facts |= open->session ? SESSION : 0;
    facts |= open->complete ? COMPLETE : 0;
    facts |= open->header ? HEADER : 0;
    facts |= fdset_rules_is_manager(open) ? MANAGER : 0;
    facts |= open->sealed ? SEALED : 0;
    facts |= open->n_secondary >= FDSET_SECONDARY_MAX ? FULL : 0;
    facts |= open->dio == FDSET_DIO_ON ? DIO_ON : 0;
    facts |= open->dio == FDSET_DIO_OFF ? DIO_OFF : 0;
    if (open->dio == FDSET_DIO_AUTO && open->peer == FDSET_PEER_DIRECT)
        facts |= PEER_DIRECT;
    if (open->dio == FDSET_DIO_AUTO && open->peer == FDSET_PEER_PLAIN)
        facts |= PEER_PLAIN;
    facts |= open->n_readers > 0 ? READERS : 0;
    facts |= open->profile == FDSET_PROFILE_V4 ? V4 : 0;
    return facts;
}

gboolean fdset_rules_is_manager(const FdsetOpen *open)
{
    return open->profile == FDSET_PROFILE_QEMU && open->session && !open->complete &&
           open->header && open->peer == FDSET_PEER_DIRECT &&
           (open->flags & (O_ACCMODE | O_DIRECT)) == O_WRONLY;
}

const FdsetRule *fdset_rules_check(const FdsetOpen *open)
{
    guint facts = facts_of(open);

    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++)
        if ((facts & rules[i].must) == rules[i].must && !(facts & rules[i].must_not))
            return &rules[i];
    return NULL;
}

int fdset_rule_errno(const FdsetRule *rule)
{
    return rule->errnum;
}

gboolean fdset_rule_is_secondary(const FdsetRule *rule)
{
    return (rule->must & SECONDARY) == SECONDARY && !(rule->must & (TRUNC | COMPLETE));
}

const char *fdset_rule_name(const FdsetRule *rule)
{
    return rule->name;
}

char *fdset_rule_explain(const FdsetRule *rule, guint32 id, int flags)
{
    return g_strdup_printf("fdset %u: %s (flags 0x%x), %s", id, rule->what,
                           (guint)(flags & (O_ACCMODE | O_APPEND | O_DIRECT | O_TRUNC)), rule->why);
}

const FdsetRule *fdset_rules_truncate_foreign(void)
{
    return &truncate_foreign;
}
