/* SPDX-License-Identifier: MIT */
/*
 * read - memory.get and memory.list.
 *
 * A page is ordered by (created ns, id), newest first; its cursor is base64url of "<ns>:<id>" of the
 * last item, so that pages stay stable while memories come and go.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "protocol/memory_item.h"
#include "search.h"
#include "sql_search.h"

#define LIMIT_DEFAULT 20
#define CURSOR_MAX    96 /* bytes decoded */
#define NS_COLUMN     10
#define REFUSAL_EXTRA 1024 /* bytes */

static void
fail(struct call *call, enum rc rc, const char *text)
{
    struct err err = { 0 };
    (void)err_set(&err, rc, "%s", text);
    call_fail(call, &err);
}

/* 422 with what a command was refused with; a 422 has errors. */
static void
answer_refusal(struct call *call, const char *text)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct err err = { 0 };
    if (json_read(text, strlen(text), &doc, &err) != RC_OK) {
        call_fail(call, &err);
        return;
    }
    buf_init(&out, 2 * strlen(text) + REFUSAL_EXTRA);
    json_begin(&w, &out);
    json_object(&w, NULL);
    for (const cJSON *member = doc->child; member; member = member->next)
        if (strcmp(member->string, "status") == 0)
            json_put_int(&w, "status", 422);
        else
            json_put_doc(&w, member->string, member);
    if (!json_member(doc, "errors")) {
        json_array(&w, "errors");
        json_object(&w, NULL);
        json_put_string(&w, "field", "");
        json_put_doc(&w, "detail", json_member(doc, "detail"));
        json_close(&w);
        json_close(&w);
    }
    json_close(&w);
    if (json_end(&w) != RC_OK) {
        fail(call, RC_BUG, "the refusal does not fit");
        return;
    }
    call_answer(call, 422, &out);
    call->result.code = problem_code(json_string(doc, "code"));
}

/* No memory has this id: perhaps a command with it was refused. */
static void
not_there(struct search *s, struct call *call, const struct db_params *p)
{
    AUTO(pgresult) PGresult *refusal = NULL;
    struct err err = { 0 };
    if (db_query(worker_db(s->worker), call->actor.workspace, SQL_SEARCH_REFUSAL, p, &refusal,
                 &err) != RC_OK)
        call_fail(call, &err);
    else if (PQntuples(refusal) > 0)
        answer_refusal(call, db_text(refusal, 0, 0));
    else
        call_problem(
            call, PROBLEM_NOT_FOUND, NULL,
            "There is no such memory here: it was deleted, has expired, or is not stored yet.");
}

/* The member "history": what the memory was before its last changes, newest first. */
static enum rc
put_history(struct search *s, const struct call *call, const char *id, struct json_writer *w,
            struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params p = { 0 };
    db_param_text(&p, call->actor.workspace);
    db_param_text(&p, id);
    db_param_int(&p, json_int(call->body, "history", 0));
    enum rc rc =
        db_query(worker_db(s->worker), call->actor.workspace, SQL_SEARCH_HISTORY, &p, &rows, err);
    if (rc != RC_OK)
        return rc;
    json_array(w, "history");
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *tags = db_text(rows, i, 2);
        const char *metadata = db_text(rows, i, 4);
        json_object(w, NULL);
        json_put_int(w, "version", db_int(rows, i, 0, 0));
        json_put_string(w, "content", db_text(rows, i, 1));
        json_put_raw(w, "tags", tags, strlen(tags));
        json_put_string(w, "source", db_text(rows, i, 3));
        json_put_raw(w, "metadata", metadata, strlen(metadata));
        json_put_time(w, "changed_at", db_int(rows, i, 5, 0));
        json_close(w);
    }
    json_close(w);
    return RC_OK;
}

