/* SPDX-License-Identifier: MIT */
/* The list of a workspace's dead letters, with a server that holds others' and unreadable ones. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "gateway/gateway.h"
#include "gateway/requests/handlers.h"
#include "gateway/requests/request.h"
#include "protocol/letter_walk.h"
#include "test.h"

#define LETTERS_MAX 400

/* The stream: letter n + 1 is of workspaces[n] ("" = gone); its headers are hdrs[n]. */
static struct {
    const char *workspaces[LETTERS_MAX], *hdrs[LETTERS_MAX];
    int64_t last;
    int64_t hidden; /* passed over when asked for by subject */
    unsigned reads;
    bool ended;
} server;
static struct {
    bus_reply_fn *fn;
    void *arg;
    char question[256], subject[64];
} asked;

enum rc
bus_request(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms, bus_reply_fn *fn,
            void *arg, struct err *err)
{
    asked.fn = fn;
    asked.arg = arg;
    (void)snprintf(asked.question, sizeof(asked.question), "%.*s", (int)out->len,
                   (const char *)out->data);
    (void)snprintf(asked.subject, sizeof(asked.subject), "%s", out->subject);
    return RC_OK;
}

enum rc
bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id, uint32_t timeout_ms,
               bus_ack_fn *fn, void *arg, struct err *err)
{
    return err_set(err, RC_TEMP, "no such call here");
}

void
request_continue(struct request *r, enum step step)
{
    assert_int_equal(step, STEP_ANSWERED);
    server.ended = true;
}

static void
reply(const char *text)
{
    const struct bus_msg msg = { .data = text, .len = strlen(text) };
    bus_reply_fn *fn = asked.fn;
    asked.fn = NULL;
    fn(asked.arg, RC_OK, &msg, NULL);
}

static void
count_own(void)
{
    char text[256];
    unsigned count = 0;
    for (int64_t n = 0; n < server.last; n++)
        count += strcmp(server.workspaces[n], "own") == 0;
    (void)snprintf(text, sizeof(text),
                   "{\"state\":{\"subjects\":{\"gantry.v1.own.dead.ingest\":%u}}}", count);
    reply(text);
}

static void
serve_one(void)
{
    AUTO(json) cJSON *doc = NULL;
    char text[512];
    if (strcmp(asked.subject, LETTER_INFO_SUBJECT) == 0) {
        count_own();
        return;
    }
    assert_int_equal(json_read(asked.question, strlen(asked.question), &doc, NULL), RC_OK);
    assert_non_null(doc);
    bool all = strcmp(json_string(doc, "next_by_subj"), ">") == 0;
    int64_t seq = json_int(doc, "seq", 0);
    for (; seq <= server.last; seq++) {
        const char *workspace = server.workspaces[seq - 1];
        if (workspace[0] && (all || (strcmp(workspace, "own") == 0 && seq != server.hidden)))
            break;
    }
    if (seq > server.last) {
        reply("{\"error\":{\"code\":404}}");
        return;
    }
    server.reads++;
    const char *hdrs = server.hdrs[seq - 1];
    (void)snprintf(text, sizeof(text),
                   "{\"message\":{\"seq\":%" PRId64 ",\"subject\":\"gantry.v1.%s.dead.ingest\","
                   "\"time\":\"2026-11-28T12:00:00Z\",\"hdrs\":\"%s\",\"data\":\"e30=\"}}",
                   seq, server.workspaces[seq - 1], hdrs ? hdrs : "");
    reply(text);
}

struct page {
    struct gateway gw;
    struct settings settings;
    struct request r;
    cJSON *doc;
};

/* One page; parameters: a JSON object. */
static void
list(struct page *page, const char *parameters)
{
    static const struct route LIST = { .success = 200, .path = "/ai/dead-letters" };
    memset(page, 0, sizeof(*page));
    struct request *r = &page->r;
    page->gw.settings = &page->settings;
    r->gw = &page->gw;
    r->route = &LIST;
    (void)snprintf(r->actor.workspace, sizeof(r->actor.workspace), "own");
    buf_init(&r->answer.body, 1u << 20);
    assert_int_equal(json_read(parameters, strlen(parameters), &r->doc, NULL), RC_OK);
    server.reads = 0;
    server.ended = false;
    if (letters_list(r) == STEP_WAIT)
        while (!server.ended)
            serve_one();
    assert_int_equal(json_read(buf_text(&r->answer.body), r->answer.body.len, &page->doc, NULL),
                     RC_OK);
}

