/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/fdrules.h"

#include <fcntl.h>

/* What can be true of an add-fd or an open; a row names what must and must not be. */
enum {
    WRITE = 1 << 0,      /* write-only */
    READ = 1 << 1,       /* read-only  */
    RDWR = 1 << 2,       /* read-write */
    APPEND = 1 << 3,     /* O_APPEND; at open(): one of the set got it since */
    DIRECT = 1 << 4,     /* O_DIRECT */
    V4 = 1 << 5,         /* rules=v4 */
    DIO_ON = 1 << 6,     /* dio=on   */
    DIO_OFF = 1 << 7,    /* dio=off  */
    SOURCE = 1 << 8,     /* the set has write-only descriptors       */
    DEST = 1 << 9,       /* the set has read-only ones               */
    HAS_DIRECT = 1 << 10, /* ... one of them with O_DIRECT           */
    HAS_PLAIN = 1 << 11, /* ... one of them without                  */
    TWO = 1 << 12,       /* ... two of them                          */
    FULL = 1 << 13,      /* ... as many as there can be              */
    DUPLICATE = 1 << 14, /* a copy of one of them                    */
    SECONDARY = 1 << 15, /* the open is for a secondary channel      */
    /* what a descriptor is, when it is no regular file */
    DIRECTORY = 1 << 16,
    PIPE = 1 << 17,
    SOCKET = 1 << 18,
    DEVICE = 1 << 19,
    OTHER = 1 << 20,
    OWN = 1 << 21,
    TWO_DIRECT = 1 << 23, /* ... two of them with O_DIRECT: it was switched on since */
    MISSING = 1 << 22,   /* at open(): not all files of the save are here */
};

struct FdsetFdRule {
    guint must;
    guint must_not;
    const char *name;
    const char *what;
    const char *why;
};

static const FdsetFdRule add_rules[] = {
    {OWN, 0, "fd-own-mount", "a descriptor of a file on this very mount",
     "fdsetfs would wait for itself: hand over descriptors of files elsewhere"},
    {DIRECTORY, 0, "fd-directory", "a descriptor of a directory",
     "channels need regular files: open a file in it"},
    {PIPE, 0, "fd-pipe", "a descriptor of a pipe",
     "channels write at offsets of their own, which a pipe does not have: use a regular file"},
    {SOCKET, 0, "fd-socket", "a descriptor of a socket",
     "channels write at offsets of their own, which a socket does not have: use a regular file"},
    {DEVICE, 0, "fd-device", "a descriptor of a device", "channels need regular files"},
    {OTHER, 0, "fd-not-a-file", "a descriptor of no file that can be read or written",
     "channels need regular files, opened without O_PATH"},
    {RDWR, 0, "fd-read-write", "a descriptor for reading and writing",
     "QEMU does not match it with any open: use O_WRONLY on the source, O_RDONLY on the "
     "destination"},
    {WRITE | APPEND, 0, "fd-append", "a descriptor with O_APPEND",
     "the kernel would put every write at the end of the file: open it without O_APPEND"},
    {WRITE | DEST, 0, "fd-mixed-source", "a write-only descriptor",
     "but the set has read-only ones, for a destination: use one set for each side"},
    {READ | SOURCE, 0, "fd-mixed-destination", "a read-only descriptor",
     "but the set has write-only ones, for a source: use one set for each side"},
    {DUPLICATE, 0, "fd-duplicate", "a duplicate of a descriptor of this set",
     "both would share one offset and one set of flags: open the file a second time instead of "
     "dup(2)"},
    {DIRECT | DIO_OFF, 0, "fd-direct", "a descriptor with O_DIRECT",
     "but dio=off: open it without O_DIRECT, or mount with dio=auto or dio=on"},
    {READ | V4 | DIRECT, 0, "fd-v4-reader-direct", "a read-only descriptor with O_DIRECT",
     "rules=v4 has one plain read-only descriptor: open it without O_DIRECT, or mount with "
     "rules=qemu"},
    {READ | V4 | DEST, 0, "fd-v4-readers", "a second read-only descriptor",
     "too many: rules=v4 has exactly one on the destination; or mount with rules=qemu"},
    {WRITE | V4 | TWO, 0, "fd-v4-writers", "a third write-only descriptor",
     "too many: rules=v4 has exactly two on the source"},
    {DIRECT | HAS_DIRECT, 0, "fd-second-direct", "a second descriptor with O_DIRECT",
     "too many: exactly one has it when direct I/O is on"},
    {WRITE | V4 | DIO_ON | HAS_PLAIN, DIRECT, "fd-v4-no-direct",
     "a second descriptor without O_DIRECT",
     "but dio=on and rules=v4: of exactly two descriptors one must have it"},
    {FULL, 0, "fd-full", "one more descriptor",
     "too many: 256 are in the set, as many as 255 multifd channels and the main one need"},
};

