/* SPDX-License-Identifier: MIT */
#include "mcp/rpc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "crypto/crypto_encode.h"
#include "gateway.h"
#include "requests/answer.h"

#define ERROR_MAX 4096 /* bytes of an error's message */
#define ID_MAX    256  /* bytes of a message's id */
#define SENTENCE  320
#define NAME_MAX_ 256 /* bytes of Mcp-Name, decoded */

static const char *const VERSIONS[] = { MCP_MODERN, MCP_NEWER, MCP_OLDER };

/* --- writing -------------------------------------------------------------------------------------- */

void
rpc_put_server(struct json_writer *w, const char *name)
{
    json_object(w, name);
    json_put_string(w, "name", "gantry");
    json_put_string(w, "title", "Gantry");
    json_put_string(w, "version", GANTRY_VERSION);
    json_close(w);
}

void
rpc_put_versions(struct json_writer *w, const char *name)
{
    json_array(w, name);
    for (size_t i = 0; i < sizeof(VERSIONS) / sizeof(VERSIONS[0]); i++)
        json_put_string(w, NULL, VERSIONS[i]);
    json_close(w);
}

static void
put_id(struct json_writer *w, const cJSON *id)
{
    if (cJSON_IsString(id))
        json_put_string(w, "id", id->valuestring);
    else if (id)
        json_put_int(w, "id", (int64_t)id->valuedouble);
}

void
rpc_begin(struct json_writer *w, struct buf *out, const struct rpc *rpc)
{
    json_begin(w, out);
    json_object(w, NULL);
    json_put_string(w, "jsonrpc", "2.0");
    put_id(w, rpc->id);
    json_object(w, "result");
    if (!rpc->modern)
        return;
    json_put_string(w, "resultType", "complete");
}

enum rc
rpc_end(struct json_writer *w)
{
    json_close(w);
    json_close(w);
    return json_end(w);
}

