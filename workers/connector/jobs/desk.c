/* SPDX-License-Identifier: MIT */
#include "jobs/desk.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

struct desk {
    struct loop *loop; /* borrowed */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool closed;
    unsigned open; /* tickets */
};

/* Held by the asker and by the loop; whoever lets go last frees it. */
struct desk_ticket {
    struct desk *desk;
    desk_fn *fn;
    void *arg;
    int answer;
    bool done;
    unsigned holders;
};

enum rc
desk_new(struct loop *loop, struct desk **out, struct err *err)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    if (!desk)
        return err_set(err, RC_TEMP, "no memory");
    desk->loop = loop;
    (void)pthread_mutex_init(&desk->lock, NULL);
    (void)pthread_cond_init(&desk->answered, NULL);
    *out = desk;
    return RC_OK;
}

void
desk_close(struct desk *desk)
{
    (void)pthread_mutex_lock(&desk->lock);
    desk->closed = true;
    (void)pthread_cond_broadcast(&desk->answered);
    (void)pthread_mutex_unlock(&desk->lock);
}

void
desk_free(struct desk *desk)
{
    if (!desk ||
        desk->open > 0) /* a late answer of Redis would look here: the program ends anyway */
        return;
    (void)pthread_cond_destroy(&desk->answered);
    (void)pthread_mutex_destroy(&desk->lock);
    free(desk);
}

/* With the lock held, which is released. */
static void
let_go(struct desk_ticket *ticket)
{
    struct desk *desk = ticket->desk;
    bool last = --ticket->holders == 0;
    desk->open -= last;
    (void)pthread_mutex_unlock(&desk->lock);
    if (last)
        free(ticket);
}

static void
run(void *arg)
{
    struct desk_ticket *ticket = arg;
    ticket->fn(ticket->arg, ticket);
}

int
desk_ask(struct desk *desk, desk_fn *fn, void *arg)
{
    struct desk_ticket *ticket = calloc(1, sizeof(*ticket));
    int answer = -1;
    if (!ticket)
        log_no_memory("a question");
    *ticket =
        (struct desk_ticket){ .desk = desk, .fn = fn, .arg = arg, .answer = -1, .holders = 2 };
    (void)pthread_mutex_lock(&desk->lock);
    if (desk->closed) {
        (void)pthread_mutex_unlock(&desk->lock);
        free(ticket);
        return -1;
    }
    desk->open++;
    loop_post(desk->loop, run, ticket);
    while (!ticket->done && !desk->closed)
        (void)pthread_cond_wait(&desk->answered, &desk->lock);
    if (ticket->done)
        answer = ticket->answer;
    let_go(ticket);
    return answer;
}

void
desk_answer(struct desk_ticket *ticket, int answer)
{
    struct desk *desk = ticket->desk;
    (void)pthread_mutex_lock(&desk->lock);
    ticket->answer = answer;
    ticket->done = true;
    (void)pthread_cond_broadcast(&desk->answered);
    let_go(ticket);
}