/* At open(): WRITE, READ, DIRECT and SECONDARY are of the open, what follows of the set. */
static const FdsetFdRule open_rules[] = {
    {WRITE | DEST, 0, "fd-is-destination", "an open for writing",
     "but the set's descriptors are read-only, for a destination: hand over write-only ones, under "
     "another number"},
    {READ | SOURCE, 0, "fd-is-source", "an open for reading",
     "but the set's descriptors are write-only, for a source: hand over read-only ones, under "
     "another number"},
    {0, SOURCE | DEST, "fd-none", "an open",
     "but no descriptor is left in the set: hand over new ones (add-fd)"},
    {APPEND, 0, "fd-append", "an open of a set with a descriptor that got O_APPEND",
     "the kernel would put every write at the end of the file: the manager has to take the flag "
     "off (F_SETFL)"},
    {TWO_DIRECT, 0, "fd-second-direct", "an open of a set with two descriptors that have O_DIRECT",
     "too many: exactly one has it when direct I/O is on: the manager has to take the flag off one "
     "(F_SETFL), or hand over another"},
    {MISSING, 0, "fd-missing-file", "an open of a set that was saved into several files",
     "too few: a descriptor of each of them must be here, hand over the others, too"},
    {WRITE | V4, TWO, "fd-v4-one-writer", "an open for writing",
     "too few: rules=v4 needs exactly two write-only descriptors on the source"},
    {WRITE, SECONDARY | HAS_PLAIN, "fd-no-plain", "the main channel",
     "too few: the set needs a write-only descriptor without O_DIRECT for it"},
    {READ, DIRECT | HAS_PLAIN, "fd-no-plain-reader", "an open for reading without O_DIRECT",
     "too few: the set needs a read-only descriptor without O_DIRECT for it"},
    {WRITE | DIO_ON, HAS_DIRECT, "fd-no-direct", "an open for writing",
     "too few: dio=on, and no write-only descriptor has O_DIRECT: exactly one must"},
    {READ | DIO_ON, HAS_DIRECT | V4, "fd-no-direct-reader", "an open for reading",
     "too few: dio=on, and no read-only descriptor has O_DIRECT: a second one must"},
    {WRITE | DIRECT, HAS_DIRECT, "fd-no-match-direct", "an open for writing with O_DIRECT",
     "too few: no write-only descriptor of the set has it: hand over a second one with O_DIRECT, or "
     "set the VMM's direct-io parameter off"},
    {READ | DIRECT, HAS_DIRECT, "fd-no-match-direct-reader", "a reader with O_DIRECT",
     "too few: no read-only descriptor of the set has it: hand over a second one with O_DIRECT, or "
     "set the VMM's direct-io parameter off"},
    {WRITE, DIRECT | HAS_PLAIN, "fd-no-match-plain", "a secondary channel without O_DIRECT",
     "too few: the set needs a write-only descriptor without O_DIRECT for it"},
};

static guint facts_of_flags(int flags)
{
    static const guint modes[] = {[O_RDONLY] = READ, [O_WRONLY] = WRITE, [O_RDWR] = RDWR};
    int mode = flags & O_ACCMODE;
    guint facts = mode < (int)G_N_ELEMENTS(modes) ? modes[mode] : RDWR;

    facts |= flags & O_DIRECT ? DIRECT : 0;
    return facts;
}

static guint facts_of_set(FdsetProfile profile, FdsetDio dio, const FdsetDescriptorCounts *set)
{
    guint plain = set->n_source + set->n_destination;
    guint direct = set->n_source_direct + set->n_destination_direct;
    guint facts = 0;

    facts |= profile == FDSET_PROFILE_V4 ? V4 : 0;
    facts |= dio == FDSET_DIO_ON ? DIO_ON : 0;
    facts |= dio == FDSET_DIO_OFF ? DIO_OFF : 0;
    facts |= set->n_source + set->n_source_direct > 0 ? SOURCE : 0;
    facts |= set->n_destination + set->n_destination_direct > 0 ? DEST : 0;
    facts |= direct > 0 ? HAS_DIRECT : 0;
    facts |= direct > 1 ? TWO_DIRECT : 0;
    facts |= plain > 0 ? HAS_PLAIN : 0;
    facts |= plain + direct >= 2 ? TWO : 0;
    facts |= plain + direct >= FDSET_DESCRIPTORS_MAX ? FULL : 0;
    return facts;
}

static const FdsetFdRule *find(const FdsetFdRule *rules, gsize n, guint facts)
{
    for (gsize i = 0; i < n; i++)
        if ((facts & rules[i].must) == rules[i].must && !(facts & rules[i].must_not))
            return &rules[i];
    return NULL;
}

const FdsetFdRule *fdset_fdrules_check_add(const FdsetAdd *add)
{
    static const guint kinds[] = {
        [FDSET_FILE_REGULAR] = 0,          [FDSET_FILE_DIRECTORY] = DIRECTORY,
        [FDSET_FILE_PIPE] = PIPE,          [FDSET_FILE_SOCKET] = SOCKET,
        [FDSET_FILE_DEVICE] = DEVICE,      [FDSET_FILE_OTHER] = OTHER,
        [FDSET_FILE_OWN] = OWN,
    };
    guint facts = facts_of_flags(add->flags) | facts_of_set(add->profile, add->dio, &add->set);

    facts |= kinds[add->kind];
    facts |= add->flags & O_APPEND ? APPEND : 0;
    facts |= add->duplicate ? DUPLICATE : 0;
    return find(add_rules, G_N_ELEMENTS(add_rules), facts);
}

const FdsetFdRule *fdset_fdrules_check_open(const FdsetMatch *match)
{
    guint facts =
        facts_of_flags(match->flags) | facts_of_set(match->profile, match->dio, &match->set);

    facts |= match->secondary ? SECONDARY : 0;
    facts |= match->changed ? APPEND : 0;
    facts |= match->missing ? MISSING : 0;
    return find(open_rules, G_N_ELEMENTS(open_rules), facts);
}

const char *fdset_fdrule_name(const FdsetFdRule *rule)
{
    return rule->name;
}

char *fdset_fdrule_explain(const FdsetFdRule *rule, guint32 id, int flags)
{
    return g_strdup_printf("fdset %u: %s (flags 0x%x), %s", id, rule->what,
                           (guint)(flags & (O_ACCMODE | O_APPEND | O_DIRECT)), rule->why);
}
