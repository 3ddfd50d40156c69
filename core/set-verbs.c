/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/set-verbs.h"
#include "core/error.h"
#include "core/set-internal.h"

#include <errno.h>

static gboolean is_writable(const FdsetSet *set, GError **error)
{
    if (!set->shared->policy->read_only)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_DENIED, "%s: this mount is read-only", set->name);
    return FALSE;
}

/* Lock held. */
static gboolean is_idle(const FdsetSet *set, GError **error)
{
    if (set->writers->len == 0 && !set->settling && !set->foreign)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                "%s: is being written: wait until every channel is closed", set->name);
    return FALSE;
}

/* Lock held. */
static gboolean is_sound(const FdsetSet *set, GError **error)
{
    if (!set->damage)
        return TRUE;
    g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, set->damage);
    return FALSE;
}

gboolean fdset_set_seal(FdsetSet *set, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    FdsetManifest *manifest = set->manifest;

    if (!is_writable(set, error) || !is_sound(set, error) || !is_idle(set, error))
        return FALSE;
    if (manifest->state != FDSET_STATE_COMPLETE) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_DENIED,
                    "%s: is %s: only a complete set can be sealed", set->name,
                    fdset_state_name(manifest->state));
        return FALSE;
    }
    if (manifest->sealed)
        return TRUE;
    manifest->sealed = TRUE;
    if (fdset_set_save(set, TRUE, error)) {
        g_info("%s: sealed", set->name);
        return TRUE;
    }
    manifest->sealed = FALSE;
    return FALSE;
}

gboolean fdset_set_retire(FdsetSet *set, const char *name, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    if (!is_writable(set, error) || !is_idle(set, error))
        return FALSE;
    g_free(set->removed);
    set->removed = g_strdup(name);
    return TRUE;
}

void fdset_verify_free(FdsetVerify *verify)
{
    if (!verify)
        return;
    g_array_unref(verify->offsets);
    g_ptr_array_unref(verify->texts);
    g_free(verify);
}

static void note_mismatch(gpointer data, guint64 offset, const char *problem)
{
    FdsetVerify *verify = data;

    if (verify->offsets->len >= FDSET_VERIFY_REPORTS)
        return;
    g_array_append_val(verify->offsets, offset);
    g_ptr_array_add(verify->texts, g_strdup(problem));
}

/* Opens the image for the work; *generation tells later whether a session has begun. */
static gboolean begin_verify(FdsetSet *set, guint64 *generation, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    *generation = set->manifest->generation;
    return is_sound(set, error) && is_idle(set, error) && fdset_set_use_image(set, FALSE, error);
}

static gboolean may_go_on(FdsetSet *set, guint64 generation, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    if (set->manifest->generation == generation)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                "%s: a session has begun: verify it when that has ended", set->name);
    return FALSE;
}

static gboolean verify_image(FdsetSet *set, guint64 generation, FdsetVerify *verify,
                             FdsetProgressFunc progress, gpointer data, GError **error)
{
    FdsetImageCheck check = {.bad = note_mismatch, .data = verify};
    guint64 total = fdset_image_size(set->image);
    guint64 offset = 0;
    int r;

    while ((r = fdset_image_check(set->image, &offset, &check)) > 0) {
        if (!may_go_on(set, generation, error))
            return FALSE;
        if (progress(data, offset, total))
            continue;
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY, "%s: the check was ended", set->name);
        return FALSE;
    }
    verify->blocks = check.blocks;
    verify->unknown = check.unknown;
    verify->mismatches = check.mismatches;
    if (r == 0)
        return may_go_on(set, generation, error);
    if (r == -EBADMSG)
        g_set_error(
            error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
            "%s: the block map (file \"map\") does not match its sum near offset %" G_GUINT64_FORMAT
            ": it was changed or damaged",
            set->path, offset);
    else
        fdset_error_set_errno(error, -r, "%s: cannot read the block map", set->path);
    return FALSE;
}

FdsetVerify *fdset_set_verify(FdsetSet *set, FdsetProgressFunc progress, gpointer data,
                              GError **error)
{
    g_autoptr(FdsetVerify) verify = g_new0(FdsetVerify, 1);
    guint64 generation;
    gboolean done;

    verify->offsets = g_array_new(FALSE, FALSE, sizeof(guint64));
    verify->texts = g_ptr_array_new_with_free_func(g_free);
    if (!begin_verify(set, &generation, error))
        return NULL;
    done = verify_image(set, generation, verify, progress, data, error);
    g_mutex_lock(&set->lock);
    fdset_set_drop_image(set);
    g_mutex_unlock(&set->lock);
    return done ? g_steal_pointer(&verify) : NULL;
}
