/* SPDX-License-Identifier: MIT */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

/*
 * Theory of operation. Everything but the list of posts and two flags belongs to the loop's thread.
 * A watch or timer that is freed inside a callback is only marked: the events of the same turn may
 * still point to it. What has ended is freed between turns, when nothing points anywhere.
 *
 * `woken` keeps many posts to one write of the eventfd. It is cleared before the list is taken, so
 * a post that comes after the taking writes again: no post can be left lying.
 */
#define EVENTS_MAX 256

struct loop_watch {
    struct loop *loop; /* borrowed */
    int fd;
    unsigned events;
    bool dead;
    loop_watch_fn *fn;
    void *arg;
    struct loop_watch *next_dead;
};

struct loop_timer {
    struct heap_node node; /* first: the heap gives it back */
    struct loop *loop;     /* borrowed */
    uint32_t every_ms;
    loop_fn *fn;
    void *arg;
};

struct post {
    loop_fn *fn;
    void *arg;
};

struct posts {
    struct post *items; /* owned */
    size_t count, cap;
};

struct prepare {
    enum loop_rank rank;
    loop_prepare_fn *fn;
    void *arg;
};

struct loop {
    int epoll_fd;
    int wake_fd;
    int signal_fd;
    struct loop_watch *wake_watch;
    struct loop_watch *signal_watch;
    atomic_bool stopping;
    atomic_bool woken;
    pthread_mutex_t lock; /* guards posted */
    struct posts posted;
    struct posts running;
    struct prepare *prepares; /* owned */
    size_t n_prepares;
    struct heap timers;
    struct loop_watch *dead;
    loop_fn *terminate_fn;
    void *terminate_arg;
};

