/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The full truth table of the open rules against an oracle that follows the
 * prose of the design, rule by rule as a reader would, not the table's rows.
 */
#include "config.h"
#include "core/rules.h"
#include "t/tap.h"

#include <errno.h>
#include <fcntl.h>

/* What open(2) also carries, and no rule looks at. */
#define NOISE (O_CREAT | O_EXCL | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_SYNC | 0100000)

static gboolean direct_io_may_be_on(const FdsetOpen *open)
{
    return open->dio != FDSET_DIO_OFF;
}

/* "RDONLY, O_DIRECT on secondaries only when direct I/O is on"; v4: one plain description. */
static int reader_oracle(const FdsetOpen *open)
{
    gboolean direct = open->flags & O_DIRECT;

    if (open->flags & O_TRUNC)
        return EACCES;
    if (open->session && !open->complete)
        return EBUSY;
    if (open->profile == FDSET_PROFILE_V4)
        return direct || open->n_readers >= 1 ? EACCES : 0;
    return direct && !direct_io_may_be_on(open) ? EACCES : 0;
}

/* "Unlike them, beside channels with O_DIRECT and behind a header: its manager" (rules=qemu). */
static gboolean comes_back_to_its_header(const FdsetOpen *open)
{
    return open->profile != FDSET_PROFILE_V4 && open->header && !(open->flags & O_DIRECT) &&
           open->peer == FDSET_PEER_DIRECT;
}

/* "All alike; O_DIRECT exactly when direct I/O is on"; auto follows the first. */
static gboolean secondary_is_alike(const FdsetOpen *open)
{
    gboolean direct = (open->flags & O_DIRECT) != 0;

    if (open->dio == FDSET_DIO_ON)
        return direct;
    if (open->dio == FDSET_DIO_OFF)
        return !direct;
    return open->peer == FDSET_PEER_NONE || direct == (open->peer == FDSET_PEER_DIRECT);
}

static int secondary_oracle(const FdsetOpen *open)
{
    if (open->flags & O_TRUNC)
        return EBUSY; /* "O_TRUNC from any channel but main is EBUSY while a session runs" */
    if (open->n_secondary >= 255)
        return EACCES;
    if (open->dio != FDSET_DIO_OFF && comes_back_to_its_header(open))
        return 0;
    return secondary_is_alike(open) ? 0 : EACCES;
}

/*
 * "Complete set opened for writing EACCES, a header in front of the stream excepted", and
 * that one only "until the set is sealed".
 */
static int header_oracle(const FdsetOpen *open)
{
    if (open->session)
        return EBUSY;
    return open->sealed || !open->header || open->flags & (O_TRUNC | O_DIRECT) ? EACCES : 0;
}

static int oracle(const FdsetOpen *open)
{
    int mode = open->flags & O_ACCMODE;

    if ((mode != O_RDONLY && mode != O_WRONLY) || open->flags & O_APPEND)
        return EACCES;
    if (mode == O_RDONLY)
        return reader_oracle(open);
    if (open->complete)
        return header_oracle(open);
    if (open->session)
        return secondary_oracle(open);
    return open->flags & O_DIRECT ? EACCES : 0; /* "main: WRONLY, never O_DIRECT" */
}

static int verdict(const FdsetOpen *open)
{
    const FdsetRule *rule = fdset_rules_check(open);

    return rule ? fdset_rule_errno(rule) : 0;
}

typedef void (*Visit)(const FdsetOpen *open);

static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE};
static const int bits[] = {O_APPEND, O_DIRECT, O_TRUNC};
static const guint secondaries[] = {0, 1, 254, 255, 256};

/* Facts besides the flags: dio and profile, four booleans, peer, readers, secondaries. */
static void visit_facts(int flags, Visit visit)
{
    const guint n = 2 * 3 * 16 * 3 * 3 * G_N_ELEMENTS(secondaries);

    for (guint i = 0; i < n; i++) {
        guint rest = i / 96;
        FdsetOpen open = {
            .profile = i % 2 ? FDSET_PROFILE_V4 : FDSET_PROFILE_QEMU,
            .dio = (FdsetDio)(i / 2 % 3),
            .flags = flags,
            .session = (i / 6) & 1,
            .complete = (i / 6 >> 1) & 1,
            .header = (i / 6 >> 2) & 1,
            .sealed = (i / 6 >> 3) & 1,
            .peer = (FdsetPeer)(rest % 3),
            .n_readers = rest / 3 % 3,
            .n_secondary = secondaries[rest / 9],
        };

        visit(&open);
    }
}

