/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/store.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/keyfile.h"
#include "core/set-fds.h"
#include "core/set-verbs.h"
#include "core/store-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "store"
#define REMOVED_PREFIX ".removed-"

/* Sets that settle at one time: parsing and syncing are bound by the disk. */
#define SETTLERS 2

/* Who holds the lock, in words: "process 123 on host". */
#define OWNER_MAX 256

gboolean fdset_id_parse(const char *name, guint32 *id)
{
    guint64 number;

    if (!g_ascii_isdigit(name[0]) || (name[0] == '0' && name[1] != '\0'))
        return FALSE;
    if (!g_ascii_string_to_unsigned(name, 10, 0, FDSET_ID_MAX, &number, NULL))
        return FALSE;
    *id = (guint32)number;
    return TRUE;
}

static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

static gboolean take_lock(FdsetStore *store, GError **error)
{
    const char *path = store->shared.path;
    struct flock lock = whole_file(F_WRLCK);
    char owner[OWNER_MAX] = "";
    g_autofree char *self = g_strdup_printf("process %d on %s\n", getpid(), g_get_host_name());

    store->lockfd = openat(store->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lockfd < 0) {
        fdset_error_set_errno(error, errno, "%s/lock: cannot open", path);
        return FALSE;
    }
    if (fcntl(store->lockfd, F_OFD_SETLK, &lock) == 0) {
        if (ftruncate(store->lockfd, 0) == 0)
            fdset_fd_pwrite(store->lockfd, self, strlen(self), 0);
        return TRUE;
    }
    if (errno != EAGAIN && errno != EACCES) {
        fdset_error_set_errno(error, errno, "%s/lock: cannot lock", path);
        return FALSE;
    }
    if (fdset_fd_pread(store->lockfd, owner, sizeof owner - 1, 0) < 0)
        owner[0] = '\0';
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                "%s: this store is already served for writing by %s; mount it with -o ro to read "
                "beside it",
                path, owner[0] ? g_strchomp(owner) : "another process");
    return FALSE;
}

/* Does another process have the store for writing now? */
static gboolean has_writer(const FdsetStore *store)
{
    autofd fd = openat(store->dirfd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct flock lock = whole_file(F_WRLCK);

    if (fd < 0 && errno == EROFS)
        return FALSE;
    if (fd < 0)
        fd = openat(store->dirfd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return FALSE;
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return TRUE;
    return lock.l_type != F_UNLCK;
}

static gboolean is_empty_directory(int dirfd)
{
    autofd fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    gboolean empty = TRUE;

    if (!dir)
        return FALSE;
    fd = -1;
    while (empty && (entry = readdir(dir)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "lost+found") == 0;
    closedir(dir);
    return empty;
}

static gboolean init_store(FdsetStore *store, GError **error)
{
    g_autofree char *path = g_strdup_printf("%s/store", store->shared.path);
    g_autoptr(GKeyFile) keys = fdset_keyfile_new(GROUP);
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *secret = NULL;
    FdsetKey key;

    if (!fdset_key_generate(&key, error))
        return FALSE;
    secret = fdset_key_to_hex(&key);
    g_key_file_set_string(keys, GROUP, "uuid", uuid);
    g_key_file_set_string(keys, GROUP, "secret", secret);
    return fdset_keyfile_save(keys, store->dirfd, "store", path, TRUE, error);
}

static gboolean load_store(FdsetStore *store, GError **error)
{
    g_autofree char *path = g_strdup_printf("%s/store", store->shared.path);
    g_autoptr(GKeyFile) keys = fdset_keyfile_load(store->dirfd, "store", path, GROUP, error);
    g_autofree char *secret = NULL;

    if (!keys)
        return FALSE;
    secret = g_key_file_get_string(keys, GROUP, "secret", NULL);
    store->shared.uuid = g_key_file_get_string(keys, GROUP, "uuid", NULL);
    if (secret && fdset_key_from_hex(&store->key, secret) && store->shared.uuid &&
        g_uuid_string_is_valid(store->shared.uuid))
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                "%s: damaged: no valid \"uuid\" and \"secret\"", path);
    return FALSE;
}

static gboolean open_directory(FdsetStore *store, const char *path, GError **error)
{
    g_autofree char *real = realpath(path, NULL);

    if (real)
        store->dirfd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!real || store->dirfd < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot open this store", path);
        return FALSE;
    }
    store->shared.path = g_strdup(real);
    if (faccessat(store->dirfd, "store", F_OK, 0) == 0)
        return TRUE;
    if (is_empty_directory(store->dirfd) && !store->shared.policy->read_only)
        return init_store(store, error);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT,
                "%s: not a store: it has no file \"store\"%s", path,
                store->shared.policy->read_only
                    ? ""
                    : ", and it is not an empty directory that could become one");
    return FALSE;
}

typedef void (*VisitFunc)(FdsetStore *store, const char *name, gpointer data);

