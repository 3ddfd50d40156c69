/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/insides.h"
#include "core/error.h"

#include <pthread.h>
#include <signal.h>

typedef struct {
    guint32 id;
    guint32 tag;
    FsInside *inside;  /* owned; NULL while it is made */
    guint n_users;     /* with who makes it */
    gint64 idle_since; /* monotonic; while there are no users */
    gboolean doomed;   /* goes with its last user */
    gboolean stale;    /* doomed, and not for new users */
} Entry;

struct FsInsides {
    FsWorks *works;    /* borrowed */
    GMutex lock;       /* protects all below */
    GCond changed;     /* something was made, or it is the end */
    GPtrArray *entries; /* of Entry, owned: as many as are in use, and a few more */
    guint n_waiting;   /* requests that make one or wait for it */
    GThread *sweeper;  /* lets idle ones go; NULL: not started yet */
    gboolean ended;
};

static void entry_free(gpointer data)
{
    Entry *entry = data;

    fs_inside_free(entry->inside);
    g_free(entry);
}

FsInsides *fs_insides_new(FsWorks *works)
{
    FsInsides *insides = g_new0(FsInsides, 1);

    insides->works = works;
    g_mutex_init(&insides->lock);
    g_cond_init(&insides->changed);
    insides->entries = g_ptr_array_new_with_free_func(entry_free);
    return insides;
}

void fs_insides_free(FsInsides *insides)
{
    if (!insides)
        return;
    g_mutex_lock(&insides->lock);
    insides->ended = TRUE;
    g_cond_broadcast(&insides->changed);
    g_mutex_unlock(&insides->lock);
    if (insides->sweeper)
        g_thread_join(insides->sweeper);
    g_ptr_array_unref(insides->entries);
    g_cond_clear(&insides->changed);
    g_mutex_clear(&insides->lock);
    g_free(insides);
}

static Entry *entry_at(const FsInsides *insides, guint i)
{
    return insides->entries->pdata[i];
}

/* NULL: there is none. Lock held, as for all that follow. */
static Entry *find_entry(const FsInsides *insides, guint32 id, guint32 tag, gboolean also_stale)
{
    for (guint i = 0; i < insides->entries->len; i++) {
        Entry *entry = entry_at(insides, i);

        if (entry->id == id && entry->tag == tag && (also_stale || !entry->stale))
            return entry;
    }
    return NULL;
}

/* Takes those out that nobody uses since 'before'; freeing them is for when the lock is not held. */
static GPtrArray *take_idle(FsInsides *insides, gint64 before)
{
    GPtrArray *taken = g_ptr_array_new_with_free_func(entry_free);

    for (guint i = insides->entries->len; i-- > 0;) {
        const Entry *entry = entry_at(insides, i);

        if (entry->n_users == 0 && (entry->doomed || entry->idle_since <= before))
            g_ptr_array_add(taken, g_ptr_array_steal_index_fast(insides->entries, i));
    }
    return taken;
}

/* When the one was last used that has to go for there are too many, or 0. */
static gint64 oldest_surplus(const FsInsides *insides)
{
    gint64 oldest = G_MAXINT64;
    guint n_idle = 0;

    for (guint i = 0; i < insides->entries->len; i++) {
        const Entry *entry = entry_at(insides, i);

        n_idle += entry->n_users == 0;
        if (entry->n_users == 0)
            oldest = MIN(oldest, entry->idle_since);
    }
    return n_idle > FS_INSIDES_IDLE_MAX ? oldest : 0;
}

/* When the next one has been idle long enough; what is in use is looked at again after that time. */
static gint64 next_look(const FsInsides *insides, gint64 idle_time)
{
    gint64 since = g_get_monotonic_time();

    for (guint i = 0; i < insides->entries->len; i++)
        if (entry_at(insides, i)->n_users == 0)
            since = MIN(since, entry_at(insides, i)->idle_since);
    return since + idle_time;
}

static gpointer sweep(gpointer data)
{
    const gint64 idle_time = FS_INSIDES_IDLE_TIME * G_TIME_SPAN_SECOND;
    FsInsides *insides = data;

    g_mutex_lock(&insides->lock);
    while (!insides->ended) {
        GPtrArray *taken = take_idle(insides, g_get_monotonic_time() - idle_time);

        g_mutex_unlock(&insides->lock);
        g_ptr_array_unref(taken); /* which may delete files: not under the lock */
        g_mutex_lock(&insides->lock);
        if (insides->ended)
            break;
        if (insides->entries->len == 0)
            g_cond_wait(&insides->changed, &insides->lock);
        else
            g_cond_wait_until(&insides->changed, &insides->lock, next_look(insides, idle_time));
    }
    g_mutex_unlock(&insides->lock);
    return NULL;
}

