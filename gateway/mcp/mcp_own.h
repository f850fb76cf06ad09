/* SPDX-License-Identifier: MIT */
/*
 * mcp_own - what the files of this folder share; nobody else includes it.
 *
 * Source: gateway/mcp/mcp.h
 */
#ifndef GANTRY_GATEWAY_MCP_MCP_OWN_H
#define GANTRY_GATEWAY_MCP_MCP_OWN_H

#include "events/events.h"
#include "keys/allow.h"
#include "mcp/mcp.h"
#include "requests/routes.h"

#define TOOLS_MAX      16
#define TOOL_NAME_MAX  129
#define MCP_ANSWER_MAX (16u << 20) /* bytes: a route's answer twice, as an object and as text */
#define MCP_UNREAD_MAX MCP_ANSWER_MAX
/* In a call's _meta: what HTTP has as Idempotency-Key. */
#define MCP_META_REQUEST_ID "gantry/client_request_id"

enum tool_kind {
    TOOL_PLAIN,  /* the arguments are the body */
    TOOL_JOB,    /* … but job_id stands for the path's id */
    TOOL_DELETE, /* … and 204 is an answer that says so */
};

struct tool {
    const char *name, *title, *description;
    enum http_method method;
    const char *path; /* of its route */
    enum tool_kind kind;
    const char *answer; /* schema of the structured content, in openapi/base.json; NULL: own */
    const char *const
        *required; /* members of it that are always there; NULL: as the schema has it */
    bool reads, destroys, repeats; /* readOnlyHint, destructiveHint, idempotentHint */
};

struct mcp {
    const struct route *routes[TOOLS_MAX]; /* of each tool */
    struct buf tools[TOOLS_MAX];           /* its description, as JSON */
    struct buf action_answer;              /* outputSchema of every action's tool */
};

/* Of a call that is answered as a stream. */
struct progress {
    struct job_watch watch;
    bool watching;
    struct request *inner; /* borrowed while it is under way */
    int64_t start_ms;
    int64_t count;
    char status[24];
    unsigned cancels; /* that were put off, since the client has gone */
};

/* r->own of POST /mcp. */
struct mcp_call {
    struct request *r; /* borrowed: its owner */
    struct rpc rpc;
    bool refused; /* it was a fault: the answer is there */
    /* tools/call */
    const struct tool *tool; /* NULL: an action */
    char name[TOOL_NAME_MAX];
    char action[257];
    bool streams;
    struct progress progress;
};

/* tools.c */
extern const struct tool TOOLS[];
extern const size_t N_TOOLS;
const struct tool *tool_find(const char *name);
/* code.python -> code_python */
void tool_name_of(const char *action, char name[TOOL_NAME_MAX]);
/* The allowed action that a tool's name stands for: of several (x.y, x_y) the first in the order of bytes,
 * so that a later one never takes its place. NULL: none. */
const char *tool_action(const struct allow_view *view, const char *name);
enum rc tools_describe(struct mcp *mcp, struct err *err);
/* One action of GET /ai/actions as a tool. */
void tool_put_action(const struct mcp *mcp, struct json_writer *w, const cJSON *action);

/* mcp.c: the route of a tool; and whether the key may see the tools of actions */
const struct route *mcp_route(enum http_method method, const char *path);
bool mcp_lists_actions(const struct request *r);

/* list.c, call.c */
enum step mcp_list_tools(struct mcp_call *call);
enum step mcp_call_tool(struct mcp_call *call);
/* What is wrong with the parameters of tools/call, whatever the tool; NULL: nothing. */
const char *mcp_call_fault(const struct mcp_call *call);

#endif
