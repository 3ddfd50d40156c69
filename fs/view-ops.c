/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view-ops.h"
#include "core/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Nothing changes while it is mounted; seconds. */
#define FOREVER 86400.0
#define SECTOR 512

static FsViewContext *get_context(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static void reply_error(fuse_req_t req, const char *operation, fuse_ino_t node, int r)
{
    g_debug("%s of view node %" G_GUINT64_FORMAT ": %s", operation, (guint64)node, g_strerror(-r));
    fuse_reply_err(req, -r);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    conn->max_readahead = FDSET_REQUEST_MAX;
    conn->want |= conn->capable & FUSE_CAP_PARALLEL_DIROPS;
    /* Else each read asks for the attributes of a file whose holes were not counted yet. */
    conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ);
}

/*
 * Counting st_blocks reads all bitmaps, so a look-up, which every open begins
 * with, leaves it to a getattr. *exact: it is counted.
 */
static int get_attributes(FsViewContext *context, fuse_ino_t node, gboolean count, struct stat *st,
                          gboolean *exact)
{
    gboolean is_directory = fs_view_is_directory(context->view, node);
    const FdsetMemview *content = fs_view_content(context->view, node);
    gint64 bytes = fs_view_data_bytes(context->view, node, count);
    mode_t may_read = context->file.st_mode & 0444;

    if (!is_directory && !content)
        return -ENOENT;
    *exact = is_directory || bytes >= 0;
    *st = (struct stat){
        .st_ino = node,
        .st_mode = is_directory ? S_IFDIR | may_read | may_read >> 2 : S_IFREG | may_read,
        .st_nlink = 1,
        .st_uid = context->file.st_uid,
        .st_gid = context->file.st_gid,
        .st_size = content ? (off_t)fdset_memview_size(content) : 0,
        .st_blksize = 1 << 20,
        .st_blocks = bytes > 0 ? (blkcnt_t)((bytes + SECTOR - 1) / SECTOR) : 0,
        .st_atim = context->file.st_mtim,
        .st_mtim = context->file.st_mtim,
        .st_ctim = context->file.st_mtim,
    };
    return 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsViewContext *context = get_context(req);
    struct fuse_entry_param entry = {.ino = fs_view_look_up(context->view, parent, name)};
    gboolean exact;

    /* Names that are not there stay so, too: node 0 tells that. */
    entry.entry_timeout = FOREVER;
    if (entry.ino != 0) {
        if (get_attributes(context, entry.ino, FALSE, &entry.attr, &exact) < 0) {
            reply_error(req, "lookup", parent, -ENOENT);
            return;
        }
        entry.attr_timeout = exact ? FOREVER : 0;
    }
    fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct stat st;
    gboolean exact;
    int r = get_attributes(get_context(req), node, TRUE, &st, &exact);

    if (r < 0)
        reply_error(req, "getattr", node, r);
    else
        fuse_reply_attr(req, &st, FOREVER);
}

static void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    fi->keep_cache = 1;
    fi->cache_readdir = 1;
    fuse_reply_open(req, fi);
}

/* Entries 0 and 1 are the directory itself and the one above. */
static gboolean get_entry(FsViewContext *context, fuse_ino_t node, gsize i, const char **name,
                          struct stat *st)
{
    guint64 found = i == 0 ? node : FS_VIEW_ROOT;

    *name = i == 0 ? "." : "..";
    if (i >= 2 && !fs_view_entry(context->view, node, i - 2, name, &found))
        return FALSE;
    *st = (struct stat){.st_ino = found};
    st->st_mode = fs_view_is_directory(context->view, found) ? S_IFDIR : S_IFREG;
    return TRUE;
}

static void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    g_autofree char *buf = g_malloc(size);
    const char *name;
    struct stat st;
    size_t used = 0;

    for (gsize i = (gsize)offset; get_entry(get_context(req), node, i, &name, &st); i++) {
        size_t need = fuse_add_direntry(req, buf + used, size - used, name, &st, (off_t)i + 1);

        if (need > size - used)
            break;
        used += need;
    }
    fuse_reply_buf(req, buf, used);
}

static void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY) {
        reply_error(req, "open", node, -EROFS);
        return;
    }
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    const FdsetMemview *content = fs_view_content(get_context(req)->view, node);
    gpointer buf = fdset_scratch();
    gssize got =
        content ? fdset_memview_pread(content, buf, MIN(size, FDSET_REQUEST_MAX), (guint64)offset)
                : -EBADF;

    if (got < 0)
        reply_error(req, "read", node, (int)got);
    else
        fuse_reply_buf(req, buf, (size_t)got);
}

static void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
    const FdsetMemview *content = fs_view_content(get_context(req)->view, node);
    gint64 r = -EINVAL;

    if (content && offset >= 0 && whence == SEEK_DATA)
        r = fdset_memview_next_data(content, (guint64)offset);
    else if (content && offset >= 0 && whence == SEEK_HOLE)
        r = fdset_memview_next_hole(content, (guint64)offset);
    if (r < 0)
        reply_error(req, "lseek", node, (int)r);
    else
        fuse_reply_lseek(req, (off_t)r);
}

const struct fuse_lowlevel_ops fs_view_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .open = op_open,
    .read = op_read,
    .lseek = op_lseek,
};
