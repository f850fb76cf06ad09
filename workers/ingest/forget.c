/* SPDX-License-Identifier: MIT */
/*
 * forget - memory.forget: rows, history, vectors and facts in one transaction, then the dead letters
 * of the scope, one by one through JetStream's message API.
 *
 * The mark in memory_forget drops commands of the scope that were accepted before and come later.
 * Dead letters carry a hash of their scope in a header, but for patches: those go when their memory is
 * no longer there. The purge runs at every delivery of the
 * command, so that a crash in between leaves nothing behind.
 */
#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bus/bus.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "ingest.h"
#include "protocol/letter_walk.h"
#include "refusal.h"
#include "sql_ingest.h"

#define GET_SUBJECT    "$JS.API.STREAM.MSG.GET.DEAD"
#define DELETE_SUBJECT "$JS.API.STREAM.MSG.DELETE.DEAD"
#define HASH_HEADER    "\r\nGantry-Scope-Hash: "
#define PATCH_SUBJECT  ".memory.patch\r\n" /* at the end of the header Gantry-Subject */
#define API_MS         5000
#define REQUEST_MAX    512 /* bytes */
#define HEADERS_MAX    16384
#define BODY_MAX       (1u << 20)

/* A purge under way; lives in the call's arena. */
struct purge {
    struct worker *w;
    struct call *call;
    int64_t deleted;
    uint64_t seq; /* of the letter in hand */
    struct letter_walk walk;
    char scope_hash[HASH_TEXT_MAX];
};

static void look(struct purge *purge, uint64_t from);
static void count(struct purge *purge);