static void visit_entries(FdsetStore *store, VisitFunc visit, gpointer data)
{
    autofd fd = openat(store->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (!dir)
        return;
    fd = -1;
    while ((entry = readdir(dir)))
        visit(store, entry->d_name, data);
    closedir(dir);
}

static void load_entry(FdsetStore *store, const char *name, gpointer data)
{
    FdsetSet *set;
    guint32 id;

    if (fdset_id_parse(name, &id)) {
        set = fdset_set_load(&store->shared, store->dirfd, id, FALSE);
        if (!set)
            return;
        g_hash_table_insert(store->sets, GUINT_TO_POINTER(id), set);
        fdset_store_find(store, id); /* or nothing is left of it */
    } else if (g_str_has_prefix(name, REMOVED_PREFIX)) {
        id = (guint32)g_ascii_strtoull(name + strlen(REMOVED_PREFIX), NULL, 10);
        fdset_set_purge(&store->shared, store->dirfd, id, name);
    }
}

FdsetStore *fdset_store_open(const char *path, const FdsetPolicy *policy, GError **error)
{
    g_autoptr(FdsetStore) store = g_new0(FdsetStore, 1);

    store->dirfd = store->lockfd = -1;
    store->shared.policy = policy;
    store->shared.incidents = fdset_incidents_new();
    store->sets = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)fdset_set_unref);
    g_mutex_init(&store->lock);
    if (!open_directory(store, path, error) || !load_store(store, error))
        return NULL;
    if (policy->read_only)
        return g_steal_pointer(&store);
    if (!take_lock(store, error))
        return NULL;
    store->shared.settlers = g_thread_pool_new(fdset_set_settle, NULL, SETTLERS, FALSE, error);
    if (!store->shared.settlers)
        return NULL;
    visit_entries(store, load_entry, NULL);
    return g_steal_pointer(&store);
}

void fdset_store_close(FdsetStore *store)
{
    if (!store)
        return;
    if (store->shared.settlers)
        g_thread_pool_free(store->shared.settlers, FALSE, TRUE);
    g_hash_table_unref(store->sets);
    fdset_incidents_free(store->shared.incidents);
    fdset_fd_clear(&store->lockfd);
    fdset_fd_clear(&store->dirfd);
    g_mutex_clear(&store->lock);
    g_free(store->shared.path);
    g_free(store->shared.uuid);
    g_free(store);
}

/* A read-only store sees a set as its manifest is now, and loads it anew when that changed. */
static FdsetSet *lookup_read_only(FdsetStore *store, guint32 id)
{
    FdsetSet *set = g_hash_table_lookup(store->sets, GUINT_TO_POINTER(id));

    if (set && fdset_set_is_current(set))
        return fdset_set_ref(set);
    g_hash_table_remove(store->sets, GUINT_TO_POINTER(id));
    set = fdset_set_load(&store->shared, store->dirfd, id, has_writer(store));
    if (!set)
        return NULL;
    g_hash_table_insert(store->sets, GUINT_TO_POINTER(id), set);
    return fdset_set_ref(set);
}

FdsetSet *fdset_store_find(FdsetStore *store, guint32 id)
{
    FdsetSet *set = g_hash_table_lookup(store->sets, GUINT_TO_POINTER(id));

    if (!set || !fdset_set_is_spent(set))
        return set;
    fdset_store_remove_locked(store, id);
    return NULL;
}

FdsetSet *fdset_store_lookup(FdsetStore *store, guint32 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&store->lock);
    FdsetSet *set;

    if (store->shared.policy->read_only)
        return lookup_read_only(store, id);
    set = fdset_store_find(store, id);
    return set ? fdset_set_ref(set) : NULL;
}

static int report_create(FdsetStore *store, guint32 id, int errnum, const char *text)
{
    fdset_incidents_add(store->shared.incidents, id, -1, errnum, "create", text);
    return -errnum;
}

int fdset_store_create(FdsetStore *store, guint32 id, guint32 mode, guint32 uid, guint32 gid,
                       FdsetSet **out)
{
    g_autoptr(GMutexLocker) locker = NULL;
    g_autoptr(GError) error = NULL;
    FdsetSet *set;

    if (store->shared.policy->read_only)
        return -EROFS;
    locker = g_mutex_locker_new(&store->lock);
    set = fdset_store_find(store, id);
    if (set) {
        *out = fdset_set_ref(set);
        return 0;
    }
    if (store->shared.policy->no_create) {
        g_autofree char *text =
            g_strdup_printf("fdset %u: no such set, and create=no: mount with create=yes", id);

        return report_create(store, id, ENOENT, text);
    }
    set = fdset_set_create(&store->shared, store->dirfd, id, &store->key, mode, uid, gid, &error);
    if (!set)
        return report_create(store, id, fdset_error_to_errno((FdsetError)error->code),
                             error->message);
    g_hash_table_insert(store->sets, GUINT_TO_POINTER(id), set);
    *out = fdset_set_ref(set);
    return 1;
}

