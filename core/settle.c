/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a set when its session has ended, or when a crash ended it:
 * its stream is parsed, the verdict published, everything synced, and only then
 * the manifest says durable. Runs in a settler thread; a new session in the
 * middle of the sync makes it give up (the manifest's generation tells).
 */
#include "config.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/libvirt.h"
#include "core/set-internal.h"
#include "core/stream.h"
#include "core/streamfind.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * The descriptors went with the daemon that had them. A save that they were in
 * the middle of, or that the host may have lost, is gone; another one is looked
 * at when descriptors of its files come (set-fds.c).
 */
static gboolean recover_without_descriptors(FdsetSet *set, gboolean writer)
{
    FdsetManifest *manifest = set->manifest;
    g_autofree char *boot = fdset_boot_id();
    gboolean lost = g_strcmp0(boot, manifest->boot) != 0;

    set->foreign = writer && manifest->session;
    if (writer || (!manifest->session && !lost))
        return TRUE;
    manifest->state = FDSET_STATE_PARTIAL;
    manifest->session = FALSE;
    g_free(manifest->reason);
    manifest->reason =
        g_strdup_printf("%s: its descriptors went with a daemon or host that ended before all was "
                        "on stable storage: save it again",
                        set->name);
    return set->shared->policy->read_only || fdset_set_save(set, FALSE, NULL);
}

gboolean fdset_set_recover(FdsetSet *set, gboolean writer, GError **error)
{
    FdsetManifest *manifest = set->manifest;
    g_autofree char *boot = fdset_boot_id();
    gboolean header_only = manifest->session && manifest->state == FDSET_STATE_COMPLETE;

    if (manifest->durable && !manifest->session)
        return TRUE;
    if (manifest->backing != FDSET_BACKING_STORE)
        return recover_without_descriptors(set, writer);
    set->foreign = writer && manifest->session && !header_only;
    if (writer)
        return TRUE;
    set->crashed = TRUE;
    set->lost = g_strcmp0(boot, manifest->boot) != 0 && !header_only;
    if (set->lost)
        manifest->state = FDSET_STATE_PARTIAL;
    if (!fdset_set_use_image(set, manifest->session && !header_only, error))
        return FALSE;
    manifest->size = fdset_image_size(set->image);
    g_ptr_array_unref(manifest->channels);
    manifest->channels = fdset_image_channels(set->image);
    if (!set->shared->policy->read_only)
        fdset_set_start_settling(set);
    fdset_set_drop_image(set);
    return TRUE;
}

void fdset_set_start_settling(FdsetSet *set)
{
    set->settling = TRUE;
    set->image_users++;
    g_thread_pool_push(set->shared->settlers, fdset_set_ref(set), NULL);
}

/* TRUE for libvirt's image with a compressed stream, whose end nobody but the unpacker sees. */
static gboolean is_compressed(const FdsetSource *source, GError **error)
{
    g_autoptr(FdsetLibvirt) header = fdset_libvirt_read(source, NULL);
    FdsetLibvirtFormat format = header ? fdset_libvirt_format(header) : FDSET_LIBVIRT_RAW;

    if (format == FDSET_LIBVIRT_RAW || format == FDSET_LIBVIRT_SPARSE)
        return FALSE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED,
                "%s: libvirt's image, compressed (%s): whether it is whole cannot be seen; libvirt "
                "%s it as finished",
                source->name, fdset_libvirt_format_name(format),
                fdset_libvirt_is_finished(header) ? "has marked" : "has not marked");
    return TRUE;
}

/* TRUE: complete, and where its stream starts. FALSE: why it is partial. */
static gboolean judge(FdsetSet *set, guint64 *offset, GError **error)
{
    FdsetSource source;
    guint64 found;
    int r;

    fdset_image_source(set->image, &source, set->name);
    if (set->lost) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "%s: the host restarted before everything was on stable storage: save it again",
                    set->name);
        return FALSE;
    }
    r = set->crashed ? fdset_image_recover(set->image) : 0;
    if (r < 0) {
        fdset_error_set_errno(error, -r, "%s: cannot recover its block map", set->name);
        return FALSE;
    }
    *offset = fdset_stream_find(&source, *offset);
    /* What was saved elsewhere may lie behind any header; only of what we saw do we know. */
    if (set->session_first == 0 && set->descriptors->len > 0 &&
        !fdset_stream_has_magic(&source, *offset) && fdset_stream_search(&source, &found, NULL))
        *offset = found;
    if (!fdset_stream_has_magic(&source, *offset) && is_compressed(&source, error))
        return FALSE;
    return fdset_stream_is_complete(&source, *offset, error);
}

static void report_error(FdsetSet *set, const GError *error)
{
    fdset_set_report(set, -1, fdset_error_to_errno((FdsetError)error->code), "failure",
                     error->message);
}

