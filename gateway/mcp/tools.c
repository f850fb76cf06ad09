/* SPDX-License-Identifier: MIT */
/*
 * tools - the table of tools, and how they are described to a model.
 *
 * Schemas are those of the routes and of OpenAPI's answers: with references resolved, and without what
 * only our own reader knows (x-…). An answer that comes as "accepted" has fewer members: what is
 * required is what every answer has.
 */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "embed_openapi.h"
#include "mcp/mcp_own.h"
#include "requests/openapi.h"
#include "validate/schema.h"

#define TOOL_MAX        (256u << 10) /* bytes of one description */
#define DEPTH_MAX       24
#define DESCRIPTION_MAX 1024

static const char *const STORED[] = { "status", "id", "request_id", NULL };
static const char *const UPDATED[] = { "id", NULL };
static const char *const DELETED[] = { "status", "id", NULL };
static const char *const RECORDED[] = { "status", "event_id", "request_id", NULL };
static const char *const RAN[] = { "status", "job_id", "request_id", NULL };

/* The order in which they are listed. */
const struct tool TOOLS[] = {
    { "memory_store", "Store a memory",
      "Remember a text under a scope such as user:1, with optional facts, tags and metadata. It "
      "can be "
      "searched as soon as this returns. The same text in the same scope is stored once.",
      METHOD_POST, "/webhook/memory/ingest", TOOL_PLAIN, "Ingested", STORED, false, false, true },
    { "memory_search", "Search memories",
      "Find memories by meaning and words. Narrow it down by scope, tags, source and time; each "
      "result "
      "has its score.",
      METHOD_POST, "/webhook/memory/search", TOOL_PLAIN, "Found", NULL, true, false, true },
    { "memory_get", "Read a memory", "Read one memory by its id, with its facts.", METHOD_GET,
      "/memory/{id}", TOOL_PLAIN, "Memory", NULL, true, false, true },
    { "memory_list", "List memories",
      "List memories, newest first, of one scope or of all; go on with next_cursor as cursor.",
      METHOD_GET, "/memory", TOOL_PLAIN, "MemoryPage", NULL, true, false, true },
    { "memory_update", "Change a memory",
      "Change the text, tags, source, metadata or life time of a memory; its history is kept.",
      METHOD_PATCH, "/memory/{id}", TOOL_PLAIN, "Memory", UPDATED, false, true, true },
    { "memory_delete", "Delete a memory",
      "Delete one memory for good, with its history and facts. This cannot be undone.",
      METHOD_DELETE, "/memory/{id}", TOOL_DELETE, "Deleted", DELETED, false, true, true },
    { "audit_record", "Record an audit event",
      "Record in the tamper-evident audit log who did what to what, and what was decided about it.",
      METHOD_POST, "/webhook/audit/append", TOOL_PLAIN, "Appended", RECORDED, false, false, false },
    { "job_get", "Look at a job",
      "The state and result of a job. With wait it answers when the job changes its state, or "
      "after so "
      "many seconds: ask again until status is neither waiting_approval, pending nor running.",
      METHOD_GET, "/ai/jobs/{id}", TOOL_JOB, "Job", NULL, true, false, true },
    { "job_cancel", "Cancel a job", "End a job: its processes are gone within a second.",
      METHOD_DELETE, "/ai/jobs/{id}", TOOL_JOB, "Job", NULL, false, true, true },
    { "approvals_list", "List what waits for an approval",
      "Actions of the workspace that wait until somebody has approved them, newest first.",
      METHOD_GET, "/ai/approvals", TOOL_PLAIN, "ApprovalPage", NULL, true, false, true },
    { "approval_get", "Look at what waits for an approval",
      "Exactly what would run, who asked for it and why it waits, with the hash to decide about "
      "it.",
      METHOD_GET, "/ai/approvals/{id}", TOOL_PLAIN, "Approval", NULL, true, false, true },
    { "approval_decide", "Approve or deny an action",
      "Decide about an action that somebody else asked for. Only on the word of a person who was "
      "shown what approval_get gives; send its hash.",
      METHOD_POST, "/ai/approvals/{id}", TOOL_PLAIN, "Approval", NULL, false, true, false },
};
const size_t N_TOOLS = sizeof(TOOLS) / sizeof(TOOLS[0]);

const struct tool *
tool_find(const char *name)
{
    for (size_t i = 0; i < N_TOOLS; i++)
        if (strcmp(TOOLS[i].name, name) == 0)
            return &TOOLS[i];
    return NULL;
}

/* Some clients take letters, digits, _ and - only. */
void
tool_name_of(const char *action, char name[TOOL_NAME_MAX])
{
    (void)strlcpy(name, action, TOOL_NAME_MAX);
    for (char *c = name; *c; c++)
        if (*c == '.')
            *c = '_';
}