/* Signals are for the thread that waits in the request loop. */
static void start_sweeper(FsInsides *insides)
{
    sigset_t all, old;

    if (insides->sweeper)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    insides->sweeper = g_thread_new("sweeper", sweep, insides);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* One user less. What has to go is left in *taken. */
static void leave(FsInsides *insides, Entry *entry, GPtrArray **taken)
{
    if (--entry->n_users == 0)
        entry->idle_since = g_get_monotonic_time();
    *taken = take_idle(insides, oldest_surplus(insides));
}

static Entry *add_entry(FsInsides *insides, FdsetSet *set)
{
    Entry *entry = g_new0(Entry, 1);

    entry->id = fdset_set_id(set);
    entry->tag = fdset_set_tag(set);
    entry->n_users = 1;
    g_ptr_array_add(insides->entries, entry);
    start_sweeper(insides);
    return entry;
}

/* Makes what is inside; the lock is given up meanwhile. */
static FsInside *make(FsInsides *insides, FdsetSet *set, GError **error)
{
    Entry *entry = add_entry(insides, set);
    FsInside *inside;

    g_mutex_unlock(&insides->lock);
    inside = fs_inside_new(set, insides->works, error);
    g_mutex_lock(&insides->lock);
    entry->inside = inside;
    if (!inside)
        g_ptr_array_remove_fast(insides->entries, entry);
    g_cond_broadcast(&insides->changed);
    return inside;
}

/* Waits while another request makes what is inside; NULL: it is not there. */
static Entry *wait_for_entry(FsInsides *insides, FdsetSet *set)
{
    Entry *entry;

    while ((entry = find_entry(insides, fdset_set_id(set), fdset_set_tag(set), FALSE)) &&
           !entry->inside)
        g_cond_wait(&insides->changed, &insides->lock);
    return entry;
}

static FsInside *wait_or_make(FsInsides *insides, FdsetSet *set, GError **error)
{
    Entry *entry = wait_for_entry(insides, set);

    if (!entry)
        return make(insides, set, error);
    entry->n_users++;
    return entry->inside;
}

FsInside *fs_insides_get(FsInsides *insides, FdsetSet *set, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&insides->lock);
    Entry *entry = find_entry(insides, fdset_set_id(set), fdset_set_tag(set), FALSE);
    FsInside *inside;

    if (entry && entry->inside) {
        entry->n_users++;
        return entry->inside;
    }
    if (insides->n_waiting >= FS_INSIDES_WAITING_MAX) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                    "fdset %u: %d others wait to look into sets: try again later",
                    fdset_set_id(set), FS_INSIDES_WAITING_MAX);
        return NULL;
    }
    insides->n_waiting++;
    inside = wait_or_make(insides, set, error);
    insides->n_waiting--;
    return inside;
}

FsInside *fs_insides_find(FsInsides *insides, guint32 id, guint32 tag)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&insides->lock);
    Entry *entry = find_entry(insides, id, tag, TRUE);

    if (!entry || !entry->inside)
        return NULL;
    entry->n_users++;
    return entry->inside;
}

void fs_insides_put(FsInsides *insides, FsInside *inside)
{
    g_autoptr(GPtrArray) taken = NULL; /* freed when the lock is not held any more */
    g_autoptr(GMutexLocker) locker = inside ? g_mutex_locker_new(&insides->lock) : NULL;

    for (guint i = 0; inside && i < insides->entries->len; i++) {
        if (entry_at(insides, i)->inside != inside)
            continue;
        leave(insides, entry_at(insides, i), &taken);
        return;
    }
}

static void doom(FsInsides *insides, guint32 id, gboolean stale)
{
    g_autoptr(GPtrArray) taken = NULL;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&insides->lock);

    for (guint i = 0; i < insides->entries->len; i++) {
        if (entry_at(insides, i)->id != id)
            continue;
        entry_at(insides, i)->doomed = TRUE;
        entry_at(insides, i)->stale = stale;
    }
    taken = take_idle(insides, 0);
}

void fs_insides_drop(FsInsides *insides, guint32 id)
{
    doom(insides, id, FALSE);
}

void fs_insides_renew(FsInsides *insides, guint32 id)
{
    doom(insides, id, TRUE);
}
