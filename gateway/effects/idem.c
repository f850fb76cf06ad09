/* SPDX-License-Identifier: MIT */
#include "effects/idem.h"

#include <stdio.h>
#include <string.h>

#include "base/blank.h"
#include "crypto/crypto_encode.h"
#include "effects/share.h"
#include "gateway.h"
#include "http/http.h"
#include "protocol/audit_event.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/handlers.h"

#define CLIENT_KEY_MAX 128
#define RECORD_MAX     32768
#define REDIS_MS       2000
#define LEASE_EXTRA_MS 12000 /* beyond the wait: publishing, and the way back */

/* --- records ---------------------------------------------------------------------------------- */

static const char *const PROBLEM_RECORD[] = { "type", "title",  "status", "detail",
                                              "code", "errors", NULL };

enum rc
idem_encode(const struct request *r, struct buf *out)
{
    AUTO(json) cJSON *body = NULL;
    struct err err = { 0 };
    struct json_writer w;
    int status = r->answer.status;
    const char *const *keep = status >= 400 ? PROBLEM_RECORD : r->route->record;
    bool again = status == 200 && r->route->flags & ROUTE_AGAIN;
    if (status < 200 || status >= 500)
        return RC_INVALID;
    bool accepted = status == 202 && r->route->location; /* its answer is made anew */
    if (r->answer.body.len && !accepted && !again &&
        json_read(buf_text(&r->answer.body), r->answer.body.len, &body, &err) != RC_OK)
        return RC_INVALID;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_int(&w, "status", status);
    json_object(&w, "body");
    for (size_t i = 0; body && keep && keep[i]; i++) {
        const cJSON *member = json_member(body, keep[i]);
        if (member)
            json_put_doc(&w, keep[i], member);
    }
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}

enum rc
idem_decode(struct request *r, const char *text, size_t len)
{
    AUTO(json) cJSON *record = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    struct json_writer w;
    if (json_read(text, len, &record, &err) != RC_OK)
        return RC_BUG;
    int status = (int)json_int(record, "status", 0);
    cJSON *body = cJSON_GetObjectItemCaseSensitive(record, "body");
    if (status < 200 || status > 499 || !cJSON_IsObject(body))
        return RC_BUG;
    if (status == 202 && r->route->location) {
        (void)answer_accepted(r);
        return RC_OK;
    }
    if (status < 300 && r->route->replay)
        r->route->replay(r, body);
    buf_init(&out, RECORD_MAX);
    json_begin(&w, &out);
    json_put_doc(&w, NULL, body);
    if (json_end(&w) != RC_OK)
        return RC_BUG;
    struct worker_answer answer = {
        .status = status, .code = json_string(body, "code"), .body = buf_text(&out), .len = out.len
    };
    (void)answer_worker(r, &answer);
    return RC_OK;
}

/* A recorded answer of ingest lacks the scope, which is the client's text; the body has it. */
void
replay_scope(const struct request *r, cJSON *body)
{
    const char *scope = json_string(r->doc, "scope");
    (void)cJSON_AddStringToObject(body, "scope", scope ? scope : "");
}

/* --- reserving -------------------------------------------------------------------------------- */

/* The client's key, from the header and the body; false if they differ or are not allowed. */
static bool
client_key(struct request *r, char key[CLIENT_KEY_MAX + 1], struct field_errors *errors)
{
    unsigned count = 0;
    const char *header = http_header(r->exchange, "Idempotency-Key", &count);
    const char *member = json_string(r->doc, "client_request_id");
    key[0] = '\0';
    if (header) {
        size_t len = strlen(header);
        if (len >= 2 && header[0] == '"' && header[len - 1] == '"') {
            header++;
            len -= 2;
        }
        if (count > 1 || len == 0 || len > CLIENT_KEY_MAX) {
            field_errors_add(errors, "Idempotency-Key", "must be 1 to %d printable characters",
                             CLIENT_KEY_MAX);
            return false;
        }
        memcpy(key, header, len);
        key[len] = '\0';
        for (const char *c = key; *c; c++) {
            if (*c < 0x20 || *c > 0x7e) {
                field_errors_add(errors, "Idempotency-Key", "must be printable ASCII");
                return false;
            }
        }
        if (blank_text(key)) {
            field_errors_add(errors, "Idempotency-Key", "must not be blank");
            return false;
        }
        if (member && strcmp(member, key) != 0) {
            field_errors_add(errors, "client_request_id", "is not the header Idempotency-Key");
            return false;
        }
    } else if (member) {
        (void)snprintf(key, CLIENT_KEY_MAX + 1, "%s", member);
    }
    return true;
}

