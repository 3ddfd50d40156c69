/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/control.h"
#include "core/error.h"
#include "core/fd.h"
#include "fs/control-client.h"
#include "fs/control-internal.h"
#include "fs/control-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than any manager has; each may hold FS_CONTROL_OUTPUT_MAX and an answer. */
#define CLIENTS_MAX 512u
#define WORKERS 4      /* commands that run at one time: they wait for disks */
#define LONG_WORKERS 2 /* of them, verify reads as fast as a disk gives */
#define QUIT_POLL_MS 100

/* Any thread may call it; it never blocks. */
static void wake(gpointer data)
{
    const FsControl *control = data;
    guint64 one = 1;

    if (write(control->wakefd, &one, sizeof one) < 0 && errno != EAGAIN)
        g_warning("control: cannot wake its thread: %s", g_strerror(errno));
}

void fs_control_finish(FsControl *control, FsControlCall *call)
{
    g_async_queue_push(control->finished, call);
    wake(control);
}

static gboolean is_allowed(const FsControl *control, uid_t uid)
{
    gboolean allowed = uid == 0 || uid == geteuid();

    for (guint i = 0; i < control->uids->len; i++)
        allowed = allowed || g_array_index(control->uids, uid_t, i) == uid;
    return allowed;
}

/* Tells a client that is not let in why, as far as it listens. */
static void turn_away(int fd, const char *reason)
{
    g_autofree char *line = fs_qmp_error("GenericError", NULL, reason, NULL);

    g_warning("control: a client was turned away: %s", reason);
    if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        g_debug("control: it was not even told: %s", g_strerror(errno));
}

static void let_in(FsControl *control, int fd)
{
    g_autoptr(FsControlClient) client = fs_control_client_new(fd, ++control->last_client);
    g_autofree char *greeting = fs_qmp_greeting();
    g_autofree char *reason = NULL;

    if (!is_allowed(control, client->uid))
        reason = g_strdup_printf("Permission denied: user %u may not use this control socket "
                                 "(control-uid=%u would let it in)",
                                 client->uid, client->uid);
    else if (control->clients->len >= CLIENTS_MAX)
        reason = g_strdup_printf("Too many control clients: %u are connected", CLIENTS_MAX);
    if (reason) {
        turn_away(fd, reason);
        return;
    }
    g_debug("control: process %d (uid %u) connects", client->pid, client->uid);
    fs_control_client_answer(client, greeting);
    g_ptr_array_add(control->clients, g_steal_pointer(&client));
}