/* A version as it was asked for, if it looks like one: a header may hold anything. */
static const char *
named_version(const char *text)
{
    static const char PLAIN[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-";
    bool plain = text && strlen(text) <= 32 && strspn(text, PLAIN) == strlen(text);
    return plain ? text : "";
}

enum step
rpc_error(struct request *r, const struct rpc *rpc, int http, enum rpc_code code,
          const char *format, ...)
{
    AUTO(buf) struct buf out = { 0 };
    char text[SENTENCE];
    struct json_writer w;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_init(&out, ERROR_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "jsonrpc", "2.0");
    put_id(&w, rpc->id); /* MCP has no null id: what could not be read is left out */
    json_object(&w, "error");
    json_put_int(&w, "code", code);
    json_put_string(&w, "message", text);
    if (code == RPC_UNSUPPORTED_VERSION) {
        json_object(&w, "data");
        rpc_put_versions(&w, "supported");
        json_put_string(&w, "requested", named_version(rpc->requested));
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the error is too long");
    (void)answer_raw(r, http, "application/json", buf_text(&out), out.len);
    r->code = "rpc_error";
    return STEP_ANSWERED;
}

void
rpc_stream(struct request *r, const struct buf *message)
{
    static const char HEAD[] = "event: message\ndata: ";
    const char *text = buf_text(message);
    const char *end = text + message->len;
    http_stream_write(r->exchange, HEAD, sizeof(HEAD) - 1);
    while (text < end) { /* a line's end in JSON is a blank, but here it would end the data */
        size_t len = strcspn(text, "\r\n");
        http_stream_write(r->exchange, text, len);
        text += len;
        if (text < end)
            http_stream_write(r->exchange, " ", 1);
        text += text < end;
    }
    http_stream_write(r->exchange, "\n\n", 2);
}

/* --- headers -------------------------------------------------------------------------------------- */

/* "=?base64?…?=" is what a name looks like that is no plain header value. */
static bool
name_agrees(const char *header, const char *name)
{
    static const char PREFIX[] = "=?base64?";
    size_t prefix = sizeof(PREFIX) - 1;
    size_t len = strlen(header);
    uint8_t clear[NAME_MAX_];
    size_t n = 0;
    if (len < prefix + 2 || strncmp(header, PREFIX, prefix) != 0 ||
        strcmp(header + len - 2, "?=") != 0)
        return strcmp(header, name) == 0;
    return base64_decode(header + prefix, len - prefix - 2, clear, sizeof(clear), &n) == RC_OK &&
           n == strlen(name) && memcmp(clear, name, n) == 0;
}

static bool
supported(const char *version, bool *modern)
{
    for (size_t i = 0; i < sizeof(VERSIONS) / sizeof(VERSIONS[0]); i++) {
        if (strcmp(version, VERSIONS[i]) == 0) {
            *modern = i == 0;
            return true;
        }
    }
    return false;
}

static enum step
check_modern(struct request *r, struct rpc *rpc)
{
    const char *method = http_header(r->exchange, "Mcp-Method", NULL);
    const char *name = http_header(r->exchange, "Mcp-Name", NULL);
    const char *wanted = json_string(rpc->params, "name");
    if (!json_string(rpc->meta, META_VERSION))
        return rpc_error(r, rpc, 400, RPC_INVALID_PARAMS,
                         "Invalid params: _meta has no " META_VERSION);
    if (!cJSON_IsObject(json_member(rpc->meta, META_CAPABLE)))
        return rpc_error(r, rpc, 400, RPC_INVALID_PARAMS,
                         "Invalid params: _meta has no " META_CAPABLE);
    if (!method || strcmp(method, rpc->method) != 0)
        return rpc_error(r, rpc, 400, RPC_HEADER_MISMATCH, "Header mismatch: Mcp-Method %s",
                         method ? "is not the body's method" : "is missing");
    if (strcmp(rpc->method, "tools/call") == 0 && (!name || !wanted || !name_agrees(name, wanted)))
        return rpc_error(r, rpc, 400, RPC_HEADER_MISMATCH, "Header mismatch: Mcp-Name %s",
                         name ? "is not params.name" : "is missing");
    return STEP_NEXT;
}

/* Which revision it is of. Notifications are not held to it: no header is defined for them. */
static enum step
check_version(struct request *r, struct rpc *rpc)
{
    const char *header = http_header(r->exchange, "MCP-Protocol-Version", NULL);
    const char *inside = json_string(rpc->meta, META_VERSION);
    if (!rpc->id || (!inside && strcmp(rpc->method, "initialize") == 0))
        return STEP_NEXT;
    rpc->modern = true; /* so far: its errors are what both kinds of client understand */
    if (!header)
        return rpc_error(r, rpc, 400, RPC_HEADER_MISMATCH,
                         "Header mismatch: MCP-Protocol-Version is missing");
    if (inside && strcmp(header, inside) != 0)
        return rpc_error(r, rpc, 400, RPC_HEADER_MISMATCH,
                         "Header mismatch: MCP-Protocol-Version is not that of _meta");
    rpc->requested = header;
    if (!supported(header, &rpc->modern) || (inside && !rpc->modern))
        return rpc_error(r, rpc, 400, RPC_UNSUPPORTED_VERSION, "Unsupported protocol version");
    return rpc->modern ? check_modern(r, rpc) : STEP_NEXT;
}

/* --- the body ------------------------------------------------------------------------------------- */

static bool
is_id(const cJSON *id)
{
    if (cJSON_IsString(id))
        return strlen(id->valuestring) <= ID_MAX;
    return cJSON_IsNumber(id) && json_is_int(id->valuedouble);
}

static enum step
check_message(struct request *r, struct rpc *rpc)
{
    const cJSON *id = json_member(r->doc, "id");
    const char *jsonrpc = json_string(r->doc, "jsonrpc");
    if (cJSON_IsArray(r->doc))
        return rpc_error(r, rpc, 400, RPC_INVALID_REQUEST,
                         "Invalid Request: batches are not taken, send one message a request");
    if (id && is_id(id))
        rpc->id = id;
    else if (id)
        return rpc_error(
            r, rpc, 400, RPC_INVALID_REQUEST,
            "Invalid Request: id must be a string of at most %d bytes or a whole number", ID_MAX);
    if (!jsonrpc || strcmp(jsonrpc, "2.0") != 0)
        return rpc_error(r, rpc, 400, RPC_INVALID_REQUEST,
                         "Invalid Request: jsonrpc is not \"2.0\"");
    rpc->method = json_string(r->doc, "method");
    if (!rpc->method || !*rpc->method)
        return rpc_error(r, rpc, 400, RPC_INVALID_REQUEST, "Invalid Request: it has no method");
    rpc->params = json_member(r->doc, "params");
    if (cJSON_IsNull(rpc->params)) /* as if absent, like every optional member */
        rpc->params = NULL;
    if (rpc->params && !cJSON_IsObject(rpc->params))
        return rpc_error(r, rpc, 400, RPC_INVALID_REQUEST,
                         "Invalid Request: params must be an object");
    rpc->meta = json_member(rpc->params, "_meta");
    return check_version(r, rpc);
}

enum step
rpc_read(struct request *r, struct rpc *out)
{
    struct err err = { 0 };
    *out = (struct rpc){ 0 };
    enum rc rc = json_read(buf_text(&r->body), r->body.len, &r->doc, &err);
    if (rc == RC_OK)
        return check_message(r, out);
    return rpc_error(r, out, 400, rc == RC_CORRUPT ? RPC_PARSE_ERROR : RPC_INVALID_REQUEST,
                     "%s: %s", rc == RC_CORRUPT ? "Parse error" : "Invalid Request", err.text);
}
