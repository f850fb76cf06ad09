/* SPDX-License-Identifier: MIT */
#include "streams.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"

#define MISSED_MS 5000 /* who has not answered then does not run, on the busiest machine */

static enum rc
read_stream(struct cli *cli, const char *name, struct stream_count *count, struct err *err)
{
    AUTO(json) cJSON *info = NULL;
    AUTO(json) cJSON *list = NULL;
    const cJSON *consumer = NULL;
    char subject[128];

    (void)snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", name);
    enum rc rc = cli_js(cli, subject, "", &info, NULL, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.LIST.%s", name);
    rc = cli_js(cli, subject, "", &list, NULL, err);
    if (rc != RC_OK)
        return rc;
    *count = (struct stream_count){
        .name = name,
        .messages = json_int(json_member(info, "state"), "messages", 0),
        .last_seq = json_int(json_member(info, "state"), "last_seq", 0),
        .consumers = json_int(list, "total", 0),
    };
    cJSON_ArrayForEach (consumer, json_member(list, "consumers")) {
        count->pending += json_int(consumer, "num_pending", 0);
        count->unsettled += json_int(consumer, "num_ack_pending", 0);
    }
    return RC_OK;
}

enum rc
streams_read(struct cli *cli, struct stream_count out[STREAMS_COUNT], size_t *count,
             struct err *err)
{
    static const char *const NAMES[STREAMS_COUNT] = { "MEMORY", "TASKS", "AUDIT", "DEAD",
                                                      "CONNECTOR" };
    enum rc rc = RC_OK;
    for (size_t i = 0; i < STREAMS_COUNT && rc == RC_OK; i++) {
        rc = read_stream(cli, NAMES[i], &out[i], err);
        if (rc == RC_OK)
            *count = i + 1;
    }
    if (rc == RC_NOTFOUND && *count == STREAMS_COUNT - 1) { /* the last one is not everywhere */
        *err = (struct err){ .rc = RC_OK };
        rc = RC_OK;
    }
    return rc;
}

struct asking {
    bus_fn *fn;
    void *arg;
    int64_t heard_ms; /* the last answer, or the start */
};

static void
on_worker(void *arg, const struct bus_msg *msg)
{
    struct asking *asking = arg;
    asking->heard_ms = clock_mono_ms();
    asking->fn(asking->arg, msg);
}

enum rc
workers_ask(struct cli *cli, const char *verb, int64_t wait_ms, bool (*missing)(const void *arg),
            bus_fn *fn, void *arg, struct err *err)
{
    struct asking asking = { .fn = fn, .arg = arg };
    struct bus *bus = NULL;
    struct bus_sub *sub = NULL;
    char subject[32], inbox[64], id[ID_TEXT_MAX];
    const struct bus_out question = { .subject = subject, .reply = inbox };

    id_new_random(id); /* or we would hear what others ask */
    (void)snprintf(inbox, sizeof(inbox), "_INBOX.operator.%s", id);
    (void)snprintf(subject, sizeof(subject), "$SRV.%s", verb);
    enum rc rc = cli_bus(cli, &bus, err);
    if (rc == RC_OK)
        rc = bus_subscribe(bus, inbox, NULL, on_worker, &asking, &sub, err);
    if (rc == RC_OK)
        rc = bus_publish(bus, &question, err);
    int64_t start_ms = clock_mono_ms(), now_ms = start_ms;
    asking.heard_ms = start_ms;
    while (rc == RC_OK && now_ms - start_ms < MISSED_MS &&
           (now_ms - asking.heard_ms < wait_ms || (missing && missing(arg)))) {
        loop_turn(cli->loop, 20);
        now_ms = clock_mono_ms();
    }
    if (sub)
        bus_unsubscribe(sub);
    return rc;
}
