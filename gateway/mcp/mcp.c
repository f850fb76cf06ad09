/* SPDX-License-Identifier: MIT */
#include "mcp/mcp.h"

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "gateway.h"
#include "keys/allow.h"
#include "mcp/mcp_own.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/handlers.h"
#include "validate/secrets.h"

#define RESULT_MAX 8192
#define TTL_MS     3600000 /* of what the server is */

static const char INSTRUCTIONS[] =
    "Gantry keeps memories that can be searched, records audit events, and runs tasks in a sandbox "
    "without network. Search before you store; store one statement a memory, under a scope such as "
    "user:1 or project:x. An error names the field, what was found and what to send instead. What "
    "takes long answers with a job_id: ask for it with job_get.";

/* --- what the server is --------------------------------------------------------------------------- */

static void
put_capabilities(struct json_writer *w)
{
    json_object(w, "capabilities");
    json_object(w, "tools");
    json_put_bool(w, "listChanged", false);
    json_close(w);
    json_close(w);
}

static enum step
answer_result(struct mcp_call *call, struct json_writer *w, const struct buf *out)
{
    if (rpc_end(w) != RC_OK)
        return rpc_error(call->r, &call->rpc, 200, RPC_INTERNAL_ERROR, "Internal error");
    return answer_raw(call->r, 200, "application/json", buf_text(out), out->len);
}

static enum step
discover(struct mcp_call *call)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, RESULT_MAX);
    rpc_begin(&w, &out, &call->rpc);
    rpc_put_versions(&w, "supportedVersions");
    put_capabilities(&w);
    json_put_string(&w, "instructions", INSTRUCTIONS);
    json_put_int(&w, "ttlMs", TTL_MS);
    json_put_string(&w, "cacheScope", "public");
    json_object(&w, "_meta");
    rpc_put_server(&w, META_SERVER);
    json_close(&w);
    return answer_result(call, &w, &out);
}

/* The client's version, if it is one with a handshake; else the newest of these. */
static enum step
initialize(struct mcp_call *call)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    const char *wanted = json_string(call->rpc.params, "protocolVersion");
    if (!wanted)
        return rpc_error(call->r, &call->rpc, 200, RPC_INVALID_PARAMS,
                         "Invalid params: protocolVersion must be a string");
    buf_init(&out, RESULT_MAX);
    rpc_begin(&w, &out, &call->rpc);
    json_put_string(&w, "protocolVersion", strcmp(wanted, MCP_OLDER) == 0 ? MCP_OLDER : MCP_NEWER);
    put_capabilities(&w);
    rpc_put_server(&w, "serverInfo");
    json_put_string(&w, "instructions", INSTRUCTIONS);
    return answer_result(call, &w, &out);
}

static enum step
ping(struct mcp_call *call)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, RESULT_MAX);
    rpc_begin(&w, &out, &call->rpc);
    return answer_result(call, &w, &out);
}

/* --- dispatch ------------------------------------------------------------------------------------- */

enum era { ANY, MODERN, LEGACY };

static const struct {
    const char *name;
    enum era era;
    enum step (*fn)(struct mcp_call *call);
} METHODS[] = {
    { "tools/call", ANY, mcp_call_tool },
    { "tools/list", ANY, mcp_list_tools },
    { "server/discover", MODERN, discover },
    { "initialize", LEGACY, initialize },
    { "ping", LEGACY, ping },
};

static bool
is_method(const struct rpc *rpc, const char *name)
{
    return rpc->id && strcmp(rpc->method, name) == 0;
}

static enum step
unknown_tool(struct mcp_call *call)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *name = call->name;
    bool plain =
        name[0] && strspn(name, PLAIN) == strlen(name) && !secrets_find(name, strlen(name));
    return rpc_error(call->r, &call->rpc, 200, RPC_INVALID_PARAMS,
                     "Unknown tool%s%.64s; tools/list names those that this key may call",
                     plain ? ": " : "", plain ? name : "");
}

