/* SPDX-License-Identifier: MIT */
/*
 * list - tools/list: what the key's scopes allow, and a tool for each action that the workspace allows.
 *
 * The order is that of the table, then the actions by name: the same set gives the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "gateway.h"
#include "mcp/mcp_own.h"
#include "requests/answer.h"
#include "requests/inner.h"

#define TTL_MS       60000
#define TTL_SHORT_MS 2000 /* when the actions are missing */
#define ACTIONS_MAX  512

static int
by_name(const void *a, const void *b)
{
    const cJSON *const *one = a;
    const cJSON *const *other = b;
    return strcmp(json_string(*one, "action"), json_string(*other, "action"));
}

/* Those that are allowed here. */
static size_t
choose(const cJSON *doc, const cJSON **chosen)
{
    const cJSON *action;
    size_t n = 0;
    cJSON_ArrayForEach (action, json_member(doc, "actions")) {
        const char *text = json_string(action, "action");
        if (!text || !json_bool(action, "allowed", false) || n == ACTIONS_MAX)
            continue;
        chosen[n++] = action;
    }
    qsort(chosen, n, sizeof(chosen[0]), by_name);
    return n;
}

/* Whether a call of the tool would run this action: the name may be one of our own tools', or that of an
 * action before it. view: NULL when it is not known now; then last decides, the name of the one before. */
static bool
has_name(const char *action, const char *name, const char *last, const struct allow_view *view)
{
    const char *called = view ? tool_action(view, name) : NULL;
    return !tool_find(name) && strcmp(name, last) != 0 && (!called || strcmp(called, action) == 0);
}

/* hidden: the actions whose name another tool has, as a JSON array; empty when there are none. */
static void
put_actions(const struct request *r, struct json_writer *w, const cJSON *doc, struct buf *hidden)
{
    const struct allow_view *view = allow_known(r->gw->allowlist, r->actor.workspace);
    char name[TOOL_NAME_MAX], last[TOOL_NAME_MAX] = "";
    const cJSON **chosen = calloc(ACTIONS_MAX, sizeof(*chosen));
    size_t n = chosen ? choose(doc, chosen) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *action = json_string(chosen[i], "action");
        tool_name_of(action, name);
        if (has_name(action, name, last, view)) {
            tool_put_action(r->gw->mcp, w, chosen[i]);
            memcpy(last, name, sizeof(last));
        } else
            buf_printf(hidden, "%s\"%s\"", hidden->len ? "," : "[", action);
    }
    if (hidden->len)
        buf_putc(hidden, ']');
    free(chosen);
}

/* actions: GET /ai/actions; NULL: none, or unknown now. */
static enum step
answer(struct mcp_call *call, const cJSON *actions, bool incomplete)
{
    struct request *r = call->r;
    const struct mcp *mcp = r->gw->mcp;
    AUTO(buf) struct buf out = { 0 };
    AUTO(buf) struct buf hidden = { 0 };
    struct json_writer w;
    buf_init(&out, MCP_ANSWER_MAX);
    buf_init(&hidden, MCP_ANSWER_MAX);
    rpc_begin(&w, &out, &call->rpc);
    json_array(&w, "tools");
    for (size_t i = 0; i < N_TOOLS; i++)
        if (principal_has(&r->actor, mcp->routes[i]->scope))
            json_put_raw(&w, NULL, buf_text(&mcp->tools[i]), mcp->tools[i].len);
    put_actions(r, &w, actions, &hidden);
    json_close(&w);
    if (call->rpc.modern) {
        json_put_int(&w, "ttlMs", incomplete ? TTL_SHORT_MS : TTL_MS);
        json_put_string(&w, "cacheScope", "private");
    }
    json_object(&w, "_meta");
    if (call->rpc.modern)
        rpc_put_server(&w, META_SERVER);
    if (incomplete)
        json_put_string(&w, "gantry/incomplete",
                        "no executor answers now: the tools of actions are missing");
    if (hidden.len)
        json_put_raw(&w, "gantry/hidden", buf_text(&hidden), hidden.len);
    json_close(&w);
    if (rpc_end(&w) != RC_OK)
        return rpc_error(r, &call->rpc, 200, RPC_INTERNAL_ERROR, "Internal error");
    return answer_raw(r, 200, "application/json", buf_text(&out), out.len);
}

static void
on_actions(void *arg, struct request *inner)
{
    struct mcp_call *call = arg;
    AUTO(json) cJSON *doc = NULL;
    const struct buf *body = &inner->answer.body;
    if (inner->answer.status == 429) { /* the caller's own limit: the whole request is refused */
        call->r->answer.n_headers = 0;
        memcpy(call->r->answer.headers, inner->answer.headers, sizeof(inner->answer.headers));
        call->r->answer.n_headers = inner->answer.n_headers;
        (void)answer_problem(call->r, PROBLEM_RATE_LIMITED, "too many requests; try again later");
    } else {
        if (inner->answer.status == 200)
            (void)!json_read_foreign(buf_text(body), body->len, &doc, NULL);
        (void)answer(call, doc, doc == NULL);
    }
    request_continue(call->r, STEP_ANSWERED);
}

enum step
mcp_list_tools(struct mcp_call *call)
{
    struct request *r = call->r;
    if (json_member(call->rpc.params, "cursor"))
        return rpc_error(r, &call->rpc, 200, RPC_INVALID_PARAMS,
                         "Invalid params: the list has one page, so there is no cursor");
    if (!mcp_lists_actions(r))
        return answer(call, NULL, false);
    const struct inner_ask ask = { .route = mcp_route(METHOD_GET, "/ai/actions"),
                                   .body = "{}",
                                   .len = 2 };
    if (inner_start(r, &ask, on_actions, call, NULL) != RC_OK)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    r->effect = EFFECT_SETTLED; /* the inner request is what is recorded */
    return STEP_WAIT;
}