static void
get_one(struct search *s, struct call *call)
{
    AUTO(pgresult) PGresult *result = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct db_params p = { 0 };
    struct err err = { 0 };
    db_param_text(&p, call->actor.workspace);
    db_param_text(&p, json_string(call->body, "id"));
    if (db_query(worker_db(s->worker), call->actor.workspace, SQL_SEARCH_GET, &p, &result, &err) !=
        RC_OK) {
        call_fail(call, &err);
        return;
    }
    if (PQntuples(result) == 0) {
        not_there(s, call, &p);
        return;
    }
    buf_init(&out, MEMORY_ANSWER_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    memory_item_members(&w, result, 0);
    if (json_int(call->body, "history", 0) > 0 &&
        put_history(s, call, db_text(result, 0, 0), &w, &err) != RC_OK) {
        call_fail(call, &err);
        return;
    }
    json_close(&w);
    if (json_end(&w) == RC_OK)
        call_answer(call, 200, &out);
    else
        fail(call, RC_BUG, "the answer does not fit");
}

void
search_get(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        calls[i]->audit_target = json_string(calls[i]->body, "id");
        get_one(worker_state(w), calls[i]);
    }
}

struct cursor {
    int64_t ns;
    char id[ID_TEXT_MAX];
};

static enum rc
read_cursor(const char *text, struct cursor *out)
{
    uint8_t bytes[CURSOR_MAX + 1];
    char *end, *plain = (char *)bytes;
    size_t len;
    if (base64url_decode(text, strlen(text), bytes, CURSOR_MAX, &len) != RC_OK)
        return RC_INVALID;
    bytes[len] = '\0';
    errno = 0;
    long long ns = strtoll(plain, &end, 10);
    if (errno || end == plain || *end != ':')
        return RC_INVALID;
    out->ns = ns;
    return id_parse(end + 1, strlen(end + 1), out->id);
}

static void
write_cursor(struct json_writer *w, const PGresult *rows, int row)
{
    char plain[CURSOR_MAX], text[BASE64URL_LEN(CURSOR_MAX)];
    int len = snprintf(plain, sizeof(plain), "%lld:%s", (long long)db_int(rows, row, NS_COLUMN, 0),
                       db_text(rows, row, 0));
    base64url_encode((const uint8_t *)plain, (size_t)len, text);
    json_put_string(w, "next_cursor", text);
}

static void
answer_page(struct call *call, const PGresult *rows, int limit)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    int row = 0;
    buf_init(&out, MEMORY_ANSWER_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_array(&w, "items");
    /* At least one item a page, however large. */
    for (; row < PQntuples(rows) && row < limit; row++) {
        size_t next = (size_t)PQgetlength(rows, row, 2) + (size_t)PQgetlength(rows, row, 5) +
                      (size_t)PQgetlength(rows, row, 9);
        if (row > 0 && out.len + next > MEMORY_PAGE_MAX)
            break;
        memory_item_write(&w, NULL, rows, row);
    }
    json_close(&w);
    if (row > 0 && row < PQntuples(rows))
        write_cursor(&w, rows, row - 1);
    else
        json_put_null(&w, "next_cursor");
    json_close(&w);
    if (json_end(&w) == RC_OK)
        call_answer(call, 200, &out);
    else
        fail(call, RC_BUG, "the page does not fit");
}

static void
list_one(struct search *s, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    const char *scope = json_string(call->body, "scope"), *text = json_string(call->body, "cursor");
    int limit = (int)json_int(call->body, "limit", LIMIT_DEFAULT);
    struct db_params p = { 0 };
    struct cursor cursor;
    struct err err = { 0 };
    if (text && read_cursor(text, &cursor) != RC_OK) {
        struct field_errors errors = { 0 };
        field_errors_add(&errors, "cursor", "must be next_cursor of a page");
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                     "The request breaks the rules listed in errors.");
        return;
    }
    db_param_text(&p, call->actor.workspace);
    db_param_int(&p, limit + 1); /* one more tells whether there is a next page */
    if (text) {
        db_param_int(&p, cursor.ns);
        db_param_text(&p, cursor.id);
    } else {
        db_param_null(&p);
        db_param_null(&p);
    }
    if (scope)
        db_param_text(&p, scope);
    if (db_query(worker_db(s->worker), call->actor.workspace,
                 scope ? SQL_SEARCH_LIST_SCOPE : SQL_SEARCH_LIST, &p, &rows, &err) == RC_OK)
        answer_page(call, rows, limit);
    else
        call_fail(call, &err);
}

void
search_list(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        calls[i]->audit_target = json_string(calls[i]->body, "scope");
        list_one(worker_state(w), calls[i]);
    }
}
