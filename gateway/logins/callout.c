/* SPDX-License-Identifier: MIT */
#include "logins/callout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/gcra.h"
#include "base/log.h"
#include "keys/keys.h"
#include "logins/login.h"

#define SUBJECT          "$SYS.REQ.USER.AUTH"
#define QUEUE            "gateway"
#define FIRST_CONNECT_MS 5000
#define LOGINS_MAX       4096 /* undecided at once; more are refused */
#define REPLY_MAX        256
#define NO_VALID_KEY     "no valid API key"
#define TRY_AGAIN        "keys cannot be verified at the moment"
#define TOO_MANY         "too many logins of one workspace"

/* One undecided login. It has been answered when request.doc is gone, and is freed when keys.c has
 * called back. */
struct login {
    LIST_ENTRY(login) link;
    struct callout *callout; /* NULL once the callout is closed */
    struct login_request request;
    char reply[REPLY_MAX];
    struct loop_timer *timer;
};

struct callout {
    struct callout_options options;
    struct loop *loop;
    struct bus *bus;
    struct bus_sub *sub;
    struct login_issuer issuer;
    LIST_HEAD(, login) logins;
    unsigned count;
    struct gcra_table *limits; /* by workspace */
};

/* --- answering -------------------------------------------------------------------------------- */

static void
send_answer(struct callout *callout, const char *reply, struct buf *token)
{
    struct err err = { 0 };
    struct bus_out out = { .subject = reply, .data = token->data, .len = token->len };
    if (bus_publish(callout->bus, &out, &err) != RC_OK)
        log_warn("a NATS login cannot be answered: %s", err.text);
}

static bool
is_too_fast(struct callout *callout, const char *workspace)
{
    const struct gcra_bucket bucket = { .interval_us = CALLOUT_BURST_S * INT64_C(1000000) /
                                                       (int64_t)callout->options.most,
                                        .burst = (int64_t)callout->options.most };
    struct gcra_state state;
    int64_t *tat_us = gcra_table_find(callout->limits, workspace);
    if (gcra_take(tat_us, clock_mono_us(), &bucket, &state) == 0)
        return false;
    callout->options.on_crowded(callout->options.arg, workspace);
    return true;
}

static void
answer(struct callout *callout, const char *reply, const struct login_request *request, enum rc rc,
       const struct key_view *key)
{
    AUTO(buf) struct buf token = { 0 };
    buf_init(&token, LOGIN_TOKEN_MAX);
    if (rc == RC_OK && is_too_fast(callout, key->principal.workspace)) {
        rc = login_refuse(&callout->issuer, request, TOO_MANY, &token);
    } else if (rc == RC_OK) {
        ++*callout->options.logins;
        rc = login_accept(&callout->issuer, request, &key->principal, key->expires_ms, &token);
    } else if (rc == RC_DENIED) {
        ++*callout->options.refused;
        if (callout->options.on_refused)
            callout->options.on_refused(callout->options.arg, request->host);
        rc = login_refuse(&callout->issuer, request, NO_VALID_KEY, &token);
    } else {
        ++*callout->options.failed;
        rc = login_refuse(&callout->issuer, request, TRY_AGAIN, &token);
    }
    if (rc == RC_OK)
        send_answer(callout, reply, &token);
    else
        log_error("a NATS login cannot be answered: the token does not fit");
}

/* --- logins that take time -------------------------------------------------------------------- */

static void
forget_request(struct login *login)
{
    login_request_wipe(&login->request);
    loop_timer_free(login->timer);
    login->timer = NULL;
}

static void
unlink_login(struct login *login)
{
    struct callout *callout = login->callout;
    if (!callout)
        return;
    LIST_REMOVE(login, link);
    callout->count--;
}

static void
on_verified(void *arg, enum rc rc, const struct key_view *key)
{
    struct login *login = arg;
    if (login->callout && login->request.doc)
        answer(login->callout, login->reply, &login->request, rc, key);
    unlink_login(login);
    forget_request(login);
    free(login);
}

static void
on_late(void *arg)
{
    struct login *login = arg;
    answer(login->callout, login->reply, &login->request, RC_TEMP, NULL);
    forget_request(login);
}

static struct login *
login_new(struct callout *callout, const struct login_request *request, const char *reply)
{
    struct login *login = callout->count < LOGINS_MAX ? calloc(1, sizeof(*login)) : NULL;
    if (!login)
        return NULL;
    login->callout = callout;
    login->request = *request;
    (void)snprintf(login->reply, sizeof(login->reply), "%s", reply);
    login->timer = loop_timer_new(callout->loop, on_late, login);
    loop_timer_set(login->timer, CALLOUT_ANSWER_MS, 0);
    LIST_INSERT_HEAD(&callout->logins, login, link);
    callout->count++;
    return login;
}

static void
verify(struct callout *callout, struct login_request *request, const char *reply)
{
    struct key_view key;
    enum rc rc = RC_DENIED;
    struct login *login = login_new(callout, request, reply);
    if (!login) {
        answer(callout, reply, request, RC_TEMP, NULL);
        login_request_wipe(request);
        return;
    }
    struct key_text text = { request->key, strlen(request->key), request->host };
    if (keys_verify(callout->options.keys, &text, on_verified, login, &rc, &key))
        on_verified(login, rc, &key);
}

static void
on_request(void *arg, const struct bus_msg *msg)
{
    struct callout *callout = arg;
    struct login_request request;
    struct err err = { 0 };
    if (!msg->reply || strlen(msg->reply) >= REPLY_MAX)
        return;
    if (login_read(msg->data, msg->len, &request, &err) != RC_OK) {
        ++*callout->options.failed;
        log_warn("a NATS login is ignored: %s", err.text);
        return;
    }
    if (request.key) {
        verify(callout, &request, msg->reply);
        return;
    }
    answer(callout, msg->reply, &request, RC_DENIED, NULL);
    login_request_wipe(&request);
}

/* --- life ------------------------------------------------------------------------------------- */

enum rc
callout_open(struct loop *loop, const struct callout_options *options, struct callout **out,
             struct err *err)
{
    struct callout *callout = calloc(1, sizeof(*callout));
    if (!callout)
        return err_set(err, RC_TEMP, "no memory for the auth callout");
    callout->options = *options;
    callout->loop = loop;
    login_issuer_init(&callout->issuer, options->issuer_seed);
    crypto_wipe(callout->options.issuer_seed, sizeof(callout->options.issuer_seed));
    enum rc rc = gcra_table_new(&callout->limits, err);
    if (rc == RC_OK)
        rc = bus_connect(loop, &options->bus, FIRST_CONNECT_MS, &callout->bus, err);
    if (rc == RC_OK)
        rc = bus_subscribe(callout->bus, SUBJECT, QUEUE, on_request, callout, &callout->sub, err);
    if (rc != RC_OK) {
        callout_close(callout);
        return rc;
    }
    *out = callout;
    return RC_OK;
}

void
callout_close(struct callout *callout)
{
    if (!callout)
        return;
    struct login *login;
    bus_unsubscribe(callout->sub);
    LIST_FOREACH (login, &callout->logins, link) {
        if (login->request.doc)
            answer(callout, login->reply, &login->request, RC_TEMP, NULL);
        forget_request(login);
        login->callout = NULL; /* keys_close() still calls back */
    }
    bus_free(callout->bus);
    gcra_table_free(callout->limits);
    crypto_wipe(callout, sizeof(*callout));
    free(callout);
}