/* A name that no other removed set has; caller frees. */
static char *removed_name(guint32 id)
{
    g_autofree char *uuid = g_uuid_string_random();

    return g_strdup_printf(REMOVED_PREFIX "%u-%s", id, uuid);
}

int fdset_store_remove(FdsetStore *store, guint32 id)
{
    g_autoptr(FdsetSet) set = NULL; /* the last reference deletes files: not under the lock */
    g_autoptr(GMutexLocker) locker = NULL;

    if (store->shared.policy->read_only)
        return -EROFS;
    locker = g_mutex_locker_new(&store->lock);
    set = g_hash_table_lookup(store->sets, GUINT_TO_POINTER(id));
    if (set)
        fdset_set_ref(set);
    return fdset_store_remove_locked(store, id);
}

int fdset_store_remove_locked(FdsetStore *store, guint32 id)
{
    g_autofree char *name = g_strdup_printf("%u", id);
    g_autofree char *removed = removed_name(id);
    g_autoptr(FdsetSet) set = NULL;

    set = g_hash_table_lookup(store->sets, GUINT_TO_POINTER(id));
    if (!set)
        return -ENOENT;
    fdset_set_ref(set);
    if (renameat(store->dirfd, name, store->dirfd, removed) < 0)
        return -errno;
    fdset_set_mark_removed(set, removed);
    g_hash_table_remove(store->sets, GUINT_TO_POINTER(id));
    return 0;
}

/* Puts an empty set in the place of 'old', which is idle and retired. Lock held. */
static gboolean replace_set(FdsetStore *store, FdsetSet *old, const char *removed, GError **error)
{
    g_autofree char *name = g_strdup_printf("%u", fdset_set_id(old));
    FdsetSetInfo info;
    FdsetSet *set;

    fdset_set_info(old, &info);
    if (renameat(store->dirfd, name, store->dirfd, removed) < 0) {
        fdset_set_mark_removed(old, NULL);
        fdset_error_set_errno(error, errno, "%s/%s: cannot rename", store->shared.path, name);
        return FALSE;
    }
    g_hash_table_remove(store->sets, GUINT_TO_POINTER(fdset_set_id(old)));
    set = fdset_set_create(&store->shared, store->dirfd, fdset_set_id(old), &store->key, info.mode,
                           info.uid, info.gid, error);
    if (!set)
        return FALSE;
    g_hash_table_insert(store->sets, GUINT_TO_POINTER(fdset_set_id(old)), set);
    return fdset_set_inherit(set, old, error);
}

gboolean fdset_store_reset(FdsetStore *store, guint32 id, GError **error)
{
    g_autofree char *removed = removed_name(id);
    g_autoptr(FdsetSet) set = NULL; /* the last reference deletes files: not under the lock */
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&store->lock);

    set = g_hash_table_lookup(store->sets, GUINT_TO_POINTER(id));
    if (!set) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_NOT_FOUND, "fdset %u: no such set", id);
        return FALSE;
    }
    fdset_set_ref(set);
    return fdset_set_retire(set, removed, error) && replace_set(store, set, removed, error);
}

static void list_entry(FdsetStore *store, const char *name, gpointer data)
{
    FdsetSet *set;
    struct stat st;
    guint32 id;

    if (!fdset_id_parse(name, &id) ||
        fstatat(store->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return;
    set = g_hash_table_lookup(store->sets, GUINT_TO_POINTER(id));
    if (!set || !fdset_set_is_spent(set))
        g_array_append_val((GArray *)data, id);
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
    guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;

    return x < y ? -1 : x > y;
}

GArray *fdset_store_list(FdsetStore *store)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(guint32));

    g_mutex_lock(&store->lock);
    visit_entries(store, list_entry, ids);
    g_mutex_unlock(&store->lock);
    g_array_sort(ids, compare_ids);
    return ids;
}

int fdset_store_statfs(FdsetStore *store, struct statvfs *st)
{
    return fstatvfs(store->dirfd, st) < 0 ? -errno : 0;
}

int fdset_store_stat(FdsetStore *store, struct stat *st)
{
    return fstat(store->dirfd, st) < 0 ? -errno : 0;
}

int fdset_store_change(FdsetStore *store, const guint32 *mode, const guint32 *uid,
                       const guint32 *gid)
{
    if (store->shared.policy->read_only)
        return -EROFS;
    if ((uid || gid) && fchown(store->dirfd, uid ? *uid : (uid_t)-1, gid ? *gid : (gid_t)-1) < 0)
        return -errno;
    if (mode && fchmod(store->dirfd, *mode & 07777) < 0)
        return -errno;
    return 0;
}

void fdset_store_watch(FdsetStore *store, FdsetEventFunc func, gpointer data)
{
    store->shared.event_data = data;
    g_atomic_pointer_set(&store->shared.event, func);
}

FdsetIncidents *fdset_store_incidents(FdsetStore *store)
{
    return store->shared.incidents;
}

const FdsetPolicy *fdset_store_policy(const FdsetStore *store)
{
    return store->shared.policy;
}
