/* SPDX-License-Identifier: MIT */
#include "effects/lists.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/fnv.h"
#include "base/log.h"
#include "gateway.h"
#include "protocol/answer_list.h"
#include "protocol/command_list.h"
#include "requests/request.h"
#include "requests/traced.h"

/*
 * Theory of operation. What is to be published in a turn is collected, and leaves in the turn's last
 * prepare hook but one: alone, as it always did, or with its neighbours of the same subject. The list's
 * PubAck is that of each of its commands.
 *
 * The stream's bound of a workspace counts messages. So that lists do not make it a bound without
 * meaning, a workspace has at most WAITING_MAX commands in lists that may still wait: beyond that
 * each travels alone. Lists are worked through in their order, so the .done event of a list's last
 * command says that none of the older ones waits. When lists are no longer made, one in WATCH_EACH
 * commands that travel alone is watched instead: an event can be lost, and a command can be refused
 * before it is stored, which has none.
 */
#define WAITING_MAX 4096u
#define WATCH_EACH  1024u
#define SLOTS       1024u /* of workspaces; two with one slot share its bound */
#define MARKS       1024u /* hash chains */

struct outgoing {
    TAILQ_ENTRY(outgoing) link;
    struct request *r; /* borrowed: it waits */
    bus_ack_fn *fn;
    char subject[SUBJECT_MAX];
    struct list_item item; /* its payload is the request's */
};

TAILQ_HEAD(outgoing_list, outgoing);

/* The last command of a list, whose event is awaited. */
struct mark {
    TAILQ_ENTRY(mark) link; /* of its slot, oldest first */
    LIST_ENTRY(mark) chain;
    struct slot *slot;
    size_t count; /* commands of the list; 0 = one that travels alone */
    enum stream stream;
    char id[ID_TEXT_MAX];
};

struct slot {
    TAILQ_HEAD(, mark) marks;
    size_t waiting;
    unsigned alone; /* commands that travelled alone while too many waited */
};

struct lists {
    struct gateway *gw;
    struct outgoing_list outgoing;
    struct slot slots[SLOTS];
    LIST_HEAD(, mark) chains[MARKS];
    uint64_t beyond[STREAM_CONNECTOR + 1]; /* commands of lists, without one for each list */
};

/* A list under way. */
struct sent {
    size_t count;
    struct {
        struct request *r;
        bus_ack_fn *fn;
    } parts[COMMAND_LIST_MAX];
};

/* --- how many may wait ------------------------------------------------------------------------- */

static struct slot *
slot_of(struct lists *lists, const char *workspace)
{
    return &lists->slots[fnv32_text(workspace) % SLOTS];
}

static uint64_t
beyond_one(const struct mark *mark)
{
    return mark->count ? mark->count - 1 : 0;
}

static void
mark_free(struct lists *lists, struct mark *mark)
{
    struct slot *slot = mark->slot;
    slot->waiting -= mark->count;
    lists->beyond[mark->stream] -= beyond_one(mark);
    TAILQ_REMOVE(&slot->marks, mark, link);
    LIST_REMOVE(mark, chain);
    free(mark);
}

static void
watch(struct lists *lists, const struct request *r, size_t count)
{
    struct slot *slot = slot_of(lists, r->actor.workspace);
    struct mark *mark = calloc(1, sizeof(*mark));
    if (!mark)
        log_no_memory("a list of commands");
    mark->slot = slot;
    mark->count = count;
    mark->stream = command_info(r->route->command)->stream;
    (void)strlcpy(mark->id, r->id, sizeof(mark->id));
    slot->waiting += count;
    lists->beyond[mark->stream] += beyond_one(mark);
    TAILQ_INSERT_TAIL(&slot->marks, mark, link);
    LIST_INSERT_HEAD(&lists->chains[fnv32_text(r->id) % MARKS], mark, chain);
}

