/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view-ops.h"
#include "core/scratch.h"
#include "fs/view-reply.h"

#include <errno.h>
#include <fcntl.h>

/* Nothing changes while it is mounted; seconds. */
#define FOREVER 86400.0

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

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsViewContext *context = get_context(req);
    struct fuse_entry_param entry = {.ino = fs_view_look_up(context->view, parent, name)};
    gboolean exact;

    /* Names that are not there stay so, too: node 0 tells that. */
    entry.entry_timeout = FOREVER;
    if (entry.ino != 0) {
        if (fs_view_attributes(context->view, entry.ino, &context->file, FALSE, &entry.attr,
                               &exact) < 0) {
            reply_error(req, "lookup", parent, -ENOENT);
            return;
        }
        entry.attr_timeout = exact ? FOREVER : 0;
    }
    fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    FsViewContext *context = get_context(req);
    struct stat st;
    gboolean exact;
    int r = fs_view_attributes(context->view, node, &context->file, TRUE, &st, &exact);

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

static void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    fs_view_reply_entries(req, get_context(req)->view, node, 0, FS_VIEW_ROOT, size, offset);
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
    gssize r = fs_view_reply_read(req, get_context(req)->view, node, size, offset);

    if (r < 0)
        reply_error(req, "read", node, (int)r);
}

static void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
    gint64 r = fs_view_seek(get_context(req)->view, node, offset, whence);

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