const char *
tool_action(const struct allow_view *view, const char *name)
{
    char other[TOOL_NAME_MAX];
    const char *first = NULL;
    for (unsigned i = 0; i < view->count; i++) {
        tool_name_of(view->actions[i], other);
        if (strcmp(other, name) == 0 && (!first || strcmp(view->actions[i], first) < 0))
            first = view->actions[i];
    }
    return first;
}

/* --- schemas -------------------------------------------------------------------------------------- */

/* Put what a reference names in its place, and take out our own keywords. Recursion: as deep as our
 * schemas. */
static void
tidy(cJSON *schema, const cJSON *components, unsigned depth)
{
    static const char PREFIX[] = "#/components/schemas/";
    cJSON *next;
    for (cJSON *one = schema->child; one && depth < DEPTH_MAX; one = next) {
        next = one->next;
        if (one->string && strncmp(one->string, "x-", 2) == 0) {
            cJSON_Delete(cJSON_DetachItemViaPointer(schema, one));
            continue;
        }
        const char *ref = json_string(one, "$ref");
        if (ref && strncmp(ref, PREFIX, sizeof(PREFIX) - 1) == 0) {
            const cJSON *named = json_member(components, ref + sizeof(PREFIX) - 1);
            cJSON *copy = cJSON_Duplicate(named, true);
            if (copy && one->string)
                (void)cJSON_ReplaceItemInObjectCaseSensitive(schema, one->string, copy);
            else if (copy) { /* an element has no name; the copy brings that of its definition */
                cJSON_free(copy->string);
                copy->string = NULL;
                (void)cJSON_ReplaceItemViaPointer(schema, one, copy);
            }
            one = copy ? copy : one;
        }
        if (one->child)
            tidy(one, components, depth + 1);
    }
}

static void
set_required(cJSON *schema, const char *const *names)
{
    cJSON *list = cJSON_CreateArray();
    cJSON_DeleteItemFromObjectCaseSensitive(schema, "required");
    for (; *names; names++)
        (void)cJSON_AddItemToArray(list, cJSON_CreateString(*names));
    (void)cJSON_AddItemToObject(schema, "required", list);
}

/* A command can also be answered "accepted". */
static void
allow_accepted(cJSON *schema)
{
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    cJSON *status = cJSON_GetObjectItemCaseSensitive(properties, "status");
    cJSON *values = cJSON_GetObjectItemCaseSensitive(status, "enum");
    if (values) {
        (void)cJSON_AddItemToArray(values, cJSON_CreateString("accepted"));
        (void)cJSON_AddItemToArray(values, cJSON_CreateString("waiting_approval"));
        return;
    }
    if (!status)
        status = cJSON_AddObjectToObject(properties, "status");
    (void)cJSON_AddStringToObject(status, "type", "string");
    if (!json_member(properties, "request_id"))
        (void)cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, "request_id"), "type",
                                      "string");
}

static cJSON *
answer_schema(const char *name, const char *const *required, const cJSON *components)
{
    cJSON *schema = cJSON_Duplicate(json_member(components, name), true);
    if (!schema)
        return NULL;
    tidy(schema, components, 0);
    if (required) {
        allow_accepted(schema);
        set_required(schema, required);
    }
    return schema;
}

/* The arguments: the route's document, without the workspace, which is the key's. */
static cJSON *
argument_schema(const struct tool *tool, const struct route *route)
{
    static const char *const JOB_ID[] = { "job_id", NULL };
    cJSON *schema = openapi_schema(route->schema);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    cJSON_DeleteItemFromObjectCaseSensitive(schema, "title");
    cJSON_DeleteItemFromObjectCaseSensitive(properties, "tenant_id");
    if (tool->kind == TOOL_JOB) {
        cJSON_DeleteItemFromObjectCaseSensitive(properties, "id");
        set_required(schema, JOB_ID);
    }
    if (schema)
        tidy(schema, NULL, 0);
    return schema;
}

/* --- descriptions --------------------------------------------------------------------------------- */

struct hints {
    bool reads, destroys, repeats, open;
};

static void
put_hints(struct json_writer *w, const struct hints *hints)
{
    json_object(w, "annotations");
    json_put_bool(w, "readOnlyHint", hints->reads);
    json_put_bool(w, "destructiveHint", hints->destroys);
    json_put_bool(w, "idempotentHint", hints->repeats);
    json_put_bool(w, "openWorldHint", hints->open);
    json_close(w);
}

static const struct route *
route_of(const struct tool *tool)
{
    for (size_t i = 0; i < N_ROUTES; i++)
        if (ROUTES[i].method == tool->method && strcmp(ROUTES[i].path, tool->path) == 0)
            return &ROUTES[i];
    return NULL;
}

