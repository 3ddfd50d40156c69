/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deltas to pages, and bytes that are none. */
#include "config.h"
#include "core/xbzrle.h"
#include "t/tap.h"

#define PAGE 4096u

static void test_runs(void)
{
    /* 3 stay, 2 change, 300 (two bytes of length) stay, 1 changes */
    static const guint8 delta[] = {3, 2, 0xaa, 0xbb, 0xac, 0x02, 1, 0xcc};
    guint8 page[PAGE] = {0};

    g_assert_true(fdset_xbzrle_apply(delta, sizeof delta, page, PAGE));
    for (guint i = 0; i < PAGE; i++)
        g_assert_cmpuint(page[i], ==,
                         i == 3     ? 0xaa
                         : i == 4   ? 0xbb
                         : i == 305 ? 0xcc
                                    : 0);
}

static void test_edges(void)
{
    static const guint8 first[] = {0, 1, 0x11};
    static const guint8 last[] = {0xff, 0x1f, 1, 0x22};
    guint8 page[PAGE] = {0};

    g_assert_true(fdset_xbzrle_apply(NULL, 0, page, PAGE));
    g_assert_true(fdset_xbzrle_apply(first, sizeof first, page, PAGE));
    g_assert_true(fdset_xbzrle_apply(last, sizeof last, page, PAGE));
    g_assert_cmpuint(page[0], ==, 0x11);
    g_assert_cmpuint(page[PAGE - 1], ==, 0x22);
}

static void test_refused(void)
{
    static const struct {
        const char *what;
        gsize len;
        guint8 bytes[6];
    } cases[] = {
        {"no second run", 1, {5}},
        {"bytes that end in the middle", 3, {5, 2, 0xaa}},
        {"an empty run of changes", 2, {5, 0}},
        {"nothing stays between changes", 6, {1, 1, 0xaa, 0, 1, 0xbb}},
        {"a length of three bytes", 4, {0x80, 0x80, 1, 1}},
        {"a length that ends in the middle", 1, {0x80}},
        {"more stays than there is", 4, {0x81, 0x20, 1, 0xaa}},
        {"changes behind the end", 5, {0xff, 0x1f, 2, 0xaa, 0xbb}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint8 page[PAGE] = {0};

        if (fdset_xbzrle_apply(cases[i].bytes, cases[i].len, page, PAGE))
            g_error("%s is taken", cases[i].what);
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/xbzrle/runs of both kinds", test_runs);
    g_test_add_func("/xbzrle/the first and the last byte", test_edges);
    g_test_add_func("/xbzrle/what is no delta is refused", test_refused);
    return g_test_run();
}
