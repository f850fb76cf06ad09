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
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"
#include "effects/room.h"
#include "gateway.h"
#include "protocol/command_list.h"
#include "protocol/letter_walk.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define ASK_MS        5000
#define LIMIT_DEFAULT 20
#define LIST_MAX      (1u << 20) /* bytes of a page */
#define ONE_MAX       (4u << 20) /* bytes of a letter: its payload may be base64 */
#define AGAIN_S       120        /* JetStream's duplicate window */
#define ANSWER_BYTES  (3u << 19) /* of a letter of 1 MiB in base64, with its headers */
#define LOOK_MAX      100 /* letters, others' too, that a page goes over; = most items of one */
#define CURSOR_MAC    8   /* bytes */
#define CURSOR_HEAD   32  /* characters before the MAC, with the NUL */

#define GET_SUBJECT    "$JS.API.STREAM.MSG.GET.DEAD"
#define DELETE_SUBJECT "$JS.API.STREAM.MSG.DELETE.DEAD"

struct desk {
    struct request *r;
    enum step (*take)(struct desk *desk); /* what is done with a letter that was read */
    bool lists;
    struct letter_walk walk; /* of a list; of one letter only the workspace is set */
    bool from_start;         /* this page is the first */
    int64_t looked_at;       /* letters, for this page, when it goes over all */
    const char *subject;     /* of the question that waits for room */
    bus_reply_fn *fn;
    struct buf question; /* owned */
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
    buf_fini(&desk->question);
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
    (void)strlcpy(desk->walk.workspace, r->actor.workspace, sizeof(desk->walk.workspace));
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
refuse(struct request *r, const char *member, const char *why)
{
    struct field_errors errors = { 0 };
    field_errors_add(&errors, member, "%s", why);
    return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
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
send(struct desk *desk)
{
    struct err err = { 0 };
    const struct bus_out out = { .subject = desk->subject,
                                 .data = buf_text(&desk->question),
                                 .len = desk->question.len };
    if (bus_request(desk->r->gw->bus, &out, ASK_MS, desk->fn, desk, &err) == RC_OK)
        return STEP_WAIT;
    room_leave(desk->r);
    return unavailable(desk->r, "NATS is unavailable");
}

static void
on_room(void *arg, bool granted)
{
    struct desk *desk = arg;
    go_on(desk, granted ? send(desk) : unavailable(desk->r, room_full(desk->r)));
}

/* An answer may be a whole letter: it has room before it is asked for. */
static enum step
ask(struct desk *desk, const char *subject, enum rc question, bus_reply_fn *fn)
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
    return ask(desk, subject, write_seq(desk, seq), fn);
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

static bool
is_ours(const struct desk *desk)
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
    if (!is_ours(desk))
        return RC_OK;
    enum rc rc = letter_read(message, &desk->letter, NULL);
    return rc == RC_BUG && desk->lists ? RC_OK : rc;
}

static enum step list_checked(struct desk *desk);

static void
on_letter(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct desk *desk = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    room_leave(desk->r);
    rc = read_answer(rc, msg, &doc);
    letter_fini(&desk->letter);
    if (rc == RC_OK)
        rc = read_letter(desk, json_member(doc, "message"));
    if (rc == RC_OK)
        go_on(desk, desk->take(desk));
    else if (rc == RC_NOTFOUND)
        go_on(desk, desk->lists ? list_checked(desk) : not_there(desk->r));
    else
        go_on(desk, unavailable(desk->r, "the dead letters cannot be read at the moment"));
}

/* --- a page ------------------------------------------------------------------------------------ */

static enum step
list_next(struct desk *desk)
{
    buf_fini(&desk->question);
    return ask(desk, GET_SUBJECT, letter_walk_next(&desk->walk, &desk->question), on_letter);
}

/* Of this list alone. */
static void
cursor_mac(const struct desk *desk, const char *head, char out[HEX_LEN(CURSOR_MAC)])
{
    const struct letter_walk *walk = &desk->walk;
    const struct hash_part parts[] = { { walk->workspace, strlen(walk->workspace) + 1 },
                                       { walk->program, strlen(walk->program) + 1 },
                                       { head, strlen(head) } };
    uint8_t mac[CRYPTO_HASH_LEN];
    crypto_mac(desk->r->gw->cursor_key, parts, ARRAY_LEN(parts), mac);
    hex_encode(mac, CURSOR_MAC, out);
}

/* A cursor is a sequence number and how many letters were found before it, or "a": over all letters; and
 * a MAC, so that nobody has letters gone over that the count does not miss. */
static void
cursor_write(const struct desk *desk, int64_t next, char out[CURSOR_HEAD + HEX_LEN(CURSOR_MAC)])
{
    char head[CURSOR_HEAD], mac[HEX_LEN(CURSOR_MAC)];
    if (desk->walk.all)
        (void)snprintf(head, sizeof(head), "%" PRId64 "a", next);
    else
        (void)snprintf(head, sizeof(head), "%" PRId64 "-%" PRId64, next, desk->walk.found);
    cursor_mac(desk, head, mac);
    (void)snprintf(out, CURSOR_HEAD + HEX_LEN(CURSOR_MAC), "%s.%s", head, mac);
}

/* False: it is none of this list. */
static bool
cursor_read(struct desk *desk, const char *cursor)
{
    char head[CURSOR_HEAD], mac[HEX_LEN(CURSOR_MAC)];
    char *rest = NULL;
    const char *point = strchr(cursor, '.');
    if (!point || (size_t)(point - cursor) >= sizeof(head) || strlen(point + 1) != sizeof(mac) - 1)
        return false;
    (void)snprintf(head, sizeof(head), "%.*s", (int)(point - cursor), cursor);
    cursor_mac(desk, head, mac);
    if (!crypto_equal(mac, point + 1, sizeof(mac) - 1))
        return false;
    desk->walk.seq = strtoll(head, &rest, 10);
    desk->walk.all = *rest == 'a';
    if (*rest == '-')
        desk->walk.found = strtoll(rest + 1, NULL, 10);
    return true;
}

/* next: 0 = there is no next page. */
static enum step
list_end(struct desk *desk, int64_t next)
{
    char cursor[CURSOR_HEAD + HEX_LEN(CURSOR_MAC)];
    json_close(&desk->w);
    json_put_int(&desk->w, "count", desk->count);
    cursor_write(desk, next, cursor);
    if (next)
        json_put_string(&desk->w, "next_cursor", cursor);
    else
        json_put_null(&desk->w, "next_cursor");
    json_close(&desk->w);
    if (json_end(&desk->w) != RC_OK)
        return answer_problem(desk->r, PROBLEM_INTERNAL, "the page does not fit");
    return answer_object(desk->r, 200, buf_text(&desk->out), desk->out.len);
}

static void
list_begin(struct desk *desk)
{
    buf_fini(&desk->out);
    buf_init(&desk->out, LIST_MAX);
    desk->count = 0;
    json_begin(&desk->w, &desk->out);
    json_object(&desk->w, NULL);
    json_array(&desk->w, "items");
}

/* Letters that were passed over: if this page is the only one it is made anew, else they come on the
 * next pages. */
static void
on_count(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct desk *desk = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    room_leave(desk->r);
    if (read_answer(rc, msg, &doc) != RC_OK)
        go_on(desk, unavailable(desk->r, "the dead letters cannot be counted at the moment"));
    else if (!letter_walk_again(&desk->walk, doc))
        go_on(desk, list_end(desk, 0));
    else if (!desk->from_start)
        go_on(desk, list_end(desk, desk->walk.seq));
    else {
        list_begin(desk);
        go_on(desk, list_next(desk));
    }
}

static enum step
list_checked(struct desk *desk)
{
    if (desk->walk.all)
        return list_end(desk, 0);
    buf_fini(&desk->question);
    return ask(desk, LETTER_INFO_SUBJECT, letter_walk_count(&desk->walk, &desk->question),
               on_count);
}

static enum step
list_one(struct desk *desk)
{
    bool ours = is_ours(desk);
    if ((ours && desk->count == desk->limit) || (desk->walk.all && desk->looked_at++ == LOOK_MAX))
        return list_end(desk, desk->letter.seq);
    desk->walk.seq = desk->letter.seq + 1;
    if (ours) {
        json_object(&desk->w, NULL);
        letter_put(&desk->w, &desk->letter);
        json_close(&desk->w);
        desk->count++;
        desk->walk.found++;
    }
    return list_next(desk);
}

enum step
letters_list(struct request *r)
{
    struct desk *desk = desk_new(r, LIST_MAX);
    const char *cursor = json_string(r->doc, "cursor");
    const char *program = json_string(r->doc, "program");
    if (!desk)
        return unavailable(r, "no memory for dead letters: ask again");
    desk->lists = true;
    desk->take = list_one;
    desk->limit = json_int(r->doc, "limit", LIMIT_DEFAULT);
    desk->from_start = !cursor;
    desk->walk.seq = 1;
    (void)strlcpy(desk->walk.program, program ? program : "", sizeof(desk->walk.program));
    if (cursor && !cursor_read(desk, cursor))
        return begun(desk, refuse(r, "cursor",
                                  "is no next_cursor that this list gave: send the one of the "
                                  "page before, with the same program, or none"));
    list_begin(desk);
    return begun(desk, list_next(desk));
}

/* --- one letter -------------------------------------------------------------------------------- */

static enum step
show(struct desk *desk)
{
    struct err err = { 0 };
    if (!is_ours(desk))
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
    room_leave(desk->r);
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
    return is_ours(desk) ? ask_of(desk, DELETE_SUBJECT, desk->letter.seq, on_deleted)
                         : not_there(desk->r);
}

static void
on_published(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct desk *desk = arg;
    (void)err;
    if (rc == RC_OK && !duplicate) {
        go_on(desk, ask_of(desk, DELETE_SUBJECT, desk->letter.seq, on_deleted));
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

static enum step
replay(struct desk *desk)
{
    struct letter_again again;
    struct err err = { 0 };
    if (!is_ours(desk))
        return not_there(desk->r);
    if (letter_again(&desk->letter, &again, &err) != RC_OK)
        return refuse(desk->r, "seq", err.text);
    if (again.command == CMD_AUDIT_REQUEST ||
        strcmp(again.workspace, desk->r->actor.workspace) != 0)
        return refuse(desk->r, "seq",
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
    return begun(desk, ask_of(desk, GET_SUBJECT, json_int(r->doc, "seq", 0), on_letter));
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
