/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "core/set-fds.h"
#include "core/error.h"
#include "core/set-internal.h"

#include <errno.h>
#include <fcntl.h>

#define MATCHED (O_ACCMODE | O_DIRECT)

static FdsetDescriptor *nth(const FdsetSet *set, guint i)
{
    return set->descriptors->pdata[i];
}

static FdsetDescriptorCounts count(const FdsetSet *set)
{
    FdsetDescriptorCounts counts = {0};

    for (guint i = 0; i < set->descriptors->len; i++) {
        int flags = fdset_descriptor_flags(nth(set, i));
        gboolean direct = (flags & O_DIRECT) != 0;

        if ((flags & O_ACCMODE) == O_WRONLY)
            *(direct ? &counts.n_source_direct : &counts.n_source) += 1;
        else
            *(direct ? &counts.n_destination_direct : &counts.n_destination) += 1;
    }
    return counts;
}

/* --- an open --- */

static guint count_users(const FdsetSet *set, const FdsetDescriptor *descriptor)
{
    guint n = 0;

    for (guint i = 0; i < set->writers->len; i++)
        n += ((const FdsetHandle *)set->writers->pdata[i])->descriptor == descriptor;
    return n;
}

FdsetDescriptor *fdset_set_match(const FdsetSet *set, int flags)
{
    FdsetDescriptor *best = NULL;
    guint least = G_MAXUINT;

    for (guint i = set->descriptors->len; i-- > 0;) {
        guint n = count_users(set, nth(set, i));

        if ((fdset_descriptor_flags(nth(set, i)) & MATCHED) != (flags & MATCHED) || n >= least)
            continue;
        best = nth(set, i);
        least = n;
    }
    return best;
}

/* A flag that the manager switched on after it had handed the descriptor over. */
static gboolean any_appends(const FdsetSet *set)
{
    for (guint i = 0; i < set->descriptors->len; i++)
        if ((fdset_descriptor_flags(nth(set, i)) & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND))
            return TRUE;
    return FALSE;
}

/* Of the files that a save lies in, each has a descriptor. */
static gboolean has_all_files(const FdsetSet *set)
{
    for (guint i = 0; i < set->manifest->channels->len; i++) {
        const FdsetChannelInfo *info = set->manifest->channels->pdata[i];
        gboolean found = FALSE;

        for (guint k = 0; k < set->descriptors->len; k++)
            found |= fdset_descriptor_device(nth(set, k)) == info->device &&
                     fdset_descriptor_inode(nth(set, k)) == info->inode;
        if (!found)
            return FALSE;
    }
    return TRUE;
}

const FdsetFdRule *fdset_set_check_match(const FdsetSet *set, int flags, gboolean secondary)
{
    FdsetMatch match = {
        .profile = set->shared->policy->profile,
        .dio = set->shared->policy->dio,
        .set = count(set),
        .flags = flags,
        .secondary = secondary,
        .changed = any_appends(set),
        .missing = set->manifest->backing == FDSET_BACKING_FILES && !has_all_files(set),
    };

    return set->manifest->backing == FDSET_BACKING_STORE ? NULL : fdset_fdrules_check_open(&match);
}

FdsetChannel *fdset_set_channel_of(FdsetSet *set, const FdsetDescriptor *descriptor, GError **error)
{
    FdsetChannel *channel = NULL;

    if (set->manifest->backing == FDSET_BACKING_FILES)
        channel = fdset_image_external_channel(set->image, fdset_descriptor_device(descriptor),
                                               fdset_descriptor_inode(descriptor));
    return channel ? channel
                   : fdset_image_adopt_channel(set->image, fdset_descriptor_fd(descriptor), error);
}

GArray *fdset_set_fd_numbers(const FdsetSet *set)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));

    for (guint i = set->descriptors->len; i-- > 0;) {
        int fd = fdset_descriptor_fd(nth(set, i));

        if (fdset_descriptor_flags(nth(set, i)) & O_DIRECT)
            g_array_append_val(fds, fd);
        else
            g_array_prepend_val(fds, fd);
    }
    return fds;
}

guint64 fdset_set_file_size(FdsetSet *set)
{
    struct stat st;

    if (set->descriptors->len > 0 && fstat(fdset_descriptor_fd(nth(set, 0)), &st) == 0)
        return MIN((guint64)st.st_size, FDSET_IMAGE_MAX);
    return set->manifest->size;
}

/* --- one more descriptor --- */

static gboolean refuse(FdsetSet *set, const char *rule, const char *text, GError **error)
{
    fdset_set_report(set, -1, EACCES, rule, text);
    g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_DENIED, text);
    return FALSE;
}

