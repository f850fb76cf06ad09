/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include <string.h>

#define DAY_MS 86400000

void
audit_init(struct audit *audit, const struct audit_conf *conf, const char *region)
{
    memset(audit, 0, sizeof(*audit));
    crypto_signer_init(&audit->signer, conf->signing_key);
    crypto_subkey(conf->signing_key, "audit hashes", audit->hash_key);
    crypto_subkey(conf->signing_key, "audit announcements", audit->seal_key);
    audit->region = region;
    audit->retention_ms = conf->retention_seconds > 0 ? conf->retention_seconds * 1000
                                                      : conf->retention_days * DAY_MS;
    merkle_init(&audit->tree);
}

void
audit_fini(struct audit *audit)
{
    loop_timer_free(audit->prune_timer);
    db_close(audit->pruner);
    crypto_wipe(audit, sizeof(*audit));
}
