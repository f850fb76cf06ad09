/* SPDX-License-Identifier: MIT */
/*
 * scheme - whether a request is from the service that has a hook's secret: its signature over the raw body.
 *
 * Shape:   headers is an object of texts by names in lower case
 *          standard  Standard Webhooks: webhook-id, -timestamp, -signature
 *          github    X-Hub-Signature-256: sha256=HEX of the body
 *          stripe    Stripe-Signature: t=SECONDS,v1=HEX,… of "SECONDS.BODY"
 *          slack     X-Slack-Signature: v0=HEX of "v0:X-Slack-Request-Timestamp:BODY"
 *          hmac      a header of the hook's own: prefix, then HMAC-SHA-256 of the body
 * Errors:  RC_DENIED, without a reason: whoever has no secret learns nothing. Signatures are compared in
 *          constant time
 * Threads: any
 * Source:  the services' own pages on webhooks; Standard Webhooks 1.0
 */
#ifndef GANTRY_CONNECTOR_HOOKS_SCHEME_H
#define GANTRY_CONNECTOR_HOOKS_SCHEME_H

#include "base/rc.h"
#include "json/json.h"

#define SCHEME_TOLERANCE_S 300

struct scheme_request {
    const cJSON *headers;
    const void *body;
    size_t len;
    int64_t now_s;
};

/* definition: tolerance_seconds; of hmac: header, encoding, prefix. An unknown scheme is RC_DENIED. */
enum rc scheme_verify(const char *scheme, const cJSON *definition, const char *secret,
                      const struct scheme_request *request);

#endif
