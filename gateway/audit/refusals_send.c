/* SPDX-License-Identifier: MIT */
/*
 * refusals_send - from counts to events that outlive this process.
 *
 * A count becomes an event with an id of its own and is put into Redis; from there it is published,
 * and taken out when AUDIT has acknowledged it. So an outage of AUDIT, or a gateway that is killed
 * meanwhile, loses none: whichever gateway runs sends them. Two may send the same, which the log
 * records once, by the id. Without Redis a count goes straight to AUDIT, or stays in the table.
 *
 * What Redis did not acknowledge may be there all the same. So the event is kept here, as it is, and goes
 * to AUDIT or once more to Redis under the same id; until each such event has gone, new counts stay
 * out of Redis, so that no more wait here than the table has rows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_own.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "gateway.h"
#include "protocol/command.h"

#define KEY        "rate:refused" /* of those that the gateway may write */
#define LIFE_S     604800
#define REDIS_MS   2000
#define TAKE_MS    5000
#define STORED_MAX 4096 /* put there by this gateway since AUDIT took the last; then counts grow */
#define AT_ONCE    256
#define SEPARATOR  '\n' /* workspace, event */

struct sending {
    struct audit *audit;
    STAILQ_ENTRY(sending) place; /* among those of which Redis said nothing */
    struct buf text;             /* workspace, event; empty if Redis has it */
    char id[ID_TEXT_MAX];
    bool unsure; /* one of these, waiting or under way */
};

static struct sending *
sending_new(struct audit *audit, const char *id)
{
    struct sending *sending = calloc(1, sizeof(*sending));

    if (!sending)
        log_no_memory("counted refusals");
    sending->audit = audit;
    (void)snprintf(sending->id, sizeof(sending->id), "%s", id);
    buf_init(&sending->text, AUDIT_EVENT_MAX + WORKSPACE_TEXT_MAX);
    audit->n_out++;
    return sending;
}

static void
sending_free(struct sending *sending)
{
    sending->audit->n_out--;
    if (sending->unsure)
        sending->audit->n_unsure--;
    buf_fini(&sending->text);
    free(sending);
}

static void
keep(struct sending *sending)
{
    struct audit *audit = sending->audit;

    if (!sending->unsure)
        audit->n_unsure++;
    sending->unsure = true;
    audit->n_out--;
    STAILQ_INSERT_TAIL(&audit->unsure, sending, place);
}

/* --- into Redis ------------------------------------------------------------------------------- */

static void
on_stored(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct sending *sending = arg;

    (void)reply, (void)err;
    if (rc != RC_OK) {
        keep(sending);
        return;
    }
    sending->audit->n_stored++;
    sending_free(sending);
}

static void
store(struct sending *sending)
{
    struct kv *kv = sending->audit->gw->kv;
    struct kv_command cmd = { 0 };
    struct kv_command life = { 0 };

    kv_add(&cmd, "HSET");
    kv_add(&cmd, KEY);
    kv_add(&cmd, sending->id);
    kv_add_bytes(&cmd, buf_text(&sending->text), sending->text.len);
    kv_call(kv, &cmd, REDIS_MS, on_stored, sending);
    kv_add(&life, "EXPIRE");
    kv_add(&life, KEY);
    kv_add_int(&life, LIFE_S);
    kv_call(kv, &life, REDIS_MS, refusals_ignore, NULL);
}

void
refusals_ignore(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    (void)arg, (void)rc, (void)reply, (void)err;
}

bool
refusals_store(struct audit *audit, const char *workspace, const struct audit_request_event *event,
               struct refusal *row)
{
    const struct gateway *gw = audit->gw;
    struct sending *sending;

    if (!kv_connected(gw->kv) || gw->redis_refuses || audit->n_stored >= STORED_MAX ||
        audit->n_unsure)
        return false;
    sending = sending_new(audit, event->event_id);
    row->count = 0;
    buf_printf(&sending->text, "%s%c", workspace, SEPARATOR);
    if (audit_event_write(event, &sending->text) == RC_OK) {
        store(sending);
    } else {
        log_error("a count of refusals cannot be written");
        sending_free(sending);
    }
    return true;
}

/* --- and out of it ------------------------------------------------------------------------------ */

static void
on_taken(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct sending *sending = arg;
    struct kv_command cmd = { 0 };

    (void)duplicate, (void)err;
    if (rc != RC_OK && sending->unsure) {
        store(sending);
        return;
    }
    if (rc == RC_OK) {
        sending->audit->n_stored = 0;
        kv_add(&cmd, "HDEL");
        kv_add(&cmd, KEY);
        kv_add(&cmd, sending->id);
        kv_call(sending->audit->gw->kv, &cmd, REDIS_MS, refusals_ignore, NULL);
    }
    sending_free(sending);
}

/* Of a count as Redis has it, or as it is kept here. */
static enum rc
publish(struct sending *sending, const char *text, size_t len)
{
    const char *cut = memchr(text, SEPARATOR, len);
    char subject[SUBJECT_MAX], msg_id[ID_TEXT_MAX + 16];

    if (!cut || cut - text >= WORKSPACE_TEXT_MAX)
        return RC_INVALID;
    (void)snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%.*s.audit.request.gateway",
                   (int)(cut - text), text);
    (void)snprintf(msg_id, sizeof(msg_id), "%s.audit", sending->id);
    const struct bus_out out = { .subject = subject,
                                 .data = cut + 1,
                                 .len = len - (size_t)(cut + 1 - text) };
    return bus_js_publish(sending->audit->gw->bus, &out, msg_id, TAKE_MS, on_taken, sending, NULL);
}

static void
on_listed(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct audit *audit = arg;

    (void)err;
    audit->n_out--;
    if (rc != RC_OK || reply->type != KV_LIST)
        return;
    for (size_t i = 0; i + 1 < reply->count && i < 2 * AT_ONCE; i += 2) {
        const struct kv_reply *id = &reply->items[i], *value = &reply->items[i + 1];
        struct sending *sending;
        if (id->type != KV_TEXT || !id_valid(id->text) || value->type != KV_TEXT)
            continue;
        sending = sending_new(audit, id->text);
        if (publish(sending, value->text, value->len) != RC_OK)
            sending_free(sending);
    }
}

void
refusals_send(struct audit *audit)
{
    struct kv_command cmd = { 0 };

    kv_add(&cmd, "HGETALL");
    kv_add(&cmd, KEY);
    audit->n_out++;
    kv_call(audit->gw->kv, &cmd, REDIS_MS, on_listed, audit);
}

void
refusals_again(struct audit *audit, bool taken)
{
    struct sending_list list = STAILQ_HEAD_INITIALIZER(list);
    struct sending *sending;

    STAILQ_CONCAT(&list, &audit->unsure);
    while ((sending = STAILQ_FIRST(&list)) != NULL) {
        STAILQ_REMOVE_HEAD(&list, place);
        audit->n_out++;
        if (!taken)
            store(sending);
        else if (publish(sending, buf_text(&sending->text), sending->text.len) != RC_OK)
            keep(sending);
    }
}

void
refusals_drop(struct audit *audit)
{
    struct sending *sending;

    while ((sending = STAILQ_FIRST(&audit->unsure)) != NULL) {
        STAILQ_REMOVE_HEAD(&audit->unsure, place);
        audit->n_out++;
        sending_free(sending);
    }
}
