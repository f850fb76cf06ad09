/* SPDX-License-Identifier: MIT */
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
#include "letters/letters_own.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define LIMIT_DEFAULT 20
#define LIST_MAX      (1u << 20) /* bytes of a page */
#define LOOK_MAX      100 /* letters, others' too, that a page goes over; = most items of one */
#define CURSOR_MAC    8   /* bytes */
#define CURSOR_HEAD   32  /* characters before the MAC, with the NUL */

static enum step
list_next(struct desk *desk)
{
    buf_fini(&desk->question);
    return letters_ask(desk, LETTER_GET_SUBJECT, letter_walk_next(&desk->walk, &desk->question),
                       letters_on_letter);
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
    if (letters_read_answer(rc, msg, &doc) != RC_OK)
        letters_go_on(
            desk, letters_unavailable(desk->r, "the dead letters cannot be counted at the moment"));
    else if (!letter_walk_again(&desk->walk, doc))
        letters_go_on(desk, list_end(desk, 0));
    else if (!desk->from_start)
        letters_go_on(desk, list_end(desk, desk->walk.seq));
    else {
        list_begin(desk);
        letters_go_on(desk, list_next(desk));
    }
}

static enum step
list_checked(struct desk *desk)
{
    if (desk->walk.all)
        return list_end(desk, 0);
    buf_fini(&desk->question);
    return letters_ask(desk, LETTER_INFO_SUBJECT, letter_walk_count(&desk->walk, &desk->question),
                       on_count);
}

static enum step
list_one(struct desk *desk)
{
    bool ours = letters_has_ours(desk);
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
    struct desk *desk = letters_new(r, LIST_MAX);
    const char *cursor = json_string(r->doc, "cursor");
    const char *program = json_string(r->doc, "program");
    if (!desk)
        return letters_unavailable(r, "no memory for dead letters: ask again");
    desk->keeps_unreadable = true;
    desk->take = list_one;
    desk->none = list_checked;
    desk->limit = json_int(r->doc, "limit", LIMIT_DEFAULT);
    desk->from_start = !cursor;
    desk->walk.seq = 1;
    (void)strlcpy(desk->walk.program, program ? program : "", sizeof(desk->walk.program));
    if (cursor && !cursor_read(desk, cursor))
        return letters_begun(
            desk, letters_refuse(r, "cursor",
                                 "is not a next_cursor of this list: send the one of the "
                                 "page before, with the same program, or none"));
    list_begin(desk);
    return letters_begun(desk, list_next(desk));
}
