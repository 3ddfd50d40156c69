/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The full truth table of the rules about descriptors against an oracle that
 * follows the prose of the design and of QEMU's fdsets, not the tables' rows.
 */
#include "config.h"
#include "core/fdrules.h"
#include "t/tap.h"

#include <fcntl.h>
#include <string.h>

static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE};
static const guint amounts[] = {0, 1, 2, 255, 256};

static guint total(const FdsetDescriptorCounts *set)
{
    return set->n_source + set->n_source_direct + set->n_destination + set->n_destination_direct;
}

/* "On the source exactly two, exactly one with O_DIRECT when direct I/O is on; else the same." */
static gboolean source_may_grow(const FdsetAdd *add)
{
    gboolean direct = (add->flags & O_DIRECT) != 0;
    guint n_direct = add->set.n_source_direct + direct;
    guint n_plain = add->set.n_source + !direct;

    if (n_direct > 1)
        return FALSE;
    if (add->profile == FDSET_PROFILE_QEMU)
        return n_direct + n_plain <= 256;
    if (n_direct + n_plain > 2)
        return FALSE;
    /* two are all there will be: with dio=on one of them must be the direct one */
    return add->dio != FDSET_DIO_ON || n_plain < 2;
}

/* v4: "exactly one fd, RDONLY"; qemu: "RDONLY; a second one with O_DIRECT". */
static gboolean destination_may_grow(const FdsetAdd *add)
{
    gboolean direct = (add->flags & O_DIRECT) != 0;

    if (add->profile == FDSET_PROFILE_V4)
        return !direct && total(&add->set) == 0;
    return add->set.n_destination_direct + direct <= 1 && total(&add->set) < 256;
}

static gboolean may_add(const FdsetAdd *add)
{
    int mode = add->flags & O_ACCMODE;

    if (add->kind != FDSET_FILE_REGULAR || (mode != O_RDONLY && mode != O_WRONLY))
        return FALSE;
    if (mode == O_WRONLY && add->flags & O_APPEND)
        return FALSE;
    if (add->duplicate || (add->flags & O_DIRECT && add->dio == FDSET_DIO_OFF))
        return FALSE;
    if (mode == O_WRONLY)
        return add->set.n_destination + add->set.n_destination_direct == 0 && source_may_grow(add);
    return add->set.n_source + add->set.n_source_direct == 0 && destination_may_grow(add);
}

/* All sets of descriptors of one side: 'side' 0 is the source. */
static void visit_sets(int side, guint most_direct, void (*visit)(const FdsetDescriptorCounts *, gpointer),
                       gpointer data)
{
    for (gsize i = 0; i < G_N_ELEMENTS(amounts); i++)
        for (guint direct = 0; direct <= most_direct; direct++) {
            FdsetDescriptorCounts set = {0};

            *(side ? &set.n_destination : &set.n_source) = amounts[i];
            *(side ? &set.n_destination_direct : &set.n_source_direct) = direct;
            visit(&set, data);
        }
}

static guint n_visited;

static void check_add(const FdsetAdd *add)
{
    const FdsetFdRule *rule = fdset_fdrules_check_add(add);

    n_visited++;
    if (may_add(add) == (rule == NULL))
        return;
    g_test_message("profile %d dio %d flags 0x%x kind %d duplicate %d set %u %u %u %u: %s",
                   add->profile, add->dio, (guint)add->flags, add->kind, add->duplicate,
                   add->set.n_source, add->set.n_source_direct, add->set.n_destination,
                   add->set.n_destination_direct, rule ? fdset_fdrule_name(rule) : "allowed");
    g_test_fail();
}

/* data: profile and dio in one number. */
static void visit_adds(const FdsetDescriptorCounts *set, gpointer data)
{
    guint facts = GPOINTER_TO_UINT(data);

    for (guint i = 0; i < G_N_ELEMENTS(modes) * 4 * 2 * 7; i++) {
        FdsetAdd add = {
            .profile = facts % 2 ? FDSET_PROFILE_V4 : FDSET_PROFILE_QEMU,
            .dio = (FdsetDio)(facts / 2),
            .set = *set,
            .kind = (FdsetFileKind)(i / 32),
            .flags = modes[i % 4] | (i & 4 ? O_DIRECT : 0) | (i & 8 ? O_APPEND : 0),
            .duplicate = (i & 16) != 0,
        };

        check_add(&add);
    }
}

static void test_add(void)
{
    n_visited = 0;
    for (int side = 0; side < 2; side++)
        for (guint facts = 0; facts < 6; facts++)
            visit_sets(side, 1, visit_adds, GUINT_TO_POINTER(facts));
    g_assert_cmpuint(n_visited, ==, 2 * 6 * 10 * 224);
}

/* What an open needs: "matched on access mode and O_DIRECT", and the set is as it must be. */
static gboolean may_open_source(const FdsetMatch *match)
{
    gboolean direct = (match->flags & O_DIRECT) != 0;
    guint n = total(&match->set);

    if (match->profile == FDSET_PROFILE_V4 && n < 2)
        return FALSE;
    if (match->dio == FDSET_DIO_ON && match->set.n_source_direct == 0)
        return FALSE;
    if (!match->secondary && match->set.n_source == 0)
        return FALSE; /* main is never direct, so a plain one must be there */
    return direct ? match->set.n_source_direct > 0 : match->set.n_source > 0;
}