G_GNUC_PRINTF(4, 5)
static gboolean refuse_files(FdsetSet *set, const char *rule, GError **error, const char *format,
                             ...)
{
    g_autofree char *why = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    why = g_strdup_vprintf(format, args);
    va_end(args);
    text = g_strdup_printf("%s: %s", set->name, why);
    return refuse(set, rule, text, error);
}

static gboolean check_rules(FdsetSet *set, const FdsetDescriptor *descriptor, GError **error)
{
    FdsetAdd add = {
        .profile = set->shared->policy->profile,
        .dio = set->shared->policy->dio,
        .set = count(set),
        .kind = fdset_descriptor_kind(descriptor),
        .flags = fdset_descriptor_flags(descriptor),
    };
    const FdsetFdRule *rule;
    g_autofree char *text = NULL;

    for (guint i = 0; add.kind == FDSET_FILE_REGULAR && i < set->descriptors->len; i++)
        add.duplicate |= fdset_descriptor_is_duplicate(nth(set, i), descriptor);
    rule = fdset_fdrules_check_add(&add);
    if (!rule)
        return TRUE;
    text = fdset_fdrule_explain(rule, set->id, add.flags);
    return refuse(set, fdset_fdrule_name(rule), text, error);
}

static gboolean is_source(const FdsetDescriptor *descriptor)
{
    return (fdset_descriptor_flags(descriptor) & O_ACCMODE) == O_WRONLY;
}

/* Parts of blocks are put together, and the stream is checked, by reading. */
static gboolean check_readable(FdsetSet *set, const FdsetDescriptor *descriptor, GError **error)
{
    FdsetChannelInfo info = {.number = 1};
    g_autoptr(FdsetChannel) channel =
        fdset_channel_adopt(&info, fdset_descriptor_fd(descriptor), error);

    if (!channel)
        return FALSE;
    if (fdset_channel_can_read(channel) == 0)
        return TRUE;
    return refuse_files(set, "fd-unreadable", error,
                        "descriptors of different files, and fdsetfs cannot open one for reading "
                        "(%s): it needs that to put blocks together; let its user read the files, "
                        "or hand over descriptors of one file",
                        g_strerror(-fdset_channel_can_read(channel)));
}

static gboolean is_known_file(const FdsetSet *set, const FdsetDescriptor *descriptor)
{
    for (guint i = 0; i < set->manifest->channels->len; i++) {
        const FdsetChannelInfo *info = set->manifest->channels->pdata[i];

        if (info->device == fdset_descriptor_device(descriptor) &&
            info->inode == fdset_descriptor_inode(descriptor))
            return TRUE;
    }
    return FALSE;
}

static gboolean has_same_file(const FdsetSet *set, const FdsetDescriptor *descriptor)
{
    for (guint i = 0; i < set->descriptors->len; i++)
        if (fdset_descriptor_same_file(nth(set, i), descriptor))
            return TRUE;
    return FALSE;
}

/* Another file than the one that the set's descriptors are of. */
static gboolean check_second_file(FdsetSet *set, const FdsetDescriptor *descriptor, GError **error)
{
    if (!is_source(descriptor))
        return refuse_files(set, "fd-unknown-map", error,
                            "a read-only descriptor of a second file, but no block map tells how "
                            "they belong together: hand over descriptors of one file, or those of "
                            "the files that set was saved into");
    if (set->descriptors->len > 1)
        return refuse_files(set, "fd-mixed-files", error,
                            "a descriptor of a second file beside several of the first: either all "
                            "are of one file, or each is of a file of its own");
    if (set->manifest->generation > 0)
        return refuse_files(set, "fd-has-save", error,
                            "a descriptor of a second file, but there is a save in the first: "
                            "reset the set (reset) before you add files");
    return check_readable(set, nth(set, 0), error) && check_readable(set, descriptor, error);
}

static gboolean check_files(FdsetSet *set, const FdsetDescriptor *descriptor, GError **error)
{
    if (has_same_file(set, descriptor))
        return refuse_files(set, "fd-mixed-files", error,
                            "a second descriptor of one file beside those of others: either all "
                            "are of one file, or each is of a file of its own");
    if (is_source(descriptor) && set->manifest->generation > 0)
        return refuse_files(set, "fd-has-save", error,
                            "a write-only descriptor, but the set has a save in other files: "
                            "remove the set first (rm)");
    if (!is_source(descriptor) && !is_known_file(set, descriptor))
        return refuse_files(set, "fd-unknown-file", error,
                            "a read-only descriptor of a file that the set was not saved into");
    return check_readable(set, descriptor, error);
}