static void visit_all(Visit visit)
{
    for (gsize m = 0; m < G_N_ELEMENTS(modes); m++)
        for (guint set = 0; set < 1u << G_N_ELEMENTS(bits); set++) {
            int flags = modes[m];

            for (gsize b = 0; b < G_N_ELEMENTS(bits); b++)
                flags |= set >> b & 1 ? bits[b] : 0;
            visit_facts(flags, visit);
        }
}

static void check_against_oracle(const FdsetOpen *open)
{
    if (verdict(open) == oracle(open))
        return;
    g_error("profile %d dio %d flags 0x%x session %d complete %d header %d sealed %d peer %d "
            "readers %u "
            "secondaries %u: answered %d, expected %d",
            open->profile, open->dio, (guint)open->flags, open->session, open->complete,
            open->header, open->sealed, open->peer, open->n_readers, open->n_secondary,
            verdict(open), oracle(open));
}

static void test_truth_table(void)
{
    visit_all(check_against_oracle);
}

static void check_noise(const FdsetOpen *open)
{
    FdsetOpen noisy = *open;

    noisy.flags |= NOISE;
    g_assert_true(fdset_rules_check(&noisy) == fdset_rules_check(open));
}

static void test_noise(void)
{
    visit_all(check_noise);
}

/* What a refusal at the first write can stand in for: a secondary open that kills QEMU. */
static void check_secondary(const FdsetOpen *open)
{
    const FdsetRule *rule = fdset_rules_check(open);
    gboolean secondary = (open->flags & (O_ACCMODE | O_APPEND | O_TRUNC)) == O_WRONLY &&
                         open->session && !open->complete;

    if (rule)
        g_assert_cmpint(fdset_rule_is_secondary(rule), ==, secondary);
}

static void test_secondary(void)
{
    visit_all(check_secondary);
}

static GHashTable *rules_seen;

/* One line, begins with the set, says the flags, and has something after them. */
static void check_text(const FdsetOpen *open)
{
    const FdsetRule *rule = fdset_rules_check(open);
    g_autofree char *text = rule ? fdset_rule_explain(rule, 7, open->flags | NOISE) : NULL;
    g_autofree char *flags = NULL;
    const char *at;

    if (!rule)
        return;
    g_hash_table_add(rules_seen, g_strdup(fdset_rule_name(rule)));
    flags = g_strdup_printf(" (flags 0x%x), ", (guint)open->flags);
    g_assert_true(g_str_has_prefix(text, "fdset 7: "));
    g_assert_null(strchr(text, '\n'));
    at = strstr(text, flags);
    g_assert_nonnull(at);
    g_assert_cmpint(at - text, >, (int)strlen("fdset 7: "));
    g_assert_cmpuint(strlen(at + strlen(flags)), >, 20);
    g_assert_nonnull(strchr(at, ':'));
}

static void test_texts(void)
{
    rules_seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    visit_all(check_text);
    g_assert_cmpuint(g_hash_table_size(rules_seen), ==, 18);
    g_hash_table_unref(rules_seen);
}

#define WRITE_DIRECT (O_WRONLY | O_DIRECT)
#define READ_DIRECT (O_RDONLY | O_DIRECT)

