/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "protocol/audit_event.h"
#include "worker_own.h"

/*
 * From a message to a call: subject, delivery count, claim, body, in this order. Whatever is wrong
 * with the message itself makes a dead letter (JetStream) or an error reply (core); whatever is
 * wrong with the request is answered. Handlers see only what passed.
 */

/* --- queues ----------------------------------------------------------------------------------- */

void
queue_push(struct queue *queue, struct delivery *delivery)
{
    delivery->next = NULL;
    delivery->prev = queue->last;
    if (queue->last)
        queue->last->next = delivery;
    else
        queue->first = delivery;
    queue->last = delivery;
    queue->count++;
}

void
queue_remove(struct queue *queue, struct delivery *delivery)
{
    if (delivery->prev)
        delivery->prev->next = delivery->next;
    else
        queue->first = delivery->next;
    if (delivery->next)
        delivery->next->prev = delivery->prev;
    else
        queue->last = delivery->prev;
    delivery->next = delivery->prev = NULL;
    queue->count--;
}

/* --- deliveries ------------------------------------------------------------------------------------ */

static struct delivery *
delivery_new(struct worker *w, struct consumer *consumer, const struct bus_msg *msg)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (!delivery)
        exit(EXIT_TEMP);
    delivery->w = w;
    delivery->consumer = consumer;
    delivery->msg = bus_msg_keep(msg);
    delivery->arrived_us = clock_mono_us();
    arena_init(&delivery->mem, w->spec->mem_max ? w->spec->mem_max : 64u << 20);
    delivery->call.mem = &delivery->mem;
    delivery->call.own = delivery;
    delivery->call.actor.role = ROLE_COUNT;
    delivery->call.payload = delivery->msg->data;
    delivery->call.payload_len = delivery->msg->len;
    delivery->call.deliveries = consumer ? msg->deliveries : 1;
    delivery->call.stream_ns = consumer ? msg->stream_ns : 0;
    delivery->call.accepted_ms = consumer ? msg->stream_ns / 1000000 : clock_wall_ms();
    delivery->call.result.code = PROBLEM_COUNT;
    delivery->all_next = w->all;
    if (w->all)
        w->all->all_prev = delivery;
    w->all = delivery;
    if (consumer)
        w->in_hand++;
    return delivery;
}

void
delivery_free(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    heap_remove(&w->waiting, &delivery->wake);
    if (delivery->all_prev)
        delivery->all_prev->all_next = delivery->all_next;
    else
        w->all = delivery->all_next;
    if (delivery->all_next)
        delivery->all_next->all_prev = delivery->all_prev;
    if (delivery->consumer)
        w->in_hand--;
    bus_msg_release(delivery->msg);
    cJSON_Delete(delivery->doc);
    arena_fini(&delivery->mem);
    free(delivery);
}

void
delivery_wake_after(struct delivery *delivery, uint32_t delay_ms)
{
    struct worker *w = delivery->w;
    heap_set(&w->waiting, &delivery->wake, clock_mono_ms() + delay_ms);
    const struct heap_node *first = heap_first(&w->waiting);
    if (first == &delivery->wake)
        loop_timer_set(w->waker, delay_ms, 0);
}

/* --- identity --------------------------------------------------------------------------------- */

/* An id for the audit event of a message that has none of its own: the same at each delivery. */
static void
id_of_message(const struct delivery *delivery, char out[ID_TEXT_MAX])
{
    uint8_t digest[HASH_LEN];
    char hex[HASH_TEXT_MAX], text[64];
    snprintf(text, sizeof(text), "%lld %llu", (long long)delivery->call.stream_ns,
             (unsigned long long)delivery->msg->stream_seq);
    const struct hash_part parts[] = {
        { delivery->msg->subject, strlen(delivery->msg->subject) + 1 }, { text, strlen(text) }
    };
    hash_sha256(parts, ARRAY_LEN(parts), digest);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80); /* UUID version 8 */
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
    hex_encode(digest, HASH_LEN, hex);
    snprintf(out, ID_TEXT_MAX, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
}

/* The server names the key of a core request; JetStream commands keep what it said then, but the
 * contract does not rely on it for those. */
static void
read_request_info(struct delivery *delivery)
{
    const char *info = bus_msg_header(delivery->msg, "Nats-Request-Info");
    AUTO(json) cJSON *doc = NULL;
    if (!info || delivery->consumer || json_read(info, strlen(info), &doc, NULL) != RC_OK)
        return;
    const char *user = json_string(doc, "user");
    if (user && strlen(user) == KEY_ID_LEN && request_id_valid(user, KEY_ID_LEN))
        memcpy(delivery->call.actor.key_id, user, KEY_ID_LEN + 1);
}