static void
finish(struct purge *purge, const struct err *failed)
{
    struct call *call = purge->call;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    if (failed) {
        call_fail(call, failed);
        worker_finish(purge->w, call);
        return;
    }
    buf_init(&out, REQUEST_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_int(&w, "deleted", purge->deleted);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        call_answer(call, 200, &out);
    worker_finish(purge->w, call);
}

static void
call(struct purge *purge, const char *subject, const struct buf *body, bus_reply_fn *fn)
{
    struct err err = { 0 };
    const struct bus_out out = { .subject = subject, .data = buf_text(body), .len = body->len };
    if (bus_request(worker_bus(purge->w), &out, API_MS, fn, purge, &err) != RC_OK)
        finish(purge, &err);
}

/* A base64 member of the message, with a NUL behind it; NULL when there is none or it is too long. */
static char *
decode(const cJSON *message, const char *name, size_t max, size_t *len)
{
    const char *text = json_string(message, name);
    AUTO(free) uint8_t *bytes = text ? calloc(1, strlen(text) + 1) : NULL;
    if (!bytes || base64_decode(text, strlen(text), bytes, max, len) != RC_OK)
        return NULL;
    return (char *)TAKE(bytes);
}

static bool
is_of_scope(const struct purge *purge, const char *headers)
{
    const char *at = strstr(headers, HASH_HEADER);
    return at && strncmp(at + strlen(HASH_HEADER), purge->scope_hash, HASH_TEXT_MAX - 1) == 0;
}

/* A patch names no scope, only its memory. If that is gone, with this scope or before, what the patch
 * holds has to go too. */
static enum rc
is_orphan(const struct purge *purge, const cJSON *message, const char *headers, bool *orphan,
          struct err *err)
{
    struct ingest *in = worker_state(purge->w);
    AUTO(pgresult) PGresult *found = NULL;
    AUTO(free) char *body = NULL;
    AUTO(json) cJSON *doc = NULL;
    char id[ID_TEXT_MAX];
    struct db_params p = { 0 };
    size_t len = 0;
    *orphan = false;
    if (!strstr(headers, PATCH_SUBJECT) || !(body = decode(message, "data", BODY_MAX, &len)) ||
        json_read(body, len, &doc, NULL) != RC_OK)
        return RC_OK;
    const char *text = json_string(doc, "id");
    if (!text || id_parse(text, strlen(text), id) != RC_OK)
        return RC_OK;
    const char *workspace = purge->call->actor.workspace;
    db_param_text(&p, workspace);
    db_param_text(&p, id);
    enum rc rc = db_query(worker_db(in->worker), workspace, SQL_INGEST_EXISTS, &p, &found, err);
    *orphan = rc == RC_OK && !db_bool(found, 0, 0);
    return rc;
}

static void
on_deleted(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct purge *purge = arg;
    (void)msg; /* an error says that the letter is gone already */
    if (rc != RC_OK)
        finish(purge, err);
    else
        look(purge, purge->seq + 1);
}

static void
delete_letter(struct purge *purge)
{
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;
    buf_init(&body, REQUEST_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", (int64_t)purge->seq);
    json_put_bool(&w, "no_erase", false); /* overwrite its bytes in the file */
    json_close(&w);
    if (json_end(&w) == RC_OK)
        call(purge, DELETE_SUBJECT, &body, on_deleted);
}

static void
judge(struct purge *purge, const cJSON *message)
{
    size_t len = 0;
    AUTO(free) char *headers = decode(message, "hdrs", HEADERS_MAX, &len);
    bool goes = headers && is_of_scope(purge, headers);
    struct err err = { 0 };
    if (headers && !goes && is_orphan(purge, message, headers, &goes, &err) != RC_OK)
        finish(purge, &err);
    else if (goes)
        delete_letter(purge);
    else {
        purge->walk.found++;
        look(purge, purge->seq + 1);
    }
}

static bool
is_ours(const struct purge *purge, const cJSON *message)
{
    char subject[SUBJECT_MAX];
    const char *text = json_string(message, "subject");
    (void)snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.dead.ingest",
                   purge->walk.workspace);
    return text && strcmp(text, subject) == 0;
}

static void
on_letter(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct purge *purge = arg;
    AUTO(json) cJSON *doc = NULL;
    struct err why = { 0 };
    if (rc != RC_OK) {
        finish(purge, err);
        return;
    }
    if (json_read(msg->data, msg->len, &doc, &why) != RC_OK) {
        (void)err_set(&why, RC_TEMP, "the server's answer about a dead letter cannot be read");
        finish(purge, &why);
        return;
    }
    const cJSON *message = json_member(doc, "message"), *error = json_member(doc, "error");
    if (!message && json_int(error, "code", 0) == 404) {
        count(purge); /* none left? */
        return;
    }
    int64_t seq = json_int(message, "seq", 0);
    if (seq <= 0) {
        (void)err_set(&why, RC_TEMP, "the server does not show the dead letters");
        finish(purge, &why);
        return;
    }
    purge->seq = (uint64_t)seq;
    if (is_ours(purge, message))
        judge(purge, message);
    else
        look(purge, purge->seq + 1);
}

/* The next dead letter of this workspace from a sequence number on. */
static void
look(struct purge *purge, uint64_t from)
{
    AUTO(buf) struct buf body = { 0 };
    purge->walk.seq = (int64_t)from;
    if (letter_walk_next(&purge->walk, &body) == RC_OK)
        call(purge, GET_SUBJECT, &body, on_letter);
}

static void
on_count(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct purge *purge = arg;
    AUTO(json) cJSON *doc = NULL;
    struct err why = { 0 };
    if (rc == RC_OK && json_read(msg->data, msg->len, &doc, &why) != RC_OK)
        rc = err_set(&why, RC_TEMP, "the server's count of dead letters cannot be read");
    if (rc != RC_OK)
        finish(purge, doc || why.text[0] ? &why : err);
    else if (letter_walk_again(&purge->walk, doc))
        look(purge, 1);
    else
        finish(purge, NULL);
}

/* Were some passed over? */
static void
count(struct purge *purge)
{
    AUTO(buf) struct buf body = { 0 };
    if (letter_walk_count(&purge->walk, &body) == RC_OK)
        call(purge, LETTER_INFO_SUBJECT, &body, on_count);
}

static enum rc
delete_rows(struct ingest *in, struct call *call, int64_t *deleted, bool *refused, struct err *err)
{
    struct db *db = worker_db(in->worker);
    struct db_params p = { 0 };
    size_t index;
    db_param_text(&p, call->actor.workspace);
    db_param_text(&p, call->id);
    db_param_text(&p, json_string(call->body, "scope"));
    db_param_int(&p, call->stream_ns);
    enum rc rc = ingest_begin(in, call->actor.workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_FORGET, &p, &index, err);
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc != RC_OK)
        return rc;
    *deleted = db_int(db_result(db, index), 0, 0, 0);
    *refused = refusal_answer(call, db_text(db_result(db, index), 0, 1));
    return RC_OK;
}

void
ingest_forget(struct worker *w, struct call *call)
{
    struct ingest *in = worker_state(w);
    struct err err = { 0 };
    struct purge *purge = arena_alloc(call->mem, sizeof(*purge));
    const char *workspace = call->actor.workspace, *scope = json_string(call->body, "scope");
    uint8_t digest[HASH_LEN];
    int64_t deleted = 0;
    bool refused = false;
    enum rc rc = purge ? delete_rows(in, call, &deleted, &refused, &err)
                       : err_set(&err, RC_TEMP, "no room for the command");
    if (rc == RC_CONFLICT) /* with its own other delivery: that one is done by now */
        rc = delete_rows(in, call, &deleted, &refused, &err);
    if (rc != RC_OK)
        call_fail(call, &err);
    if (rc != RC_OK || refused) {
        worker_finish(w, call);
        return;
    }
    *purge = (struct purge){ .w = w, .call = call, .deleted = deleted };
    (void)strlcpy(purge->walk.workspace, workspace, sizeof(purge->walk.workspace));
    (void)strlcpy(purge->walk.program, "ingest", sizeof(purge->walk.program));
    const struct hash_part parts[] = { { workspace, strlen(workspace) + 1 },
                                       { scope, strlen(scope) } };
    hash_sha256(parts, ARRAY_LEN(parts), digest);
    hex_encode(digest, HASH_LEN, purge->scope_hash);
    look(purge, 1);
}