static const struct {
    FdsetOpen open;
    const char *name;
    const char *what;
    const char *change;
} said[] = {
    {{.flags = O_RDWR}, "read-write", "reading and writing", "O_WRONLY or O_RDONLY"},
    {{.flags = O_WRONLY | O_APPEND}, "append", "O_APPEND", "without O_APPEND"},
    {{.flags = O_TRUNC}, "read-truncate", "O_TRUNC", "O_WRONLY"},
    {{.flags = O_RDONLY, .session = TRUE}, "being-written", "for reading", "wait until"},
    {{.flags = O_WRONLY, .session = TRUE, .complete = TRUE, .header = TRUE},
     "header-busy",
     "second writer",
     "wait until"},
    {{.flags = O_WRONLY, .complete = TRUE}, "complete", "for writing", "another number"},
    {{.flags = O_WRONLY | O_TRUNC, .complete = TRUE, .header = TRUE},
     "complete-truncate",
     "O_TRUNC",
     "remove the set"},
    {{.flags = O_WRONLY, .complete = TRUE, .sealed = TRUE},
     "sealed",
     "for writing",
     "another number"},
    {{.flags = WRITE_DIRECT}, "main-direct", "main channel", "without O_DIRECT"},
    {{.flags = O_WRONLY | O_TRUNC, .session = TRUE},
     "foreign-truncate",
     "O_TRUNC",
     "another number"},
    {{.flags = O_WRONLY, .session = TRUE, .n_secondary = 255},
     "too-many-channels",
     "secondary channel",
     "close some"},
    {{.flags = O_WRONLY, .session = TRUE, .dio = FDSET_DIO_ON},
     "secondary-without-direct",
     "secondary channel without O_DIRECT",
     "direct-io parameter on"},
    {{.flags = WRITE_DIRECT, .session = TRUE, .dio = FDSET_DIO_OFF},
     "secondary-with-direct",
     "secondary channel with O_DIRECT",
     "direct-io parameter off"},
    {{.flags = O_WRONLY, .session = TRUE, .peer = FDSET_PEER_DIRECT},
     "secondary-unlike-direct",
     "without O_DIRECT",
     "alike"},
    {{.flags = WRITE_DIRECT, .session = TRUE, .peer = FDSET_PEER_PLAIN},
     "secondary-unlike-plain",
     "with O_DIRECT",
     "alike"},
    {{.flags = O_RDONLY, .profile = FDSET_PROFILE_V4, .n_readers = 1},
     "second-reader",
     "second reader",
     "rules=qemu"},
    {{.flags = READ_DIRECT, .profile = FDSET_PROFILE_V4},
     "v4-reader-direct",
     "O_DIRECT",
     "without O_DIRECT"},
    {{.flags = READ_DIRECT, .dio = FDSET_DIO_OFF, .n_readers = 1},
     "reader-with-direct",
     "reader with O_DIRECT",
     "dio=auto"},
};

static void test_words(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(said); i++) {
        const FdsetRule *rule = fdset_rules_check(&said[i].open);
        g_autofree char *text = NULL;

        g_assert_nonnull(rule);
        text = fdset_rule_explain(rule, 2147483647, said[i].open.flags);
        g_assert_cmpstr(fdset_rule_name(rule), ==, said[i].name);
        g_assert_true(g_str_has_prefix(text, "fdset 2147483647: "));
        g_assert_nonnull(strstr(text, said[i].what));
        g_assert_nonnull(strstr(text, said[i].change));
    }
}

static void test_promised_text(void)
{
    FdsetOpen open = {.flags = O_WRONLY, .session = TRUE, .dio = FDSET_DIO_ON};
    g_autofree char *text = fdset_rule_explain(fdset_rules_check(&open), 7, open.flags);

    g_assert_true(g_str_has_prefix(
        text, "fdset 7: a secondary channel without O_DIRECT (flags 0x1), but dio=on"));
}

static void test_truncate_foreign(void)
{
    const FdsetRule *rule = fdset_rules_truncate_foreign();
    g_autofree char *text = fdset_rule_explain(rule, 3, O_WRONLY);

    g_assert_cmpint(fdset_rule_errno(rule), ==, EBUSY);
    g_assert_cmpstr(fdset_rule_name(rule), ==, "foreign-truncate");
    g_assert_true(g_str_has_prefix(text, "fdset 3: "));
    g_assert_nonnull(strstr(text, "another number"));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/rules/every combination of facts is answered as the design says",
                    test_truth_table);
    g_test_add_func("/rules/flags that no rule is about change nothing", test_noise);
    g_test_add_func("/rules/only a secondary open can be refused at its first write",
                    test_secondary);
    g_test_add_func("/rules/every refusal names the set, the flags and a reason", test_texts);
    g_test_add_func("/rules/every refusal says what was opened and what to change", test_words);
    g_test_add_func("/rules/the promised text is said to the letter", test_promised_text);
    g_test_add_func("/rules/a second VMM's truncation is EBUSY", test_truncate_foreign);
    return g_test_run();
}
