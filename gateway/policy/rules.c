/* SPDX-License-Identifier: MIT */
/*
 * The routes under /policy: read, set, list the versions, explain a decision. PostgreSQL is asked on the
 * database thread (dbwork.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "effects/connectors.h"
#include "gateway.h"
#include "policy/decide.h"
#include "requests/answer.h"
#include "requests/dbstep.h"
#include "requests/handlers.h"
#include "sql_gateway.h"

#define VERSIONS_DEFAULT 20
#define ANSWER_CAP       (POLICY_BYTES_MAX * 2)
#define LATEST           (-1)

struct policy_query {
    struct dbwork work; /* first: the thread gives it back */
    struct request *r;
    char workspace[WORKSPACE_TEXT_MAX];
    char key_id[KEY_ID_LEN + 1];
    int64_t version, limit; /* LATEST: whichever it is */
    bool found;
    int64_t now_ms;  /* of what was set */
    struct buf text; /* the document, or the answer */
    enum step (*answer)(struct policy_query *query);
};

static void
query_free(struct policy_query *query)
{
    buf_fini(&query->text);
    free(query);
}

static void
on_done(void *arg)
{
    struct policy_query *query = arg;
    struct request *r = query->r;
    enum step step;
    dbstep_end(r);
    if (query->work.rc == RC_OK)
        step = query->answer(query);
    else
        step = dbstep_failed(r, &query->work, "the policy cannot be read or set");
    query_free(query);
    request_continue(r, step);
}

static struct policy_query *
query_new(struct request *r)
{
    struct policy_query *query = calloc(1, sizeof(*query));
    if (!query)
        return NULL;
    query->r = r;
    query->version = LATEST;
    query->work.done = on_done;
    memcpy(query->workspace, r->actor.workspace, sizeof(query->workspace));
    memcpy(query->key_id, r->actor.key_id, sizeof(query->key_id));
    buf_init(&query->text, ANSWER_CAP);
    return query;
}

static enum step
start(struct request *r, struct policy_query *query,
      enum rc (*run)(struct dbwork *, struct db *, struct err *),
      enum step (*answer)(struct policy_query *))
{
    if (!query)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory for a policy: ask again");
    query->work.run = run;
    query->answer = answer;
    enum step step = dbstep_begin(r, &query->work, "questions about policies");
    if (step != STEP_WAIT)
        query_free(query);
    return step;
}

/* --- reading ------------------------------------------------------------------------------------- */

/* {"version","source","set_at","set_by", …the document's members}: it can be sent back as it is. */
static enum rc
write_policy(struct buf *out, const char *source, const struct policy_query *query,
             const char *document)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_int(&w, "version", query->version);
    json_put_string(&w, "source", source);
    json_put_time_or_null(&w, "set_at", query->now_ms);
    json_put_string_or_null(&w, "set_by", query->key_id);
    if (document)
        json_put_members(&w, document, strlen(document));
    json_close(&w);
    return json_end(&w);
}