void
idem_hash(const struct gateway *gw, const void *data, size_t len, char hex[65])
{
    uint8_t hash[CRYPTO_HASH_LEN];
    crypto_keyed_hash(gw->idem_key, data, len, hash);
    hex_encode(hash, sizeof(hash), hex);
}

static enum rc
hash_body(const struct request *r, char hex[2 * CRYPTO_HASH_LEN + 1])
{
    static const char *const SKIP[] = { "client_request_id", NULL };
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, r->body_max * 7 + 4096); /* an escape is at most six characters for one */
    for (size_t i = 0; i < r->route->n_params; i++) {
        buf_puts(&text, r->match.params[i]);
        buf_putc(&text, '\n');
    }
    if (r->doc && json_canonical(r->doc, SKIP, &text) != RC_OK)
        return RC_LIMIT;
    idem_hash(r->gw, buf_text(&text), text.len, hex);
    return RC_OK;
}

void
idem_place(const struct request *r, const char *label, const char *key, char place[IDEM_PLACE_MAX])
{
    AUTO(buf) struct buf text = { 0 };
    char hex[2 * CRYPTO_HASH_LEN + 1];
    buf_init(&text, 1024);
    buf_printf(&text, "%s\n%s", label, key);
    idem_hash(r->gw, buf_text(&text), text.len, hex);
    (void)snprintf(place, IDEM_PLACE_MAX, "idem:%s:%s", r->actor.workspace, hex);
}

static void
set_place(struct request *r, const char *key)
{
    char label[128];
    (void)snprintf(label, sizeof(label), "%s %s", method_name(r->method), r->route->path);
    idem_place(r, label, key, r->idem.place);
}

/* The record of a task that ran: its answer holds what the task printed, which is not kept here. The
 * command is sent once more, and the executor, which has the answer, gives it again. */
static bool
ran_before(const struct request *r, const char *text, size_t len)
{
    AUTO(json) cJSON *record = NULL;
    if (!(r->route->flags & ROUTE_AGAIN) || json_read(text, len, &record, NULL) != RC_OK)
        return false;
    return json_int(record, "status", 0) == 200;
}

static enum step
reserved(struct request *r, const struct kv_reply *reply)
{
    const char *what = reply->items[0].text;
    if (strcmp(what, "other") == 0)
        return answer_problem(r, PROBLEM_KEY_REUSED,
                              "this idempotency key was used with another payload: take a new one, "
                              "or send what was sent then");
    if (strcmp(what, "full") == 0)
        return share_refuse(r, SHARE_IDEM);
    if (reply->count < 3)
        return answer_problem(r, PROBLEM_INTERNAL, "the idempotency record is malformed");
    if (strcmp(what, "busy") == 0) {
        answer_header(r, "Retry-After", "1");
        return answer_problem(r, PROBLEM_REQUEST_IN_PROGRESS,
                              "the first request with this idempotency key is still under way: ask "
                              "again in a second");
    }
    (void)snprintf(r->id, sizeof(r->id), "%s", reply->items[1].text);
    r->idem.attempt = reply->items[2].integer;
    if (strcmp(what, "answer") == 0 && reply->count == 4) {
        bool again = ran_before(r, reply->items[3].text, reply->items[3].len);
        r->gw->count.replayed_total++;
        r->idem.hold = IDEM_REPLAYED;
        answer_header(r, "Idempotency-Replayed", "true");
        if (again)
            return STEP_NEXT;
        if (idem_decode(r, reply->items[3].text, reply->items[3].len) != RC_OK)
            return answer_problem(r, PROBLEM_INTERNAL, "the recorded answer is malformed");
        return STEP_ANSWERED;
    }
    r->idem.hold = IDEM_RESERVED;
    return STEP_NEXT;
}

static enum step
redis_unavailable(struct request *r)
{
    answer_header(r, "Retry-After", "2");
    return answer_problem(
        r, PROBLEM_UNAVAILABLE,
        "Redis is unavailable: no request with an idempotency key can be executed now");
}

static void
on_reserved(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct request *r = arg;
    (void)err;
    if (rc != RC_OK)
        request_continue(r, redis_unavailable(r));
    else if (reply->type != KV_LIST || reply->count == 0 || reply->items[0].type != KV_TEXT)
        request_continue(r, answer_problem(r, PROBLEM_INTERNAL, "Redis sent a malformed answer"));
    else
        request_continue(r, reserved(r, reply));
}