static enum rc
describe(struct mcp *mcp, size_t i, const cJSON *components)
{
    const struct tool *tool = &TOOLS[i];
    AUTO(json) cJSON *input = NULL;
    AUTO(json) cJSON *output = NULL;
    struct json_writer w;
    mcp->routes[i] = route_of(tool);
    if (!mcp->routes[i] || !(input = argument_schema(tool, mcp->routes[i])) ||
        !(output = answer_schema(tool->answer, tool->required, components)))
        return RC_BUG;
    buf_init(&mcp->tools[i], TOOL_MAX);
    json_begin(&w, &mcp->tools[i]);
    json_object(&w, NULL);
    json_put_string(&w, "name", tool->name);
    json_put_string(&w, "title", tool->title);
    json_put_string(&w, "description", tool->description);
    json_put_doc(&w, "inputSchema", input);
    json_put_doc(&w, "outputSchema", output);
    const struct hints hints = { tool->reads, tool->destroys, tool->repeats, false };
    put_hints(&w, &hints);
    json_close(&w);
    return json_end(&w);
}

enum rc
tools_describe(struct mcp *mcp, struct err *err)
{
    AUTO(json) cJSON *base = NULL;
    AUTO(json) cJSON *ran = NULL;
    struct json_writer w;
    enum rc rc =
        json_read_foreign(EMBED_OPENAPI[0].text, strlen(EMBED_OPENAPI[0].text), &base, err);
    const cJSON *components = json_member(json_member(base, "components"), "schemas");
    for (size_t i = 0; rc == RC_OK && i < N_TOOLS; i++)
        rc = describe(mcp, i, components);
    if (rc == RC_OK && !(ran = answer_schema("Ran", RAN, components)))
        rc = RC_BUG;
    buf_init(&mcp->action_answer, TOOL_MAX);
    json_begin(&w, &mcp->action_answer);
    json_put_doc(&w, NULL, ran);
    if (rc == RC_OK)
        rc = json_end(&w);
    return rc == RC_OK ? RC_OK : err_set(err, RC_BUG, "the tools of MCP cannot be described");
}

/* The action's own parameters, and two of the request. */
static void
put_action_input(struct json_writer *w, const cJSON *params)
{
    static const char *const OWN[] = { "timeout_seconds", "client_request_id" };
    AUTO(json) cJSON *input = cJSON_Duplicate(params, true);
    AUTO(json) cJSON *run = openapi_schema("executor_run");
    const cJSON *known = json_member(run, "properties");
    if (!cJSON_IsObject(input)) {
        json_cleanup(&input);
        input = cJSON_CreateObject();
    }
    if (!json_member(input, "type"))
        (void)cJSON_AddStringToObject(input, "type", "object");
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(input, "properties");
    if (!properties)
        properties = cJSON_AddObjectToObject(input, "properties");
    for (size_t i = 0; i < 2; i++)
        if (!json_member(properties, OWN[i]) && json_member(known, OWN[i]))
            (void)cJSON_AddItemToObject(properties, OWN[i],
                                        cJSON_Duplicate(json_member(known, OWN[i]), true));
    tidy(input, NULL, 0);
    json_put_doc(w, "inputSchema", input);
}

static void
put_action_description(struct json_writer *w, const cJSON *action, bool connector)
{
    char description[DESCRIPTION_MAX];
    const char *own = json_string(action, "description");
    int64_t wall_ms = json_int(json_member(action, "limits"), "wall_ms", 30000);
    (void)snprintf(description, sizeof(description),
                   "%s%s%s at most %lld s unless timeout_seconds says more; when the wait ends "
                   "first, the answer is a job_id for job_get.",
                   own ? own : "", own ? " " : "",
                   connector ? "It reaches a service over the network,"
                             : "It runs in a sandbox without network,",
                   (long long)wall_ms / 1000);
    json_put_string(w, "description", description);
}

void
tool_put_action(const struct mcp *mcp, struct json_writer *w, const cJSON *action)
{
    char name[TOOL_NAME_MAX];
    const char *kind = json_string(action, "kind");
    bool connector = kind && strcmp(kind, "connector") == 0;
    const cJSON *said = json_member(action, "hints");
    /* A sandbox's work leaves nothing behind; a service's may, unless the manifest says that it does not. */
    const struct hints hints = { json_bool(said, "read_only", false),
                                 json_bool(said, "destructive", connector),
                                 json_bool(said, "idempotent", false), connector };
    tool_name_of(json_string(action, "action"), name);
    json_object(w, NULL);
    json_put_string(w, "name", name);
    json_put_string(w, "title", json_string(action, "action"));
    put_action_description(w, action, connector);
    put_action_input(w, json_member(action, "params"));
    json_put_raw(w, "outputSchema", buf_text(&mcp->action_answer), mcp->action_answer.len);
    put_hints(w, &hints);
    json_close(w);
}
