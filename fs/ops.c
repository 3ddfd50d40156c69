/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ops-internal.h"
#include "core/scratch.h"

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    /* One pwritev of QEMU (512 KiB) is one request, so none is ever half done. */
    conn->max_write = FDSET_REQUEST_MAX;
    conn->max_readahead = FDSET_REQUEST_MAX;
    /* Payloads are digested, so they have to come through memory. */
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    /*
     * Nodes whose content the kernel caches do not change, or it is told (fs_op_write). Else each
     * read asks for the attributes of a file whose holes were not counted yet.
     */
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    conn->want |= conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
}

void fs_reply(fuse_req_t req, const char *operation, fuse_ino_t node, int r)
{
    if (r < 0)
        g_debug("%s of node %" G_GUINT64_FORMAT ": %s", operation, (guint64)node, g_strerror(-r));
    fuse_reply_err(req, -r);
}

int fs_refusal(FsContext *context, fuse_ino_t node)
{
    FsPlace place;

    return fs_nodes_get_place(context->nodes, node, &place) ? -EROFS : -EPERM;
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = op_init,
    .lookup = fs_op_lookup,
    .forget = fs_op_forget,
    .forget_multi = fs_op_forget_multi,
    .getattr = fs_op_getattr,
    .setattr = fs_op_setattr,
    .opendir = fs_op_opendir,
    .readdir = fs_op_readdir,
    .releasedir = fs_op_release,
    .unlink = fs_op_unlink,
    .mknod = fs_op_mknod,
    .mkdir = fs_op_mkdir,
    .rmdir = fs_op_rmdir,
    .symlink = fs_op_symlink,
    .rename = fs_op_rename,
    .link = fs_op_link,
    .statfs = fs_op_statfs,
    .getxattr = fs_op_getxattr,
    .listxattr = fs_op_listxattr,
    .setxattr = fs_op_setxattr,
    .create = fs_op_create,
    .open = fs_op_open,
    .read = fs_op_read,
    .write = fs_op_write,
    .flush = fs_op_flush,
    .release = fs_op_release,
    .fsync = fs_op_fsync,
    .lseek = fs_op_lseek,
};
