/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp - send QEMU one command from a test script.
 *
 * It connects, goes through the greeting, sends the command, prints the value
 * of "return" as one line of JSON and exits 0. An error from QEMU goes to
 * stderr with exit status 1, everything else that can go wrong exits 2. Every
 * wait ends at one deadline, so a test that calls it cannot hang.
 */
#include "config.h"
#include "core/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixfdmessage.h>
#include <gio/gunixsocketaddress.h>
#include <json-glib/json-glib.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_REFUSED 1
#define EXIT_BROKEN 2
#define POLL_INTERVAL_US 10000
#define DEFAULT_TIMEOUT_S 60

typedef struct {
    GSocketConnection *stream; /* owned */
    GDataInputStream *lines;   /* owned */
    gint64 deadline;           /* monotonic microseconds; no wait goes beyond it */
} Monitor;

static void G_GNUC_NORETURN G_GNUC_PRINTF(2, 3) die(int status, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("qmp: %s\n", text);
    _exit(status); /* whatever the callers hold is no leak */
}

static void limit_waiting(Monitor *monitor)
{
    gint64 left = monitor->deadline - g_get_monotonic_time();

    if (left <= 0)
        die(EXIT_BROKEN, "timed out");
    /* The unit is seconds and 0 means for ever. */
    g_socket_set_timeout(g_socket_connection_get_socket(monitor->stream),
                         (guint)(left / G_USEC_PER_SEC) + 1);
}

/* Returns the next message of any kind. */
static JsonObject *receive(Monitor *monitor)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = NULL;
    g_autofree char *line = NULL;

    limit_waiting(monitor);
    line = g_data_input_stream_read_line(monitor->lines, NULL, NULL, &error);
    if (error != NULL)
        die(EXIT_BROKEN, "no answer: %s", error->message);
    if (line == NULL)
        die(EXIT_BROKEN, "QEMU closed the connection; has it died?");
    node = json_from_string(line, &error);
    if (node == NULL || !JSON_NODE_HOLDS_OBJECT(node))
        die(EXIT_BROKEN, "not a JSON object: %s", line);
    return json_node_dup_object(node);
}

static GSocketControlMessage *message_with(const int *fds, guint count)
{
    g_autoptr(GUnixFDMessage) message = G_UNIX_FD_MESSAGE(g_unix_fd_message_new());
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < count; i++)
        if (!g_unix_fd_message_append_fd(message, fds[i], &error))
            die(EXIT_BROKEN, "cannot pass a descriptor: %s", error->message);
    return G_SOCKET_CONTROL_MESSAGE(g_steal_pointer(&message));
}

static void transmit(Monitor *monitor, const char *text, const int *fds, guint count)
{
    GSocket *socket = g_socket_connection_get_socket(monitor->stream);
    g_autoptr(GSocketControlMessage) message = message_with(fds, count);
    g_autoptr(GError) error = NULL;
    GOutputVector vector = {text, strlen(text)};
    gssize sent;

    limit_waiting(monitor);
    sent = g_socket_send_message(socket, NULL, &vector, 1, &message, count > 0 ? 1 : 0, 0, NULL,
                                 &error);
    if (sent != (gssize)vector.size)
        die(EXIT_BROKEN, "cannot send: %s", error != NULL ? error->message : "the socket is full");
}

/* Sends one command and returns its whole answer, "return" or "error"; events are dropped. */
static JsonObject *ask(Monitor *monitor, const char *command, JsonNode *arguments, const int *fds,
                       guint count)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) request = json_object_new();
    g_autofree char *json = NULL;
    g_autofree char *text = NULL;

    json_object_set_string_member(request, "execute", command);
    if (arguments != NULL)
        json_object_set_member(request, "arguments", json_node_copy(arguments));
    json_node_set_object(node, request);
    json = json_to_string(node, FALSE);
    text = g_strconcat(json, "\n", NULL);
    transmit(monitor, text, fds, count);
    for (;;) {
        JsonObject *answer = receive(monitor);

        if (json_object_has_member(answer, "return") || json_object_has_member(answer, "error"))
            return answer;
        json_object_unref(answer);
    }
}

static const char *error_desc(JsonObject *answer)
{
    JsonObject *error = json_object_get_object_member(answer, "error");

    return json_object_get_string_member_with_default(error, "desc", "no description");
}

/* QEMU makes the socket some time after it started, so absence is waited for. */
static void monitor_connect(Monitor *monitor, const char *path)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    JsonObject *answer;

    for (;;) {
        g_autoptr(GError) error = NULL;

        monitor->stream =
            g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
        if (monitor->stream != NULL)
            break;
        if (g_get_monotonic_time() > monitor->deadline)
            die(EXIT_BROKEN, "%s: %s", path, error->message);
        g_usleep(POLL_INTERVAL_US);
    }
    monitor->lines =
        g_data_input_stream_new(g_io_stream_get_input_stream(G_IO_STREAM(monitor->stream)));
    json_object_unref(receive(monitor));
    answer = ask(monitor, "qmp_capabilities", NULL, NULL, 0);
    if (!json_object_has_member(answer, "return"))
        die(EXIT_BROKEN, "no QMP: %s", error_desc(answer));
    json_object_unref(answer);
}

static void monitor_disconnect(Monitor *monitor)
{
    g_object_unref(monitor->lines);
    g_object_unref(monitor->stream);
}