/* There is no descriptor for the one who waits: the reserve makes room to tell it so. */
static void accept_without_descriptors(FsControl *control)
{
    int fd;

    fdset_fd_clear(&control->reserve);
    fd = accept4(fs_control_socket_fd(control->socket), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        turn_away(fd, "Too many open files in fdsetfs");
        close(fd);
    }
    control->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_clients(FsControl *control)
{
    for (;;) {
        int fd = accept4(fs_control_socket_fd(control->socket), NULL, NULL,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0)
            let_in(control, fd);
        else if (errno == EMFILE || errno == ENFILE) {
            accept_without_descriptors(control);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* One event, to all who listen. */
static void broadcast(FsControl *control, const FsEvent *event)
{
    g_autoptr(JsonNode) data = fs_control_event_data(control->context, event);
    g_autofree char *line =
        fs_qmp_event(fs_event_name(event->kind), g_steal_pointer(&data), event->time);

    for (guint i = 0; i < control->clients->len; i++)
        fs_control_client_event(control->clients->pdata[i], line);
}

static void take_events(FsControl *control)
{
    FsEvent *event;

    while ((event = fs_events_next(control->context->events))) {
        control->serial++;
        broadcast(control, event);
        fs_event_free(event);
    }
}

static void forget_gone(FsControl *control)
{
    for (guint i = control->clients->len; i-- > 0;) {
        const FsControlClient *client = control->clients->pdata[i];

        if (!fs_control_client_is_gone(client))
            continue;
        fs_control_forget_calls(control, client->number);
        g_ptr_array_remove_index_fast(control->clients, i);
    }
}

/* What to wait for; descriptor 0 wakes, descriptor 1 listens, the clients follow in their order. */
static GArray *pollfds_of(const FsControl *control)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    struct pollfd fixed[] = {
        {.fd = control->wakefd, .events = POLLIN},
        {.fd = fs_control_socket_fd(control->socket), .events = POLLIN},
    };

    g_array_append_vals(fds, fixed, G_N_ELEMENTS(fixed));
    for (guint i = 0; i < control->clients->len; i++) {
        const FsControlClient *client = control->clients->pdata[i];
        struct pollfd fd = {.fd = client->fd, .events = fs_control_client_wants(client)};

        g_array_append_val(fds, fd);
    }
    return fds;
}

static void serve_client(FsControl *control, FsControlClient *client, short events)
{
    if (events & POLLOUT)
        fs_control_client_flush(client);
    if (events & POLLIN)
        fs_control_client_receive(client);
    else if (events & (POLLHUP | POLLERR))
        client->gone = TRUE;
    fs_control_process(control, client);
}

static void wait_and_serve(FsControl *control)
{
    g_autoptr(GArray) fds = pollfds_of(control);
    const struct pollfd *fd = (const struct pollfd *)(gpointer)fds->data;
    guint n_clients = control->clients->len;
    guint64 count;

    if (poll((struct pollfd *)(gpointer)fds->data, fds->len,
             control->quitting ? QUIT_POLL_MS : fs_control_timeout(control)) < 0)
        return;
    if (fd[0].revents && read(control->wakefd, &count, sizeof count) < 0)
        g_debug("control: woken for nothing");
    for (guint i = 0; i < n_clients; i++)
        if (fd[i + 2].revents)
            serve_client(control, control->clients->pdata[i], fd[i + 2].revents);
    if (fd[1].revents)
        accept_clients(control);
}

/* The request loop may be about to sleep when the signal comes: it is sent until we are stopped. */
static void quit(FsControl *control)
{
    fuse_session_exit(control->context->session);
    kill(getpid(), SIGTERM);
}

static gpointer control_main(gpointer data)
{
    FsControl *control = data;

    while (!g_atomic_int_get(&control->stopping)) {
        wait_and_serve(control);
        take_events(control);
        fs_control_take_finished(control);
        fs_control_retry_parked(control);
        forget_gone(control);
        if (control->quitting)
            quit(control);
    }
    return NULL;
}

/* The thread and those it starts leave signals to the main thread, which waits for them. */
static gboolean start_threads(FsControl *control, GError **error)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    control->workers = g_thread_pool_new(fs_control_run, control, WORKERS, FALSE, error);
    if (control->workers)
        control->long_workers =
            g_thread_pool_new(fs_control_run, control, LONG_WORKERS, FALSE, error);
    if (control->long_workers)
        control->thread = g_thread_try_new("control", control_main, control, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return control->thread != NULL;
}

FsControl *fs_control_new(FsContext *context, const char *path, const GArray *uids, GError **error)
{
    g_autoptr(FsControl) control = g_new0(FsControl, 1);

    control->context = context;
    control->wakefd = control->reserve = -1;
    control->uids = g_array_new(FALSE, FALSE, sizeof(uid_t));
    if (uids)
        g_array_append_vals(control->uids, uids->data, uids->len);
    control->finished = g_async_queue_new_full((GDestroyNotify)fs_control_call_free);
    control->clients = g_ptr_array_new_with_free_func((GDestroyNotify)fs_control_client_free);
    control->parked = g_ptr_array_new_with_free_func((GDestroyNotify)fs_control_call_free);
    control->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    control->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (control->wakefd < 0 || control->reserve < 0) {
        fdset_error_set_errno(error, errno, "%s: cannot open what the control socket needs", path);
        return NULL;
    }
    control->socket = fs_control_socket_new(path, control->uids->len ? 0666 : 0600, error);
    if (!control->socket)
        return NULL;
    fs_events_listen(context->events, wake, control);
    return start_threads(control, error) ? g_steal_pointer(&control) : NULL;
}

void fs_control_free(FsControl *control)
{
    if (!control)
        return;
    g_atomic_int_set(&control->stopping, 1);
    fs_events_listen(control->context->events, NULL, NULL);
    if (control->thread) {
        wake(control);
        g_thread_join(control->thread);
    }
    if (control->workers)
        g_thread_pool_free(control->workers, FALSE, TRUE);
    if (control->long_workers)
        g_thread_pool_free(control->long_workers, FALSE, TRUE);
    fs_control_socket_free(control->socket);
    g_ptr_array_unref(control->clients);
    g_ptr_array_unref(control->parked);
    g_async_queue_unref(control->finished);
    g_array_unref(control->uids);
    fdset_fd_clear(&control->wakefd);
    fdset_fd_clear(&control->reserve);
    g_free(control);
}
