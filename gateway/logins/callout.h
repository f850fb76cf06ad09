/* SPDX-License-Identifier: MIT */
/*
 * callout - answers the NATS server's question whether an API key may log in, and as whom.
 *
 * The server asks on $SYS.REQ.USER.AUTH in its account AUTH; the gateways are a queue group there, so
 * each login is one gateway's. Keys are verified as for HTTP: the same cache, the same bounded pool,
 * the same revocation (keys.h). The answer places the connection in the account CLIENTS (login.h).
 *
 * Every request is answered, also when no decision can be made in time: a client that is refused
 * tries again and may meet another gateway, while silence would cost it the server's whole time-out.
 *
 * Threads: the loop's thread only
 * Source:  contract section 5; nats/server.conf, nats/callout.conf
 */
#ifndef GANTRY_GATEWAY_LOGINS_CALLOUT_H
#define GANTRY_GATEWAY_LOGINS_CALLOUT_H

#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"
#include "bus/bus.h"
#include "crypto/crypto.h"

#define CALLOUT_USER      "callout" /* of nats/server.conf */
#define CALLOUT_ACCOUNT   "AUTH"
#define CALLOUT_BURST_S   10
#define CALLOUT_ANSWER_MS 4000 /* a key not verified by then is refused; the server waits 5 s */

struct callout;
struct keys;

struct callout_options {
    struct bus_options bus; /* url of the user callout */
    uint8_t issuer_seed[CRYPTO_SEED_LEN];
    struct keys *keys;                   /* borrowed */
    uint64_t *logins, *refused, *failed; /* counted here; failed: no decision was possible */
    uint64_t most; /* logins of one workspace in CALLOUT_BURST_S, with as many saved up */
    void (*on_crowded)(void *arg, const char *workspace); /* one was refused for that */
    /* A login without a valid key, for the audit log. May be NULL. */
    void (*on_refused)(void *arg, const char *client);
    void *arg;
};

/* RC_CONFIG: the server refuses the user. A server that is unavailable is waited for in the background. */
enum rc callout_open(struct loop *loop, const struct callout_options *options, struct callout **out,
                     struct err *err);
void callout_close(struct callout *callout); /* NULL allowed */

#endif
