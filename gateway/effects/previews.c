/* SPDX-License-Identifier: MIT */
#include "effects/previews.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "effects/connectors.h"
#include "effects/forward.h"
#include "effects/share.h"
#include "gateway.h"
#include "policy/decide.h"
#include "requests/answer.h"
#include "requests/handlers.h"
#include "requests/traced.h"

#define KEY_MAX    160
#define ANSWER_CAP (2u << 20)
#define FIELD_CAP  (SCHEMA_FIELD_MAX - 8)

struct preview {
    char id[ID_TEXT_MAX];
    int64_t expires_ms;
    struct asked asked;
    struct buf answer;
};

static void
make_key(const struct request *r, const char *id, char key[KEY_MAX])
{
    (void)snprintf(key, KEY_MAX, "preview:%s:%s", r->actor.workspace, id);
}

/* --- using one -------------------------------------------------------------------------------- */

void
preview_look(struct request *r, const char *id, kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    char key[KEY_MAX];
    make_key(r, id, key);
    kv_add(&cmd, "HMGET");
    kv_add(&cmd, key);
    kv_add(&cmd, "action");
    kv_add(&cmd, "expires");
    kv_add(&cmd, "params");
    kv_call(r->gw->kv, &cmd, PREVIEW_REDIS_MS, fn, arg);
}

void
preview_use(struct request *r, const char *id, kv_fn *fn, void *arg)
{
    struct kv_command cmd = { 0 };
    char key[KEY_MAX];
    make_key(r, id, key);
    kv_add(&cmd, key);
    kv_add(&cmd, r->id);
    kv_add_int(&cmd, clock_wall_ms());
    kv_script_call(r->gw->kv, SCRIPT_PREVIEW_USE, 1, &cmd, PREVIEW_REDIS_MS, fn, arg);
}

cJSON *
preview_params(const struct request *r, const char *id, const struct kv_reply *reply)
{
    char key[KEY_MAX];
    cJSON *doc = NULL;
    const struct kv_reply *sealed = reply->count == 3 ? &reply->items[2] : NULL;
    if (!sealed || sealed->type != KV_TEXT || sealed->len < CRYPTO_SEAL_EXTRA)
        return NULL;
    size_t len = sealed->len - CRYPTO_SEAL_EXTRA;
    AUTO(free) char *clear = malloc(len + 1);
    make_key(r, id, key);
    if (!clear || crypto_open(r->gw->settings->data_key, key, (const uint8_t *)sealed->text,
                              sealed->len, (uint8_t *)clear) != RC_OK)
        return NULL;
    return json_read(clear, len, &doc, NULL) == RC_OK ? doc : NULL;
}

/* --- making one ------------------------------------------------------------------------------- */

static void
finish(struct request *r, enum step step)
{
    struct preview *preview = r->own;
    buf_fini(&preview->answer);
    request_continue(r, step);
}

static void
on_kept(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct request *r = arg;
    struct preview *preview = r->own;
    (void)err;
    if (rc == RC_OK && reply->type == KV_INT && reply->integer == 0) {
        finish(r, share_refuse(r, SHARE_JOBS));
    } else if (rc == RC_OK) {
        finish(r, answer_object(r, 200, buf_text(&preview->answer), preview->answer.len));
    } else {
        answer_header(r, "Retry-After", "2");
        finish(r, answer_problem(r, PROBLEM_UNAVAILABLE, "Redis is unavailable: no previews now"));
    }
}

static enum rc
keep(struct request *r)
{
    const struct preview *preview = r->own;
    const cJSON *params = json_member(r->doc, "params");
    struct kv_command cmd = { 0 };
    AUTO(buf) struct buf text = { 0 };
    char key[KEY_MAX], share[SHARE_KEY_MAX];
    buf_init(&text, r->body_max * 7 + 64);
    if (json_canonical(params, NULL, &text) != RC_OK)
        return RC_LIMIT;
    size_t len = text.len + CRYPTO_SEAL_EXTRA;
    AUTO(free) uint8_t *sealed = malloc(len);
    if (!sealed)
        return RC_TEMP;
    make_key(r, preview->id, key);
    share_key(SHARE_JOBS, r->actor.workspace, share);
    crypto_seal(r->gw->settings->data_key, key, buf_text(&text), text.len, sealed);
    kv_add(&cmd, key);
    kv_add(&cmd, share);
    kv_add(&cmd, json_string(r->doc, "action"));
    kv_add_bytes(&cmd, sealed, len);
    kv_add_int(&cmd, preview->expires_ms);
    kv_add_int(&cmd, PREVIEW_RECORD_S);
    kv_add_int(&cmd, clock_wall_ms() / 1000);
    kv_add_int(&cmd, r->gw->settings->redis_share_bytes);
    kv_script_call(r->gw->kv, SCRIPT_PREVIEW_MAKE, 2, &cmd, PREVIEW_REDIS_MS, on_kept, r);
    return RC_OK;
}

static void
write_answer(struct request *r, const cJSON *action, struct buf *out)
{
    const struct preview *preview = r->own;
    const struct policy_decision *decision = &preview->asked.decision;
    bool listed = json_bool(action, "allowed", false);
    bool allowed = listed && decision->outcome != POLICY_DENY;
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "preview_id", preview->id);
    json_put_string(&w, "action", json_string(r->doc, "action"));
    json_put_string(&w, "summary", json_string(action, "summary"));
    json_put_doc(&w, "params", json_member(r->doc, "params"));
    json_put_bool(&w, "allowed", allowed);
    json_array(&w, "warnings");
    if (!listed)
        json_put_string(&w, NULL,
                        "This workspace is not allowed this action: it would be refused.");
    else if (!allowed)
        json_put_string(&w, NULL, "The workspace's policy denies it: it would be refused.");
    else if (decision->outcome == POLICY_APPROVAL)
        json_put_string(&w, NULL, "It would wait until somebody else has approved it.");
    json_close(&w);
    if (decision->applies)
        policy_put(&w, "policy", decision);
    json_put_time(&w, "expires_at", preview->expires_ms);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        buf_reset(out);
}

