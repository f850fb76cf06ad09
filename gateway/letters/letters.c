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
 * A sequence number says nothing about the workspace. The subject where the letter died does; a letter of
 * another workspace is answered as if it did not exist.
 */
#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "effects/room.h"
#include "gateway.h"
#include "letters/letters_own.h"
#include "protocol/command_list.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define ASK_MS       5000
#define ONE_MAX      (4u << 20) /* bytes of a letter: its payload may be base64 */
#define AGAIN_S      120        /* JetStream's duplicate window */
#define ANSWER_BYTES (3u << 19) /* of a letter of 1 MiB in base64, with its headers */

#define DELETE_SUBJECT "$JS.API.STREAM.MSG.DELETE.DEAD"

static void
desk_free(struct desk *desk)
{
    letter_fini(&desk->letter);
    buf_fini(&desk->question);
    buf_fini(&desk->out);
    free(desk);
}

struct desk *
letters_new(struct request *r, size_t out_max)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    if (!desk)
        return NULL;
    desk->r = r;
    (void)strlcpy(desk->walk.workspace, r->actor.workspace, sizeof(desk->walk.workspace));
    buf_init(&desk->out, out_max);
    json_begin(&desk->w, &desk->out);
    json_object(&desk->w, NULL);
    return desk;
}

enum step
letters_unavailable(struct request *r, const char *why)
{
    answer_header(r, "Retry-After", "2");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "%s", why);
}

enum step
letters_refuse(struct request *r, const char *member, const char *why)
{
    struct field_errors errors = { 0 };
    field_errors_add(&errors, member, "%s", why);
    return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
}

static enum step
not_there(struct desk *desk)
{
    return answer_problem(desk->r, PROBLEM_NOT_FOUND,
                          "there is no dead letter with this number here: it was sent again, "
                          "discarded, or has been forgotten");
}

enum step
letters_begun(struct desk *desk, enum step step)
{
    if (step != STEP_WAIT)
        desk_free(desk);
    return step;
}

void
letters_go_on(struct desk *desk, enum step step)
{
    struct request *r = desk->r;
    if (step == STEP_WAIT)
        return;
    desk_free(desk);
    request_continue(r, step);
}

/* --- one question to the server ---------------------------------------------------------------- */

static enum step
send(struct desk *desk)
{
    struct err err = { 0 };
    const struct bus_out out = { .subject = desk->subject,
                                 .data = buf_text(&desk->question),
                                 .len = desk->question.len };
    if (bus_request(desk->r->gw->bus, &out, ASK_MS, desk->fn, desk, &err) == RC_OK)
        return STEP_WAIT;
    room_leave(desk->r);
    return letters_unavailable(desk->r, "NATS is unavailable");
}

static void
on_room(void *arg, bool granted)
{
    struct desk *desk = arg;
    letters_go_on(desk, granted ? send(desk) : letters_unavailable(desk->r, room_full(desk->r)));
}

enum step
letters_ask(struct desk *desk, const char *subject, enum rc question, bus_reply_fn *fn)
{
    if (question != RC_OK)
        return answer_problem(desk->r, PROBLEM_INTERNAL, "the question is malformed");
    desk->subject = subject;
    desk->fn = fn;
    if (!room_enter(desk->r, ANSWER_BYTES, ASK_MS, on_room, desk))
        return STEP_WAIT;
    return send(desk);
}

static enum rc
write_seq(struct desk *desk, int64_t seq)
{
    struct json_writer w;
    buf_fini(&desk->question);
    buf_init(&desk->question, 1024);
    json_begin(&w, &desk->question);
    json_object(&w, NULL);
    json_put_int(&w, "seq", seq);
    json_close(&w);
    return json_end(&w);
}

static enum step
ask_of(struct desk *desk, const char *subject, int64_t seq, bus_reply_fn *fn)
{
    return letters_ask(desk, subject, write_seq(desk, seq), fn);
}

enum rc
letters_read_answer(enum rc rc, const struct bus_msg *msg, cJSON **doc)
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

bool
letters_has_ours(const struct desk *desk)
{
    return letter_walk_is_ours(&desk->walk, &desk->letter);
}

/* A stranger's is not read beyond its subject. An own one that cannot be read is in the list with what
 * is known of it. */
