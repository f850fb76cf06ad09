/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "protocol/audit_event.h"
#include "worker_own.h"

/*
 * From a message to a call: subject, delivery count, claim, body, in this order. Whatever is wrong
 * with the message itself makes a dead letter (JetStream) or an error reply (core); whatever is
 * wrong with the request is answered. Handlers see valid calls only.
 */

/* --- identity --------------------------------------------------------------------------------- */

/* The id of a message that names none of its own: it follows from the message's place in its stream, so
 * it is the same at each delivery. */
static void
id_of_message(const struct delivery *delivery, char out[ID_TEXT_MAX])
{
    uint8_t digest[HASH_LEN];
    char hex[HASH_TEXT_MAX], text[64];
    int len = snprintf(text, sizeof(text), "%lld %llu", (long long)delivery->call.stream_ns,
                       (unsigned long long)delivery->msg->stream_seq);
    if (delivery->list)
        snprintf(text + len, sizeof(text) - (size_t)len, " %u", delivery->place);
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

static void
identify_direct(struct delivery *delivery)
{
    struct call *call = &delivery->call;
    const char *id = delivery->msg_id;
    call->direct = true;
    read_request_info(delivery);
    if (!delivery->consumer)
        id_new(call->id);
    else if (!id || id_parse(id, strlen(id), call->id) != RC_OK)
        id_of_message(delivery, call->id);
}

/* "<event id>.audit", published by a program; the server vouches for which. */
static enum rc
identify_audit(struct delivery *delivery, struct err *err)
{
    const char *id = delivery->msg_id;
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
    const char *wire = delivery->claim;
    if (call->command == CMD_AUDIT_REQUEST)
        return identify_audit(delivery, err);
    if (!wire) {
        identify_direct(delivery);
        return RC_OK;
    }
    enum rc rc = actor_verify(&delivery->w->common.actor, wire, delivery->msg->subject,
                              call->payload, call->payload_len, &claim, err);
    if (rc != RC_OK)
        return rc;
    memcpy(call->id, claim.command_id, sizeof(call->id));
    memcpy(call->actor.key_id, claim.key_id, sizeof(call->actor.key_id));
    memcpy(call->request_id, claim.request_id, sizeof(call->request_id));
    memcpy(call->idem_hash, claim.idem_hash, sizeof(call->idem_hash));
    memcpy(call->approval, claim.approval, sizeof(call->approval));
    call->actor.role = claim.role;
    call->actor.scopes = role_scopes(claim.role);
    call->accepted_ms = claim.accepted_ms;
    const char *stored = delivery->consumer ? bus_msg_header(delivery->msg, STORED_HEADER) : NULL;
    if (stored)
        call->stream_ns = strtoll(stored, NULL, 10);
    delivery->part = stored && !delivery->list;
    return RC_OK;
}

/* --- the body --------------------------------------------------------------------------------- */

/* Request events, one or an array: reported by programs, who hear no answer, so an invalid one is a
 * dead letter. */
static enum rc
read_report(struct delivery *delivery, struct err *err)
{
    const struct schema *schema = schema_builtin(command_info(delivery->call.command)->schema);
    struct field_errors errors = { 0 };
    struct err why = { 0 };
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

/* A direct client's requests and commands pass no gateway: here they count against the workspace's
 * limit. A message with a wrong claim counts too, because a client can make those. A redelivered one
 * does not: it was let in before, and may have had its effect. */
static bool
is_over_limit(struct delivery *delivery, bool claimed)
{
    const struct worker *w = delivery->w;
    struct gcra_state state;
    struct gcra_bucket bucket = gcra_bucket(w->common.rate_limit_per_minute);
    if (claimed || delivery->call.command == CMD_AUDIT_REQUEST || bucket.burst == 0 ||
        delivery->call.deliveries > 1)
        return false;
    return gcra_take(gcra_table_find(w->limits, delivery->call.actor.workspace), clock_mono_us(),
                     &bucket, &state) != 0;
}

static void
refuse_over_limit(struct delivery *delivery)
{
    struct call *call = &delivery->call;
    if (!call->id[0] && delivery->consumer)
        id_of_message(delivery, call->id);
    worker_full(delivery->w, BOUND_RATE, call->actor.workspace);
    call_problem(call, PROBLEM_RATE_LIMITED, NULL,
                 "Too many requests of this workspace's NATS clients: publish it again later, "
                 "under a new Nats-Msg-Id.");
    delivery->refused = true;
}

/* What a gateway says of the answer that it can take. A client has no claim, so it cannot have its request
 * go unrecorded by this. */
static void
read_answer_max(struct delivery *delivery)
{
    const char *text = bus_msg_header(delivery->msg, ANSWER_MAX_HEADER);
    char *end = NULL;
    if (!text || delivery->consumer || delivery->call.direct || !delivery->call.actor.key_id[0])
        return;
    delivery->answer_max = strtoul(text, &end, 10);
    delivery->answer_ms = (uint32_t)strtoul(end, NULL, 10);
}

static enum rc
decode_subject(struct delivery *delivery, struct err *err)
{
    struct call *call = &delivery->call;
    if (command_parse(delivery->msg->subject, call->actor.workspace, &call->command) != RC_OK)
        return err_set(err, RC_CORRUPT, "the subject is not a command's");
    delivery->route = find_route(delivery->w, call->command);
    if (!delivery->route)
        return err_set(err, RC_CORRUPT, "no command of this program");
    if (call->payload_len > MESSAGE_MAX)
        return err_set(err, RC_CORRUPT, "larger than any command");
    return RC_OK;
}

static enum rc
decode_list(struct delivery *delivery, struct err *err)
{
    enum rc rc = decode_subject(delivery, err);
    if (rc != RC_OK)
        return rc;
    rc = list_check(delivery, err);
    if ((rc != RC_OK || delivery->reason) && is_over_limit(delivery, false)) {
        delivery->is_list = false;
        delivery->reason = NULL;
        refuse_over_limit(delivery);
        return RC_OK;
    }
    return rc;
}

static enum rc
decode(struct delivery *delivery, struct err *err)
{
    struct worker *w = delivery->w;
    struct call *call = &delivery->call;
    enum rc rc = decode_subject(delivery, err);
    if (rc != RC_OK)
        return rc;
    rc = identify(delivery, err);
    if (is_over_limit(delivery, rc == RC_OK && !call->direct)) {
        refuse_over_limit(delivery);
        return RC_OK;
    }
    if (rc == RC_OK && delivery->consumer && call->deliveries > (uint64_t)w->common.delivery_limit)
        rc = err_set(err, RC_CORRUPT, "delivered %llu times without being settled",
                     (unsigned long long)call->deliveries);
    if (rc != RC_OK)
        return rc;
    read_answer_max(delivery);
    return call->command == CMD_AUDIT_REQUEST ? read_report(delivery, err)
                                              : read_body(delivery, err);
}

/* --- arrival ---------------------------------------------------------------------------------- */

/* What the caller hears of a message that cannot be taken for a request. */
static void
set_problem(struct delivery *delivery, const struct err *err)
{
    if (err->rc == RC_CORRUPT && !delivery->claim)
        call_problem(&delivery->call, PROBLEM_MALFORMED_JSON, NULL, err->text);
    else
        call_problem(&delivery->call, PROBLEM_UNAUTHORIZED, NULL,
                     "The claim does not fit the request.");
}

static void
refuse_core(struct delivery *delivery, const struct err *err)
{
    if (!delivery->route) {
        delivery_free(delivery);
        return;
    }
    set_problem(delivery, err);
    delivery->refused = true;
    delivery_done(delivery);
}

/* A dead letter. Without a workspace there is no place for it. */
static void
reject(struct delivery *delivery, const struct err *err)
{
    if (!delivery->call.actor.workspace[0]) {
        log_fields(LOG_ERROR, "a message on a subject that is not a command's is dropped",
                   "subject", delivery->msg->subject, NULL);
        (void)bus_settle(delivery->w->bus, delivery->msg, BUS_TERM, 0, NULL, NULL, NULL);
        delivery_free(delivery);
        return;
    }
    if (delivery->call.deliveries <= (uint64_t)delivery->w->common.delivery_limit) {
        set_problem(delivery, err);
        delivery->refused = delivery->route != NULL;
    }
    delivery_dead_letter(delivery, arena_strdup(&delivery->mem, err->text));
    delivery_done(delivery);
}

/* A core request finds no place to wait in: refused. */
static void
find_room(struct delivery *delivery)
{
    const struct core *core = &delivery->w->core;
    const char *workspace = delivery->call.actor.workspace;
    if (delivery->consumer || delivery->refused)
        return;
    bool all = core->count >= WORKER_CORE_QUEUE_MAX;
    if (!all && core_waiting(core, workspace) < WORKER_CORE_SHARE)
        return;
    worker_full(delivery->w, all ? BOUND_REQUESTS : BOUND_SHARE, workspace);
    call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL,
                 all ? "Too many requests wait already."
                     : "Too many requests of this workspace wait already: wait for answers before "
                       "sending more.");
    delivery->refused = true;
}

/* What was found out of it decides where it goes. */
static void
arrive(struct delivery *delivery, enum rc rc, const struct err *err)
{
    bool stored = delivery->consumer != NULL;
    if (id_valid(delivery->call.id))
        memcpy(delivery->audit_id, delivery->call.id, sizeof(delivery->audit_id));
    else if (stored)
        id_of_message(delivery, delivery->audit_id);
    else
        id_new(delivery->audit_id); /* it has no place in a stream, and comes once */
    if (rc != RC_OK && stored) {
        reject(delivery, err);
    } else if (rc != RC_OK) {
        refuse_core(delivery, err);
    } else {
        find_room(delivery);
        delivery_done(delivery);
    }
}

void
delivery_receive(struct worker *w, struct consumer *consumer, const struct bus_msg *msg)
{
    struct err err = { 0 };
    struct delivery *delivery = delivery_new(w, consumer, msg);
    if (consumer && msg->deliveries > 1) {
        w->metrics.redeliveries++;
        consumer_be_careful(consumer);
    }
    bool list = consumer && bus_msg_header(msg, LIST_HEADER);
    enum rc rc = list ? decode_list(delivery, &err) : decode(delivery, &err);
    if (!delivery->is_list)
        delivery_trace(delivery, rc == RC_OK && !delivery->call.direct);
    arrive(delivery, rc, &err);
}

void
delivery_receive_item(struct delivery *list, const struct list_item *item, unsigned place)
{
    struct err err = { 0 };
    struct delivery *delivery = delivery_new_item(list, item, place);
    enum rc rc = decode(delivery, &err);
    delivery_trace(delivery, rc == RC_OK);
    if (list->reason)
        rc = err_set(&err, RC_CORRUPT, "%s", list->reason);
    arrive(delivery, rc, &err);
}