/* Opened and closed again: no trace of it stays. Returns what to unlink after the save. */
static GPtrArray *drop_idle_session(FdsetSet *set)
{
    if (set->touched || set->crashed || set->session_first == 0)
        return NULL;
    return fdset_image_drop_unwritten(set->image, set->session_first);
}

static void unlink_channels(FdsetSet *set, GPtrArray *dropped)
{
    for (guint i = 0; dropped && i < dropped->len; i++)
        fdset_channel_unlink(set->dirfd, dropped->pdata[i]);
}

/* The verdict is out: opens go on. Returns the generation it is about. */
static guint64 publish(FdsetSet *set, gboolean complete, guint64 offset, const GError *reason)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    FdsetManifest *manifest = set->manifest;
    g_autoptr(GPtrArray) dropped = drop_idle_session(set);
    g_autoptr(GError) error = NULL;

    g_free(manifest->reason);
    manifest->reason = complete ? NULL : g_strdup(reason->message);
    manifest->state = complete ? FDSET_STATE_COMPLETE : FDSET_STATE_PARTIAL;
    manifest->stream_offset = offset;
    manifest->session = FALSE;
    if (set->last_write && !set->header_only)
        manifest->mtime = set->last_write * 1000;
    if (fdset_set_save(set, FALSE, &error))
        unlink_channels(set, dropped);
    else
        report_error(set, error);
    g_info("%s: %s, %" G_GUINT64_FORMAT " bytes, %u channels%s%s", set->name,
           fdset_state_name(manifest->state), manifest->size, manifest->channels->len,
           complete ? "" : ": ", complete ? "" : manifest->reason);
    fdset_set_tell(set, complete ? FDSET_EVENT_COMPLETE : FDSET_EVENT_PARTIAL, manifest->reason);
    set->settling = set->header_only = set->crashed = set->lost = FALSE;
    g_cond_broadcast(&set->changed);
    return manifest->generation;
}

static gboolean sync_all(FdsetSet *set, GBytes **sums, guint64 *n_data, GError **error)
{
    int r = fdset_image_sync(set->image, NULL);

    if (r == 0)
        r = fdset_image_sum(set->image, sums, n_data);
    if (r < 0) {
        fdset_error_set_errno(error, -r, "%s: cannot be made durable", set->path);
        return FALSE;
    }
    if (fsync(set->store_dirfd) == 0)
        return TRUE;
    fdset_error_set_errno(error, errno, "%s: cannot sync", set->shared->path);
    return FALSE;
}

/* What could not be synced may be gone at any time: the save is not to be called complete. */
static void not_durable(FdsetSet *set, const GError *error)
{
    report_error(set, error);
    set->manifest->state = FDSET_STATE_PARTIAL;
    g_free(set->manifest->reason);
    set->manifest->reason = g_strdup(error->message);
    fdset_set_tell(set, FDSET_EVENT_PARTIAL, error->message);
    fdset_set_save(set, FALSE, NULL);
}

/* The file "sums" belongs to the manifest and is replaced with it. Lock held. */
static gboolean save_durable(FdsetSet *set, GBytes *sums, guint64 n_data, GError **error)
{
    FdsetManifest *manifest = set->manifest;
    gsize size;
    gconstpointer data = sums ? g_bytes_get_data(sums, &size) : NULL;

    if (data && !fdset_fd_replace_file(set->dirfd, "sums", data, size, TRUE, error))
        return FALSE;
    if (data)
        fdset_digest_bytes(&manifest->key, data, size, manifest->sums);
    manifest->data_blocks = n_data;
    manifest->durable = TRUE;
    if (fdset_set_save(set, TRUE, error))
        return TRUE;
    manifest->durable = FALSE;
    return FALSE;
}

static void make_durable(FdsetSet *set, guint64 generation)
{
    FdsetManifest *manifest = set->manifest;
    g_autoptr(GBytes) sums = NULL;
    g_autoptr(GError) error = NULL;
    guint64 n_data = 0;
    gboolean synced = sync_all(set, &sums, &n_data, &error);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    if (manifest->generation != generation || set->removed)
        return;
    if (!synced || !save_durable(set, sums, n_data, &error)) {
        not_durable(set, error);
        return;
    }
    g_info("%s: %s and on stable storage", set->name, fdset_state_name(manifest->state));
    if (manifest->state == FDSET_STATE_COMPLETE)
        fdset_set_tell(set, FDSET_EVENT_DURABLE, NULL);
    g_cond_broadcast(&set->changed);
}

void fdset_set_settle(gpointer data, gpointer unused)
{
    g_autoptr(FdsetSet) set = data;
    g_autoptr(GError) reason = NULL;
    guint64 offset = set->manifest->stream_offset;
    gboolean complete = judge(set, &offset, &reason);

    make_durable(set, publish(set, complete, offset, reason));
    g_mutex_lock(&set->lock);
    fdset_set_drop_image(set);
    g_mutex_unlock(&set->lock);
}
