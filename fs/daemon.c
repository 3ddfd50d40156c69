/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* The parent's part: a byte means ready, the end of the pipe that the child gave up. */
static void wait_for_child(pid_t child, int fd)
{
    char byte;
    int status;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        _exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
    _exit(1);
}

int fs_daemon_start(void)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    child = fork();
    if (child < 0)
        return -1;
    if (child > 0) {
        close(fds[1]);
        wait_for_child(child, fds[0]);
    }
    close(fds[0]);
    setsid();
    return fds[1];
}

void fs_daemon_ready(int fd, int null)
{
    if (null < 0)
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (chdir("/") < 0)
        g_warning("cannot change to the root directory");
    for (int i = 0; null >= 0 && i < 3; i++)
        dup2(null, i);
    if (null > 2)
        close(null);
    if (write(fd, "", 1) < 0)
        g_warning("cannot tell the parent process");
    close(fd);
}

static void *wait_to_be_cancelled(void *unused)
{
    for (;;)
        pause();
    return NULL;
}

void fs_daemon_prepare_cancel(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_to_be_cancelled, NULL) != 0)
        return;
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}

static int syslog_priority(GLogLevelFlags level)
{
    switch (level & G_LOG_LEVEL_MASK) {
    case G_LOG_LEVEL_ERROR:
        return LOG_CRIT;
    case G_LOG_LEVEL_CRITICAL:
        return LOG_ERR;
    case G_LOG_LEVEL_WARNING:
        return LOG_WARNING;
    case G_LOG_LEVEL_DEBUG:
        return LOG_DEBUG;
    default:
        return LOG_INFO;
    }
}

static GLogWriterOutput write_syslog(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                     gpointer data)
{
    if ((level & G_LOG_LEVEL_DEBUG) && !GPOINTER_TO_INT(data))
        return G_LOG_WRITER_HANDLED;
    if (g_log_writer_journald(level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++)
        if (strcmp(fields[i].key, "MESSAGE") == 0)
            syslog(syslog_priority(level), "%s", (const char *)fields[i].value);
    return G_LOG_WRITER_HANDLED;
}

static GLogWriterOutput write_stderr(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                     gpointer data)
{
    g_autofree char *line = NULL;

    if ((level & G_LOG_LEVEL_DEBUG) && !GPOINTER_TO_INT(data))
        return G_LOG_WRITER_HANDLED;
    line = g_log_writer_format_fields(level, fields, n_fields, FALSE);
    fprintf(stderr, "%s\n", line);
    return G_LOG_WRITER_HANDLED;
}

void fs_log_init(gboolean daemon, gboolean debug)
{
    if (daemon)
        openlog("fdsetfs", LOG_PID, LOG_DAEMON);
    g_log_set_writer_func(daemon ? write_syslog : write_stderr, GINT_TO_POINTER(debug), NULL);
}