/* Runs one command; prints what it returns unless 'quiet'. */
static int run_command(Monitor *monitor, const char *command, const char *json, const GArray *fds,
                       gboolean quiet)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) arguments = json != NULL ? json_from_string(json, &error) : NULL;
    g_autoptr(JsonObject) answer = NULL;
    g_autofree char *text = NULL;

    if (error != NULL)
        die(EXIT_BROKEN, "arguments are not JSON: %s: %s", json, error->message);
    answer = ask(monitor, command, arguments, (const int *)(void *)fds->data, fds->len);
    if (json_object_has_member(answer, "error"))
        die(EXIT_REFUSED, "%s: %s", command, error_desc(answer));
    text = json_to_string(json_object_get_member(answer, "return"), FALSE);
    if (!quiet)
        g_print("%s\n", text);
    return EXIT_SUCCESS;
}

/*
 * Waits for one of the statuses in 'wanted' and prints it with the seconds
 * since 'start'; another status that is final is a failure.
 */
static int wait_migration(Monitor *monitor, char **wanted, gint64 start)
{
    static const char *const final[] = {"completed", "failed", "cancelled", NULL};

    for (;;) {
        g_autoptr(JsonObject) answer = ask(monitor, "query-migrate", NULL, NULL, 0);
        JsonObject *info = json_object_get_object_member(answer, "return");
        const char *status;

        if (info == NULL)
            die(EXIT_BROKEN, "query-migrate: %s", error_desc(answer));
        status = json_object_get_string_member_with_default(info, "status", "none");
        if (g_strv_contains((const char *const *)wanted, status)) {
            g_print("%s %.3f\n", status, (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC);
            return EXIT_SUCCESS;
        }
        if (g_strv_contains(final, status))
            die(EXIT_REFUSED, "the migration is %s: %s", status,
                json_object_get_string_member_with_default(info, "error-desc", "no description"));
        if (g_get_monotonic_time() > monitor->deadline)
            die(EXIT_BROKEN, "timed out while the migration was %s", status);
        g_usleep(POLL_INTERVAL_US);
    }
}

/* "wronly+direct+creat:PATH": opens PATH with these flags. A number: that descriptor of ours. */
static int open_described(const char *text)
{
    static const struct {
        const char *name;
        int flag;
    } names[] = {
        {"rdonly", O_RDONLY}, {"wronly", O_WRONLY}, {"rdwr", O_RDWR},     {"direct", O_DIRECT},
        {"creat", O_CREAT},   {"trunc", O_TRUNC},   {"append", O_APPEND},
    };
    const char *colon = strchr(text, ':');
    g_autofree char *list = colon != NULL ? g_strndup(text, (gsize)(colon - text)) : NULL;
    g_auto(GStrv) words = list != NULL ? g_strsplit(list, "+", -1) : NULL;
    int flags = O_CLOEXEC;
    guint64 number;
    int fd;

    if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &number, NULL))
        return (int)number;
    if (words == NULL)
        die(EXIT_BROKEN, "--fd %s: expected FLAGS:PATH or a number", text);
    for (char **word = words; *word != NULL; word++) {
        gsize i = 0;

        while (i < G_N_ELEMENTS(names) && !g_str_equal(names[i].name, *word))
            i++;
        if (i == G_N_ELEMENTS(names))
            die(EXIT_BROKEN, "--fd %s: no flag is called %s", text, *word);
        flags |= names[i].flag;
    }
    fd = open(colon + 1, flags, 0600);
    if (fd < 0)
        die(EXIT_BROKEN, "%s: %s", text, g_strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    g_auto(GStrv) descriptors = NULL;
    g_autofree char *statuses = NULL;
    int timeout = DEFAULT_TIMEOUT_S;
    const GOptionEntry entries[] = {
        {"fd", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &descriptors,
         "open PATH and send it along; FLAGS: rdonly, wronly, rdwr, direct, creat, trunc, append, "
         "joined by +; or send a descriptor that was inherited",
         "FLAGS:PATH|NUMBER"},
        {"wait-migration", 0, 0, G_OPTION_ARG_STRING, &statuses,
         "poll query-migrate, after the command if there is one, until it has one of these "
         "statuses; "
         "print it and the seconds it took",
         "STATUS[,STATUS]"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &timeout, "give up after this time (60)", "SECONDS"},
        {NULL},
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("SOCKET [COMMAND [JSON-ARGUMENTS]] - send QEMU one command");
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_autoptr(GError) error = NULL;
    Monitor monitor = {0};
    int status = EXIT_SUCCESS;
    gint64 start;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        die(EXIT_BROKEN, "%s", error->message);
    if (argc < 2 || argc > 4 || (argc == 2 && statuses == NULL))
        die(EXIT_BROKEN, "usage: qmp [OPTION]... SOCKET [COMMAND [JSON-ARGUMENTS]], see --help");
    for (char **text = descriptors; text != NULL && *text != NULL; text++) {
        int fd = open_described(*text);

        g_array_append_val(fds, fd);
    }
    monitor.deadline = g_get_monotonic_time() + timeout * G_USEC_PER_SEC;
    monitor_connect(&monitor, argv[1]);
    start = g_get_monotonic_time();
    if (argc > 2)
        status = run_command(&monitor, argv[2], argc > 3 ? argv[3] : NULL, fds, statuses != NULL);
    if (statuses != NULL) {
        g_auto(GStrv) wanted = g_strsplit(statuses, ",", -1);

        status = wait_migration(&monitor, wanted, start);
    }
    monitor_disconnect(&monitor);
    return status;
}
