/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
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
queue_push(struct queue *queue, struct task *task)
{
    task->next = NULL;
    task->prev = queue->last;
    if (queue->last)
        queue->last->next = task;
    else
        queue->first = task;
    queue->last = task;
    queue->count++;
}

void
queue_remove(struct queue *queue, struct task *task)
{
    if (task->prev)
        task->prev->next = task->next;
    else
        queue->first = task->next;
    if (task->next)
        task->next->prev = task->prev;
    else
        queue->last = task->prev;
    task->next = task->prev = NULL;
    queue->count--;
}

/* --- tasks ------------------------------------------------------------------------------------ */

static struct task *
task_new(struct worker *w, struct lane *lane, const struct bus_msg *msg)
{
    struct task *task = calloc(1, sizeof(*task));
    if (!task)
        exit(EXIT_TEMP);
    task->w = w;
    task->lane = lane;
    task->msg = bus_msg_keep(msg);
    task->arrived_us = clock_mono_us();
    arena_init(&task->mem, w->spec->mem_max ? w->spec->mem_max : 64u << 20);
    task->call.mem = &task->mem;
    task->call.own = task;
    task->call.actor.role = ROLE_COUNT;
    task->call.payload = task->msg->data;
    task->call.payload_len = task->msg->len;
    task->call.deliveries = lane ? msg->deliveries : 1;
    task->call.stream_ns = lane ? msg->stream_ns : 0;
    task->call.accepted_ms = lane ? msg->stream_ns / 1000000 : clock_wall_ms();
    task->call.result.code = PROBLEM_COUNT;
    task->all_next = w->all;
    if (w->all)
        w->all->all_prev = task;
    w->all = task;
    if (lane)
        w->in_hand++;
    return task;
}

void
task_free(struct task *task)
{
    struct worker *w = task->w;
    heap_remove(&w->waiting, &task->wake);
    if (task->all_prev)
        task->all_prev->all_next = task->all_next;
    else
        w->all = task->all_next;
    if (task->all_next)
        task->all_next->all_prev = task->all_prev;
    if (task->lane)
        w->in_hand--;
    bus_msg_release(task->msg);
    cJSON_Delete(task->doc);
    arena_fini(&task->mem);
    free(task);
}

void
task_wake_after(struct task *task, uint32_t delay_ms)
{
    struct worker *w = task->w;
    heap_set(&w->waiting, &task->wake, clock_mono_ms() + delay_ms);
    const struct heap_node *first = heap_first(&w->waiting);
    if (first == &task->wake)
        loop_timer_set(w->waker, delay_ms, 0);
}

/* --- identity --------------------------------------------------------------------------------- */

