/* SPDX-License-Identifier: MIT */
/*
 * rpc - a message of the Model Context Protocol: JSON-RPC 2.0 in the body of a POST, and the headers
 * that must agree with it.
 *
 * Revisions: 2026-07-28, where each request says its version in _meta and nothing is kept between
 * two; 2025-11-25 and 2025-06-18, which begin with "initialize": also of these nothing is kept.
 *
 * Source: MCP 2026-07-28, "Overview", "Versioning", "Streamable HTTP"; MCP 2025-11-25, "Transports"
 */
#ifndef GANTRY_GATEWAY_MCP_RPC_H
#define GANTRY_GATEWAY_MCP_RPC_H

#include "requests/request.h"

#define MCP_MODERN "2026-07-28"
#define MCP_NEWER  "2025-11-25" /* of those with a handshake */
#define MCP_OLDER  "2025-06-18"

#define META_PREFIX  "io.modelcontextprotocol/"
#define META_VERSION META_PREFIX "protocolVersion"
#define META_CAPABLE META_PREFIX "clientCapabilities"
#define META_SERVER  META_PREFIX "serverInfo"

/* JSON-RPC 2.0, 5.1, and those of MCP. */
enum rpc_code {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_HEADER_MISMATCH = -32020,
    RPC_UNSUPPORTED_VERSION = -32022
};

struct rpc {
    const cJSON
        *id; /* borrowed from the request's document, as all of these; NULL = a notification */
    const char *method;
    const cJSON *params, *meta; /* NULL = none */
    bool modern;
    const char *requested; /* the version that is not supported */
};

/* Reads r->body into r->doc. STEP_ANSWERED: it was a fault, and the answer is the error. */
enum step rpc_read(struct request *r, struct rpc *out);
/* An error as the answer. */
__attribute__((format(printf, 5, 6))) enum step rpc_error(struct request *r, const struct rpc *rpc,
                                                          int http, enum rpc_code code,
                                                          const char *format, ...);
/* The beginning of a result's message, up to its members; then rpc_end(). */
void rpc_begin(struct json_writer *w, struct buf *out, const struct rpc *rpc);
enum rc rpc_end(struct json_writer *w);
void rpc_put_server(struct json_writer *w, const char *name);
void rpc_put_versions(struct json_writer *w, const char *name);
/* What a notification or a result looks like on the stream. */
void rpc_stream(struct request *r, const struct buf *message);

#endif
