/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/set-internal.h"
#include "core/error.h"
#include "core/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 16 bytes for each 256 MiB of an image of FDSET_IMAGE_MAX. */
#define SUMS_MAX (FDSET_IMAGE_MAX / FDSET_BLOCK_SIZE / FDSET_CHUNK_BLOCKS * FDSET_SUM_SIZE)

static const char *const status_names[] = {
    [FDSET_STATUS_WRITING] = "writing",   [FDSET_STATUS_PARTIAL] = "partial",
    [FDSET_STATUS_COMPLETE] = "complete", [FDSET_STATUS_DURABLE] = "durable",
    [FDSET_STATUS_DAMAGED] = "damaged",
};

const char *fdset_status_name(FdsetStatus status)
{
    return status_names[status];
}

static FdsetSet *set_new(FdsetShared *shared, int store_dirfd, guint32 id)
{
    FdsetSet *set = g_new0(FdsetSet, 1);

    g_atomic_ref_count_init(&set->refs);
    set->shared = shared;
    set->store_dirfd = store_dirfd;
    set->id = id;
    set->tag = g_random_int();
    set->name = g_strdup_printf("fdset %u", id);
    set->path = g_strdup_printf("%s/%u", shared->path, id);
    set->dirfd = -1;
    g_mutex_init(&set->lock);
    g_cond_init(&set->changed);
    set->writers = g_ptr_array_new();
    set->descriptors =
        g_ptr_array_new_with_free_func((GDestroyNotify)fdset_descriptor_unref);
    return set;
}

static gboolean open_directory(FdsetSet *set, GError **error)
{
    g_autofree char *name = g_strdup_printf("%u", set->id);

    set->dirfd = openat(set->store_dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (set->dirfd < 0)
        fdset_error_set_errno(error, errno, "%s: cannot open", set->path);
    return set->dirfd >= 0;
}

/*
 * Nothing stays of a set that could not be made, or its number could not be used
 * again. By names alone: the reason may be that there are no descriptors left.
 */
static void discard_new(int store_dirfd, const char *name)
{
    static const char *const files[] = {"map", "manifest"};

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(name, files[i], NULL);

        unlinkat(store_dirfd, path, 0);
    }
    if (unlinkat(store_dirfd, name, AT_REMOVEDIR) < 0)
        g_warning("%s: cannot remove what was made of it: %s", name, g_strerror(errno));
}

FdsetSet *fdset_set_create(FdsetShared *shared, int store_dirfd, guint32 id, const FdsetKey *key,
                           guint32 mode, guint32 uid, guint32 gid, GError **error)
{
    g_autoptr(FdsetSet) set = set_new(shared, store_dirfd, id);
    g_autofree char *name = g_strdup_printf("%u", id);

    set->manifest = fdset_manifest_new(id, key);
    set->manifest->mode = mode & 07777;
    set->manifest->uid = uid;
    set->manifest->gid = gid;
    set->manifest->mtime = g_get_real_time() * 1000;
    if (mkdirat(store_dirfd, name, 0700) < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot make it", set->path);
        return NULL;
    }
    if (open_directory(set, error) && fdset_blockmap_create(set->dirfd, error) &&
        fdset_manifest_save(set->manifest, set->dirfd, set->path, FALSE, error))
        return g_steal_pointer(&set);
    discard_new(store_dirfd, name);
    return NULL;
}

/* Keeps the set listed, and the reason for those who open it. */
static void set_damaged(FdsetSet *set, const GError *error)
{
    g_warning("%s cannot be used: %s", set->name, error->message);
    set->damage = g_strdup_printf("%s: %s", set->name, error->message);
}

FdsetSet *fdset_set_load(FdsetShared *shared, int store_dirfd, guint32 id, gboolean writer)
{
    g_autoptr(FdsetSet) set = set_new(shared, store_dirfd, id);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup_printf("%s/manifest", set->path);

    if (!open_directory(set, &error))
        return NULL;
    fstatat(set->dirfd, "manifest", &set->stamp, 0);
    set->manifest = fdset_manifest_load(set->dirfd, id, path, &error);
    if (!set->manifest) {
        FdsetKey none = {{0}};

        set_damaged(set, error);
        set->manifest = fdset_manifest_new(id, &none);
        return g_steal_pointer(&set);
    }
    g_mutex_lock(&set->lock);
    if (!fdset_set_recover(set, writer, &error))
        set_damaged(set, error);
    g_mutex_unlock(&set->lock);
    return g_steal_pointer(&set);
}

