/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control-clients - clients of a control socket for stories, good and bad ones.
 *
 *   control-clients SOCKET talk            stdin to the socket, the socket to stdout, until both
 * end control-clients SOCKET crowd N         N clients at once, 20 commands each; prints how many
 * were answered right control-clients SOCKET silent N        N clients that ask and never read;
 * prints "ready", and holds them until stdin ends control-clients SOCKET fds N           N
 * descriptors in one message with a command that takes none control-clients SOCKET fuzz SEED COUNT
 * random and mutated lines; prints how many were sent when the daemon answers right all along
 *
 * Every wait is bounded. Exit status 1: the daemon did something wrong.
 */
#include "config.h"
#include "fs/control-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 20000
#define COMMANDS_EACH 20u
#define PROBE_EVERY 50u /* lines between two probes of a fuzzed connection */
/* Of silent clients, how many ask for how much: until they are dropped, until they get no events
 * any more (behind what the socket itself takes, about 200 KiB), and a little. */
#define DROPPED 4u
#define DROPPED_ASKS 5000u
#define BEHIND 8u
#define BEHIND_ASKS 1500u
#define OTHERS_ASK 300u
#define NEGOTIATE "{\"execute\":\"qmp_capabilities\"}\r\n"

static G_NORETURN void die(const char *what)
{
    fprintf(stderr, "control-clients: %s: %s\n", what, g_strerror(errno));
    _exit(1);
}

static int connect_or_die(const char *path)
{
    int fd = fs_control_connect(path);

    if (fd >= 0)
        return fd;
    errno = -fd;
    die(path);
}

/* Sends all of it; FALSE: the other side is gone, or did not take it in time. */
static gboolean send_all(int fd, const char *data, gsize len)
{
    while (len > 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN && poll(&p, 1, WAIT_MS) == 1)
            continue;
        if (n < 0)
            return FALSE;
        data += n;
        len -= (gsize)n;
    }
    return TRUE;
}

/* Appends what comes within 'wait_ms'; FALSE: the end, or nothing came. */
static gboolean receive(int fd, GString *in, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char bytes[65536];
    ssize_t n;

    if (poll(&p, 1, wait_ms) != 1)
        return FALSE;
    n = recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0)
        return FALSE;
    g_string_append_len(in, bytes, n);
    return TRUE;
}

static int talk(int fd)
{
    struct pollfd p[] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    char bytes[65536];
    ssize_t n;

    while (poll(p, 2, WAIT_MS) > 0) {
        if (p[0].revents) {
            n = read(0, bytes, sizeof bytes);
            if (n <= 0) {
                shutdown(fd, SHUT_WR);
                p[0].fd = -1;
            } else if (!send_all(fd, bytes, (gsize)n)) {
                p[0].fd = -1;
            }
        }
        if (!p[1].revents)
            continue;
        n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return 0;
        if (write(1, bytes, (gsize)n) != n)
            return 1;
    }
    fprintf(stderr, "control-clients: nothing came for %d ms\n", WAIT_MS);
    return 1;
}

/* Reads until all answers of one client are there, and counts them. */
static guint count_answers(int fd, guint client)
{
    g_autoptr(GString) in = g_string_new(NULL);
    guint right = 0;

    for (guint k = 0; k < COMMANDS_EACH; k++) {
        g_autofree char *mark = g_strdup_printf("\"id\":\"%u-%u\"}\r\n", client, k);

        while (!strstr(in->str, mark))
            if (!receive(fd, in, WAIT_MS))
                return right;
        right++;
    }
    return right;
}

static int crowd(const char *path, guint n)
{
    g_autofree int *fds = g_new(int, n);
    guint right = 0;

    for (guint i = 0; i < n; i++) {
        fds[i] = connect_or_die(path);
        if (!send_all(fds[i], NEGOTIATE, strlen(NEGOTIATE)))
            die("send");
    }
    for (guint k = 0; k < COMMANDS_EACH; k++)
        for (guint i = 0; i < n; i++) {
            g_autofree char *line = g_strdup_printf("{\"execute\":\"%s\",\"id\":\"%u-%u\"}\r\n",
                                                    k % 2 ? "query-sets" : "query-version", i, k);

            if (!send_all(fds[i], line, strlen(line)))
                die("send");
        }
    for (guint i = 0; i < n; i++) {
        right += count_answers(fds[i], i);
        close(fds[i]);
    }
    printf("%u of %u\n", right, n * COMMANDS_EACH);
    return right == n * COMMANDS_EACH ? 0 : 1;
}

