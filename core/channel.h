/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channel.h - the real file behind one channel.
 *
 * A sparse file ch-KKK in which a block lies at the same offset as in the
 * image, or the file of a descriptor that a manager handed over. Channel numbers
 * start at 1 in the block map's records (0 is a hole) and never return within a
 * set. A channel that its VMM opened with O_DIRECT writes with O_DIRECT, where
 * the filesystem and the alignment allow it. Thread-safe.
 */
#ifndef FDSET_CHANNEL_H
#define FDSET_CHANNEL_H

#include <glib.h>

#define FDSET_CHANNEL_MAX 65535u /* a record has 16 bits for it */

/* What the manifest says of a channel. */
typedef struct {
    guint16 number;
    gboolean direct; /* the VMM opened it with O_DIRECT                     */
    char *directory; /* owned; absolute path, or NULL: in the set's directory */
    guint64 size;    /* bytes; the file may be longer, never shorter           */
    guint64 written; /* bytes that writes brought, rewritten ones counted again */
    gboolean external; /* a manager's file, which we never make, rename or remove */
    guint64 device;    /* of an external file; names it together with */
    guint64 inode;
} FdsetChannelInfo;

FdsetChannelInfo *fdset_channel_info_copy(const FdsetChannelInfo *info);
void fdset_channel_info_free(FdsetChannelInfo *info);

typedef struct FdsetChannel FdsetChannel;

/*
 * Opens the channel's file; 'create' makes it (and its directory) anew. Errors:
 * NOT_FOUND and CORRUPT (shorter than info->size) name the file.
 */
FdsetChannel *fdset_channel_open(int set_dirfd, const FdsetChannelInfo *info, gboolean create,
                                 gboolean writable, GError **error);

/*
 * A channel over the file of 'fd', a regular file's descriptor that is read-only
 * or write-only; it is duplicated. What it cannot do itself (reads of a
 * write-only file, unaligned writes of one with O_DIRECT) goes through a second
 * description of the same file, where we may open one. info->external is set,
 * size, device and inode are the file's. Errors: SYSTEM.
 */
FdsetChannel *fdset_channel_adopt(const FdsetChannelInfo *info, int fd, GError **error);

/* Is it over this file of a manager? */
gboolean fdset_channel_is_file(const FdsetChannel *channel, guint64 device, guint64 inode);

/* 0, or why the channel's file cannot be read: -errno. */
int fdset_channel_can_read(const FdsetChannel *channel);

void fdset_channel_free(FdsetChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdsetChannel, fdset_channel_free)

guint16 fdset_channel_number(const FdsetChannel *channel);
gboolean fdset_channel_is_direct(const FdsetChannel *channel);
gboolean fdset_channel_is_external(const FdsetChannel *channel);
guint64 fdset_channel_size(const FdsetChannel *channel);

/* The manifest's entry for the channel as it is now; caller frees. */
FdsetChannelInfo *fdset_channel_info(const FdsetChannel *channel);

/* Writes all of it, with O_DIRECT when the channel has it and all is aligned. 0 or -errno. */
int fdset_channel_pwrite(FdsetChannel *channel, gconstpointer buf, gsize len, guint64 offset);

/* Notes a write of 'len' bytes that came through the channel. */
void fdset_channel_count(FdsetChannel *channel, gsize len);

/* Returns the count, short only at the end of the file, or -errno. 'direct': past the page cache. */
gssize fdset_channel_pread(FdsetChannel *channel, gpointer buf, gsize len, guint64 offset,
                           gboolean direct);

/*
 * Copies 'len' bytes at 'offset' to the same place of 'fd', inside the kernel: the
 * filesystem may share the blocks. 0, or -errno when that cannot be done here.
 */
int fdset_channel_copy(const FdsetChannel *channel, int fd, guint64 offset, gsize len);

/* The file's size as it is now, bytes; -errno. */
gint64 fdset_channel_file_size(const FdsetChannel *channel);

/* The next offset with data, or hole, as lseek(2) counts them; or -errno. */
gint64 fdset_channel_seek(const FdsetChannel *channel, guint64 offset, gboolean data);

/* Sets the size; as for ftruncate(2). 0 or -errno. */
int fdset_channel_truncate(FdsetChannel *channel, guint64 size);

/* A dropped channel is no longer in the manifest; its file is empty and about to be removed. */
void fdset_channel_drop(FdsetChannel *channel);
gboolean fdset_channel_is_dropped(FdsetChannel *channel);

/* Waits until its data is on stable storage. 0 or -errno. */
int fdset_channel_sync(FdsetChannel *channel);

/*
 * Removes the file, and the channel directory with the last one in it; an open
 * channel stays readable until it is freed. An external file stays. 0 or -errno.
 */
int fdset_channel_unlink(int set_dirfd, const FdsetChannelInfo *info);

#endif