static enum rc
read_letter(struct desk *desk, const cJSON *message)
{
    letter_head(message, &desk->letter);
    if (desk->letter.seq < 1 || desk->letter.seq < desk->walk.seq)
        return RC_BUG;
    if (!letters_has_ours(desk))
        return RC_OK;
    enum rc rc = letter_read(message, &desk->letter, NULL);
    return rc == RC_BUG && desk->keeps_unreadable ? RC_OK : rc;
}

void
letters_on_letter(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct desk *desk = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    room_leave(desk->r);
    rc = letters_read_answer(rc, msg, &doc);
    letter_fini(&desk->letter);
    if (rc == RC_OK)
        rc = read_letter(desk, json_member(doc, "message"));
    if (rc == RC_OK)
        letters_go_on(desk, desk->take(desk));
    else if (rc == RC_NOTFOUND)
        letters_go_on(desk, desk->none(desk));
    else
        letters_go_on(
            desk, letters_unavailable(desk->r, "the dead letters cannot be read at the moment"));
}

/* --- one letter -------------------------------------------------------------------------------- */

static enum step
show(struct desk *desk)
{
    struct err err = { 0 };
    if (!letters_has_ours(desk))
        return not_there(desk);
    letter_put(&desk->w, &desk->letter);
    if (letter_put_payload(&desk->w, &desk->letter, &err) != RC_OK)
        return letters_unavailable(desk->r, err.text);
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
    room_leave(desk->r);
    rc = letters_read_answer(rc, msg, &doc);
    if (rc != RC_OK && rc != RC_NOTFOUND) {
        letters_go_on(desk, letters_unavailable(desk->r, "the dead letter could not be removed"));
        return;
    }
    if (desk->r->route->success == 204) {
        letters_go_on(desk, answer_empty(desk->r, 204));
        return;
    }
    json_put_string(&desk->w, "status", "success");
    json_put_int(&desk->w, "seq", desk->letter.seq);
    json_close(&desk->w);
    if (json_end(&desk->w) != RC_OK)
        letters_go_on(desk, answer_problem(desk->r, PROBLEM_INTERNAL, "the answer is malformed"));
    else
        letters_go_on(desk, answer_object(desk->r, 200, buf_text(&desk->out), desk->out.len));
}

static enum step
discard(struct desk *desk)
{
    return letters_has_ours(desk) ? ask_of(desk, DELETE_SUBJECT, desk->letter.seq, on_deleted)
                                  : not_there(desk);
}

static void
on_published(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct desk *desk = arg;
    (void)err;
    if (rc == RC_OK && !duplicate) {
        letters_go_on(desk, ask_of(desk, DELETE_SUBJECT, desk->letter.seq, on_deleted));
        return;
    }
    if (rc != RC_OK) {
        letters_go_on(desk, letters_unavailable(
                                desk->r, "the stream did not take the message: it stays a dead "
                                         "letter, send it again later"));
        return;
    }
    answer_header(desk->r, "Retry-After", "%d", AGAIN_S);
    letters_go_on(desk,
                  answer_problem(desk->r, PROBLEM_UNAVAILABLE,
                                 "the stream still knows this message's id: send it again in two "
                                 "minutes"));
}

static enum step
replay(struct desk *desk)
{
    struct letter_again again;
    struct err err = { 0 };
    if (!letters_has_ours(desk))
        return not_there(desk);
    if (letter_again(&desk->letter, &again, &err) != RC_OK)
        return letters_refuse(desk->r, "seq", err.text);
    if (again.command == CMD_AUDIT_REQUEST ||
        strcmp(again.workspace, desk->r->actor.workspace) != 0)
        return letters_refuse(desk->r, "seq",
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
        return letters_unavailable(desk->r, "NATS is unavailable");
    return STEP_WAIT;
}

static enum step
open_letter(struct request *r, enum step (*take)(struct desk *))
{
    struct desk *desk = letters_new(r, ONE_MAX);
    if (!desk)
        return letters_unavailable(r, "no memory for a dead letter: ask again");
    desk->take = take;
    desk->none = not_there;
    return letters_begun(
        desk, ask_of(desk, LETTER_GET_SUBJECT, json_int(r->doc, "seq", 0), letters_on_letter));
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