/* Asks 'n' times, or until the daemon has had enough. */
static void flood(int fd, guint n)
{
    static const char line[] = "{\"execute\":\"query-commands\"}\r\n";
    g_autoptr(GString) text = g_string_new(NEGOTIATE);

    for (guint i = 0; i < n; i++)
        g_string_append(text, line);
    send_all(fd, text->str, text->len);
}

static int silent(const char *path, guint n)
{
    g_autofree int *fds = g_new(int, n);
    char byte;

    for (guint i = 0; i < n; i++) {
        fds[i] = connect_or_die(path);
        flood(fds[i], i < DROPPED ? DROPPED_ASKS : i < BEHIND ? BEHIND_ASKS : OTHERS_ASK);
    }
    printf("ready\n");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

static int send_fds(int fd, guint n)
{
    g_autofree char *control = g_malloc0(CMSG_SPACE(n * sizeof(int)));
    char text[] = NEGOTIATE "{\"execute\":\"query-version\",\"id\":1}\r\n";
    struct iovec vector = {text, strlen(text)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    g_autoptr(GString) in = g_string_new(NULL);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    for (guint i = 0; i < n; i++) {
        int zero = 0;

        memcpy(CMSG_DATA(c) + i * sizeof zero, &zero, sizeof zero);
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        die("sendmsg");
    while (!strstr(in->str, "\"id\":1}"))
        if (!receive(fd, in, WAIT_MS))
            return 1;
    return 0;
}

static const char *const seeds[] = {
    "{\"execute\":\"query-sets\"}",
    "{\"execute\":\"query-set\",\"arguments\":{\"fdset-id\":7},\"id\":\"x\"}",
    "{\"execute\":\"wait\",\"arguments\":{\"fdset-id\":99,\"state\":\"durable\",\"timeout\":0.01}}",
    "{\"execute\":\"wait\",\"arguments\":{\"fdset-id\":7,\"state\":\"complete\"},\"id\":[1,2,{}]}",
    "{\"execute\":\"seal\",\"arguments\":{\"fdset-id\":98}}",
    "{\"execute\":\"reset\",\"arguments\":{\"fdset-id\":98}}",
    "{\"execute\":\"remove\",\"arguments\":{\"fdset-id\":98}}",
    "{\"execute\":\"verify\",\"arguments\":{\"fdset-id\":98}}",
    "{\"execute\":\"export\",\"arguments\":{\"fdset-id\":98}}",
    "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":98,\"opaque\":\"\\u00e4\\ud83d\\ude00\"}}",
    "{\"execute\":\"query-set\",\"arguments\":{\"fdset-id\":7},\"id\":\"\\ud83d\\u0041\\u0000\"}",
    "{\"execute\":\"query-sets\",\"id\":/*\"*/[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1",
    "{\"execute\":\"remove-fd\",\"arguments\":{\"fdset-id\":98,\"fd\":4}}",
    "{\"execute\":\"query-fdsets\"}",
    "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}",
    "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
    "{\"execute\":1e999,\"id\":-99999999999999999999999}",
};

/* Bytes that mean something, and some that should not. */
static const char spice[] = "{}[]\",:\\\n\r\t 0-.eE+tfn'/*\x01\x7f\x80\xc3\xff";

static void mutate(GRand *rand, GString *line)
{
    for (gint n = g_rand_int_range(rand, 0, 6); n > 0; n--) {
        gssize at = g_rand_int_range(rand, 0, (gint32)line->len + 1);
        char byte = spice[g_rand_int_range(rand, 0, sizeof spice)]; /* its NUL, too */

        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            g_string_insert_c(line, at, byte);
            break;
        case 1:
            if (at < (gssize)line->len)
                line->str[at] = byte;
            break;
        case 2:
            g_string_truncate(line, (gsize)at);
            break;
        case 3:
            g_string_insert_len(line, at, line->str, MIN(at, 40));
            break;
        }
    }
}

static GString *random_line(GRand *rand)
{
    GString *line = g_string_new(seeds[g_rand_int_range(rand, 0, G_N_ELEMENTS(seeds))]);
    gint kind = g_rand_int_range(rand, 0, 50);

    if (kind == 0) /* longer than a line may be */
        for (gint n = 0; n < 70000; n += 50)
            g_string_append(line, "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",");
    else if (kind < 10) /* noise */
        for (gint n = g_rand_int_range(rand, 1, 200); n > 0; n--)
            g_string_append_c(line, (char)g_rand_int_range(rand, 0, 256));
    else
        mutate(rand, line);
    if (g_strstr_len(line->str, (gssize)line->len, "quit"))
        g_string_truncate(line, 0);
    g_string_append(line, g_rand_boolean(rand) ? "\n" : "\r\n");
    return line;
}

/* After whatever was sent, a new line starts afresh and is answered. */
static gboolean probe(int fd, GString *in, guint number)
{
    g_autofree char *line =
        g_strdup_printf("\n{\"execute\":\"query-version\",\"id\":\"probe-%u\"}\n", number);
    g_autofree char *mark = g_strdup_printf("\"id\":\"probe-%u\"}\r\n", number);

    if (!send_all(fd, line, strlen(line)))
        return FALSE;
    while (!strstr(in->str, mark))
        if (!receive(fd, in, WAIT_MS))
            return FALSE;
    return TRUE;
}

/* Every line that came is a JSON object with one of QMP's members. */
static gboolean is_sound(const GString *in)
{
    g_auto(GStrv) lines = g_strsplit(in->str, "\r\n", -1);

    for (char **line = lines; *line && line[1]; line++) {
        g_autoptr(JsonNode) node = json_from_string(*line, NULL);
        JsonObject *object =
            node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

        if (object &&
            (json_object_has_member(object, "return") || json_object_has_member(object, "error") ||
             json_object_has_member(object, "event") || json_object_has_member(object, "QMP")))
            continue;
        fprintf(stderr, "control-clients: the daemon sent: %s\n", *line);
        return FALSE;
    }
    return TRUE;
}

static int fuzz(const char *path, guint32 seed, guint count)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    guint sent = 0;

    while (sent < count) {
        int fd = connect_or_die(path);
        g_autoptr(GString) in = g_string_new(NULL);

        if (!send_all(fd, NEGOTIATE, strlen(NEGOTIATE)))
            die("send");
        for (guint i = 0; i < PROBE_EVERY; i++, sent++) {
            g_autoptr(GString) line = random_line(rand);

            if (!send_all(fd, line->str, line->len))
                die("send");
            while (receive(fd, in, 0))
                ;
        }
        if (!probe(fd, in, sent) || !is_sound(in)) {
            fprintf(stderr, "control-clients: wrong after %u lines, seed %u\n", sent, seed);
            return 1;
        }
        close(fd);
    }
    printf("%u\n", sent);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    guint n = argc > 3 ? (guint)g_ascii_strtoull(argv[3], NULL, 10) : 0;

    if (strcmp(what, "talk") == 0)
        return talk(connect_or_die(argv[1]));
    if (strcmp(what, "crowd") == 0)
        return crowd(argv[1], n);
    if (strcmp(what, "silent") == 0)
        return silent(argv[1], n);
    if (strcmp(what, "fds") == 0)
        return send_fds(connect_or_die(argv[1]), n);
    if (strcmp(what, "fuzz") == 0 && argc > 4)
        return fuzz(argv[1], n, (guint)g_ascii_strtoull(argv[4], NULL, 10));
    fprintf(stderr, "usage: control-clients SOCKET talk|crowd|silent|fds|fuzz [N [COUNT]]\n");
    return 2;
}
