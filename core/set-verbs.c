/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/set-verbs.h"
#include "core/error.h"
#include "core/set-internal.h"

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

gboolean fdset_set_check_idle(const FdsetSet *set, GError **error)
{
    if (!set->damage)
        return is_idle(set, error);
    g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, set->damage);
    return FALSE;
}

gboolean fdset_set_seal(FdsetSet *set, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    FdsetManifest *manifest = set->manifest;

    if (!is_writable(set, error) || !fdset_set_check_idle(set, error))
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
