/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations on names and attributes. */
#include "config.h"
#include "fs/ctl.h"
#include "fs/ops-inside.h"
#include "fs/ops-internal.h"
#include "fs/view-reply.h"
#include "fs/xattr.h"

#include <errno.h>
#include <string.h>

void fs_attributes_of_set(FdsetSet *set, struct stat *st, gboolean *stable)
{
    FdsetSetInfo info;

    fdset_set_info(set, &info);
    *st = (struct stat){
        .st_ino = fs_node_ino(fdset_set_id(set)),
        .st_mode = S_IFREG | info.mode,
        .st_nlink = 1,
        .st_uid = info.uid,
        .st_gid = info.gid,
        .st_size = (off_t)info.size,
        .st_blksize = 1 << 20,
        .st_blocks = (blkcnt_t)(info.data_bytes / 512),
        .st_mtim = {.tv_sec = info.mtime / 1000000000, .tv_nsec = info.mtime % 1000000000},
    };
    st->st_atim = st->st_ctim = st->st_mtim;
    *stable = info.stable;
}

static void attributes_of_ctl(const struct stat *root, fuse_ino_t node, struct stat *st)
{
    *st = (struct stat){
        .st_ino = node,
        .st_mode = node == FS_NODE_CTL ? S_IFDIR | 0555 : S_IFREG | 0444,
        .st_nlink = 1,
        .st_uid = root->st_uid,
        .st_gid = root->st_gid,
        .st_mtim = root->st_mtim,
        .st_ctim = root->st_ctim,
    };
}

/* The attributes of a node, 0 or -errno; *timeout: seconds that they may be cached for. */
static int get_attributes(FsContext *context, fuse_ino_t node, struct stat *st, double *timeout)
{
    g_autoptr(FdsetSet) set = fs_nodes_get(context->nodes, node, NULL);
    struct stat root;
    gboolean stable;
    FsPlace place;
    int r;

    *timeout = 0;
    if (set) {
        fs_attributes_of_set(set, st, &stable);
        *timeout = stable ? FS_STABLE_TIMEOUT : 0;
        return 0;
    }
    if (fs_nodes_get_place(context->nodes, node, &place))
        return fs_inside_attributes(context, &place, st, timeout);
    if (node >= FS_NODE_CTL_FIRST + fs_ctl_count())
        return -ENOENT;
    r = fdset_store_stat(context->store, &root);
    if (r < 0)
        return r;
    if (node != FS_NODE_ROOT) {
        attributes_of_ctl(&root, node, st);
        return 0;
    }
    root.st_ino = FS_NODE_ROOT;
    root.st_nlink = 1; /* the store's directories are not those that are shown */
    *st = root;
    return 0;
}

/* The node that a name in a directory stands for, its look-up counted; 0: there is none. */
static fuse_ino_t find(FsContext *context, fuse_ino_t parent, const char *name)
{
    g_autoptr(FdsetSet) set = NULL;
    FdsetSetInfo info;
    guint32 id;
    int index;

    if (parent == FS_NODE_CTL) {
        index = fs_ctl_find(name);
        return index < 0 ? 0 : FS_NODE_CTL_FIRST + (guint)index;
    }
    if (parent != FS_NODE_ROOT)
        return 0;
    if (strcmp(name, FS_CTL_NAME) == 0)
        return FS_NODE_CTL;
    if (!fdset_id_parse(name, &id))
        return 0;
    set = fdset_store_lookup(context->store, id);
    if (!set)
        return 0;
    fdset_set_info(set, &info);
    /*
     * What is cached may have to be invalidated, which waits for reads that are
     * under way: a daemon of one thread would wait for itself.
     */
    return fs_nodes_look_up(context->nodes, set,
                            info.stable && !fdset_store_policy(context->store)->one_thread);
}

static int look_up(FsContext *context, fuse_ino_t parent, const char *name,
                   struct fuse_entry_param *entry)
{
    FsPlace place;
    guint32 id;

    if (fs_nodes_get_place(context->nodes, parent, &place))
        return fs_inside_look_up(context, &place, name, entry);
    if (parent == FS_NODE_ROOT && fs_inside_parse(name, &id))
        return fs_inside_look_up_root(context, id, entry);
    entry->ino = find(context, parent, name);
    if (entry->ino == 0)
        return -ENOENT;
    return get_attributes(context, entry->ino, &entry->attr, &entry->attr_timeout);
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsContext *context = fs_context(req);
    struct fuse_entry_param entry = {0};
    int r = look_up(context, parent, name, &entry);

    if (r < 0)
        fs_reply(req, "lookup", parent, r);
    else if (fuse_reply_entry(req, &entry) == -ENOENT)
        fs_nodes_forget(context->nodes, entry.ino, 1);
}