static enum step
answer_wrong_params(struct request *r, const cJSON *errors)
{
    struct field_errors fields = { 0 };
    const cJSON *item;
    char field[SCHEMA_FIELD_MAX];
    cJSON_ArrayForEach (item, errors) {
        const char *name = json_string(item, "field");
        const char *detail = json_string(item, "detail");
        (void)snprintf(field, sizeof(field), "params%s%.*s", name && name[0] ? "." : "", FIELD_CAP,
                       name ? name : "");
        field_errors_add(&fields, field, "%s", detail ? detail : "breaks a rule");
    }
    return answer_fields(r, PROBLEM_INVALID_REQUEST, &fields);
}

static void
show(struct request *r, const struct allow_view *view)
{
    struct preview *preview = r->own;
    preview->asked = (struct asked){ .action = json_string(r->doc, "action"),
                                     .params = json_member(r->doc, "params") };
    decide(r, view, &preview->asked);
    r->decision = decide_gravest(&preview->asked, 1);
    id_new(preview->id);
    preview->expires_ms = clock_wall_ms() + PREVIEW_LIFE_MS;
    write_answer(r, r->own_doc, &preview->answer);
    if (preview->answer.len == 0 || keep(r) != RC_OK)
        finish(r, answer_problem(r, PROBLEM_INTERNAL, "the preview cannot be written"));
}

static void
on_policy(void *arg, enum rc rc, const struct allow_view *view)
{
    struct request *r = arg;
    if (rc == RC_OK || rc == RC_NOTFOUND) {
        show(r, view);
        return;
    }
    answer_header(r, "Retry-After", "2");
    finish(r, answer_problem(r, PROBLEM_UNAVAILABLE, "the policy cannot be read now"));
}

/* The executor's word: the action, its summary, what is wrong with the parameters. */
static void
on_described(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct request *r = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    traced_hop_end(r, STAGE_REPLY, CMD_ACTIONS_LIST, &r->hop, NULL,
                   rc == RC_OK ? NULL : "unavailable");
    if (rc != RC_OK || bus_msg_header(msg, ERROR_STATUS_HEADER) ||
        json_read(msg->data, msg->len, &doc, NULL) != RC_OK) {
        answer_header(r, "Retry-After", "1");
        finish(r, answer_problem(r, PROBLEM_UNAVAILABLE,
                                 "no executor (gantry-executor) answers at the moment"));
        return;
    }
    const cJSON *action = cJSON_GetArrayItem(json_member(doc, "actions"), 0);
    if (!action && connectors_has(r->gw->connectors, json_string(r->doc, "action"))) {
        answer_header(r, "Retry-After", "1");
        finish(r,
               answer_problem(r, PROBLEM_UNAVAILABLE, "no gantry-connector answers at the moment"));
        return;
    }
    if (!action) {
        struct field_errors fields = { 0 };
        field_errors_add(&fields, "action", "there is no action %s; GET /ai/actions lists them",
                         json_string(r->doc, "action"));
        finish(r, answer_fields(r, PROBLEM_INVALID_REQUEST, &fields));
        return;
    }
    if (cJSON_GetArraySize(json_member(action, "errors")) > 0) {
        finish(r, answer_wrong_params(r, json_member(action, "errors")));
        return;
    }
    r->own_doc = cJSON_DetachItemFromArray(cJSON_GetObjectItemCaseSensitive(doc, "actions"), 0);
    const struct allow_view *known = allow_known(r->gw->allowlist, r->actor.workspace);
    if (known)
        show(r, known);
    else if (allow_ask(r->gw->allowlist, r->actor.workspace, on_policy, r) != RC_OK)
        on_policy(r, RC_TEMP, NULL);
}

enum step
preview_make(struct request *r)
{
    AUTO(buf) struct buf payload = { 0 };
    struct forward_head head;
    struct json_writer w;
    struct err err = { 0 };
    if (share_used_up(r->gw, SHARE_JOBS, r->actor.workspace))
        return share_refuse(r, SHARE_JOBS);
    struct preview *preview = calloc(1, sizeof(*preview));
    if (!preview)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory");
    buf_init(&preview->answer, ANSWER_CAP);
    r->own = preview;
    buf_init(&payload, r->body_max * 7 + 1024);
    json_begin(&w, &payload);
    json_object(&w, NULL);
    json_put_string(&w, "action", json_string(r->doc, "action"));
    json_put_doc(&w, "params", json_member(r->doc, "params"));
    json_close(&w);
    if (json_end(&w) != RC_OK || forward_sign(r, CMD_ACTIONS_LIST, NULL, buf_text(&payload),
                                              payload.len, &head, &err) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the request cannot be signed");
    char parent[TRACEPARENT_MAX];
    struct bus_header headers[2 + TRACED_HEADERS_MAX] = { { ACTOR_HEADER, head.actor },
                                                          { UNRECORDED_HEADER, "gateway" } };
    traced_hop_begin(r, &r->hop);
    struct bus_out out = { .subject = head.subject,
                           .headers = headers,
                           .n_headers = traced_headers(r, r->hop.span, parent, headers, 2),
                           .data = payload.data,
                           .len = payload.len };
    if (bus_request(r->gw->bus, &out, FORWARD_PUBLISH_MS, on_described, r, &err) != RC_OK)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "NATS is unavailable");
    return STEP_WAIT;
}