enum step
check_idempotency(struct request *r)
{
    struct field_errors errors = { 0 };
    char key[CLIENT_KEY_MAX + 1], share[SHARE_KEY_MAX];
    struct kv_command cmd = { 0 };
    r->idem.attempt = 1;
    if (!(r->route->flags & ROUTE_IDEMPOTENT))
        return STEP_NEXT;
    if (!client_key(r, key, &errors))
        return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
    if (!key[0])
        return STEP_NEXT;
    audit_digest(key, strlen(key), r->idem.hash);
    if (hash_body(r, r->idem.body_hash) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the body cannot be hashed");
    set_place(r, key);
    if (!kv_connected(r->gw->kv))
        return redis_unavailable(r);
    share_key(SHARE_IDEM, r->actor.workspace, share);
    (void)share_used_up(r->gw, SHARE_IDEM, r->actor.workspace);
    kv_add(&cmd, r->idem.place);
    kv_add(&cmd, share);
    kv_add(&cmd, r->id);
    kv_add(&cmd, r->idem.body_hash);
    kv_add_int(&cmd, (int64_t)r->wait_ms + LEASE_EXTRA_MS);
    kv_add_int(&cmd, r->gw->settings->idempotency_ttl_seconds);
    kv_add_int(&cmd, r->gw->settings->idempotency_share_bytes);
    kv_script_call(r->gw->kv, SCRIPT_IDEM_RESERVE, 2, &cmd, REDIS_MS, on_reserved, r);
    return STEP_WAIT;
}

/* --- recording -------------------------------------------------------------------------------- */

static void
on_recorded(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct request *r = arg;
    AUTO(buf) struct buf mine = { 0 };
    (void)err;
    buf_init(&mine, RECORD_MAX);
    bool text = rc == RC_OK && reply->type == KV_TEXT;
    bool ran = text && ran_before(r, reply->text, reply->len);
    if (r->answer.status == 202 && (rc != RC_OK || ran)) {
        /* "Accepted" that nobody would hear again: the next request gets the real answer. */
        answer_header(r, "Retry-After", "1");
        (void)answer_problem(r, PROBLEM_UNAVAILABLE, "the answer could not be recorded: ask again");
    } else if (text && !ran && idem_encode(r, &mine) == RC_OK &&
               (mine.len != reply->len || memcmp(mine.data, reply->text, reply->len) != 0)) {
        answer_header(r, "Idempotency-Replayed", "true");
        (void)idem_decode(r, reply->text, reply->len);
    }
    request_continue(r, STEP_NEXT);
}

static void
on_released(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    (void)rc, (void)reply, (void)err;
    request_continue(arg, STEP_NEXT);
}

enum step
close_idempotency(struct request *r)
{
    AUTO(buf) struct buf record = { 0 };
    struct kv_command cmd = { 0 };
    if (r->idem.hold != IDEM_RESERVED)
        return STEP_NEXT;
    r->idem.hold = IDEM_NONE;
    char share[SHARE_KEY_MAX];
    buf_init(&record, RECORD_MAX);
    share_key(SHARE_IDEM, r->actor.workspace, share);
    kv_add(&cmd, r->idem.place);
    bool good = idem_encode(r, &record) == RC_OK;
    if (good)
        kv_add(&cmd, share);
    kv_add(&cmd, r->id);
    if (good) {
        kv_add(&cmd, r->idem.body_hash);
        kv_add_bytes(&cmd, record.data, record.len);
        kv_add_int(&cmd, r->gw->settings->idempotency_ttl_seconds);
        kv_script_call(r->gw->kv, SCRIPT_IDEM_RECORD, 2, &cmd, REDIS_MS, on_recorded, r);
    } else {
        kv_add_int(&cmd, r->idem.attempt);
        kv_script_call(r->gw->kv, SCRIPT_IDEM_RELEASE, 1, &cmd, REDIS_MS, on_released, r);
    }
    return STEP_WAIT;
}

static void
on_given_back(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    (void)arg, (void)rc, (void)reply, (void)err;
}

void
idem_release(struct gateway *gw, const char *place, const char *id, int64_t attempt)
{
    struct kv_command cmd = { 0 };
    kv_add(&cmd, place);
    kv_add(&cmd, id);
    kv_add_int(&cmd, attempt);
    kv_script_call(gw->kv, SCRIPT_IDEM_RELEASE, 1, &cmd, IDEM_REDIS_MS, on_given_back, NULL);
}