void fs_op_forget(fuse_req_t req, fuse_ino_t node, uint64_t n)
{
    fs_nodes_forget(fs_context(req)->nodes, node, n);
    fuse_reply_none(req);
}

void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        fs_nodes_forget(fs_context(req)->nodes, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void reply_attributes(fuse_req_t req, const char *operation, fuse_ino_t node)
{
    struct stat st;
    double timeout;
    int r = get_attributes(fs_context(req), node, &st, &timeout);

    if (r < 0)
        fs_reply(req, operation, node, r);
    else
        fuse_reply_attr(req, &st, timeout);
}

void fs_op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    reply_attributes(req, "getattr", node);
}

static gint64 wanted_mtime(const struct stat *attr, int to_set)
{
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        return g_get_real_time() * 1000;
    return attr->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + attr->st_mtim.tv_nsec;
}

static int change_set(FsContext *context, FdsetSet *set, const struct stat *attr, int to_set,
                      const struct fuse_file_info *fi)
{
    const FsFile *file = fi ? fs_files_get(context->files, fi->fh) : NULL;
    gint64 mtime = wanted_mtime(attr, to_set);
    int r = 0;

    if (to_set & FUSE_SET_ATTR_SIZE)
        r = file && file->handle ? fdset_handle_truncate(file->handle, (guint64)attr->st_size)
                                 : fdset_set_truncate(set, (guint64)attr->st_size);
    if (r < 0 || !(to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
                             FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)))
        return r;
    return fdset_set_change(
        set, to_set & FUSE_SET_ATTR_MODE ? &attr->st_mode : NULL,
        to_set & FUSE_SET_ATTR_UID ? &attr->st_uid : NULL,
        to_set & FUSE_SET_ATTR_GID ? &attr->st_gid : NULL,
        to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW) ? &mtime : NULL);
}

void fs_op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
                   struct fuse_file_info *fi)
{
    FsContext *context = fs_context(req);
    g_autoptr(FdsetSet) set = fs_nodes_get(context->nodes, node, NULL);
    int r = fs_refusal(context, node);

    if (set)
        r = change_set(context, set, attr, to_set, fi);
    else if (node == FS_NODE_ROOT)
        r = fdset_store_change(context->store,
                               to_set & FUSE_SET_ATTR_MODE ? &attr->st_mode : NULL,
                               to_set & FUSE_SET_ATTR_UID ? &attr->st_uid : NULL,
                               to_set & FUSE_SET_ATTR_GID ? &attr->st_gid : NULL);
    if (r < 0)
        fs_reply(req, "setattr", node, r);
    else
        reply_attributes(req, "setattr", node);
}

static gboolean has_inside(FsContext *context, guint32 id)
{
    g_autoptr(FdsetSet) set = fdset_store_lookup(context->store, id);
    FdsetSetInfo info = {.stable = FALSE};

    if (set)
        fdset_set_info(set, &info);
    return info.stable;
}

static void add_set(FsContext *context, guint32 id, GPtrArray *names)
{
    g_ptr_array_add(names, g_strdup_printf("%u", id));
    if (has_inside(context, id))
        g_ptr_array_add(names, g_strdup_printf("%u.d", id));
}

static GPtrArray *names_in(FsContext *context, fuse_ino_t node)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(names, g_strdup("."));
    g_ptr_array_add(names, g_strdup(".."));
    if (node == FS_NODE_ROOT) {
        g_autoptr(GArray) ids = fdset_store_list(context->store);

        g_ptr_array_add(names, g_strdup(FS_CTL_NAME));
        for (guint i = 0; i < ids->len; i++)
            add_set(context, g_array_index(ids, guint32, i), names);
    } else {
        for (guint i = 0; i < fs_ctl_count(); i++)
            g_ptr_array_add(names, g_strdup(fs_ctl_name(i)));
    }
    return names;
}

void fs_op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    FsContext *context = fs_context(req);
    FsPlace place;
    int r = 0;

    if (fs_nodes_get_place(context->nodes, node, &place)) {
        r = fs_inside_open(context, &place, fi);
    } else {
        FsFile file = {.names = names_in(context, node)};

        fi->fh = fs_files_add(context->files, &file);
    }
    if (r < 0)
        fs_reply(req, "opendir", node, r);
    else if (fuse_reply_open(req, fi) == -ENOENT)
        fs_files_remove(context->files, fi->fh);
}