static enum rc
identify_direct(struct delivery *delivery, struct err *err)
{
    struct call *call = &delivery->call;
    const char *id = bus_msg_header(delivery->msg, "Nats-Msg-Id");
    size_t len = id ? strlen(id) : 0;
    call->direct = true;
    read_request_info(delivery);
    if (!delivery->consumer) {
        id_new(call->id);
        return RC_OK;
    }
    if (!id || id_parse(id, len, call->id) != RC_OK)
        return err_set(err, RC_CORRUPT, "Nats-Msg-Id is no UUID");
    return RC_OK;
}

/* "<event id>.audit", published by a program; the server vouches for which. */
static enum rc
identify_audit(struct delivery *delivery, struct err *err)
{
    const char *id = bus_msg_header(delivery->msg, "Nats-Msg-Id");
    const char *dot = id ? strchr(id, '.') : NULL;
    const char *program = strrchr(delivery->msg->subject, '.');
    delivery->call.program = program ? program + 1 : "";
    if (!dot || id_parse(id, (size_t)(dot - id), delivery->call.id) != RC_OK)
        return err_set(err, RC_CORRUPT, "Nats-Msg-Id is not that of a request event");
    return RC_OK;
}

static enum rc
identify(struct delivery *delivery, struct err *err)
{
    struct call *call = &delivery->call;
    struct actor_claim claim;
    const char *wire = bus_msg_header(delivery->msg, ACTOR_HEADER);
    if (call->command == CMD_AUDIT_REQUEST)
        return identify_audit(delivery, err);
    if (!wire)
        return identify_direct(delivery, err);
    enum rc rc = actor_verify(delivery->w->common.actor_public_key, wire, delivery->msg->subject,
                              call->payload, call->payload_len, &claim, err);
    if (rc != RC_OK)
        return rc;
    memcpy(call->id, claim.command_id, sizeof(call->id));
    memcpy(call->actor.key_id, claim.key_id, sizeof(call->actor.key_id));
    memcpy(call->request_id, claim.request_id, sizeof(call->request_id));
    memcpy(call->idem_hash, claim.idem_hash, sizeof(call->idem_hash));
    call->actor.role = claim.role;
    call->actor.scopes = role_scopes(claim.role);
    call->accepted_ms = claim.accepted_ms;
    return RC_OK;
}

/* --- the body --------------------------------------------------------------------------------- */

/* Request events, one or an array: reported by programs, who hear no answer, so what breaks a rule is
 * a dead letter. */
static enum rc
read_report(struct delivery *delivery, struct err *err)
{
    const struct schema *schema = schema_builtin(command_info(delivery->call.command)->schema);
    struct field_errors errors = { 0 };
    struct err why = { .rc = RC_OK };
    enum rc rc =
        json_read(delivery->call.payload, delivery->call.payload_len, &delivery->doc, &why);
    if (rc != RC_OK)
        return err_set(err, RC_CORRUPT, "%s", why.text);
    bool many = cJSON_IsArray(delivery->doc);
    for (const cJSON *one = many ? delivery->doc->child : delivery->doc; one;
         one = many ? one->next : NULL)
        if (schema_check(schema, one, &errors) != RC_OK)
            return err_set(err, RC_CORRUPT, "a request event breaks a rule: %s %s",
                           errors.items[0].field, errors.items[0].detail);
    delivery->call.body = delivery->doc;
    return RC_OK;
}

/* RC_CORRUPT: no JSON. RC_OK with a result: answered. */
static enum rc
read_body(struct delivery *delivery, struct err *err)
{
    struct call *call = &delivery->call;
    struct field_errors errors = { 0 };
    const struct command_info *info = command_info(call->command);
    char field[JSON_FIELD_MAX];
    enum rc rc =
        json_read_field(call->payload_len ? call->payload : "{}",
                        call->payload_len ? call->payload_len : 2, &delivery->doc, field, err);
    if (rc == RC_INVALID) {
        delivery->refused = true;
        field_errors_add(&errors, field, "%s", err->text);
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                     "The request breaks the rules listed in errors.");
        return RC_OK;
    }
    if (rc != RC_OK)
        return rc;
    call->body = delivery->doc;
    call->audit_target = json_string(delivery->doc, "scope");
    const char *tenant = json_string(delivery->doc, "tenant_id");
    const char *request = json_string(delivery->doc, "client_request_id");
    const struct schema *schema = schema_builtin(info->schema);
    delivery->refused = true;
    schema_drop_nulls(schema, delivery->doc);
    if (info->scope != SCOPE_NONE && !call->direct && !principal_has(&call->actor, info->scope))
        call_problem(call, PROBLEM_MISSING_SCOPE, NULL, "The key's role lacks the scope.");
    else if (tenant && strcmp(tenant, call->actor.workspace) != 0)
        call_problem(call, PROBLEM_TENANT_MISMATCH, NULL, "tenant_id is not the key's workspace.");
    else if (schema && schema_check(schema, delivery->doc, &errors) != RC_OK)
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                     "The request breaks the rules listed in errors.");
    else if (request && call->direct && delivery->consumer && strcmp(request, call->id) != 0)
        call_problem(call, PROBLEM_INVALID_REQUEST, NULL,
                     "client_request_id is not the message's Nats-Msg-Id: send the same in both.");
    else
        delivery->refused = false;
    return RC_OK;
}

