/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops-internal.h - what the files of operations share. */
#ifndef FS_OPS_INTERNAL_H
#define FS_OPS_INTERNAL_H

#include "fs/ops.h"

static inline FsContext *fs_context(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Attributes that do not change any more may be cached this long, seconds. */
#define FS_STABLE_TIMEOUT 1.0

/* The one place an error is answered: 'r' is 0 or -errno. */
void fs_reply(fuse_req_t req, const char *operation, fuse_ino_t node, int r);

/* How a change is refused of what never changes: -EROFS for what is inside a set, else -EPERM. */
int fs_refusal(FsContext *context, fuse_ino_t node);

/* The attributes of a set; *stable: they do not change any more. */
void fs_attributes_of_set(FdsetSet *set, struct stat *st, gboolean *stable);

/* fs_ops's callbacks, by file. */
void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_forget(fuse_req_t req, fuse_ino_t node, uint64_t n);
void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void fs_op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
                   struct fuse_file_info *fi);
void fs_op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void fs_op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                   struct fuse_file_info *fi);
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                  const char *new_name, unsigned flags);
void fs_op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name);
void fs_op_statfs(fuse_req_t req, fuse_ino_t node);
void fs_op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void fs_op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
                    size_t size, int flags);
void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi);
void fs_op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void fs_op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                struct fuse_file_info *fi);
void fs_op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t offset,
                 struct fuse_file_info *fi);
void fs_op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void fs_op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void fs_op_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);
void fs_op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence,
                 struct fuse_file_info *fi);

#endif