/* What readdir tells of an entry: type and st_ino. */
static void entry_stat(fuse_ino_t parent, const char *name, struct stat *st)
{
    guint32 id;

    *st = (struct stat){.st_ino = parent, .st_mode = S_IFDIR};
    if (parent == FS_NODE_ROOT && fdset_id_parse(name, &id))
        *st = (struct stat){.st_ino = fs_node_ino(id), .st_mode = S_IFREG};
    else if (parent == FS_NODE_ROOT && fs_inside_parse(name, &id))
        st->st_ino = fs_node_ino(id) + FS_VIEW_ROOT;
    else if (parent == FS_NODE_ROOT && strcmp(name, FS_CTL_NAME) == 0)
        st->st_ino = FS_NODE_CTL;
    else if (parent == FS_NODE_CTL && fs_ctl_find(name) >= 0)
        *st = (struct stat){.st_ino = FS_NODE_CTL_FIRST + (guint)fs_ctl_find(name),
                            .st_mode = S_IFREG};
}

static void reply_inside(fuse_req_t req, const FsFile *file, size_t size, off_t offset)
{
    ino_t ino = fs_node_ino(fdset_set_id(fs_inside_set(file->inside)));
    ino_t above = file->place == FS_VIEW_ROOT ? FS_NODE_ROOT : ino + FS_VIEW_ROOT;

    fs_view_reply_entries(req, fs_inside_view(file->inside), file->place, ino, above, size, offset);
}

void fs_op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    const FsFile *file = fs_files_get(fs_context(req)->files, fi->fh);
    g_autofree char *buf = NULL;
    size_t used = 0;

    if (file && file->inside) {
        reply_inside(req, file, size, offset);
        return;
    }
    buf = g_malloc(size);
    for (guint i = (guint)offset; file && file->names && i < file->names->len; i++) {
        const char *name = file->names->pdata[i];
        struct stat st;
        size_t need;

        entry_stat(node, name, &st);
        need = fuse_add_direntry(req, buf + used, size - used, name, &st, (off_t)i + 1);
        if (need > size - used)
            break;
        used += need;
    }
    fuse_reply_buf(req, buf, used);
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsContext *context = fs_context(req);
    guint32 id;
    int r = -ENOENT;

    if (parent != FS_NODE_ROOT || strcmp(name, FS_CTL_NAME) == 0)
        r = fs_refusal(context, parent);
    else if (fdset_id_parse(name, &id))
        r = fdset_store_remove(context->store, id);
    if (r == 0)
        fs_insides_drop(context->insides, id);
    fs_reply(req, "unlink", parent, r);
}

/* There are only numbered regular files here, and they keep their numbers. */

void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    fs_reply(req, "mknod", parent, fs_refusal(fs_context(req), parent));
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    fs_reply(req, "mkdir", parent, fs_refusal(fs_context(req), parent));
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_reply(req, "rmdir", parent, fs_refusal(fs_context(req), parent));
}

void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    fs_reply(req, "symlink", parent, fs_refusal(fs_context(req), parent));
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                  const char *new_name, unsigned flags)
{
    fs_reply(req, "rename", parent, fs_refusal(fs_context(req), parent));
}

void fs_op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
    fs_reply(req, "link", parent, fs_refusal(fs_context(req), parent));
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct statvfs st;
    int r = fdset_store_statfs(fs_context(req)->store, &st);

    if (r < 0)
        fs_reply(req, "statfs", node, r);
    else
        fuse_reply_statfs(req, &st);
}

/* A value of 'len' bytes as getxattr(2) and listxattr(2) want it: size 0 asks for the length. */
static void reply_value(fuse_req_t req, const char *value, size_t len, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, len);
    else if (len > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, value, len);
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    g_autoptr(FdsetSet) set = fs_nodes_get(fs_context(req)->nodes, node, NULL);
    g_autofree char *value = set ? fs_xattr_get(set, name) : NULL;

    if (node == FS_NODE_ROOT && strcmp(name, FS_XATTR_CONTROL) == 0)
        value = g_strdup(fs_context(req)->control);

    if (value)
        reply_value(req, value, strlen(value), size);
    else
        fs_reply(req, "getxattr", node, -ENODATA);
}

void fs_op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
    g_autoptr(FdsetSet) set = fs_nodes_get(fs_context(req)->nodes, node, NULL);
    gboolean control = node == FS_NODE_ROOT && fs_context(req)->control;
    g_autoptr(GBytes) names = set ? fs_xattr_list(set)
                                  : g_bytes_new_static(FS_XATTR_CONTROL,
                                                       control ? sizeof FS_XATTR_CONTROL : 0);

    reply_value(req, g_bytes_get_data(names, NULL), g_bytes_get_size(names), size);
}

void fs_op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
                    size_t size, int flags)
{
    /* Not ENOSYS: that would make the kernel stop asking for any attribute. */
    fs_reply(req, "setxattr", node, -EOPNOTSUPP);
}
