/* SPDX-License-Identifier: MIT */
/*
 * The routes under /ai/dead-letters: those of the key's workspace, read by sequence through the
 * JetStream API as `gantry dlq` reads them (common/protocol/letter.h).
 *
 * Theory of operation. A struct desk is one request's: each step sends one question to the server and
 * returns STEP_WAIT; the answer's callback takes the next step, until one ends the request. A replay
 * publishes the payload on its original subject and then deletes the letter: a crash in between leaves
 * it, and the worker absorbs the second one.
 *
 * The server is asked by sequence, which knows no workspace: whose a letter is says the subject where it
 * died, and a stranger's is not there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "gateway.h"
#include "protocol/command_list.h"
#include "protocol/letter.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define ASK_MS        5000
#define LIMIT_DEFAULT 20
#define LIST_MAX      (1u << 20) /* bytes of a page */
#define ONE_MAX       (4u << 20) /* bytes of a letter: its payload may be base64 */
#define AGAIN_S       120        /* JetStream's duplicate window */

#define GET_SUBJECT    "$JS.API.STREAM.MSG.GET.DEAD"
#define DELETE_SUBJECT "$JS.API.STREAM.MSG.DELETE.DEAD"

struct desk {
    struct request *r;
    enum step (*take)(struct desk *desk); /* what is done with a letter that was read */
    char filter[SUBJECT_MAX];             /* of a list; "" = exactly one letter */
    int64_t limit;
    int64_t count;
    struct buf out;
    struct json_writer w;
    struct letter letter; /* the one that was read last */
};

static void
desk_free(struct desk *desk)
{
    letter_fini(&desk->letter);
    buf_fini(&desk->out);
    free(desk);
}

static struct desk *
desk_new(struct request *r, size_t out_max)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    if (!desk)
        return NULL;
    desk->r = r;
    buf_init(&desk->out, out_max);
    json_begin(&desk->w, &desk->out);
    json_object(&desk->w, NULL);
    return desk;
}

static enum step
unavailable(struct request *r, const char *why)
{
    answer_header(r, "Retry-After", "2");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "%s", why);
}

static enum step
not_there(struct request *r)
{
    return answer_problem(r, PROBLEM_NOT_FOUND,
                          "there is no dead letter with this number here: it was sent again, "
                          "discarded, or has been forgotten");
}

/* The end of the first call of a route: what waits keeps its desk. */
static enum step
begun(struct desk *desk, enum step step)
{
    if (step != STEP_WAIT)
        desk_free(desk);
    return step;
}

/* The same, in a callback. */
static void
go_on(struct desk *desk, enum step step)
{
    struct request *r = desk->r;
    if (step == STEP_WAIT)
        return;
    desk_free(desk);
    request_continue(r, step);
}

/* --- one question to the server ---------------------------------------------------------------- */

static enum step
ask(struct desk *desk, const char *subject, int64_t seq, bus_reply_fn *fn)
{
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;
    struct err err = { 0 };
    buf_init(&body, 1024);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", seq);
    if (desk->filter[0])
        json_put_string(&w, "next_by_subj", desk->filter);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(desk->r, PROBLEM_INTERNAL, "the question is malformed");
    const struct bus_out out = { .subject = subject, .data = buf_text(&body), .len = body.len };
    if (bus_request(desk->r->gw->bus, &out, ASK_MS, fn, desk, &err) != RC_OK)
        return unavailable(desk->r, "NATS is unavailable");
    return STEP_WAIT;
}

/* RC_NOTFOUND: there is no such letter. */
static enum rc
read_answer(enum rc rc, const struct bus_msg *msg, cJSON **doc)
{
    if (rc != RC_OK)
        return RC_TEMP;
    if (json_read(msg->data, msg->len, doc, NULL) != RC_OK)
        return RC_BUG;
    const cJSON *error = json_member(*doc, "error");
    if (!error)
        return RC_OK;
    return json_int(error, "code", 0) == 404 ? RC_NOTFOUND : RC_TEMP;
}

static enum step list_end(struct desk *desk, int64_t next);

static void
on_letter(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct desk *desk = arg;
    AUTO(json) cJSON *doc = NULL;
    struct err own = { 0 };
    (void)err;
    rc = read_answer(rc, msg, &doc);
    letter_fini(&desk->letter);
    if (rc == RC_OK)
        rc = letter_read(json_member(doc, "message"), &desk->letter, &own);
    if (rc == RC_OK)
        go_on(desk, desk->take(desk));
    else if (rc == RC_NOTFOUND)
        go_on(desk, desk->filter[0] ? list_end(desk, 0) : not_there(desk->r));
    else
        go_on(desk, unavailable(desk->r, "the dead letters cannot be read at the moment"));
}

/* --- a page ------------------------------------------------------------------------------------ */

static enum step
list_end(struct desk *desk, int64_t next)
{
    char cursor[24];
    json_close(&desk->w);
    json_put_int(&desk->w, "count", desk->count);
    (void)snprintf(cursor, sizeof(cursor), "%lld", (long long)next);
    if (next)
        json_put_string(&desk->w, "next_cursor", cursor);
    else
        json_put_null(&desk->w, "next_cursor");
    json_close(&desk->w);
    if (json_end(&desk->w) != RC_OK)
        return answer_problem(desk->r, PROBLEM_INTERNAL, "the page does not fit");
    return answer_object(desk->r, 200, buf_text(&desk->out), desk->out.len);
}

