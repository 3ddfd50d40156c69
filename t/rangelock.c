/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/rangelock.h"
#include "t/fixture.h"
#include "t/tap.h"

typedef struct {
    FdsetRangeLock *ranges;
    FdsetRange range;
    gint has_it;  /* atomic */
    gint may_end; /* atomic */
} Holder;

static gboolean has_it(gpointer data)
{
    return g_atomic_int_get(&((Holder *)data)->has_it);
}

static gboolean may_end(gpointer data)
{
    return g_atomic_int_get(&((Holder *)data)->may_end);
}

static gpointer hold(gpointer data)
{
    Holder *holder = data;

    fdset_range_lock_acquire(holder->ranges, &holder->range);
    g_atomic_int_set(&holder->has_it, 1);
    wait_for(may_end, holder);
    fdset_range_lock_release(holder->ranges, &holder->range);
    return NULL;
}

/* Waits until the thread holds its range, so a lock that serialises too much hangs here. */
static void test_disjoint(void)
{
    static const FdsetRange disjoint[] = {{0, 0},  {1, 1}, {2, 9}, {10, 10}, {100, G_MAXUINT64},
                                          {11, 99}};
    Holder holders[G_N_ELEMENTS(disjoint)] = {{0}};
    GThread *threads[G_N_ELEMENTS(disjoint)];
    FdsetRangeLock ranges;

    fdset_range_lock_init(&ranges);
    for (gsize i = 0; i < G_N_ELEMENTS(disjoint); i++) {
        holders[i] = (Holder){.ranges = &ranges, .range = disjoint[i]};
        threads[i] = g_thread_new("hold", hold, &holders[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(disjoint); i++)
        wait_for(has_it, &holders[i]);
    for (gsize i = 0; i < G_N_ELEMENTS(disjoint); i++) {
        g_atomic_int_set(&holders[i].may_end, 1);
        g_thread_join(threads[i]);
    }
    fdset_range_lock_clear(&ranges);
}

/* The second has it only after the first has let go: in between it was never seen to. */
static void check_waits(FdsetRange first, FdsetRange second)
{
    FdsetRangeLock ranges;
    Holder one = {.ranges = &ranges, .range = first, .may_end = 1};
    Holder two = {.ranges = &ranges, .range = second, .may_end = 1};
    GThread *thread;

    fdset_range_lock_init(&ranges);
    fdset_range_lock_acquire(&ranges, &one.range);
    thread = g_thread_new("hold", hold, &two);
    for (guint i = 0; i < 200; i++) {
        g_thread_yield();
        g_assert_false(has_it(&two));
    }
    fdset_range_lock_release(&ranges, &one.range);
    wait_for(has_it, &two);
    g_thread_join(thread);
    fdset_range_lock_clear(&ranges);
}

static void test_overlaps(void)
{
    static const FdsetRange pairs[][2] = {
        {{5, 5}, {5, 5}},           {{5, 9}, {9, 12}},
        {{9, 12}, {5, 9}},          {{5, 9}, {6, 7}},
        {{6, 7}, {5, 9}},           {{0, G_MAXUINT64}, {77, 77}},
        {{7, 7}, {0, G_MAXUINT64}}, {{G_MAXUINT64, G_MAXUINT64}, {3, G_MAXUINT64}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++)
        check_waits(pairs[i][0], pairs[i][1]);
}

#define CELLS 16
#define ROUNDS 4000

typedef struct {
    FdsetRangeLock ranges;
    gint owner[CELLS];  /* 0: nobody; atomic only to see the others */
    guint count[CELLS]; /* protected by the range lock alone */
} Board;

typedef struct {
    Board *board;
    gint self;
    guint64 seed;
    guint done[CELLS];
} Player;

static gpointer play(gpointer data)
{
    Player *player = data;
    Board *board = player->board;
    Random random = {player->seed};

    for (guint i = 0; i < ROUNDS; i++) {
        guint64 first = random_below(&random, CELLS);
        FdsetRange range = {first, first + random_below(&random, CELLS - first)};

        fdset_range_lock_acquire(&board->ranges, &range);
        for (guint64 c = range.first; c <= range.last; c++) {
            g_assert_true(g_atomic_int_compare_and_exchange(&board->owner[c], 0, player->self));
            board->count[c]++;
            player->done[c]++;
        }
        for (guint64 c = range.first; c <= range.last; c++)
            g_assert_true(g_atomic_int_compare_and_exchange(&board->owner[c], player->self, 0));
        fdset_range_lock_release(&board->ranges, &range);
    }
    return NULL;
}

static void test_many(void)
{
    Board board = {.owner = {0}};
    Player players[4];
    GThread *threads[4];
    Random random = random_new();

    fdset_range_lock_init(&board.ranges);
    for (gint i = 0; i < 4; i++) {
        players[i] = (Player){.board = &board, .self = i + 1, .seed = random_next(&random)};
        threads[i] = g_thread_new("play", play, &players[i]);
    }
    for (gint i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    for (guint c = 0; c < CELLS; c++)
        g_assert_cmpuint(board.count[c], ==,
                         players[0].done[c] + players[1].done[c] + players[2].done[c] +
                             players[3].done[c]);
    fdset_range_lock_clear(&board.ranges);
}

int main(int argc, char **argv)
{
    fixture_init(argc, argv);
    g_test_add_func("/rangelock/disjoint ranges are held at the same time", test_disjoint);
    g_test_add_func("/rangelock/overlapping ranges wait for each other", test_overlaps);
    g_test_add_func("/rangelock/no block ever has two holders", test_many);
    return g_test_run();
}
