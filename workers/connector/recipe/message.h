/* SPDX-License-Identifier: MIT */
/*
 * message - an e-mail as RFC 5322 has it, of parameters: no text of theirs reaches a header unencoded.
 *
 * Shape:   {"from","to":[…],"cc":[…],"bcc":[…],"reply_to","subject","text","html",
 *           "attachments":[{"name","type","data" (base64)}],"id"}; every part is base64
 * Errors:  RC_INVALID  a malformed address, media type or base64: the error names the member
 * Source:  RFC 5322, 2045 to 2047, 2231
 */
#ifndef GANTRY_CONNECTOR_RECIPE_MESSAGE_H
#define GANTRY_CONNECTOR_RECIPE_MESSAGE_H

#include "base/buf.h"
#include "base/rc.h"
#include "json/json.h"

/* date_ms: of the header Date. */
enum rc message_write(const cJSON *mail, int64_t date_ms, struct buf *out, struct err *err);

#endif
