/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>

#include "announced.h"
#include "audit.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "prune.h"
#include "sql_audit.h"
#include "sql_pruner.h"

static const struct conf_item ITEMS[] = {
    { .name = "AUDIT_SIGNING_KEY",
      .type = CONF_KEY32,
      .offset = offsetof(struct audit_conf, signing_key),
      .help =
          "Ed25519 seed that signs the audit log's checkpoints: 64 hexadecimal digits or base64." },
    { .name = "AUDIT_RETENTION_DAYS",
      .type = CONF_INT,
      .offset = offsetof(struct audit_conf, retention_days),
      .default_text = "90",
      .max = 36500,
      .help = "Days after which an audit event is pruned; its hash stays. 0 = never." },
    { .name = "AUDIT_RETENTION_SECONDS",
      .type = CONF_INT,
      .offset = offsetof(struct audit_conf, retention_seconds),
      .default_text = "0",
      .max = 3153600000,
      .help = "Retention in seconds instead of days, for drills. 0 = use the days." },
    { .name = "PRUNER_DATABASE_URL",
      .type = CONF_URL,
      .offset = offsetof(struct audit_conf, pruner_url),
      .flags = CONF_OPTIONAL,
      .help = "PostgreSQL with the role gantry_pruner; unset = this replica prunes nothing." },
};

const struct conf_table AUDIT_CONF = { ITEMS, ARRAY_LEN(ITEMS), NULL };

static enum rc
start(struct worker *w, struct err *err)
{
    struct audit *audit = calloc(1, sizeof(*audit));

    if (!audit)
        return err_set(err, RC_TEMP, "no memory");
    audit_init(audit, worker_conf(w), worker_region(w));
    worker_set_state(w, audit);
    return RC_OK;
}

/* The log's name holds the deployment's id. Were it changed in the database, no stored checkpoint
 * would fit any more, and the worker would stop (head.h). */
static enum rc
name_log(struct audit *audit, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *row = NULL;
    char text[NOTE_KEY_MAX];
    enum rc rc = db_query(db, NULL, SQL_AUDIT_DEPLOYMENT, NULL, &row, err);

    if (rc != RC_OK)
        return rc;
    if (PQntuples(row) != 1 || !db_text(row, 0, 0) ||
        note_key_init(&audit->key, db_text(row, 0, 0), audit->signer.public_key) != RC_OK)
        return err_set(err, RC_CONFIG, "the database does not say which deployment it is");
    note_key_text(&audit->key, text);
    log_fields(LOG_INFO, "the audit log's verifier key", "vkey", text, NULL);
    return RC_OK;
}

static enum rc
ready(struct worker *w, struct err *err)
{
    struct audit *audit = worker_state(w);
    const struct audit_conf *conf = worker_conf(w);
    enum rc rc = name_log(audit, worker_db(w), err);

    if (rc != RC_OK)
        return rc;

    if (!conf->pruner_url || audit->retention_ms == 0) {
        log_info("this replica prunes nothing");
        return RC_OK;
    }
    prune_start(w);
    return db_open(conf->pruner_url, "gantry-audit pruner", SQL_PRUNER, SQL_PRUNER_COUNT,
                   &audit->pruner, err);
}

static void
tick(struct worker *w)
{
    announced_tick(w);
    prune_tick(w);
}

static void
stop(struct worker *w)
{
    struct audit *audit = worker_state(w);

    if (!audit)
        return;
    audit_fini(audit);
    free(audit);
    worker_set_state(w, NULL);
}

static const struct worker_route ROUTES[] = {
    { .command = CMD_AUDIT_APPEND, .handle = audit_handle_append },
    { .command = CMD_AUDIT_REQUEST, .handle = audit_handle_request, .gathered = true },
    { .command = CMD_AUDIT_LIST, .handle = audit_handle_list },
    { .command = CMD_AUDIT_EVENT, .handle = audit_handle_event },
    { .command = CMD_AUDIT_CHECKPOINT, .handle = audit_handle_checkpoint },
    { .command = CMD_AUDIT_PROOF, .handle = audit_handle_proof },
    { .command = CMD_AUDIT_CONSISTENCY, .handle = audit_handle_consistency },
};

const struct worker_spec AUDIT_SPEC = {
    .name = "audit",
    .description = "appends to and proves the audit log",
    .routes = ROUTES,
    .n_routes = ARRAY_LEN(ROUTES),
    .conf = &AUDIT_CONF,
    .conf_size = sizeof(struct audit_conf),
    .statements = SQL_AUDIT,
    .n_statements = SQL_AUDIT_COUNT,
    .audits_itself = true,
    .turns_meanwhile = true,
    .batch_max = AUDIT_BATCH_MAX,
    .on_start = start,
    .on_ready = ready,
    .on_tick = tick,
    .on_stop = stop,
};