/* An id for the audit event of a message that has none of its own: the same at each delivery. */
static void
id_of_message(const struct task *task, char out[ID_TEXT_MAX])
{
    uint8_t digest[HASH_LEN];
    char hex[HASH_TEXT_MAX], text[64];
    snprintf(text, sizeof(text), "%lld %llu", (long long)task->call.stream_ns,
             (unsigned long long)task->msg->stream_seq);
    const struct hash_part parts[] = { { task->msg->subject, strlen(task->msg->subject) + 1 },
                                       { text, strlen(text) } };
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
read_request_info(struct task *task)
{
    const char *info = bus_msg_header(task->msg, "Nats-Request-Info");
    AUTO(json) cJSON *doc = NULL;
    if (!info || task->lane || json_read(info, strlen(info), &doc, NULL) != RC_OK)
        return;
    const char *user = json_string(doc, "user");
    if (user && strlen(user) == KEY_ID_LEN && request_id_valid(user, KEY_ID_LEN))
        memcpy(task->call.actor.key_id, user, KEY_ID_LEN + 1);
}

static enum rc
identify_direct(struct task *task, struct err *err)
{
    struct call *call = &task->call;
    const char *id = bus_msg_header(task->msg, "Nats-Msg-Id");
    size_t len = id ? strlen(id) : 0;
    call->direct = true;
    read_request_info(task);
    if (!task->lane) {
        id_new(call->id);
        return RC_OK;
    }
    if (!id || id_parse(id, len, call->id) != RC_OK)
        return err_set(err, RC_CORRUPT, "Nats-Msg-Id is no UUID");
    return RC_OK;
}

/* "<event id>.audit", published by a program; the server vouches for which. */
static enum rc
identify_audit(struct task *task, struct err *err)
{
    const char *id = bus_msg_header(task->msg, "Nats-Msg-Id");
    const char *dot = id ? strchr(id, '.') : NULL;
    const char *program = strrchr(task->msg->subject, '.');
    task->call.program = program ? program + 1 : "";
    if (!dot || id_parse(id, (size_t)(dot - id), task->call.id) != RC_OK)
        return err_set(err, RC_CORRUPT, "Nats-Msg-Id is not that of a request event");
    return RC_OK;
}

static enum rc
identify(struct task *task, struct err *err)
{
    struct call *call = &task->call;
    struct actor_claim claim;
    const char *wire = bus_msg_header(task->msg, ACTOR_HEADER);
    if (call->command == CMD_AUDIT_REQUEST)
        return identify_audit(task, err);
    if (!wire)
        return identify_direct(task, err);
    enum rc rc = actor_verify(task->w->common.actor_public_key, wire, task->msg->subject,
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
read_report(struct task *task, struct err *err)
{
    const struct schema *schema = schema_builtin(command_info(task->call.command)->schema);
    struct field_errors errors = { 0 };
    struct err why = { .rc = RC_OK };
    enum rc rc = json_read(task->call.payload, task->call.payload_len, &task->doc, &why);
    if (rc != RC_OK)
        return err_set(err, RC_CORRUPT, "%s", why.text);
    bool many = cJSON_IsArray(task->doc);
    for (const cJSON *one = many ? task->doc->child : task->doc; one; one = many ? one->next : NULL)
        if (schema_check(schema, one, &errors) != RC_OK)
            return err_set(err, RC_CORRUPT, "a request event breaks a rule: %s %s",
                           errors.items[0].field, errors.items[0].detail);
    task->call.body = task->doc;
    return RC_OK;
}

/* RC_CORRUPT: no JSON. RC_OK with a result: answered. */
static enum rc
read_body(struct task *task, struct err *err)
{
    struct call *call = &task->call;
    struct field_errors errors = { 0 };
    const struct command_info *info = command_info(call->command);
    char field[JSON_FIELD_MAX];
    enum rc rc = json_read_field(call->payload_len ? call->payload : "{}",
                                 call->payload_len ? call->payload_len : 2, &task->doc, field, err);
    if (rc == RC_INVALID) {
        task->refused = true;
        field_errors_add(&errors, field, "%s", err->text);
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors, "The body breaks a rule.");
        return RC_OK;
    }
    if (rc != RC_OK)
        return rc;
    call->body = task->doc;
    call->audit_target = json_string(task->doc, "scope");
    const char *tenant = json_string(task->doc, "tenant_id");
    const char *request = json_string(task->doc, "client_request_id");
    const struct schema *schema = schema_builtin(info->schema);
    task->refused = true;
    if (info->scope != SCOPE_NONE && !call->direct && !principal_has(&call->actor, info->scope))
        call_problem(call, PROBLEM_MISSING_SCOPE, NULL, "The key's role lacks the scope.");
    else if (tenant && strcmp(tenant, call->actor.workspace) != 0)
        call_problem(call, PROBLEM_TENANT_MISMATCH, NULL, "tenant_id is not the key's workspace.");
    else if (schema && schema_check(schema, task->doc, &errors) != RC_OK)
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors, "The body breaks a rule.");
    else if (request && call->direct && task->lane && strcmp(request, call->id) != 0)
        call_problem(call, PROBLEM_INVALID_REQUEST, NULL,
                     "client_request_id is not the message's Nats-Msg-Id.");
    else
        task->refused = false;
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
decode(struct task *task, struct err *err)
{
    struct worker *w = task->w;
    struct call *call = &task->call;
    if (command_parse(task->msg->subject, call->actor.workspace, &call->command) != RC_OK)
        return err_set(err, RC_CORRUPT, "the subject is none of ours");
    task->route = find_route(w, call->command);
    if (!task->route)
        return err_set(err, RC_CORRUPT, "no command of this program");
    if (call->payload_len > MESSAGE_MAX)
        return err_set(err, RC_CORRUPT, "larger than any command");
    enum rc rc = identify(task, err);
    if (rc == RC_OK && task->lane && call->deliveries > (uint64_t)w->common.delivery_limit)
        rc = err_set(err, RC_CORRUPT, "delivered %llu times without being settled",
                     (unsigned long long)call->deliveries);
    if (rc != RC_OK)
        return rc;
    return call->command == CMD_AUDIT_REQUEST ? read_report(task, err) : read_body(task, err);
}

/* What NATS clients ask directly passes no gateway: here is its limit. (Their JetStream commands are
 * bounded by the streams' limits per subject.) */
static void
limit_direct(struct task *task)
{
    const struct worker *w = task->w;
    struct gcra_state state;
    struct gcra_bucket bucket = gcra_bucket(w->common.rate_limit_per_minute);
    if (!task->call.direct || task->lane || bucket.burst == 0 ||
        gcra_take(gcra_table_find(w->limits, task->call.actor.workspace), clock_mono_us(), &bucket,
                  &state) == 0)
        return;
    call_problem(&task->call, PROBLEM_RATE_LIMITED, NULL, "Too many requests; try again later.");
    task->refused = true;
}

/* --- arrival ---------------------------------------------------------------------------------- */

static void
refuse_core(struct task *task, const struct err *err)
{
    if (err->rc == RC_CORRUPT && !bus_msg_header(task->msg, ACTOR_HEADER))
        call_problem(&task->call, PROBLEM_MALFORMED_JSON, NULL, err->text);
    else
        call_problem(&task->call, PROBLEM_UNAUTHORIZED, NULL,
                     "The claim does not fit the request.");
    if (!task->route) {
        task_free(task);
        return;
    }
    task->refused = true;
    task_settle(task);
}

static void
enqueue(struct task *task)
{
    struct worker *w = task->w;
    if (!task->lane && w->core.count >= WORKER_CORE_QUEUE_MAX) {
        call_problem(&task->call, PROBLEM_UNAVAILABLE, NULL, "Too many requests wait already.");
        task_settle(task);
        return;
    }
    if (task->lane)
        task->lane->queued++;
    queue_push(!task->lane ? &w->core : task->call.deliveries > 1 ? &w->suspects : &w->fresh, task);
}

void
task_receive(struct worker *w, struct lane *lane, const struct bus_msg *msg)
{
    struct err err = { .rc = RC_OK };
    struct task *task = task_new(w, lane, msg);
    if (lane && msg->deliveries > 1) {
        w->metrics.redelivered++;
        worker_careful(w);
    }
    enum rc rc = decode(task, &err);
    if (rc == RC_OK && !task->refused)
        limit_direct(task);
    if (!id_valid(task->call.id))
        id_of_message(task, task->audit_id);
    else
        memcpy(task->audit_id, task->call.id, sizeof(task->audit_id));
    if (rc != RC_OK && lane)
        task_bury(task, arena_strdup(&task->mem, err.text));
    else if (rc != RC_OK)
        refuse_core(task, &err);
    else if (task->refused)
        task_settle(task);
    else
        enqueue(task);
}
