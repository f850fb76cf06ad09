/* SPDX-License-Identifier: MIT */
/*
 * mcp - POST /mcp: the Model Context Protocol, so that an agent uses Gantry without a line of code.
 *
 * Shape:   mcp.c answers what concerns the protocol; tools.c has the table of tools, each a route of
 *          ours, and their descriptions; list.c answers tools/list, call.c tools/call. A tool call is an
 *          inner request (requests/inner.h): the route's own checks, limits, idempotency and audit.
 * State:   none between two requests; no session, no stream but a request's own.
 * Threads: the loop's thread only
 * Source:  docs/agents.md; rpc.h names the revisions
 */
#ifndef GANTRY_GATEWAY_MCP_MCP_H
#define GANTRY_GATEWAY_MCP_MCP_H

#include "mcp/rpc.h"

struct gateway;
struct mcp; /* the tools' descriptions, made at the start */

enum rc mcp_open(struct mcp **out, struct err *err);
void mcp_close(struct mcp *mcp); /* NULL allowed */

#endif