gboolean fdset_set_is_current(FdsetSet *set)
{
    g_autofree char *name = g_strdup_printf("%u/manifest", set->id);
    struct stat st;

    if (set->foreign || fstatat(set->store_dirfd, name, &st, 0) < 0)
        return FALSE;
    return st.st_ino == set->stamp.st_ino && st.st_mtim.tv_sec == set->stamp.st_mtim.tv_sec &&
           st.st_mtim.tv_nsec == set->stamp.st_mtim.tv_nsec;
}

FdsetSet *fdset_set_ref(FdsetSet *set)
{
    g_atomic_ref_count_inc(&set->refs);
    return set;
}

static void delete_files(FdsetSet *set)
{
    autofd fd = openat(set->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    for (guint i = 0; i < set->manifest->channels->len; i++) {
        const FdsetChannelInfo *info = set->manifest->channels->pdata[i];

        if (info->directory)
            fdset_channel_unlink(set->dirfd, info);
    }
    if (!dir)
        return;
    fd = -1;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(set->dirfd, entry->d_name, 0);
    closedir(dir);
    if (unlinkat(set->store_dirfd, set->removed, AT_REMOVEDIR) < 0)
        g_warning("%s/%s: cannot remove: %s", set->shared->path, set->removed, g_strerror(errno));
}

void fdset_set_unref(FdsetSet *set)
{
    if (!set || !g_atomic_ref_count_dec(&set->refs))
        return;
    g_assert(!set->image);
    if (set->removed)
        delete_files(set);
    g_clear_pointer(&set->manifest, fdset_manifest_free);
    g_ptr_array_unref(set->writers);
    g_ptr_array_unref(set->descriptors);
    fdset_fd_clear(&set->dirfd);
    g_mutex_clear(&set->lock);
    g_cond_clear(&set->changed);
    g_free(set->damage);
    g_free(set->removed);
    g_free(set->last_error);
    g_free(set->path);
    g_free(set->name);
    g_free(set);
}

void fdset_set_mark_removed(FdsetSet *set, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    g_free(set->removed);
    set->removed = g_strdup(name);
}

void fdset_set_purge(FdsetShared *shared, int store_dirfd, guint32 id, const char *name)
{
    g_autoptr(FdsetSet) set = set_new(shared, store_dirfd, id);

    set->dirfd = openat(store_dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    set->manifest = fdset_manifest_load(set->dirfd, id, name, NULL);
    if (!set->manifest) {
        FdsetKey none = {{0}};

        set->manifest = fdset_manifest_new(id, &none);
    }
    fdset_set_mark_removed(set, name);
}

guint32 fdset_set_id(const FdsetSet *set)
{
    return set->id;
}

guint32 fdset_set_tag(const FdsetSet *set)
{
    return set->tag;
}

/* The sums that go with the manifest; NULL without an error: it has none. */
static gboolean load_sums(const FdsetSet *set, GBytes **sums, GError **error)
{
    const FdsetManifest *manifest = set->manifest;
    guint8 digest[FDSET_SUM_SIZE];
    gconstpointer data;
    gsize len;

    if (fdset_bytes_are_zero(manifest->sums, sizeof manifest->sums))
        return TRUE;
    *sums = fdset_fd_read_file(set->dirfd, "sums", SUMS_MAX, error);
    if (!*sums)
        return FALSE;
    data = g_bytes_get_data(*sums, &len);
    fdset_digest_bytes(&manifest->key, data, len, digest);
    if (memcmp(digest, manifest->sums, sizeof digest) == 0)
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "sums: damaged: its digest is not the one in the manifest");
    return FALSE;
}

gboolean fdset_set_use_image(FdsetSet *set, gboolean find_size, GError **error)
{
    g_autoptr(GBytes) sums = NULL;
    g_autoptr(GArray) fds = fdset_set_fd_numbers(set);
    FdsetImageOptions options = {
        .fds = fds,
        .one_file = set->manifest->backing == FDSET_BACKING_FILE,
        .name = set->name,
        .dirfd = set->dirfd,
        .key = &set->manifest->key,
        .channels = set->manifest->channels,
        .size = find_size ? G_MAXUINT64 : set->manifest->size,
        .writable = !set->shared->policy->read_only,
        .verify = !set->shared->policy->no_verify,
    };

    if (!set->image) {
        if (load_sums(set, &sums, error)) {
            options.sums = sums;
            set->image = fdset_image_open(&options, error);
        }
        if (!set->image) {
            g_prefix_error(error, "%s: ", set->path);
            return FALSE;
        }
    }
    set->image_users++;
    return TRUE;
}

void fdset_set_drop_image(FdsetSet *set)
{
    if (--set->image_users == 0)
        g_clear_pointer(&set->image, fdset_image_free);
}

gboolean fdset_set_save(FdsetSet *set, gboolean durable, GError **error)
{
    FdsetManifest *manifest = set->manifest;

    if (set->image) {
        g_ptr_array_unref(manifest->channels);
        manifest->channels = fdset_image_channels(set->image);
        manifest->size = fdset_image_size(set->image);
    }
    if (set->removed)
        return TRUE;
    /* What was once on stable storage is only replaced by what is. */
    durable = durable || manifest->durable || manifest->generation > 1;
    return fdset_manifest_save(manifest, set->dirfd, set->path, durable, error);
}

static FdsetStatus status_of(const FdsetSet *set)
{
    if (set->damage)
        return FDSET_STATUS_DAMAGED;
    if (set->foreign || (!set->header_only && (set->writers->len > 0 || set->settling)))
        return FDSET_STATUS_WRITING;
    if (set->manifest->state == FDSET_STATE_PARTIAL)
        return FDSET_STATUS_PARTIAL;
    return set->manifest->durable ? FDSET_STATUS_DURABLE : FDSET_STATUS_COMPLETE;
}

void fdset_set_info(FdsetSet *set, FdsetSetInfo *info)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    const FdsetManifest *manifest = set->manifest;
    gboolean live = set->image && set->writers->len > 0;

    *info = (FdsetSetInfo){
        .status = status_of(set),
        .size = live ? fdset_image_size(set->image) : manifest->size,
        .data_bytes = live ? fdset_image_written(set->image)
                           : manifest->data_blocks * FDSET_BLOCK_SIZE,
        .stream_offset = manifest->stream_offset,
        .n_channels = manifest->channels->len,
        .mode = manifest->mode,
        .uid = manifest->uid,
        .gid = manifest->gid,
        .mtime = live && !set->header_only ? set->last_write * 1000 : manifest->mtime,
    };
    /* A manager can change its own file at any time. */
    if (!live && manifest->backing == FDSET_BACKING_FILE)
        info->size = fdset_set_file_size(set);
    info->stable =
        (info->status == FDSET_STATUS_COMPLETE || info->status == FDSET_STATUS_DURABLE) &&
        manifest->backing != FDSET_BACKING_FILE;
}