static const struct worker_route *
find_route(const struct worker *w, enum command command)
{
    for (size_t i = 0; i < w->spec->n_routes; i++)
        if (w->spec->routes[i].command == command)
            return &w->spec->routes[i];
    return NULL;
}

static enum rc
decode(struct delivery *delivery, struct err *err)
{
    struct worker *w = delivery->w;
    struct call *call = &delivery->call;
    if (command_parse(delivery->msg->subject, call->actor.workspace, &call->command) != RC_OK)
        return err_set(err, RC_CORRUPT, "the subject is none of ours");
    delivery->route = find_route(w, call->command);
    if (!delivery->route)
        return err_set(err, RC_CORRUPT, "no command of this program");
    if (call->payload_len > MESSAGE_MAX)
        return err_set(err, RC_CORRUPT, "larger than any command");
    enum rc rc = identify(delivery, err);
    if (rc == RC_OK && delivery->consumer && call->deliveries > (uint64_t)w->common.delivery_limit)
        rc = err_set(err, RC_CORRUPT, "delivered %llu times without being settled",
                     (unsigned long long)call->deliveries);
    if (rc != RC_OK)
        return rc;
    return call->command == CMD_AUDIT_REQUEST ? read_report(delivery, err)
                                              : read_body(delivery, err);
}

/* What NATS clients ask directly passes no gateway: here is its limit. (Their JetStream commands are
 * bounded by the streams' limits per subject.) */
static void
limit_direct(struct delivery *delivery)
{
    const struct worker *w = delivery->w;
    struct gcra_state state;
    struct gcra_bucket bucket = gcra_bucket(w->common.rate_limit_per_minute);
    if (!delivery->call.direct || delivery->consumer || bucket.burst == 0 ||
        gcra_take(gcra_table_find(w->limits, delivery->call.actor.workspace), clock_mono_us(),
                  &bucket, &state) == 0)
        return;
    call_problem(&delivery->call, PROBLEM_RATE_LIMITED, NULL,
                 "Too many requests; try again later.");
    delivery->refused = true;
}

/* --- arrival ---------------------------------------------------------------------------------- */

static void
refuse_core(struct delivery *delivery, const struct err *err)
{
    if (err->rc == RC_CORRUPT && !bus_msg_header(delivery->msg, ACTOR_HEADER))
        call_problem(&delivery->call, PROBLEM_MALFORMED_JSON, NULL, err->text);
    else
        call_problem(&delivery->call, PROBLEM_UNAUTHORIZED, NULL,
                     "The claim does not fit the request.");
    if (!delivery->route) {
        delivery_free(delivery);
        return;
    }
    delivery->refused = true;
    delivery_settle(delivery);
}

static void
enqueue(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    if (!delivery->consumer && w->core.count >= WORKER_CORE_QUEUE_MAX) {
        call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL, "Too many requests wait already.");
        delivery_settle(delivery);
        return;
    }
    if (delivery->consumer)
        delivery->consumer->queued++;
    queue_push(!delivery->consumer             ? &w->core
               : delivery->call.deliveries > 1 ? &w->suspects
                                               : &w->fresh,
               delivery);
}

void
delivery_receive(struct worker *w, struct consumer *consumer, const struct bus_msg *msg)
{
    struct err err = { .rc = RC_OK };
    struct delivery *delivery = delivery_new(w, consumer, msg);
    if (consumer && msg->deliveries > 1) {
        w->metrics.redeliveries++;
        worker_careful(w);
    }
    enum rc rc = decode(delivery, &err);
    if (rc == RC_OK && !delivery->refused)
        limit_direct(delivery);
    if (!id_valid(delivery->call.id))
        id_of_message(delivery, delivery->audit_id);
    else
        memcpy(delivery->audit_id, delivery->call.id, sizeof(delivery->audit_id));
    if (rc != RC_OK && consumer)
        delivery_dead_letter(delivery, arena_strdup(&delivery->mem, err.text));
    else if (rc != RC_OK)
        refuse_core(delivery, &err);
    else if (delivery->refused)
        delivery_settle(delivery);
    else
        enqueue(delivery);
}
