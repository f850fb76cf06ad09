/* SPDX-License-Identifier: MIT */
#include "logins/direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "logins/callout.h"
#include "logins/kick.h"
#include "logins/login.h"
#include "peers.h"
#include "watchdog.h"

struct direct {
    struct callout *callout;
    struct kick *kick;
    struct peers *peers;
    struct watchdog *watchdog;
    char name[PEERS_NAME_MAX];
};

static struct bus_options
connection(const struct settings *s, const char *url, const char *name, const char *inbox)
{
    return (struct bus_options){ .url = url,
                                 .name = name,
                                 .inbox_prefix = inbox,
                                 .tls_ca_file = s->nats_tls_ca,
                                 .tls_cert_file = s->nats_tls_cert,
                                 .tls_key_file = s->nats_tls_key };
}

static bool
has_issuer(const struct settings *s)
{
    static const uint8_t NONE[CRYPTO_SEED_LEN];
    return !crypto_equal(s->callout_issuer_key, NONE, sizeof(NONE));
}

static void
on_refused(void *arg, const char *client)
{
    const struct gateway *gw = arg;
    audit_count_login(gw->audit, client);
}

static void
on_crowded(void *arg, const char *workspace)
{
    struct gateway *gw = arg;
    gw->count.nats_crowded_total++;
    full_note(gw, FULL_NATS, workspace);
}

static void
on_subscribed(void *arg, const char *workspace)
{
    full_note(arg, FULL_SUBSCRIPTIONS, workspace);
}

static enum rc
open_callout(struct gateway *gw, struct direct *direct, struct err *err)
{
    const struct settings *s = gw->settings;
    struct callout_options options = {
        .bus = connection(s, s->callout_nats_url, direct->name, "_INBOX." CALLOUT_USER),
        .keys = gw->keys,
        .logins = &gw->count.nats_logins_total,
        .refused = &gw->count.nats_logins_refused_total,
        .failed = &gw->count.nats_logins_failed_total,
    };
    memcpy(options.issuer_seed, s->callout_issuer_key, sizeof(options.issuer_seed));
    options.on_refused = on_refused;
    options.most = (uint64_t)s->workspace_nats_connections;
    options.on_crowded = on_crowded;
    options.arg = gw;
    enum rc rc = callout_open(gw->loop, &options, &direct->callout, err);
    crypto_wipe(options.issuer_seed, sizeof(options.issuer_seed));
    return rc;
}

enum rc
direct_check(const struct settings *s, struct err *err)
{
    if (s->callout_nats_url && (!s->kick_nats_url || !has_issuer(s)))
        return err_set(err, RC_CONFIG,
                       "CALLOUT_NATS_URL needs KICK_NATS_URL and CALLOUT_ISSUER_KEY");
    return RC_OK;
}

enum rc
direct_open(struct gateway *gw, struct direct **out, struct err *err)
{
    const struct settings *s = gw->settings;
    if (!s->callout_nats_url) {
        log_info("CALLOUT_NATS_URL is not set: API keys cannot log in to NATS");
        return RC_OK;
    }
    enum rc rc = direct_check(s, err);
    if (rc != RC_OK)
        return rc;
    struct kick_options kick = {
        .bus = connection(s, s->kick_nats_url, "gantry-kick", "_INBOX." KICK_USER),
        .keys = gw->keys,
        .kicked = &gw->count.nats_kicks_total,
        .most = (uint64_t)s->workspace_nats_connections,
        .on_crowded = on_crowded,
        .on_subscribed = on_subscribed,
        .arg = gw,
    };
    struct direct *direct = calloc(1, sizeof(*direct));
    if (!direct)
        return err_set(err, RC_TEMP, "no memory");
    peers_name(direct->name);
    rc = kick_open(gw->loop, &kick, &direct->kick, err);
    if (rc == RC_OK)
        rc = open_callout(gw, direct, err);
    if (rc == RC_OK)
        rc = peers_open(gw->loop, gw->bus, direct->kick, direct->name, &direct->peers, err);
    if (rc == RC_OK)
        rc = watchdog_open(gw->loop, &direct->watchdog, err);
    if (rc != RC_OK) {
        direct_close(direct);
        return rc;
    }
    *out = direct;
    return RC_OK;
}

void
direct_close(struct direct *direct)
{
    if (!direct)
        return;
    watchdog_close(direct->watchdog);
    callout_close(direct->callout);
    peers_close(direct->peers);
    kick_close(direct->kick);
    free(direct);
}

void
direct_key_changed(struct direct *direct, const char *key_id)
{
    if (direct)
        kick_key(direct->kick, key_id);
}

int
direct_print_issuer(void)
{
    static const struct conf_item ITEM[] = {
        { .name = "CALLOUT_ISSUER_KEY", .type = CONF_KEY32, .offset = 0, .help = "" },
    };
    const struct conf_table table = { ITEM, ARRAY_LEN(ITEM), NULL };
    uint8_t seed[CRYPTO_SEED_LEN];
    struct login_issuer issuer;
    struct err err = { 0 };
    if (crypto_init(&err) != RC_OK || conf_read(&table, 1, seed, &err) != RC_OK) {
        (void)fprintf(stderr, "gantry-gateway: %s\n", err.text);
        return EXIT_CONFIG;
    }
    login_issuer_init(&issuer, seed);
    crypto_wipe(seed, sizeof(seed));
    crypto_wipe(&issuer.signer, sizeof(issuer.signer));
    return puts(issuer.nkey) < 0 ? EXIT_TEMP : EXIT_OK;
}
