/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work on a whole image: checking it and copying it out. No lock is held while it lasts. */
#include "config.h"
#include "core/error.h"
#include "core/set-internal.h"
#include "core/set-verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct {
    FdsetSet *set;
    guint64 generation; /* of the manifest: a session that begins meanwhile changes it */
    guint64 total;
    FdsetProgressFunc progress;
    gpointer data;
} Work;

/* Opens the image for the work. */
static gboolean begin_work(Work *work, GError **error)
{
    FdsetSet *set = work->set;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->lock);

    work->generation = set->manifest->generation;
    if (!fdset_set_check_idle(set, error) || !fdset_set_use_image(set, FALSE, error))
        return FALSE;
    work->total = fdset_image_size(set->image);
    return TRUE;
}

static void end_work(Work *work)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&work->set->lock);

    fdset_set_drop_image(work->set);
}

static gboolean may_go_on(Work *work, guint64 offset, GError **error)
{
    FdsetSet *set = work->set;
    gboolean same;

    g_mutex_lock(&set->lock);
    same = set->manifest->generation == work->generation;
    g_mutex_unlock(&set->lock);
    if (!same)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY,
                    "%s: a session has begun: try again when that has ended", set->name);
    else if (work->progress(work->data, offset, work->total))
        return TRUE;
    else
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY, "%s: the work was ended", set->name);
    return FALSE;
}

static gboolean fail(const Work *work, int r, guint64 offset, GError **error)
{
    FdsetSet *set = work->set;
    g_autofree char *problem = r == -EIO ? fdset_image_problem(set->image) : NULL;

    if (r == -EBADMSG)
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_CORRUPT,
                    "%s: the block map (file \"map\") does not match its sum near offset "
                    "%" G_GUINT64_FORMAT ": it was changed or damaged",
                    set->path, offset);
    else if (problem)
        g_set_error_literal(error, FDSET_ERROR, FDSET_ERROR_CORRUPT, problem);
    else
        fdset_error_set_errno(error, -r, "%s: failed near offset %" G_GUINT64_FORMAT, set->path,
                              offset);
    return FALSE;
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

static gboolean verify_image(Work *work, FdsetVerify *verify, GError **error)
{
    FdsetImageCheck check = {.bad = note_mismatch, .data = verify};
    guint64 offset = 0;
    int r;

    if (!fdset_image_has_digests(work->set->image)) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_UNSUPPORTED,
                    "%s: is a file of its manager, of which fdsetfs keeps no digests to compare it "
                    "with",
                    work->set->name);
        return FALSE;
    }
    while ((r = fdset_image_check(work->set->image, &offset, &check)) > 0)
        if (!may_go_on(work, offset, error))
            return FALSE;
    verify->blocks = check.blocks;
    verify->unknown = check.unknown;
    verify->mismatches = check.mismatches;
    return r < 0 ? fail(work, r, offset, error) : may_go_on(work, offset, error);
}

FdsetVerify *fdset_set_verify(FdsetSet *set, FdsetProgressFunc progress, gpointer data,
                              GError **error)
{
    g_autoptr(FdsetVerify) verify = g_new0(FdsetVerify, 1);
    Work work = {.set = set, .progress = progress, .data = data};
    gboolean done;

    verify->offsets = g_array_new(FALSE, FALSE, sizeof(guint64));
    verify->texts = g_ptr_array_new_with_free_func(g_free);
    if (!begin_work(&work, error))
        return NULL;
    done = verify_image(&work, verify, error);
    end_work(&work);
    return done ? g_steal_pointer(&verify) : NULL;
}

static gboolean check_target(const FdsetSet *set, int fd, GError **error)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & (O_APPEND | O_PATH)) &&
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return TRUE;
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_USAGE,
                "%s: an image can only be copied into a regular file open for writing", set->name);
    return FALSE;
}

static gboolean export_image(Work *work, int fd, GError **error)
{
    guint64 offset = 0;
    int r;

    while ((r = fdset_image_export(work->set->image, &offset, fd)) > 0)
        if (!may_go_on(work, offset, error))
            return FALSE;
    if (r == 0 && ftruncate(fd, (off_t)work->total) < 0)
        r = -errno;
    return r < 0 ? fail(work, r, offset, error) : may_go_on(work, offset, error);
}

gboolean fdset_set_export(FdsetSet *set, int fd, FdsetProgressFunc progress, gpointer data,
                          GError **error)
{
    Work work = {.set = set, .progress = progress, .data = data};
    gboolean done;

    if (!check_target(set, fd, error) || !begin_work(&work, error))
        return FALSE;
    done = export_image(&work, fd, error);
    end_work(&work);
    return done;
}