void
lists_done(struct lists *lists, const char *id)
{
    struct mark *mark;
    LIST_FOREACH (mark, &lists->chains[fnv32_text(id) % MARKS], chain)
        if (strcmp(mark->id, id) == 0)
            break;
    if (!mark)
        return;
    struct slot *slot = mark->slot;
    for (bool last = false; !last;) {
        struct mark *oldest = TAILQ_FIRST(&slot->marks);
        last = oldest == mark;
        mark_free(lists, oldest);
    }
}

uint64_t
lists_beyond_messages(const struct lists *lists, enum stream stream)
{
    return lists->beyond[stream];
}

/* --- publishing -------------------------------------------------------------------------------- */

static const char LISTED[] = { '0' + LIST_PROTOCOL, '\0' };

/* of: whose headers it has; a list has those of its first command. count: of a list; NULL = alone */
static enum rc
publish(struct lists *lists, const char *subject, const struct list_item *of, const char *count,
        bus_ack_fn *fn, void *arg, struct err *err)
{
    struct bus_header headers[5] = { { ACTOR_HEADER, of->claim },
                                     { PROTOCOL_HEADER, count ? LISTED : "2" } };
    size_t n = 2;
    if (of->parent[0])
        headers[n++] = (struct bus_header){ TRACEPARENT_HEADER, of->parent };
    if (of->state[0])
        headers[n++] = (struct bus_header){ TRACESTATE_HEADER, of->state };
    if (count)
        headers[n++] = (struct bus_header){ LIST_HEADER, count };
    struct bus_out out = {
        .subject = subject, .headers = headers, .n_headers = n, .data = of->payload, .len = of->len
    };
    return bus_js_publish(lists->gw->bus, &out, of->msg_id, FORWARD_PUBLISH_MS, fn, arg, err);
}

static void
send_alone(struct lists *lists, struct outgoing *one)
{
    struct err err = { 0 };
    struct slot *slot = slot_of(lists, one->r->actor.workspace);
    if (slot->waiting < WAITING_MAX)
        slot->alone = 0;
    else if (slot->alone++ % WATCH_EACH == 0)
        watch(lists, one->r, 0);
    if (traced_by_claim(one->r))
        one->item.parent[0] = '\0';
    enum rc rc = publish(lists, one->subject, &one->item, NULL, one->fn, one->r, &err);
    if (rc != RC_OK)
        one->fn(one->r, rc, false, &err);
    free(one);
}

static void
on_list_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    AUTO(free) struct sent *sent = arg;
    for (size_t i = 0; i < sent->count; i++)
        sent->parts[i].fn(sent->parts[i].r, rc, duplicate, err);
}

static void
send_list(struct lists *lists, struct outgoing_list *group, size_t count)
{
    AUTO(buf) struct buf text = { 0 };
    struct err err = { 0 };
    struct outgoing *one, *first = TAILQ_FIRST(group);
    struct forward_head head;
    struct list_item whole;
    char number[8];
    struct sent *sent = calloc(1, sizeof(*sent));
    if (!sent)
        log_no_memory("a list of commands");
    buf_init(&text, COMMAND_LIST_BYTES);
    TAILQ_FOREACH (one, group, link) {
        command_list_add(&text, &one->item);
        sent->parts[sent->count].r = one->r;
        sent->parts[sent->count++].fn = one->fn;
    }
    struct request *r = first->r;
    one = TAILQ_LAST(group, outgoing_list);
    watch(lists, one->r, count);
    (void)snprintf(number, sizeof(number), "%zu", count);
    whole = first->item;
    whole.payload = text.data;
    whole.len = text.len;
    (void)snprintf(whole.msg_id, sizeof(whole.msg_id), "%.*s.l%zu", LISTS_MSG_ID_MAX,
                   first->item.msg_id, count);
    enum rc rc = forward_sign(r, r->route->command, NULL, buf_text(&text), text.len, &head, &err);
    memcpy(whole.claim, head.actor, sizeof(whole.claim));
    if (rc == RC_OK)
        rc = publish(lists, first->subject, &whole, number, on_list_ack, sent, &err);
    while ((one = TAILQ_FIRST(group)) != NULL) {
        TAILQ_REMOVE(group, one, link);
        free(one);
    }
    if (rc != RC_OK)
        on_list_ack(sent, rc, false, &err);
}

