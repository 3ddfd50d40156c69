/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations on what is open. */
#include "config.h"
#include "core/scratch.h"
#include "fs/ctl.h"
#include "fs/ops-inside.h"
#include "fs/ops-internal.h"
#include "fs/view-reply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How the kernel is to treat this open. */
static void set_caching(FdsetHandle *handle, gboolean shared, struct fuse_file_info *fi)
{
    FdsetSetInfo info;

    fdset_set_info(fdset_handle_set(handle), &info);
    fi->direct_io = fdset_handle_is_writer(handle) || !info.stable || !shared;
    fi->keep_cache = !fi->direct_io;
#ifdef HAVE_PARALLEL_DIRECT_WRITES
    fi->parallel_direct_writes = fi->direct_io;
#endif
}

static int open_set(FsContext *context, FdsetSet *set, gboolean shared, struct fuse_file_info *fi)
{
    FsFile file = {0};
    int r = fdset_handle_open(set, fi->flags, &file.handle);

    if (r < 0)
        return r;
    set_caching(file.handle, shared, fi);
    fi->fh = fs_files_add(context->files, &file);
    return 0;
}

static int open_ctl(FsContext *context, fuse_ino_t node, struct fuse_file_info *fi)
{
    FsFile file = {0};

    if (node < FS_NODE_CTL_FIRST || node >= FS_NODE_CTL_FIRST + fs_ctl_count())
        return -ENOENT;
    if ((fi->flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    file.text = fs_ctl_render((guint)(node - FS_NODE_CTL_FIRST), context);
    fi->direct_io = 1; /* its size is only known now */
    fi->fh = fs_files_add(context->files, &file);
    return 0;
}

void fs_op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    FsContext *context = fs_context(req);
    gboolean shared = FALSE;
    g_autoptr(FdsetSet) set = fs_nodes_get(context->nodes, node, &shared);
    FsPlace place;
    int r;

    if (set)
        r = open_set(context, set, shared, fi);
    else if (fs_nodes_get_place(context->nodes, node, &place))
        r = fs_inside_open(context, &place, fi);
    else
        r = open_ctl(context, node, fi);
    if (r < 0)
        fs_reply(req, "open", node, r);
    else if (fuse_reply_open(req, fi) == -ENOENT)
        fs_files_remove(context->files, fi->fh); /* the open was interrupted */
}

/* Finds or makes the set and opens it; a set made for an open that fails goes again. */
static int create(fuse_req_t req, const char *name, mode_t mode, struct fuse_file_info *fi,
                  FdsetSet **set)
{
    FsContext *context = fs_context(req);
    const struct fuse_ctx *caller = fuse_req_ctx(req);
    guint32 id;
    int made, r;

    if (!fdset_id_parse(name, &id))
        return -EINVAL;
    made = fdset_store_create(context->store, id, mode, caller->uid, caller->gid, set);
    if (made < 0)
        return made;
    r = !made && fi->flags & O_EXCL ? -EEXIST : open_set(context, *set, FALSE, fi);
    if (r < 0 && made)
        fdset_store_remove(context->store, id);
    return r;
}

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi)
{
    FsContext *context = fs_context(req);
    g_autoptr(FdsetSet) set = NULL;
    struct fuse_entry_param entry = {0};
    gboolean stable;
    FsPlace place;
    int r;

    if (parent == FS_NODE_ROOT)
        r = create(req, name, mode, fi, &set);
    else
        r = fs_nodes_get_place(context->nodes, parent, &place) ? -EROFS : -EACCES;
    if (r < 0) {
        fs_reply(req, "create", parent, r);
        return;
    }
    entry.ino = fs_nodes_look_up(context->nodes, set, FALSE);
    fs_attributes_of_set(set, &entry.attr, &stable);
    if (fuse_reply_create(req, &entry, fi) != -ENOENT)
        return;
    fs_files_remove(context->files, fi->fh);
    fs_nodes_forget(context->nodes, entry.ino, 1);
}

