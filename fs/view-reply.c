/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/view-reply.h"
#include "core/scratch.h"

#include <errno.h>
#include <unistd.h>

#define SECTOR 512

static void attributes_of(guint64 node, const struct stat *of, mode_t mode, struct stat *st)
{
    *st = (struct stat){
        .st_ino = of->st_ino + node,
        .st_mode = mode,
        .st_nlink = 1,
        .st_uid = of->st_uid,
        .st_gid = of->st_gid,
        .st_blksize = 1 << 20,
        .st_atim = of->st_mtim,
        .st_mtim = of->st_mtim,
        .st_ctim = of->st_mtim,
    };
}

/* Who may read the files may pass through the directories. */
void fs_view_directory_attributes(guint64 node, const struct stat *of, struct stat *st)
{
    mode_t may_read = of->st_mode & 0444;

    attributes_of(node, of, S_IFDIR | may_read | may_read >> 2, st);
}

int fs_view_attributes(FsView *view, guint64 node, const struct stat *of, gboolean count,
                       struct stat *st, gboolean *exact)
{
    const FdsetMemview *content = fs_view_content(view, node);
    gint64 bytes = content ? fs_view_data_bytes(view, node, count) : 0;

    *exact = bytes >= 0;
    if (fs_view_is_directory(view, node)) {
        fs_view_directory_attributes(node, of, st);
        return 0;
    }
    if (!content)
        return -ENOENT;
    attributes_of(node, of, S_IFREG | (of->st_mode & 0444), st);
    st->st_size = (off_t)fdset_memview_size(content);
    /* Memory that was left out of the file: not a hole, which tools would take for zeros. */
    if (bytes == -ENODATA || bytes == -EOPNOTSUPP)
        bytes = st->st_size;
    else if (count && bytes < 0)
        return (int)bytes;
    st->st_blocks = bytes > 0 ? (blkcnt_t)((bytes + SECTOR - 1) / SECTOR) : 0;
    return 0;
}

typedef struct {
    FsView *view;
    guint64 directory;
    ino_t ino;
    ino_t above;
} Listing;

/* Entries 0 and 1 are the directory itself and the one above. */
static gboolean get_entry(const Listing *listing, gsize i, const char **name, struct stat *st)
{
    guint64 node = listing->directory;

    *name = i == 0 ? "." : "..";
    if (i >= 2 && !fs_view_entry(listing->view, listing->directory, i - 2, name, &node))
        return FALSE;
    *st = (struct stat){.st_ino = i == 1 ? listing->above : listing->ino + node};
    st->st_mode = fs_view_is_directory(listing->view, node) ? S_IFDIR : S_IFREG;
    return TRUE;
}

void fs_view_reply_entries(fuse_req_t req, FsView *view, guint64 directory, ino_t ino, ino_t above,
                           size_t size, off_t offset)
{
    Listing listing = {view, directory, ino, above};
    g_autofree char *buf = g_malloc(size);
    const char *name;
    struct stat st;
    size_t used = 0;

    for (gsize i = (gsize)offset; get_entry(&listing, i, &name, &st); i++) {
        size_t need = fuse_add_direntry(req, buf + used, size - used, name, &st, (off_t)i + 1);

        if (need > size - used)
            break;
        used += need;
    }
    fuse_reply_buf(req, buf, used);
}

gssize fs_view_reply_read(fuse_req_t req, FsView *view, guint64 node, size_t size, off_t offset)
{
    const FdsetMemview *content = fs_view_content(view, node);
    gpointer buf = fdset_scratch();
    gssize got =
        content ? fdset_memview_pread(content, buf, MIN(size, FDSET_REQUEST_MAX), (guint64)offset)
                : -EBADF;

    if (got >= 0)
        fuse_reply_buf(req, buf, (size_t)got);
    return got;
}

gint64 fs_view_seek(FsView *view, guint64 node, off_t offset, int whence)
{
    const FdsetMemview *content = fs_view_content(view, node);

    if (content && offset >= 0 && whence == SEEK_DATA)
        return fdset_memview_next_data(content, (guint64)offset);
    if (content && offset >= 0 && whence == SEEK_HOLE)
        return fdset_memview_next_hole(content, (guint64)offset);
    return -EINVAL;
}