static void
page_fini(struct page *page)
{
    json_cleanup(&page->doc);
    json_cleanup(&page->r.doc);
    buf_fini(&page->r.answer.body);
}

static void
server_begin(void)
{
    memset(&server, 0, sizeof(server));
    for (size_t n = 0; n < LETTERS_MAX; n++)
        server.workspaces[n] = "";
}

static void
put(int64_t seq, const char *workspace, const char *hdrs)
{
    server.workspaces[seq - 1] = workspace;
    server.hdrs[seq - 1] = hdrs;
    if (seq > server.last)
        server.last = seq;
}

static int64_t
seq_at(const struct page *page, int n)
{
    return json_int(cJSON_GetArrayItem(json_member(page->doc, "items"), n), "seq", 0);
}

static void
what_cannot_be_read_ends_no_list(void **state)
{
    struct page page;
    (void)state;
    server_begin();
    put(1, "other", "*no base64*");
    put(2, "own", NULL);
    put(3, "own", "*no base64*");
    put(4, "own", NULL);
    server.hidden = 2;
    list(&page, "{}");
    assert_int_equal(page.r.answer.status, 200);
    assert_int_equal(json_int(page.doc, "count", 0), 3);
    for (int n = 0; n < 3; n++)
        assert_int_equal(seq_at(&page, n), n + 2);
    page_fini(&page);
}

static void
a_page_goes_over_few_letters_of_others(void **state)
{
    struct page page;
    char next[256], cursor[128];
    unsigned pages = 1, found = 0;
    (void)state;
    server_begin();
    for (int64_t seq = 1; seq <= LETTERS_MAX; seq++)
        put(seq, "other", NULL);
    put(350, "own", NULL);
    put(LETTERS_MAX, "own", NULL);
    server.hidden = 350;
    list(&page, "{}");
    for (;; pages++) {
        assert_int_equal(page.r.answer.status, 200);
        assert_true(server.reads <= 102); /* of one page by subject, and 100 and the next */
        found += (unsigned)json_int(page.doc, "count", 0);
        const char *text = json_string(page.doc, "next_cursor");
        (void)snprintf(cursor, sizeof(cursor), "%s", text ? text : "");
        page_fini(&page);
        if (!cursor[0])
            break;
        (void)snprintf(next, sizeof(next), "{\"cursor\":\"%s\"}", cursor);
        list(&page, next);
    }
    assert_int_equal(found, 2);
    assert_int_equal(pages, 4);
}

static void
only_a_cursor_that_was_given_is_taken(void **state)
{
    struct page page;
    char given[128], next[256];
    (void)state;
    server_begin();
    for (int64_t seq = 1; seq <= 3; seq++)
        put(seq, "own", NULL);
    list(&page, "{\"limit\":1}");
    (void)snprintf(given, sizeof(given), "%s", json_string(page.doc, "next_cursor"));
    page_fini(&page);
    (void)snprintf(next, sizeof(next), "{\"cursor\":\"%s\"}", given);
    list(&page, next);
    assert_int_equal(seq_at(&page, 0), 2);
    page_fini(&page);
    (void)snprintf(next, sizeof(next), "{\"program\":\"search\",\"cursor\":\"%s\"}", given);
    list(&page, next);
    assert_int_equal(page.r.answer.status, 422);
    page_fini(&page);
    (void)snprintf(next, sizeof(next), "{\"cursor\":\"1a%s\"}", strchr(given, '.'));
    for (int n = 0; n < 2; n++) {
        list(&page, n ? "{\"cursor\":\"1a\"}" : next);
        assert_int_equal(page.r.answer.status, 422);
        assert_int_equal(server.reads, 0);
        page_fini(&page);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_ends_no_list),
        cmocka_unit_test(a_page_goes_over_few_letters_of_others),
        cmocka_unit_test(only_a_cursor_that_was_given_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