static enum rc
run_get(struct dbwork *base, struct db *db, struct err *err)
{
    struct policy_query *query = (struct policy_query *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    if (query->version == LATEST)
        db_param_null(&params);
    else
        db_param_int(&params, query->version);
    enum rc rc = db_query(db, query->workspace, SQL_GATEWAY_POLICY_GET, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    query->found = PQntuples(result) == 1;
    if (!query->found)
        return RC_OK;
    const char *key = db_text(result, 0, 2);
    query->version = db_int(result, 0, 0, 0);
    query->now_ms = db_int(result, 0, 3, 0);
    (void)snprintf(query->key_id, sizeof(query->key_id), "%s", key ? key : "");
    return write_policy(&query->text, "workspace", query, db_text(result, 0, 1));
}

static enum step
answer_policy(struct policy_query *query)
{
    struct request *r = query->r;
    answer_header(r, "ETag", "\"%lld\"", (long long)query->version);
    return answer_object(r, 200, buf_text(&query->text), query->text.len);
}

static enum step
answer_get(struct policy_query *query)
{
    const struct request *r = query->r;
    bool shipped = r->gw->settings->policy_default == POLICY_SHIPPED;
    if (query->found)
        return answer_policy(query);
    if (query->version != LATEST)
        return answer_problem(query->r, PROBLEM_NOT_FOUND,
                              "the policy of this workspace has no version %lld: GET "
                              "/policy/versions lists those that it has",
                              (long long)query->version);
    query->version = 0;
    query->key_id[0] = '\0';
    if (write_policy(&query->text, shipped ? "default" : "none", query,
                     shipped ? policy_default_text() : "{\"rules\":[]}") != RC_OK)
        return answer_problem(query->r, PROBLEM_INTERNAL, "the answer is malformed");
    return answer_policy(query);
}

enum step
policy_get(struct request *r)
{
    return start(r, query_new(r), run_get, answer_get);
}

enum step
policy_version(struct request *r)
{
    struct policy_query *query = query_new(r);
    if (query)
        query->version = json_int(r->doc, "version", 0);
    return start(r, query, run_get, answer_get);
}

/* --- the versions ---------------------------------------------------------------------------------- */

static enum rc
run_versions(struct dbwork *base, struct db *db, struct err *err)
{
    struct policy_query *query = (struct policy_query *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    struct json_writer w;
    char cursor[24] = "";
    if (query->version == LATEST)
        db_param_null(&params);
    else
        db_param_int(&params, query->version);
    db_param_int(&params, query->limit + 1);
    enum rc rc = db_query(db, query->workspace, SQL_GATEWAY_POLICY_VERSIONS, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    int rows = PQntuples(result);
    bool more = rows > query->limit;
    json_begin(&w, &query->text);
    json_object(&w, NULL);
    json_array(&w, "items");
    for (int i = 0; i < rows - more; i++) {
        json_object(&w, NULL);
        json_put_int(&w, "version", db_int(result, i, 0, 0));
        json_put_int(&w, "bytes", db_int(result, i, 1, 0));
        json_put_string_or_null(&w, "set_by", db_text(result, i, 2));
        json_put_time(&w, "set_at", db_int(result, i, 3, 0));
        json_close(&w);
        (void)snprintf(cursor, sizeof(cursor), "%lld", (long long)db_int(result, i, 0, 0));
    }
    json_close(&w);
    json_put_int(&w, "count", rows - more);
    json_put_string_or_null(&w, "next_cursor", more ? cursor : NULL);
    json_close(&w);
    return json_end(&w);
}

static enum step
answer_versions(struct policy_query *query)
{
    return answer_object(query->r, 200, buf_text(&query->text), query->text.len);
}

enum step
policy_versions(struct request *r)
{
    struct policy_query *query = query_new(r);
    const char *cursor = json_string(r->doc, "cursor");
    if (query) {
        query->limit = json_int(r->doc, "limit", VERSIONS_DEFAULT);
        query->version = cursor ? strtoll(cursor, NULL, 10) : LATEST;
    }
    return start(r, query, run_versions, answer_versions);
}

/* --- setting ---------------------------------------------------------------------------------------- */

static enum rc
run_put(struct dbwork *base, struct db *db, struct err *err)
{
    struct policy_query *query = (struct policy_query *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, buf_text(&query->text));
    if (query->version == LATEST)
        db_param_null(&params);
    else
        db_param_int(&params, query->version);
    db_param_text(&params, query->key_id);
    enum rc rc = db_query(db, query->workspace, SQL_GATEWAY_POLICY_PUT, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    query->found = PQntuples(result) == 1;
    query->version = query->found ? db_int(result, 0, 0, 0) : query->version;
    query->now_ms = query->found ? db_int(result, 0, 1, 0) : 0;
    return RC_OK;
}

static enum step
answer_put(struct policy_query *query)
{
    struct request *r = query->r;
    AUTO(buf) struct buf out = { 0 };
    if (!query->found)
        return answer_problem(
            r, PROBLEM_VERSION_CONFLICT,
            "the policy has changed: version %lld is not the latest. GET /policy, "
            "apply your change to that answer, and send it with its version",
            (long long)query->version);
    allow_changed(r->gw->allowlist, r->actor.workspace);
    buf_init(&out, ANSWER_CAP);
    if (write_policy(&out, "workspace", query, buf_text(&query->text)) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    answer_header(r, "ETag", "\"%lld\"", (long long)query->version);
    return answer_object(r, 200, buf_text(&out), out.len);
}

/* The body without what GET adds, and what is ours. */
static cJSON *
document_of(const struct request *r)
{
    static const char *const OURS[] = { "version", "source",    "set_at",
                                        "set_by",  "tenant_id", "request_id" };
    cJSON *doc = cJSON_Duplicate(r->doc, true);
    for (size_t i = 0; doc && i < ARRAY_LEN(OURS); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(doc, OURS[i]);
    return doc;
}

/* The version that the change is about, from If-Match or the body; false: they are malformed. */
static bool
expected_version(const struct request *r, int64_t *out, struct field_errors *errors)
{
    unsigned count = 0;
    const char *tag = http_header(r->exchange, "If-Match", &count);
    int64_t member = json_int(r->doc, "version", LATEST);
    *out = member;
    if (!tag || strcmp(tag, "*") == 0)
        return true;
    size_t digits = tag[0] == '"' ? strspn(tag + 1, "0123456789") : 0;
    if (count > 1 || digits == 0 || digits > 15 || strcmp(tag + 1 + digits, "\"") != 0) {
        field_errors_add(errors, "If-Match",
                         "must be one ETag that GET /policy gave, such as \"3\", or *");
        return false;
    }
    *out = strtoll(tag + 1, NULL, 10);
    if (member == LATEST || member == *out)
        return true;
    field_errors_add(errors, "version",
                     "is %lld, but the header If-Match says %lld: send one of them, or the same in "
                     "both",
                     (long long)member, (long long)*out);
    return false;
}

enum step
policy_put_route(struct request *r)
{
    struct field_errors errors = { 0 };
    AUTO(json) cJSON *doc = document_of(r);
    int64_t version = LATEST;
    if (!doc)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory for a policy: ask again");
    if (!expected_version(r, &version, &errors) || policy_check(doc, &errors) != RC_OK)
        return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
    struct policy_query *query = query_new(r);
    if (query && json_canonical(doc, NULL, &query->text) != RC_OK) {
        query_free(query);
        return answer_problem(r, PROBLEM_INTERNAL, "the policy cannot be written");
    }
    if (query)
        query->version = version;
    return start(r, query, run_put, answer_put);
}

/* --- explaining -------------------------------------------------------------------------------------- */

static enum step
explain(struct request *r, const struct allow_view *view)
{
    const char *action = json_string(r->doc, "action");
    const char *kind = json_string(r->doc, "kind");
    const char *role = json_string(r->doc, "role");
    const cJSON *draft = json_member(r->doc, "policy");
    const cJSON *facts = connectors_facts(r->gw->connectors, action);
    struct policy_ask ask = {
        .action = action,
        .kind = kind    ? kind
                : facts ? "connector"
                        : "task",
        .scope = json_string(r->doc, "scope"),
        .role = role ? role : role_name(r->actor.role),
        .params = json_member(r->doc, "params"),
        .hosts = json_member(facts, "hosts"),
        .risk = json_member(facts, "risk"),
        .time_ms = r->accepted_ms,
    };
    struct policy_decision decision;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    const char *time = json_string(r->doc, "time");
    if (time)
        (void)clock_parse(time, &ask.time_ms);
    policy_evaluate(draft  ? draft
                    : view ? view->policy
                           : NULL,
                    draft  ? 0
                    : view ? view->policy_version
                           : 0,
                    &ask, &decision);
    buf_init(&out, ANSWER_CAP);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "action", action);
    json_put_string(&w, "kind", ask.kind);
    json_put_bool(&w, "allowlisted", view && allow_has(view, action));
    policy_put(&w, "policy", &decision);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    return answer_object(r, 200, buf_text(&out), out.len);
}

static void
on_asked(void *arg, enum rc rc, const struct allow_view *view)
{
    struct request *r = arg;
    if (rc == RC_OK || rc == RC_NOTFOUND) {
        request_continue(r, explain(r, view));
        return;
    }
    answer_header(r, "Retry-After", "2");
    request_continue(r, answer_problem(r, PROBLEM_UNAVAILABLE, "PostgreSQL is unavailable"));
}

enum step
policy_test(struct request *r)
{
    struct field_errors errors = { 0 };
    struct field_errors draft = { 0 };
    const cJSON *policy = json_member(r->doc, "policy");
    if (policy && policy_check(policy, &draft) != RC_OK) {
        for (size_t i = 0; i < draft.count; i++) {
            char field[SCHEMA_FIELD_MAX];
            (void)snprintf(field, sizeof(field), "/policy%.*s", (int)sizeof(field) - 8,
                           draft.items[i].field);
            field_errors_add(&errors, field, "%s", draft.items[i].detail);
        }
        return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
    }
    if (allow_ask(r->gw->allowlist, r->actor.workspace, on_asked, r) == RC_OK)
        return STEP_WAIT;
    answer_header(r, "Retry-After", "1");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "too many questions about policies: ask again");
}