enum step
mcp_post(struct request *r)
{
    struct mcp_call *call = r->own;
    const struct rpc *rpc = &call->rpc;
    if (call->refused)
        return STEP_ANSWERED;
    if (!rpc->id)
        return answer_empty(r, 202);
    const char *fault = is_method(rpc, "tools/call") ? mcp_call_fault(call) : NULL;
    if (fault)
        return rpc_error(r, rpc, 200, RPC_INVALID_PARAMS, "Invalid params: %s", fault);
    if (is_method(rpc, "tools/call") && !call->tool && !call->action[0])
        return unknown_tool(call);
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (strcmp(rpc->method, METHODS[i].name) == 0 &&
            (METHODS[i].era == ANY || (METHODS[i].era == MODERN) == rpc->modern))
            return METHODS[i].fn(call);
    return rpc_error(r, rpc, rpc->modern ? 404 : 200, RPC_METHOD_NOT_FOUND, "Method not found");
}

/* --- what is counted by the rate limit, and which action a tool is ---------------------------------- */

bool
mcp_lists_actions(const struct request *r)
{
    return principal_has(&r->actor, SCOPE_ACTIONS_PREVIEW) &&
           principal_has(&r->actor, SCOPE_ACTIONS_EXECUTE);
}

const struct route *
mcp_route(enum http_method method, const char *path)
{
    for (size_t i = 0; i < N_ROUTES; i++)
        if (ROUTES[i].method == method && strcmp(ROUTES[i].path, path) == 0)
            return &ROUTES[i];
    return NULL;
}

static enum step
take_action(struct mcp_call *call, const struct allow_view *view)
{
    const char *action = tool_action(view, call->name);
    if (!action)
        return rate_take(call->r);
    (void)strlcpy(call->action, action, sizeof(call->action));
    return STEP_NEXT;
}

static void
on_allowed(void *arg, enum rc rc, const struct allow_view *view)
{
    struct mcp_call *call = arg;
    enum step step = rc == RC_OK ? take_action(call, view)
                                 : answer_problem(call->r, PROBLEM_UNAVAILABLE,
                                                  "PostgreSQL does not answer: which actions this "
                                                  "workspace is allowed is not known");
    if (step != STEP_WAIT)
        request_continue(call->r, step);
}

static enum step
find_action(struct mcp_call *call)
{
    struct allowlist *list = call->r->gw->allowlist;
    const struct allow_view *known = allow_known(list, call->r->actor.workspace);
    if (known)
        return take_action(call, known);
    if (allow_ask(list, call->r->actor.workspace, on_allowed, call) == RC_OK)
        return STEP_WAIT;
    return answer_problem(call->r, PROBLEM_UNAVAILABLE, "PostgreSQL does not answer");
}

/* The page of tools holds what an inner request tells. */
static bool
asks_for_actions(const struct mcp_call *call)
{
    return is_method(&call->rpc, "tools/list") && mcp_lists_actions(call->r) &&
           !json_member(call->rpc.params, "cursor");
}

/* What leads to an inner request is counted by that; all else here. */
enum step
mcp_admit(struct request *r)
{
    struct mcp_call *call = calloc(1, sizeof(*call));
    if (!call)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    r->own = call;
    call->r = r;
    call->refused = rpc_read(r, &call->rpc) == STEP_ANSWERED;
    if (call->refused)
        return rate_take(r);
    if (asks_for_actions(call))
        return STEP_NEXT;
    if (!is_method(&call->rpc, "tools/call") || mcp_call_fault(call))
        return rate_take(r);
    const char *name = json_string(call->rpc.params, "name");
    (void)strlcpy(call->name, name ? name : "", sizeof(call->name));
    call->tool = tool_find(call->name);
    return call->tool ? STEP_NEXT : call->name[0] ? find_action(call) : rate_take(r);
}

/* --- life ----------------------------------------------------------------------------------------- */

enum rc
mcp_open(struct mcp **out, struct err *err)
{
    struct mcp *mcp = calloc(1, sizeof(*mcp));
    if (!mcp)
        return err_set(err, RC_TEMP, "no memory for the tools of MCP");
    enum rc rc = tools_describe(mcp, err);
    if (rc != RC_OK) {
        mcp_close(mcp);
        return rc;
    }
    *out = mcp;
    return RC_OK;
}

void
mcp_close(struct mcp *mcp)
{
    for (size_t i = 0; mcp && i < TOOLS_MAX; i++)
        buf_fini(&mcp->tools[i]);
    if (mcp)
        buf_fini(&mcp->action_answer);
    free(mcp);
}
