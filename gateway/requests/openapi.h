/* SPDX-License-Identifier: MIT */
/*
 * openapi - the OpenAPI 3.1 document, made from the route table and the schemas of the bodies.
 *
 * Source: OpenAPI 3.1.0
 */
#ifndef GANTRY_GATEWAY_REQUESTS_OPENAPI_H
#define GANTRY_GATEWAY_REQUESTS_OPENAPI_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/rc.h"
#include "json/json.h"

#define OPENAPI_MAX (1u << 20)

/* A body's schema in words that every reader knows; the caller's; NULL when there is none. */
cJSON *openapi_schema(const char *name);
enum rc openapi_write(struct buf *out, struct err *err);

#endif
