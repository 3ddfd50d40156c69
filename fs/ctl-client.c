/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/ctl-client.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/jsontext.h"
#include "fs/control-socket.h"
#include "fs/qmp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_SIZE 65536

struct FsClient {
    int fd;
    GString *in; /* bytes that are not a whole line yet, or lines not yet asked for */
};

void fs_client_free(FsClient *client)
{
    if (!client)
        return;
    fdset_fd_clear(&client->fd);
    g_string_free(client->in, TRUE);
    g_free(client);
}

static void set_connect_error(GError **error, const char *path, int errnum)
{
    FdsetError code = FDSET_ERROR_SYSTEM;

    if (errnum == ENOENT || errnum == ECONNREFUSED)
        code = FDSET_ERROR_NOT_FOUND;
    else if (errnum == EACCES || errnum == EPERM)
        code = FDSET_ERROR_DENIED;
    g_set_error(error, FDSET_ERROR, code, "%s: cannot connect to the control socket: %s%s", path,
                g_strerror(errnum), errnum == ECONNREFUSED ? " (its daemon is dead)" : "");
}

static gboolean negotiate(FsClient *client, const char *path, GError **error)
{
    g_autoptr(JsonObject) greeting = fs_client_receive(client, FS_CLIENT_TIMEOUT, error);
    g_autoptr(JsonNode) answer = NULL;

    if (!greeting) {
        if (error && !*error)
            g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY, "%s: does not answer", path);
        return FALSE;
    }
    if (json_object_has_member(greeting, "error")) {
        fs_client_result(greeting, error);
        if (error && *error)
            (*error)->code = FDSET_ERROR_DENIED;
        return FALSE;
    }
    if (!json_object_has_member(greeting, "QMP")) {
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT, "%s: is no QMP socket", path);
        return FALSE;
    }
    answer = fs_client_ask(client, "qmp_capabilities", NULL, -1, error);
    return answer != NULL;
}

FsClient *fs_client_connect(const char *path, GError **error)
{
    g_autoptr(FsClient) client = g_new0(FsClient, 1);

    client->in = g_string_new(NULL);
    client->fd = fs_control_connect(path);
    if (client->fd < 0) {
        set_connect_error(error, path, -client->fd);
        return NULL;
    }
    return negotiate(client, path, error) ? g_steal_pointer(&client) : NULL;
}

static char *command_line(const char *command, JsonObject *arguments, const char *id)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *request = json_object_new();
    g_autofree char *text = NULL;

    json_object_set_string_member(request, "execute", command);
    if (arguments)
        json_object_set_object_member(request, "arguments", arguments);
    if (id)
        json_object_set_string_member(request, "id", id);
    json_node_take_object(node, request);
    text = json_to_string(node, FALSE);
    return g_strconcat(text, "\r\n", NULL);
}

static ssize_t send_with_fd(int socket, const char *data, gsize len, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vector = {(char *)data, len};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

gboolean fs_client_send(FsClient *client, const char *command, JsonObject *arguments,
                        const char *id, int fd, GError **error)
{
    g_autofree char *line = command_line(command, arguments, id);
    gsize len = strlen(line), sent = 0;

    while (sent < len) {
        ssize_t n = send_with_fd(client->fd, line + sent, len - sent, sent == 0 ? fd : -1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fdset_error_set_errno(error, errno, "cannot send to the daemon");
            return FALSE;
        }
        sent += (gsize)n;
    }
    return TRUE;
}

/* The first whole line of what came in, or NULL; caller frees. */
static char *take_line(FsClient *client)
{
    const char *end = memchr(client->in->str, '\n', client->in->len);
    char *line;

    if (!end)
        return NULL;
    line = g_strndup(client->in->str, (gsize)(end - client->in->str));
    g_string_erase(client->in, 0, end - client->in->str + 1);
    return line;
}

/* 1: bytes came, 0: none in time, -1: an error. */
static int wait_for_bytes(FsClient *client, gint64 timeout, GError **error)
{
    struct pollfd fd = {.fd = client->fd, .events = POLLIN};
    char bytes[RECEIVE_SIZE];
    ssize_t got;
    int r = poll(&fd, 1, timeout < 0 ? -1 : (int)(timeout / G_TIME_SPAN_MILLISECOND) + 1);

    if (r == 0 || (r < 0 && errno == EINTR))
        return 0;
    got = r < 0 ? -1 : recv(client->fd, bytes, sizeof bytes, 0);
    if (got > 0) {
        g_string_append_len(client->in, bytes, got);
        return 1;
    }
    if (got < 0)
        fdset_error_set_errno(error, errno, "cannot receive from the daemon");
    else
        g_set_error(error, FDSET_ERROR, FDSET_ERROR_SYSTEM, "the daemon has closed the connection");
    return -1;
}

JsonObject *fs_client_receive(FsClient *client, gint64 timeout, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + timeout;
    g_autofree char *line = NULL;
    g_autoptr(JsonNode) node = NULL;

    while (!(line = take_line(client))) {
        gint64 left = timeout < 0 ? -1 : MAX(0, deadline - g_get_monotonic_time());
        int r = wait_for_bytes(client, left, error);

        if (r < 0 || (r == 0 && (left == 0 || timeout < 0)))
            return NULL;
    }
    node = fdset_jsontext_parse(line, strlen(line), FDSET_JSONTEXT_DEPTH_MAX, NULL);
    if (node && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_dup_object(node);
    g_set_error(error, FDSET_ERROR, FDSET_ERROR_FORMAT, "the daemon sent no JSON object: %s", line);
    return NULL;
}

JsonNode *fs_client_result(JsonObject *answer, GError **error)
{
    JsonObject *failure;

    if (json_object_has_member(answer, "return"))
        return json_object_dup_member(answer, "return");
    failure = json_object_get_object_member(answer, "error");
    g_set_error_literal(
        error, FDSET_ERROR,
        (int)fs_qmp_code_find(
            json_object_get_string_member_with_default(failure, "code", "system")),
        json_object_get_string_member_with_default(failure, "desc", "the daemon gave no reason"));
    return NULL;
}

JsonNode *fs_client_ask(FsClient *client, const char *command, JsonObject *arguments, int fd,
                        GError **error)
{
    if (!fs_client_send(client, command, arguments, NULL, fd, error))
        return NULL;
    for (;;) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(JsonObject) message = fs_client_receive(client, FS_CLIENT_TIMEOUT, &problem);

        if (problem) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
        if (!message) {
            g_set_error(error, FDSET_ERROR, FDSET_ERROR_BUSY, "%s: the daemon does not answer",
                        command);
            return NULL;
        }
        if (json_object_has_member(message, "return") || json_object_has_member(message, "error"))
            return fs_client_result(message, error);
    }
}
