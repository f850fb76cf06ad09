/* SPDX-License-Identifier: MIT */
/*
 * bus_request - requests to services, and the two calls that wait: for an answer, and for the server.
 */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/bus_own.h"

/* --- requests --------------------------------------------------------------------------------- */

/* The service of a subject: without its workspace, which is the third token of all of ours. */
static void
class_key(const char *subject, char key[BUS_SUBJECT_MAX])
{
    const char *first = strchr(subject, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    const char *third = second ? strchr(second + 1, '.') : NULL;
    if (third && strncmp(subject, "gantry.v1.", 10) == 0)
        snprintf(key, BUS_SUBJECT_MAX, "gantry.v1%s", third);
    else if (third && strncmp(subject, "gantry.sys.", 11) == 0)
        snprintf(key, BUS_SUBJECT_MAX, "%.*s", (int)(third - subject), subject);
    else
        snprintf(key, BUS_SUBJECT_MAX, "%s", subject);
}

static void
complete_request(struct bus *bus, struct pending *pending, const struct bus_msg *msg)
{
    bus_reply_fn *fn = pending->reply_fn;
    void *arg = pending->arg;
    pending_free(bus, pending);
    fn(arg, RC_OK, msg, NULL);
}

static void
fail_request(struct bus *bus, struct pending *pending, const struct err *err)
{
    bus_reply_fn *fn = pending->reply_fn;
    void *arg = pending->arg;
    pending_free(bus, pending);
    fn(arg, err->rc, NULL, err);
}

static const struct pending_calls REQUEST = { complete_request, fail_request };

static void
deliver_answer(struct bus_sub *sub, struct bus_msg *msg)
{
    struct pending *pending = pending_find(sub->bus, msg->subject);
    if (pending && pending->calls == &REQUEST)
        complete_request(sub->bus, pending, msg);
}

static void
no_responders(struct bus_sub *sub)
{
    struct reply_class *class = sub->calls.arg;
    struct pending *oldest = TAILQ_FIRST(&class->waiting);
    if (oldest)
        pending_fail(sub->bus, oldest, SERVER_NONE, "nobody answers this request now");
}

/* The last class is for all that found no place of their own. */
static enum rc
find_class(struct bus *bus, const char *subject, struct reply_class **out, struct err *err)
{
    char key[BUS_SUBJECT_MAX], replies[BUS_SUBJECT_MAX];
    class_key(subject, key);
    for (size_t i = 0; i < bus->n_classes; i++)
        if (strcmp(bus->classes[i].key, key) == 0 || i == BUS_CLASSES_MAX - 1) {
            *out = &bus->classes[i];
            return RC_OK;
        }
    struct reply_class *class = &bus->classes[bus->n_classes];
    struct sub_calls calls = { .deliver = deliver_answer,
                               .no_responders = no_responders,
                               .arg = class };
    (void)strlcpy(class->key, key, sizeof(class->key));
    TAILQ_INIT(&class->waiting);
    snprintf(replies, sizeof(replies), "%s.r%zu.*", bus->inbox, bus->n_classes);
    enum rc rc = bus_sub_new(bus, replies, NULL, &calls, &class->sub, err);
    if (rc != RC_OK)
        return rc;
    bus->n_classes++;
    *out = class;
    return RC_OK;
}

enum rc
bus_request(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms, bus_reply_fn *fn,
            void *arg, struct err *err)
{
    struct reply_class *class = NULL;
    struct pending *pending = NULL;
    char where[16], reply[BUS_SUBJECT_MAX];
    enum rc rc = bus_need(bus, err);
    if (rc == RC_OK)
        rc = find_class(bus, out->subject, &class, err);
    if (rc == RC_OK)
        rc = pending_new(bus, &REQUEST, &class->waiting, timeout_ms, &pending, err);
    if (rc != RC_OK)
        return rc;
    pending->reply_fn = fn;
    pending->arg = arg;
    snprintf(where, sizeof(where), "r%zu", (size_t)(class - bus->classes));
    pending_reply(bus, pending, where, reply);
    rc = bus_send(bus, out, reply, NULL, err);
    if (rc != RC_OK)
        pending_free(bus, pending);
    return rc;
}

/* --- calls that turn the loop until the answer is there ---------------------------------------- */

struct waiting {
    bool done;
    enum rc rc;
    char *data;
    size_t len;
    struct err *err;
};

static void
note_reply(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct waiting *waiting = arg;
    waiting->done = true;
    waiting->rc = rc;
    if (rc != RC_OK) {
        if (waiting->err)
            *waiting->err = *err;
        return;
    }
    waiting->data = malloc(msg->len + 1);
    if (!waiting->data)
        log_no_memory("an answer from NATS");
    if (msg->len)
        memcpy(waiting->data, msg->data, msg->len);
    waiting->data[msg->len] = '\0';
    waiting->len = msg->len;
}

enum rc
bus_request_sync(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms, char **data,
                 size_t *len, struct err *err)
{
    struct waiting waiting = { .err = err };
    enum rc rc = bus_request(bus, out, timeout_ms, note_reply, &waiting, err);
    while (rc == RC_OK && !waiting.done)
        loop_turn(bus->loop, 20);
    if (rc != RC_OK || waiting.rc != RC_OK)
        return rc != RC_OK ? rc : waiting.rc;
    *data = waiting.data;
    *len = waiting.len;
    return RC_OK;
}

struct flushing {
    bool done;
    enum rc rc;
};

static void
complete_flush(struct bus *bus, struct pending *pending, const struct bus_msg *msg)
{
    struct flushing *flushing = pending->arg;
    (void)msg;
    flushing->done = true;
    pending_free(bus, pending);
}

static void
fail_flush(struct bus *bus, struct pending *pending, const struct err *err)
{
    struct flushing *flushing = pending->arg;
    flushing->done = true;
    flushing->rc = err->rc;
    pending_free(bus, pending);
}

static const struct pending_calls FLUSH = { complete_flush, fail_flush };

/* A message to ourselves comes back after everything before it has been read by the server. */
enum rc
bus_flush(struct bus *bus, uint32_t timeout_ms, struct err *err)
{
    struct flushing flushing = { 0 };
    struct pending *pending = NULL;
    char subject[BUS_SUBJECT_MAX];
    enum rc rc = bus_need(bus, err);
    if (rc == RC_OK)
        rc = pending_new(bus, &FLUSH, NULL, timeout_ms, &pending, err);
    if (rc != RC_OK)
        return rc;
    pending->arg = &flushing;
    pending_reply(bus, pending, "j", subject);
    struct bus_out out = { .subject = subject };
    rc = bus_send(bus, &out, NULL, NULL, err);
    if (rc != RC_OK) {
        pending_free(bus, pending);
        return rc;
    }
    while (!flushing.done)
        loop_turn(bus->loop, 20);
    if (flushing.rc != RC_OK)
        return err_set_of(err, SERVER_NATS, RC_TEMP, "NATS has not read everything in time");
    return RC_OK;
}