char *fdset_set_last_error(FdsetSet *set)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    if (set->last_error || set->damage)
        return g_strdup(set->last_error ? set->last_error : set->damage);
    return g_strdup(set->manifest->reason);
}

void fdset_set_tell(FdsetSet *set, FdsetEvent event, const char *text)
{
    FdsetEventFunc func = g_atomic_pointer_get(&set->shared->event);

    if (func)
        func(set->shared->event_data, event, set->id, text);
}

void fdset_set_report(FdsetSet *set, int channel, int errnum, const char *rule, const char *text)
{
    g_free(set->last_error);
    set->last_error = g_strdup(text);
    fdset_incidents_add(set->shared->incidents, set->id, channel, errnum, rule, text);
}

int fdset_set_change(FdsetSet *set, const guint32 *mode, const guint32 *uid, const guint32 *gid,
                     const gint64 *mtime)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    FdsetManifest *manifest = set->manifest;
    g_autoptr(GError) error = NULL;

    if (set->shared->policy->read_only)
        return -EROFS;
    if (set->damage)
        return -EIO;
    manifest->mode = mode ? *mode & 07777 : manifest->mode;
    manifest->uid = uid ? *uid : manifest->uid;
    manifest->gid = gid ? *gid : manifest->gid;
    manifest->mtime = mtime ? *mtime : manifest->mtime;
    if (mtime)
        set->last_write = *mtime / 1000;
    if (fdset_set_save(set, FALSE, &error))
        return 0;
    fdset_set_report(set, -1, fdset_error_to_errno((FdsetError)error->code), "failure",
                     error->message);
    return -fdset_error_to_errno((FdsetError)error->code);
}

int fdset_set_truncate(FdsetSet *set, guint64 size)
{
    g_autoptr(FdsetHandle) handle = NULL;
    int r = fdset_handle_open(set, O_WRONLY, &handle);

    return r < 0 ? r : fdset_handle_truncate(handle, size);
}
