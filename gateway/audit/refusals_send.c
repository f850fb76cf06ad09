/* SPDX-License-Identifier: MIT */
/*
 * refusals_send - from counts to events that outlive this process.
 *
 * A count becomes an event with an id of its own and is put into Redis; from there it is published,
 * and taken out when AUDIT has acknowledged it. So an outage of AUDIT, or a gateway that is killed
 * meanwhile, loses none: whichever gateway runs sends them. Two may send the same, which the log
 * records once, by the id. Without Redis a count goes straight to AUDIT, or stays in the table.
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
    char id[ID_TEXT_MAX];
    struct refusal row; /* while it is being stored */
};

static struct sending *
sending_new(struct audit *audit, const char *id)
{
    struct sending *sending = calloc(1, sizeof(*sending));

    if (!sending)
        log_no_memory("counted refusals");
    sending->audit = audit;
    (void)snprintf(sending->id, sizeof(sending->id), "%s", id);
    audit->n_out++;
    return sending;
}

static void
sending_free(struct sending *sending)
{
    sending->audit->n_out--;
    free(sending);
}

/* --- into Redis ------------------------------------------------------------------------------- */

static void
on_stored(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct sending *sending = arg;

    (void)reply, (void)err;
    if (rc == RC_OK)
        sending->audit->n_stored++;
    else /* it may be there all the same: then it is counted twice rather than not at all */
        refusals_add(&sending->audit->refusals, &sending->row);
    sending_free(sending);
}

static void
store(struct audit *audit, const char *workspace, const struct audit_request_event *event,
      struct refusal *row)
{
    AUTO(buf) struct buf text = { 0 };
    struct kv_command cmd = { 0 };
    struct kv_command life = { 0 };
    struct sending *sending = sending_new(audit, event->event_id);

    buf_init(&text, AUDIT_EVENT_MAX + WORKSPACE_TEXT_MAX);
    buf_printf(&text, "%s%c", workspace, SEPARATOR);
    if (audit_event_write(event, &text) != RC_OK) {
        log_error("a count of refusals cannot be written");
        sending_free(sending);
        return;
    }
    sending->row = *row;
    row->count = 0;
    kv_add(&cmd, "HSET");
    kv_add(&cmd, KEY);
    kv_add(&cmd, event->event_id);
    kv_add_bytes(&cmd, buf_text(&text), text.len);
    kv_call(audit->gw->kv, &cmd, REDIS_MS, on_stored, sending);
    kv_add(&life, "EXPIRE");
    kv_add(&life, KEY);
    kv_add_int(&life, LIFE_S);
    kv_call(audit->gw->kv, &life, REDIS_MS, refusals_ignore, NULL);
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

    if (!kv_connected(gw->kv) || gw->redis_refuses || audit->n_stored >= STORED_MAX)
        return false;
    store(audit, workspace, event, row);
    return true;
}

/* --- and out of it ------------------------------------------------------------------------------ */

static void
on_taken(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct sending *sending = arg;
    struct kv_command cmd = { 0 };

    (void)duplicate, (void)err;
    if (rc == RC_OK) {
        sending->audit->n_stored = 0;
        kv_add(&cmd, "HDEL");
        kv_add(&cmd, KEY);
        kv_add(&cmd, sending->id);
        kv_call(sending->audit->gw->kv, &cmd, REDIS_MS, refusals_ignore, NULL);
    }
    sending_free(sending);
}

static void
publish(struct audit *audit, const struct kv_reply *id, const struct kv_reply *value)
{
    char subject[SUBJECT_MAX], msg_id[ID_TEXT_MAX + 16];
    const char *cut = value->type == KV_TEXT ? memchr(value->text, SEPARATOR, value->len) : NULL;

    if (!cut || cut - value->text >= WORKSPACE_TEXT_MAX || id->type != KV_TEXT ||
        !id_valid(id->text))
        return;
    (void)snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%.*s.audit.request.gateway",
                   (int)(cut - value->text), value->text);
    (void)snprintf(msg_id, sizeof(msg_id), "%s.audit", id->text);
    const struct bus_out out = { .subject = subject,
                                 .data = cut + 1,
                                 .len = value->len - (size_t)(cut + 1 - value->text) };
    struct sending *sending = sending_new(audit, id->text);
    if (bus_js_publish(audit->gw->bus, &out, msg_id, TAKE_MS, on_taken, sending, NULL) != RC_OK)
        sending_free(sending);
}

static void
on_listed(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct audit *audit = arg;

    (void)err;
    audit->n_out--;
    if (rc != RC_OK || reply->type != KV_LIST)
        return;
    for (size_t i = 0; i + 1 < reply->count && i < 2 * AT_ONCE; i += 2)
        publish(audit, &reply->items[i], &reply->items[i + 1]);
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
