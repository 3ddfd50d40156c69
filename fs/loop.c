/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "fs/loop.h"

/*
 * An open may wait for a session to settle (core/handle.c), so there are more
 * threads than requests that work at one time; idle ones keep their buffers.
 */
#define THREADS_MAX 64
#define THREADS_IDLE 8

#ifdef HAVE_ALIGNED_PAYLOAD

static int run_threads(struct fuse_session *session)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int r;

    fuse_loop_cfg_set_clone_fd(config, 1);
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE);
    r = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    return r;
}

#else

#include "core/fd.h"
#include "core/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* What stands in front of the payload of a FUSE_WRITE request. */
#define HEADER_SIZE (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
#define PAGE 4096u

G_STATIC_ASSERT(HEADER_SIZE < PAGE);

typedef struct {
    struct fuse_session *session;
    sem_t finished; /* posted when a thread has seen the end of the session */
    GMutex lock;    /* protects all below */
    GPtrArray *workers; /* of Worker, owned */
    guint n_idle;
    int error;
} Loop;

typedef struct {
    Loop *loop;
    pthread_t thread;
    gboolean ended; /* on its own; protected by the loop's lock */
    int fd;
    guint8 *buf;
    /* Not on the stack: a thread that is cancelled leaves the marks that ASan has around it there. */
    struct fuse_buf request;
} Worker;

/* This thread's descriptor plus one, for the callbacks that libfuse calls: 0, none. */
static GPrivate thread_fd;

static int own_fd(int session_fd)
{
    int fd = GPOINTER_TO_INT(g_private_get(&thread_fd)) - 1;

    return fd >= 0 ? fd : session_fd;
}

static ssize_t io_read(int fd, void *buf, size_t len, void *userdata)
{
    return read(own_fd(fd), buf, len);
}

/* A reply goes back through the descriptor that its request came from. */
static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    return writev(own_fd(fd), iov, count);
}

static const struct fuse_custom_io io = {.read = io_read, .writev = io_writev};

static int clone_fd(int session_fd)
{
    guint32 source = (guint32)session_fd;
    autofd fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    int clone;

    if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &source) < 0)
        return -1; /* in a container without /dev/fuse the session's own does */
    clone = fd;
    fd = -1;
    return clone;
}

static gboolean start_worker(Loop *loop);

/* A request came in: is there somebody to read the next one? */
static void become_busy(Loop *loop)
{
    g_mutex_lock(&loop->lock);
    if (--loop->n_idle == 0 && loop->workers->len < THREADS_MAX)
        start_worker(loop);
    g_mutex_unlock(&loop->lock);
}

/* FALSE: enough others wait, this thread may go. */
static gboolean become_idle(Worker *worker)
{
    Loop *loop = worker->loop;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&loop->lock);

    if (loop->n_idle >= THREADS_IDLE) {
        worker->ended = TRUE;
        return FALSE;
    }
    loop->n_idle++;
    return TRUE;
}

/* Reads one request; may be cancelled here and nowhere else. */
static int receive(Worker *worker)
{
    int r;

    memset(&worker->request, 0, sizeof worker->request);
    worker->request.mem = worker->buf + PAGE - HEADER_SIZE;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    r = fuse_session_receive_buf(worker->loop->session, &worker->request);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return r;
}

static void *work(void *data)
{
    Worker *worker = data;
    Loop *loop = worker->loop;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    g_private_set(&thread_fd, GINT_TO_POINTER(worker->fd + 1));
    while (!fuse_session_exited(loop->session)) {
        int r = receive(worker);

        if (r == -EINTR)
            continue;
        if (r <= 0) {
            g_mutex_lock(&loop->lock);
            loop->error = r < 0 ? r : loop->error;
            g_mutex_unlock(&loop->lock);
            fuse_session_exit(loop->session);
            break;
        }
        become_busy(loop);
        fuse_session_process_buf(loop->session, &worker->request);
        if (!become_idle(worker))
            return NULL;
    }
    sem_post(&loop->finished);
    return NULL;
}

static void worker_free(gpointer data)
{
    Worker *worker = data;

    fdset_fd_clear(&worker->fd);
    fdset_buffer_free(worker->buf);
    g_free(worker);
}

/* Joins the threads that ended on their own. Lock held. */
static void reap(Loop *loop)
{
    for (guint i = loop->workers->len; i-- > 0;) {
        Worker *worker = loop->workers->pdata[i];

        if (!worker->ended)
            continue;
        pthread_join(worker->thread, NULL);
        g_ptr_array_remove_index_fast(loop->workers, i);
    }
}

/* Signals are for the thread that waits in run_threads(). Lock held. */
static gboolean start_worker(Loop *loop)
{
    Worker *worker = g_new0(Worker, 1);
    sigset_t all, old;
    int r;

    reap(loop);
    worker->loop = loop;
    worker->fd = clone_fd(fuse_session_fd(loop->session));
    worker->buf = fdset_buffer_new();
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    r = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0) {
        g_warning("cannot start one more thread: %s", g_strerror(r));
        worker_free(worker);
        return FALSE;
    }
    g_ptr_array_add(loop->workers, worker);
    loop->n_idle++;
    return TRUE;
}

/* No thread is cancelled while it works on a request, and none is started any more. */
static void stop_workers(Loop *loop)
{
    g_autoptr(GPtrArray) workers = NULL;

    g_mutex_lock(&loop->lock);
    workers = loop->workers;
    loop->workers = g_ptr_array_new_with_free_func(worker_free);
    loop->n_idle = THREADS_MAX;
    g_mutex_unlock(&loop->lock);
    for (guint i = 0; i < workers->len; i++)
        pthread_cancel(((Worker *)workers->pdata[i])->thread);
    for (guint i = 0; i < workers->len; i++)
        pthread_join(((Worker *)workers->pdata[i])->thread, NULL);
}

static int run_threads(struct fuse_session *session)
{
    Loop loop = {.session = session};
    int r = fuse_session_custom_io(session, &io, fuse_session_fd(session));

    if (r < 0)
        return r;
    g_mutex_init(&loop.lock);
    sem_init(&loop.finished, 0, 0);
    loop.workers = g_ptr_array_new_with_free_func(worker_free);
    g_mutex_lock(&loop.lock);
    r = start_worker(&loop) ? 0 : -EAGAIN;
    g_mutex_unlock(&loop.lock);
    while (r == 0 && !fuse_session_exited(session))
        sem_wait(&loop.finished); /* a signal's handler ends the session and interrupts this */
    stop_workers(&loop);
    g_ptr_array_unref(loop.workers);
    sem_destroy(&loop.finished);
    g_mutex_clear(&loop.lock);
    return r < 0 ? r : loop.error;
}

#endif

int fs_loop_run(struct fuse_session *session, gboolean one_thread)
{
    return one_thread ? fuse_session_loop(session) : run_threads(session);
}
