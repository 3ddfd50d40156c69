/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/control-client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_MAX 16384 /* bytes at a time, so that clients take turns */

FsControlClient *fs_control_client_new(int fd, guint64 number)
{
    FsControlClient *client = g_new0(FsControlClient, 1);
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;

    client->number = number;
    client->fd = fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        g_warning("control: cannot tell who a client is: %s", g_strerror(errno));
    client->uid = peer.uid;
    client->pid = peer.pid;
    client->frame = fs_qmp_frame_new();
    client->fds = g_array_new(FALSE, FALSE, sizeof(int));
    client->out = g_string_new(NULL);
    return client;
}

static void close_fds(FsControlClient *client)
{
    for (guint i = 0; i < client->fds->len; i++)
        close(g_array_index(client->fds, int, i));
    g_array_set_size(client->fds, 0);
}

void fs_control_client_free(FsControlClient *client)
{
    if (!client)
        return;
    close_fds(client);
    close(client->fd);
    g_array_unref(client->fds);
    fs_qmp_frame_free(client->frame);
    g_string_free(client->out, TRUE);
    g_free(client);
}

short fs_control_client_wants(const FsControlClient *client)
{
    short events = 0;

    if (!client->eof && !client->busy)
        events |= POLLIN;
    if (client->sent < client->out->len)
        events |= POLLOUT;
    return events;
}

static void keep_fds(FsControlClient *client, struct msghdr *message)
{
    if (message->msg_flags & MSG_CTRUNC) {
        g_warning("control: descriptors of process %d are lost: too many at once, or too many "
                  "open files",
                  client->pid);
        client->fds_lost = TRUE;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        gsize n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (gsize i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (client->fds->len < FS_CONTROL_FDS_MAX)
                g_array_append_val(client->fds, fd);
            else
                close(fd);
        }
    }
}

void fs_control_client_receive(FsControlClient *client)
{
    char bytes[RECEIVE_MAX];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FS_CONTROL_FDS_MAX * sizeof(int))];
    } control;
    struct iovec vector = {bytes, sizeof bytes};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t got = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0)
        client->gone = TRUE;
    if (got <= 0) {
        client->eof = TRUE;
        return;
    }
    keep_fds(client, &message);
    fs_qmp_frame_push(client->frame, bytes, (gsize)got);
}

FsQmpResult fs_control_client_next(FsControlClient *client, char **line)
{
    FsQmpResult result = FS_QMP_MORE;

    if (client->busy || client->gone)
        return FS_QMP_MORE;
    result = fs_qmp_frame_next(client->frame, line);
    if (result == FS_QMP_MORE && fs_qmp_frame_is_empty(client->frame)) {
        close_fds(client);
        client->fds_lost = FALSE;
    }
    return result;
}

int fs_control_client_take_fd(FsControlClient *client, gboolean *lost)
{
    int fd;

    *lost = client->fds_lost;
    if (client->fds->len == 0)
        return -1;
    fd = g_array_index(client->fds, int, 0);
    g_array_remove_index(client->fds, 0);
    return fd;
}

void fs_control_client_flush(FsControlClient *client)
{
    while (client->sent < client->out->len) {
        ssize_t n = send(client->fd, client->out->str + client->sent,
                         client->out->len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            client->gone = TRUE;
            return;
        }
        client->sent += (gsize)n;
    }
    g_string_truncate(client->out, 0);
    client->sent = 0;
}

/* Bytes that wait to be read. */
static gsize backlog(const FsControlClient *client)
{
    return client->out->len - client->sent;
}

static void queue_line(FsControlClient *client, const char *line)
{
    if (client->sent > FS_CONTROL_EVENTS_MAX) {
        g_string_erase(client->out, 0, (gssize)client->sent);
        client->sent = 0;
    }
    g_string_append(client->out, line);
    fs_control_client_flush(client);
}

void fs_control_client_answer(FsControlClient *client, const char *line)
{
    if (client->gone)
        return;
    if (backlog(client) > FS_CONTROL_OUTPUT_MAX) {
        g_warning("control: process %d (uid %u) does not read its answers: dropped", client->pid,
                  client->uid);
        client->gone = TRUE;
        return;
    }
    queue_line(client, line);
}

void fs_control_client_event(FsControlClient *client, const char *line)
{
    if (client->gone || !client->negotiated)
        return;
    if (backlog(client) > FS_CONTROL_EVENTS_MAX) {
        if (client->events_dropped++ == 0)
            g_warning("control: process %d (uid %u) does not read its events: dropping them",
                      client->pid, client->uid);
        return;
    }
    queue_line(client, line);
}

gboolean fs_control_client_is_gone(const FsControlClient *client)
{
    return client->gone || (client->eof && client->n_calls == 0 && backlog(client) == 0);
}
