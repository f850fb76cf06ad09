/* SPDX-License-Identifier: MIT */
#include "watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

struct watchdog {
    struct loop_timer *timer;
    pthread_t thread;
    atomic_uint beats;
    atomic_bool stop;
};

static void
on_beat(void *arg)
{
    struct watchdog *watchdog = arg;
    atomic_fetch_add(&watchdog->beats, 1);
}

static void *
watch(void *arg)
{
    struct watchdog *watchdog = arg;
    const struct timespec beat = { .tv_nsec = WATCHDOG_BEAT_MS * 1000000L };
    unsigned seen = atomic_load(&watchdog->beats);
    unsigned missed = 0;
    while (!atomic_load(&watchdog->stop)) {
        (void)nanosleep(&beat, NULL);
        unsigned now = atomic_load(&watchdog->beats);
        missed = now == seen ? missed + 1 : 0;
        seen = now;
        if (missed >= WATCHDOG_MISSED && !atomic_load(&watchdog->stop)) {
            log_fatal("the event loop hangs: ending");
            _exit(EXIT_TEMP);
        }
    }
    return NULL;
}

enum rc
watchdog_open(struct loop *loop, struct watchdog **out, struct err *err)
{
    struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
    if (!watchdog)
        return err_set(err, RC_TEMP, "no memory");
    watchdog->timer = loop_timer_new(loop, on_beat, watchdog);
    loop_timer_set(watchdog->timer, WATCHDOG_BEAT_MS, WATCHDOG_BEAT_MS);
    if (pthread_create(&watchdog->thread, NULL, watch, watchdog) != 0) {
        loop_timer_free(watchdog->timer);
        free(watchdog);
        return err_set(err, RC_TEMP, "no thread for the watchdog");
    }
    *out = watchdog;
    return RC_OK;
}

void
watchdog_close(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    atomic_store(&watchdog->stop, true);
    (void)pthread_join(watchdog->thread, NULL);
    loop_timer_free(watchdog->timer);
    free(watchdog);
}
