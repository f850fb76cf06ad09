/* SPDX-License-Identifier: MIT */
/*
 * idem - the same request again gives the same answer (decision 5 of the architecture).
 *
 * Theory of operation. One Redis record per (workspace, route, client's key) holds the command id,
 * a keyed hash of the body, the lease, the attempt and, once there is one, the answer. Every step is
 * one Lua script (gateway/lua/idem_*.lua). The id is fixed by the first reservation, so whoever comes
 * after a crash executes the same command, which the worker absorbs and answers again. An answer
 * is recorded before it is sent; if recording fails it is sent all the same, since a retry finds the
 * effect by its id. 5xx answers release the lease instead.
 *
 * Shape:   answer {"status":200,"body":{members named in the route's record}}; a problem's type,
 *          title, status, detail, code and errors. Never content.
 * Errors:  503 when Redis is unavailable; 409, 422 as in the contract
 */
#ifndef GANTRY_GATEWAY_EFFECTS_IDEM_H
#define GANTRY_GATEWAY_EFFECTS_IDEM_H

#include "requests/request.h"

#define IDEM_REDIS_MS 2000

/* The Redis key of a client's key under a label: the route, or what else it names. */
void idem_place(const struct request *r, const char *label, const char *key,
                char place[IDEM_PLACE_MAX]);

/* Keyed, as 64 hexadecimal digits. */
void idem_hash(const struct gateway *gw, const void *data, size_t len, char hex[65]);
/* Give a reservation back; its failure is the lease's running out. */
void idem_release(struct gateway *gw, const char *place, const char *id, int64_t attempt);

/* The record of r's answer, as text; RC_INVALID if it is not of a kind that is recorded. */
enum rc idem_encode(const struct request *r, struct buf *out);
/* r's answer from a record. */
enum rc idem_decode(struct request *r, const char *text, size_t len);

#endif