static gboolean may_open_destination(const FdsetMatch *match)
{
    gboolean direct = (match->flags & O_DIRECT) != 0;

    if (match->profile == FDSET_PROFILE_QEMU && match->dio == FDSET_DIO_ON &&
        match->set.n_destination_direct == 0)
        return FALSE;
    return direct ? match->set.n_destination_direct > 0 : match->set.n_destination > 0;
}

static gboolean may_open(const FdsetMatch *match)
{
    gboolean source = match->set.n_source + match->set.n_source_direct > 0;

    /* "exactly one with O_DIRECT": a manager can switch it on later */
    if (match->set.n_source_direct + match->set.n_destination_direct > 1)
        return FALSE;
    if (total(&match->set) == 0 || match->changed || match->missing)
        return FALSE;
    if (source != ((match->flags & O_ACCMODE) == O_WRONLY))
        return FALSE;
    return source ? may_open_source(match) : may_open_destination(match);
}

static void visit_opens(const FdsetDescriptorCounts *set, gpointer data)
{
    guint facts = GPOINTER_TO_UINT(data);

    for (guint i = 0; i < 32; i++) {
        FdsetMatch match = {
            .profile = facts % 2 ? FDSET_PROFILE_V4 : FDSET_PROFILE_QEMU,
            .dio = (FdsetDio)(facts / 2),
            .set = *set,
            .flags = (i & 1 ? O_WRONLY : O_RDONLY) | (i & 2 ? O_DIRECT : 0),
            .secondary = (i & 5) == 5,
            .changed = (i & 8) != 0,
            .missing = (i & 16) != 0,
        };
        const FdsetFdRule *rule = fdset_fdrules_check_open(&match);

        n_visited++;
        if (may_open(&match) == (rule == NULL))
            continue;
        g_test_message("profile %d dio %d flags 0x%x secondary %d changed %d set %u %u %u %u: %s",
                       match.profile, match.dio, (guint)match.flags, match.secondary,
                       match.changed, set->n_source, set->n_source_direct, set->n_destination,
                       set->n_destination_direct, rule ? fdset_fdrule_name(rule) : "allowed");
        g_test_fail();
    }
}

static void test_open(void)
{
    n_visited = 0;
    for (int side = 0; side < 2; side++)
        for (guint facts = 0; facts < 6; facts++)
            visit_sets(side, 2, visit_opens, GUINT_TO_POINTER(facts));
    g_assert_cmpuint(n_visited, ==, 2 * 6 * 15 * 32);
}

/* Each breach has words of its own. */
static void test_words(void)
{
    static const struct {
        FdsetAdd add;
        const char *name;
        const char *words;
    } cases[] = {
        {{.kind = FDSET_FILE_PIPE, .flags = O_WRONLY}, "fd-pipe", "a pipe"},
        {{.kind = FDSET_FILE_SOCKET, .flags = O_RDWR}, "fd-socket", "a socket"},
        {{.kind = FDSET_FILE_DIRECTORY}, "fd-directory", "a directory"},
        {{.kind = FDSET_FILE_DEVICE, .flags = O_WRONLY}, "fd-device", "a device"},
        {{.kind = FDSET_FILE_OTHER}, "fd-not-a-file", "O_PATH"},
        {{.kind = FDSET_FILE_OWN, .flags = O_WRONLY}, "fd-own-mount", "on this very mount"},
        {{.flags = O_RDWR}, "fd-read-write", "for reading and writing"},
        {{.flags = O_WRONLY | O_APPEND}, "fd-append", "O_APPEND"},
        {{.flags = O_WRONLY, .duplicate = TRUE, .set = {.n_source = 1}}, "fd-duplicate", "dup(2)"},
        {{.flags = O_WRONLY, .set = {.n_destination = 1}}, "fd-mixed-source", "read-only ones"},
        {{.set = {.n_source = 1}}, "fd-mixed-destination", "write-only ones"},
        {{.profile = FDSET_PROFILE_V4, .flags = O_WRONLY, .set = {.n_source = 2}},
         "fd-v4-writers", "too many: rules=v4 has exactly two"},
        {{.profile = FDSET_PROFILE_V4, .set = {.n_destination = 1}}, "fd-v4-readers",
         "too many: rules=v4 has exactly one"},
        {{.flags = O_WRONLY, .set = {.n_source = 256}}, "fd-full", "too many: 256"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const FdsetFdRule *rule = fdset_fdrules_check_add(&cases[i].add);
        g_autofree char *text = NULL;

        g_assert_nonnull(rule);
        g_assert_cmpstr(fdset_fdrule_name(rule), ==, cases[i].name);
        text = fdset_fdrule_explain(rule, 7, cases[i].add.flags);
        g_assert_true(g_str_has_prefix(text, "fdset 7: "));
        g_assert_nonnull(strstr(text, cases[i].words));
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/fdrules/add-fd: the tables of the design", test_add);
    g_test_add_func("/fdrules/open: the tables of the design", test_open);
    g_test_add_func("/fdrules/each breach has its own words", test_words);
    return g_test_run();
}