static enum step
list_one(struct desk *desk)
{
    if (desk->count == desk->limit)
        return list_end(desk, desk->letter.seq);
    json_object(&desk->w, NULL);
    letter_put(&desk->w, &desk->letter);
    json_close(&desk->w);
    desk->count++;
    return ask(desk, GET_SUBJECT, desk->letter.seq + 1, on_letter);
}

enum step
letters_list(struct request *r)
{
    struct desk *desk = desk_new(r, LIST_MAX);
    const char *cursor = json_string(r->doc, "cursor");
    const char *program = json_string(r->doc, "program");
    if (!desk)
        return unavailable(r, "no memory for dead letters: ask again");
    desk->take = list_one;
    desk->limit = json_int(r->doc, "limit", LIMIT_DEFAULT);
    (void)snprintf(desk->filter, sizeof(desk->filter), "gantry.v1.%s.dead.%s", r->actor.workspace,
                   program ? program : "*");
    json_array(&desk->w, "items");
    return begun(desk, ask(desk, GET_SUBJECT, cursor ? strtoll(cursor, NULL, 10) : 1, on_letter));
}

/* --- one letter -------------------------------------------------------------------------------- */

static bool
is_own(const struct desk *desk)
{
    char workspace[LETTER_NAME_MAX];
    char program[LETTER_NAME_MAX];
    letter_place(&desk->letter, workspace, program);
    return strcmp(workspace, desk->r->actor.workspace) == 0;
}

static enum step
show(struct desk *desk)
{
    struct err err = { 0 };
    if (!is_own(desk))
        return not_there(desk->r);
    letter_put(&desk->w, &desk->letter);
    if (letter_put_payload(&desk->w, &desk->letter, &err) != RC_OK)
        return unavailable(desk->r, err.text);
    json_close(&desk->w);
    if (json_end(&desk->w) != RC_OK)
        return answer_problem(desk->r, PROBLEM_INTERNAL, "the letter does not fit");
    return answer_object(desk->r, 200, buf_text(&desk->out), desk->out.len);
}

static void
on_deleted(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct desk *desk = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    rc = read_answer(rc, msg, &doc);
    if (rc != RC_OK && rc != RC_NOTFOUND) {
        go_on(desk, unavailable(desk->r, "the dead letter could not be removed"));
        return;
    }
    if (desk->r->route->success == 204) {
        go_on(desk, answer_empty(desk->r, 204));
        return;
    }
    json_put_string(&desk->w, "status", "success");
    json_put_int(&desk->w, "seq", desk->letter.seq);
    json_close(&desk->w);
    if (json_end(&desk->w) != RC_OK)
        go_on(desk, answer_problem(desk->r, PROBLEM_INTERNAL, "the answer is malformed"));
    else
        go_on(desk, answer_object(desk->r, 200, buf_text(&desk->out), desk->out.len));
}

static enum step
discard(struct desk *desk)
{
    return is_own(desk) ? ask(desk, DELETE_SUBJECT, desk->letter.seq, on_deleted)
                        : not_there(desk->r);
}

static void
on_published(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct desk *desk = arg;
    (void)err;
    if (rc == RC_OK && !duplicate) {
        go_on(desk, ask(desk, DELETE_SUBJECT, desk->letter.seq, on_deleted));
        return;
    }
    if (rc != RC_OK) {
        go_on(desk, unavailable(desk->r, "the stream did not take the message: it stays a dead "
                                         "letter, send it again later"));
        return;
    }
    answer_header(desk->r, "Retry-After", "%d", AGAIN_S);
    go_on(desk, answer_problem(desk->r, PROBLEM_UNAVAILABLE,
                               "the stream still knows this message's id: send it again in two "
                               "minutes"));
}

/* Of a letter that cannot be sent again. */
static enum step
refuse(struct request *r, const char *why)
{
    struct field_errors errors = { 0 };
    field_errors_add(&errors, "seq", "%s", why);
    return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
}

static enum step
replay(struct desk *desk)
{
    struct letter_again again;
    struct err err = { 0 };
    if (!is_own(desk))
        return not_there(desk->r);
    if (letter_again(&desk->letter, &again, &err) != RC_OK)
        return refuse(desk->r, err.text);
    if (again.command == CMD_AUDIT_REQUEST ||
        strcmp(again.workspace, desk->r->actor.workspace) != 0)
        return refuse(desk->r,
                      "is a message between our programs, which only the operator may send "
                      "again: gantry dlq replay");
    const struct bus_header headers[] = { { ACTOR_HEADER, again.actor },
                                          { LIST_HEADER, again.list } };
    const struct bus_out out = { .subject = again.subject,
                                 .headers = headers,
                                 .n_headers = again.actor[0] ? 1 + (again.list[0] != 0) : 0,
                                 .data = desk->letter.data,
                                 .len = desk->letter.len };
    if (bus_js_publish(desk->r->gw->bus, &out, again.msg_id[0] ? again.msg_id : NULL, ASK_MS,
                       on_published, desk, &err) != RC_OK)
        return unavailable(desk->r, "NATS is unavailable");
    return STEP_WAIT;
}

static enum step
open_letter(struct request *r, enum step (*take)(struct desk *))
{
    struct desk *desk = desk_new(r, ONE_MAX);
    if (!desk)
        return unavailable(r, "no memory for a dead letter: ask again");
    desk->take = take;
    return begun(desk, ask(desk, GET_SUBJECT, json_int(r->doc, "seq", 0), on_letter));
}

enum step
letters_get(struct request *r)
{
    return open_letter(r, show);
}

enum step
letters_replay(struct request *r)
{
    return open_letter(r, replay);
}

enum step
letters_discard(struct request *r)
{
    return open_letter(r, discard);
}