/* Whether the command's worker takes lists: tasks are handed out one by one. */
static bool
may_be_listed(const struct request *r)
{
    return r->route->command != CMD_EXECUTOR_RUN;
}

/* Takes the first of those that wait, and what goes with it. */
static size_t
take_group(struct lists *lists, struct outgoing_list *group)
{
    struct outgoing *one, *next, *first = TAILQ_FIRST(&lists->outgoing);
    size_t count = 0, bytes = 0;
    size_t waiting = slot_of(lists, first->r->actor.workspace)->waiting;
    bool listed = may_be_listed(first->r);
    for (one = first; one && count < COMMAND_LIST_MAX; one = next) {
        next = TAILQ_NEXT(one, link);
        size_t size = command_list_size(&one->item);
        if (one != first &&
            (!listed || waiting + count >= WAITING_MAX || bytes + size > COMMAND_LIST_BYTES ||
             strcmp(one->subject, first->subject) != 0))
            continue;
        bytes += size;
        count++;
        TAILQ_REMOVE(&lists->outgoing, one, link);
        TAILQ_INSERT_TAIL(group, one, link);
    }
    return count;
}

static int
send_all(void *arg)
{
    struct lists *lists = arg;
    while (!TAILQ_EMPTY(&lists->outgoing)) {
        struct outgoing_list group = TAILQ_HEAD_INITIALIZER(group);
        size_t count = take_group(lists, &group);
        if (count == 1)
            send_alone(lists, TAILQ_FIRST(&group));
        else
            send_list(lists, &group, count);
    }
    return -1;
}

/* A tracestate may have tabs between its members; in a list, which knows only printable characters, a
 * space says the same. */
static void
copy_state(char out[LIST_STATE_MAX], const char *state)
{
    (void)strlcpy(out, state, LIST_STATE_MAX);
    for (char *at = strchr(out, '\t'); at; at = strchr(at, '\t'))
        *at = ' ';
}

void
lists_add(struct lists *lists, struct request *r, const struct forward_head *head,
          const char *msg_id, bus_ack_fn *fn)
{
    struct outgoing *one = malloc(sizeof(*one));
    if (!one)
        log_no_memory("a command");
    one->r = r;
    one->fn = fn;
    (void)strlcpy(one->subject, head->subject, sizeof(one->subject));
    (void)strlcpy(one->item.msg_id, msg_id, sizeof(one->item.msg_id));
    (void)strlcpy(one->item.claim, head->actor, sizeof(one->item.claim));
    copy_state(one->item.state, r->trace.state ? r->trace.state : "");
    trace_parent_write(&r->trace, r->hop.span, one->item.parent);
    one->item.payload = request_payload(r, &one->item.len);
    TAILQ_INSERT_TAIL(&lists->outgoing, one, link);
}

void
lists_open(struct gateway *gw, struct lists **out)
{
    struct lists *lists = calloc(1, sizeof(*lists));
    if (!lists)
        log_no_memory("the lists of commands");
    lists->gw = gw;
    TAILQ_INIT(&lists->outgoing);
    for (size_t i = 0; i < SLOTS; i++)
        TAILQ_INIT(&lists->slots[i].marks);
    loop_prepare(gw->loop, LOOP_RANK_COLLECT, send_all, lists);
    *out = lists;
}

void
lists_free(struct lists *lists)
{
    if (!lists)
        return;
    loop_unprepare(lists->gw->loop, send_all, lists);
    for (size_t i = 0; i < SLOTS; i++)
        while (!TAILQ_EMPTY(&lists->slots[i].marks))
            mark_free(lists, TAILQ_FIRST(&lists->slots[i].marks));
    struct outgoing *one;
    while ((one = TAILQ_FIRST(&lists->outgoing)) != NULL) {
        TAILQ_REMOVE(&lists->outgoing, one, link);
        free(one);
    }
    free(lists);
}