/* With a reference of its own: once the kernel has the reply, it may release the file. */
static void reply_text(fuse_req_t req, GBytes *file_text, size_t size, off_t offset)
{
    g_autoptr(GBytes) text = g_bytes_ref(file_text);
    gsize len;
    const char *data = g_bytes_get_data(text, &len);
    gsize start = MIN((gsize)offset, len);

    fuse_reply_buf(req, data + start, MIN(size, len - start));
}

static void count_read(FsStats *stats, gssize got)
{
    fs_stats_add(&stats->reads, 1);
    if (got < 0)
        fs_stats_add(&stats->errors, 1);
    else
        fs_stats_add(&stats->bytes_read, (guint64)got);
}

void fs_op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                struct fuse_file_info *fi)
{
    FsContext *context = fs_context(req);
    const FsFile *file = fs_files_get(context->files, fi->fh);
    gconstpointer data;
    gssize got;

    if (file && file->text) {
        reply_text(req, file->text, size, offset);
        return;
    }
    if (file && file->inside) {
        got = fs_view_reply_read(req, fs_inside_view(file->inside), file->place, size, offset);
        count_read(&context->stats, got);
        if (got < 0)
            fs_reply(req, "read", node, (int)got);
        return;
    }
    if (!file || !file->handle) {
        fs_reply(req, "read", node, -EBADF);
        return;
    }
    got = fdset_handle_read(file->handle, fdset_scratch(), MIN(size, FDSET_REQUEST_MAX),
                            (guint64)offset, &data);
    count_read(&context->stats, got);
    if (got < 0)
        fs_reply(req, "read", node, (int)got);
    else
        fuse_reply_buf(req, data, (size_t)got);
}

/* A complete set's header was rewritten: its readers' cache is stale there, and what is inside. */
static void invalidate(FsContext *context, FdsetHandle *handle, size_t size, off_t offset)
{
    guint32 id = fdset_set_id(fdset_handle_set(handle));
    guint64 node = fs_nodes_shared(context->nodes, fdset_handle_set(handle));

    fs_insides_renew(context->insides, id);
    fs_nodes_renew(context->nodes, id);
    if (node)
        fuse_lowlevel_notify_inval_inode(context->session, node, offset, (off_t)size);
}

static void count_write(FsStats *stats, int r, size_t size)
{
    fs_stats_add(&stats->writes, 1);
    if (r < 0)
        fs_stats_add(&stats->errors, 1);
    else
        fs_stats_add(&stats->bytes_written, size);
}

void fs_op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t offset,
                 struct fuse_file_info *fi)
{
    FsContext *context = fs_context(req);
    const FsFile *file = fs_files_get(context->files, fi->fh);
    FdsetHandle *handle = file ? file->handle : NULL;
    int r = handle ? fdset_handle_write(handle, buf, size, (guint64)offset) : -EBADF;

    count_write(&context->stats, r, size);
    if (r < 0) {
        fs_reply(req, "write", node, r);
        return;
    }
    invalidate(context, handle, size, offset);
    fuse_reply_write(req, size);
}

void fs_op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    const FsFile *file = fs_files_get(fs_context(req)->files, fi->fh);

    if (file && file->handle)
        fdset_handle_flush(file->handle);
    fuse_reply_err(req, 0); /* always: an error here aborts QEMU (reference, fact 4) */
}

void fs_op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    fs_files_remove(fs_context(req)->files, fi->fh);
    fuse_reply_err(req, 0);
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    const FsFile *file = fs_files_get(fs_context(req)->files, fi->fh);

    fs_reply(req, "fsync", node, file && file->handle ? fdset_handle_sync(file->handle) : 0);
}

void fs_op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence,
                 struct fuse_file_info *fi)
{
    const FsFile *file = fs_files_get(fs_context(req)->files, fi->fh);
    gint64 r = -EINVAL;

    if (file && file->handle && (whence == SEEK_DATA || whence == SEEK_HOLE))
        r = fdset_handle_seek(file->handle, (guint64)offset, whence == SEEK_DATA);
    else if (file && file->inside)
        r = fs_view_seek(fs_inside_view(file->inside), file->place, offset, whence);
    if (r < 0)
        fs_reply(req, "lseek", node, (int)r);
    else
        fuse_reply_lseek(req, (off_t)r);
}