/* What the descriptor makes of the set; refuses files that do not go together. */
static gboolean check_backing(FdsetSet *set, const FdsetDescriptor *descriptor,
                              FdsetBacking *backing, GError **error)
{
    const FdsetManifest *manifest = set->manifest;
    gboolean fresh = manifest->generation == 0 && manifest->channels->len == 0;

    *backing = manifest->backing;
    if (*backing == FDSET_BACKING_STORE && !fresh)
        return refuse_files(set, "fd-store", error,
                            "is a set whose files are in the store: use another number, or remove "
                            "it first (rm)");
    if (*backing == FDSET_BACKING_FILES)
        return check_files(set, descriptor, error);
    *backing = FDSET_BACKING_FILE;
    if (set->descriptors->len == 0 || has_same_file(set, descriptor))
        return TRUE;
    *backing = FDSET_BACKING_FILES;
    return check_second_file(set, descriptor, error);
}

/* While it is being written a set of one file may get more descriptors of that, no other may. */
static gboolean check_busy(const FdsetSet *set, const FdsetDescriptor *descriptor, GError **error)
{
    gboolean idle = set->writers->len == 0 && !set->settling;

    if (idle || (set->manifest->backing == FDSET_BACKING_FILE && has_same_file(set, descriptor)))
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                "%s: is being written or checked: only another descriptor of the same file can be "
                "added now",
                set->name);
    return FALSE;
}

/* What was saved elsewhere, or before this daemon began, is looked at before anybody reads it. */
static gboolean look_at(FdsetSet *set, GError **error)
{
    gboolean files = set->manifest->backing == FDSET_BACKING_FILES;

    if (is_source(nth(set, set->descriptors->len - 1)) || set->settling ||
        (files && (!has_all_files(set) || set->manifest->durable)) ||
        (!files && set->descriptors->len > 1))
        return TRUE;
    if (!fdset_set_use_image(set, FALSE, error))
        return FALSE;
    fdset_set_start_settling(set);
    fdset_set_drop_image(set);
    return TRUE;
}

/* Lock held. A failure leaves the set as it was. */
static gboolean add(FdsetSet *set, FdsetDescriptor *descriptor, GError **error)
{
    FdsetBacking backing, before = set->manifest->backing;
    guint64 size = set->manifest->size;

    if (!check_rules(set, descriptor, error) || !check_busy(set, descriptor, error) ||
        !check_backing(set, descriptor, &backing, error))
        return FALSE;
    set->manifest->backing = backing;
    g_ptr_array_add(set->descriptors, fdset_descriptor_ref(descriptor));
    if (backing == FDSET_BACKING_FILES && set->manifest->generation == 0)
        set->manifest->size = 0; /* what is in several files is not an image yet */
    else if (set->writers->len == 0 && backing == FDSET_BACKING_FILE)
        set->manifest->size = fdset_set_file_size(set);
    if (fdset_set_save(set, FALSE, error) && look_at(set, error))
        return TRUE;
    g_ptr_array_remove(set->descriptors, descriptor);
    set->manifest->backing = before;
    set->manifest->size = size;
    fdset_set_save(set, FALSE, NULL); /* where the first went through */
    return FALSE;
}

gboolean fdset_set_add_descriptor(FdsetSet *set, FdsetDescriptor *descriptor, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    return add(set, descriptor, error);
}

/* --- and one less --- */

gboolean fdset_set_remove_descriptor(FdsetSet *set, int fd)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    guint before = set->descriptors->len;

    if (set->manifest->backing == FDSET_BACKING_STORE)
        return FALSE;
    for (guint i = before; i-- > 0;)
        if (fd < 0 || fdset_descriptor_fd(nth(set, i)) == fd)
            g_ptr_array_remove_index(set->descriptors, i);
    return fd < 0 || set->descriptors->len < before;
}

GPtrArray *fdset_set_descriptors(FdsetSet *set)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    GPtrArray *descriptors;

    if (set->manifest->backing == FDSET_BACKING_STORE)
        return NULL;
    descriptors = g_ptr_array_new_with_free_func((GDestroyNotify)fdset_descriptor_unref);
    for (guint i = 0; i < set->descriptors->len; i++)
        g_ptr_array_add(descriptors, fdset_descriptor_ref(nth(set, i)));
    return descriptors;
}

gboolean fdset_set_is_spent(FdsetSet *set)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);
    const FdsetManifest *manifest = set->manifest;

    if (set->descriptors->len > 0 || set->image_users > 0 || set->settling)
        return FALSE;
    return manifest->backing == FDSET_BACKING_FILE ||
           (manifest->backing == FDSET_BACKING_FILES && manifest->generation == 0);
}

gboolean fdset_set_inherit(FdsetSet *set, FdsetSet *old, GError **error)
{
    g_autoptr(GPtrArray) descriptors = fdset_set_descriptors(old);

    for (guint i = 0; descriptors && i < descriptors->len; i++)
        if (!fdset_set_add_descriptor(set, descriptors->pdata[i], error))
            return FALSE;
    fdset_set_remove_descriptor(old, -1);
    return TRUE;
}