static void
wake(struct loop *loop)
{
    if (atomic_exchange(&loop->woken, true))
        return;
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static void
on_wake(void *arg, unsigned events)
{
    struct loop *loop = arg;
    uint64_t count;
    (void)events;
    while (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
}

enum rc
loop_new(struct loop **out, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return err_set(err, RC_TEMP, "no memory for a loop");
    loop->signal_fd = -1;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pthread_mutex_init(&loop->lock, NULL);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0) {
        int error = errno;
        loop_free(loop);
        return err_set(err, RC_TEMP, "no event loop: %s", strerror(error));
    }
    enum rc rc =
        loop_watch_new(loop, loop->wake_fd, LOOP_READ, on_wake, loop, &loop->wake_watch, err);
    if (rc != RC_OK) {
        loop_free(loop);
        return rc;
    }
    *out = loop;
    return RC_OK;
}

static void
free_ended(struct loop *loop)
{
    while (loop->dead) {
        struct loop_watch *watch = loop->dead;
        loop->dead = watch->next_dead;
        free(watch);
    }
}

void
loop_free(struct loop *loop)
{
    if (!loop)
        return;
    loop_watch_free(loop->wake_watch);
    loop_watch_free(loop->signal_watch);
    free_ended(loop);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    heap_fini(&loop->timers);
    free(loop->prepares);
    free(loop->posted.items);
    free(loop->running.items);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static uint32_t
epoll_mask(unsigned events)
{
    return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0u) | (events & LOOP_WRITE ? EPOLLOUT : 0u);
}

enum rc
loop_watch_new(struct loop *loop, int fd, unsigned events, loop_watch_fn *fn, void *arg,
               struct loop_watch **out, struct err *err)
{
    AUTO(free) struct loop_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return err_set(err, RC_TEMP, "no memory for a watch");
    *watch = (struct loop_watch){ .loop = loop, .fd = fd, .events = events, .fn = fn, .arg = arg };
    struct epoll_event event = { .events = epoll_mask(events), .data.ptr = watch };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return err_set(err, RC_BUG, "cannot watch a descriptor: %s", strerror(errno));
    *out = TAKE(watch);
    return RC_OK;
}

void
loop_watch_set(struct loop_watch *watch, unsigned events)
{
    if (watch->dead || watch->events == events)
        return;
    watch->events = events;
    struct epoll_event event = { .events = epoll_mask(events), .data.ptr = watch };
    (void)epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void
loop_watch_free(struct loop_watch *watch)
{
    if (!watch || watch->dead)
        return;
    (void)epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->dead = true;
    watch->next_dead = watch->loop->dead;
    watch->loop->dead = watch;
}

static void
run_watch(struct loop_watch *watch, uint32_t mask)
{
    unsigned events = 0;
    if (watch->dead)
        return;
    if (mask & (EPOLLERR | EPOLLHUP))
        events = LOOP_READ | LOOP_WRITE;
    if (mask & (EPOLLIN | EPOLLRDHUP))
        events |= LOOP_READ;
    if (mask & EPOLLOUT)
        events |= LOOP_WRITE;
    watch->fn(watch->arg, events);
}

/* --- timers ----------------------------------------------------------------------------------- */

struct loop_timer *
loop_timer_new(struct loop *loop, loop_fn *fn, void *arg)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        log_no_memory("the event loop");
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    return timer;
}

void
loop_timer_set(struct loop_timer *timer, uint32_t after_ms, uint32_t every_ms)
{
    timer->every_ms = every_ms;
    heap_set(&timer->loop->timers, &timer->node, clock_mono_ms() + after_ms);
}

void
loop_timer_stop(struct loop_timer *timer)
{
    heap_remove(&timer->loop->timers, &timer->node);
}

void
loop_timer_free(struct loop_timer *timer)
{
    if (!timer)
        return;
    loop_timer_stop(timer);
    free(timer);
}

/* A timer is out of the heap, or at its next time, before its function runs: the function may
 * change or free it. Only what was due when the turn began runs. */
static void
run_timers(struct loop *loop)
{
    int64_t now_ms = clock_mono_ms();
    struct heap_node *node;
    while ((node = heap_first(&loop->timers)) != NULL && node->at_ms <= now_ms) {
        struct loop_timer *timer = (struct loop_timer *)(void *)node;
        if (timer->every_ms)
            heap_set(&loop->timers, node, now_ms + timer->every_ms);
        else
            heap_remove(&loop->timers, node);
        timer->fn(timer->arg);
    }
}

/* --- posts and hooks -------------------------------------------------------------------------- */

void
loop_prepare(struct loop *loop, enum loop_rank rank, loop_prepare_fn *fn, void *arg)
{
    struct prepare *prepares =
        realloc(loop->prepares, (loop->n_prepares + 1) * sizeof(*loop->prepares));
    if (!prepares)
        log_no_memory("the event loop");
    loop->prepares = prepares;
    prepares[loop->n_prepares++] = (struct prepare){ rank, fn, arg };
}

void
loop_unprepare(struct loop *loop, loop_prepare_fn *fn, const void *arg)
{
    for (size_t i = 0; i < loop->n_prepares; i++)
        if (loop->prepares[i].fn == fn && loop->prepares[i].arg == arg)
            loop->prepares[i].fn = NULL;
}

void
loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    pthread_mutex_lock(&loop->lock);
    struct posts *posts = &loop->posted;
    if (posts->count == posts->cap) {
        size_t cap = posts->cap ? posts->cap * 2 : 64;
        struct post *items = realloc(posts->items, cap * sizeof(*items));
        if (!items)
            log_no_memory("the event loop");
        posts->items = items;
        posts->cap = cap;
    }
    posts->items[posts->count++] = (struct post){ fn, arg };
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

static void
run_posts(struct loop *loop)
{
    if (!atomic_load(&loop->woken))
        return;
    atomic_store(&loop->woken, false);
    pthread_mutex_lock(&loop->lock);
    struct posts taken = loop->posted;
    loop->posted = loop->running;
    loop->posted.count = 0;
    pthread_mutex_unlock(&loop->lock);
    loop->running = (struct posts){ 0 };
    for (size_t i = 0; i < taken.count; i++)
        taken.items[i].fn(taken.items[i].arg);
    free(loop->running.items);
    loop->running = taken;
}

/* --- turning ---------------------------------------------------------------------------------- */

/* The shortest of what they want to wait; -1 when none has an opinion. */
static int
run_prepares(struct loop *loop, enum loop_rank rank)
{
    int shortest = -1;
    for (size_t i = 0; i < loop->n_prepares; i++) {
        struct prepare *prepare = &loop->prepares[i];
        int want = prepare->rank == rank && prepare->fn ? prepare->fn(prepare->arg) : -1;
        if (want >= 0 && (shortest < 0 || want < shortest))
            shortest = want;
    }
    return shortest;
}

static int
wait_ms(struct loop *loop, int max_wait_ms)
{
    int wait = max_wait_ms < 0 || max_wait_ms > LOOP_WAIT_MAX_MS ? LOOP_WAIT_MAX_MS : max_wait_ms;
    for (enum loop_rank rank = 0; rank < LOOP_RANKS; rank++) {
        int want = run_prepares(loop, rank);
        if (want >= 0 && want < wait)
            wait = want;
    }
    const struct heap_node *node = heap_first(&loop->timers);
    if (node) {
        int64_t left_ms = node->at_ms - clock_mono_ms();
        if (left_ms < wait)
            wait = left_ms < 0 ? 0 : (int)left_ms;
    }
    return wait; /* loop_stop() wakes it */
}

void
loop_turn(struct loop *loop, int max_wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms(loop, max_wait_ms));
    for (int i = 0; i < count; i++)
        run_watch(events[i].data.ptr, events[i].events);
    run_posts(loop);
    run_timers(loop);
    free_ended(loop);
}

void
loop_run(struct loop *loop)
{
    while (!atomic_load(&loop->stopping))
        loop_turn(loop, LOOP_WAIT_MAX_MS);
}

void
loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopping, true);
    wake(loop);
}

bool
loop_stopping(const struct loop *loop)
{
    return atomic_load(&loop->stopping);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void
on_signal(void *arg, unsigned events)
{
    struct loop *loop = arg;
    struct signalfd_siginfo info;
    (void)events;
    while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        loop->terminate_fn(loop->terminate_arg);
}

enum rc
loop_on_terminate(struct loop *loop, loop_fn *fn, void *arg, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error)
        return err_set(err, RC_BUG, "cannot block signals: %s", strerror(error));
    loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0)
        return err_set(err, RC_TEMP, "no descriptor for signals: %s", strerror(errno));
    loop->terminate_fn = fn;
    loop->terminate_arg = arg;
    return loop_watch_new(loop, loop->signal_fd, LOOP_READ, on_signal, loop, &loop->signal_watch,
                          err);
}
