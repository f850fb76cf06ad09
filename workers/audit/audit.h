/* SPDX-License-Identifier: MIT */
/*
 * audit - the audit worker: sequences events into one RFC 6962 tree, proves, lists and prunes.
 *
 * Theory of operation: batches of calls become leaves (event.h), the leaves one transaction under an
 * advisory lock (append.h), so that any number of replicas may run. The tree's right edge is kept in
 * memory between batches; the database is believed only as far as the last checkpoint in it, signed
 * with this deployment's key, agrees with that edge (head.h). If it does not, the program stops with
 * EXIT_CONFIG: a person must look before one more leaf is signed.
 *
 * Source: architecture, decisions 9 and 10; contract 7.3
 */
#ifndef GANTRY_AUDIT_AUDIT_H
#define GANTRY_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "crypto/merkle.h"
#include "crypto/note.h"
#include "db/db.h"
#include "process/conf.h"
#include "worker/worker.h"

#define AUDIT_BATCH_MAX 512 /* messages; an audit.append makes two leaves */

struct audit_conf {
    uint8_t signing_key[CRYPTO_SEED_LEN];
    int64_t retention_days;
    int64_t retention_seconds; /* 0 = by days */
    char *pruner_url;          /* NULL = never prune */
};
extern const struct conf_table AUDIT_CONF;

struct audit {
    struct note_key key;
    struct crypto_signer signer;
    uint8_t hash_key[CRYPTO_KEY_LEN]; /* of params_hash and idempotency_key_hash */
    uint8_t seal_key[CRYPTO_KEY_LEN]; /* of announced events */
    const char *region;               /* borrowed: until exit; "" = none */
    struct merkle_tree tree;          /* as of the last checkpoint that we saw and checked */
    struct merkle_tree next;          /* while a batch is under way */
    struct merkle_head signed_head;   /* of tree */
    char signed_note[NOTE_OURS_MAX];  /* its checkpoint, if we signed it */
    bool alone;       /* the last two batches were both ours: expect the next one to be */
    int64_t last_ms;  /* recording time of the last leaf that we saw */
    bool loaded;      /* tree was checked against the database once */
    unsigned careful; /* batches to come that look for known events first */
    bool asking;      /* how old the oldest message of AUDIT is */
    int64_t asked_ms, handled_ms;   /* wall: when; what AUDIT received before is all recorded */
    int64_t overdue_at_ms;          /* monotonic: when to look for announced ones again */
    int64_t retention_ms;           /* 0 = keep everything */
    struct db *pruner;              /* owned; NULL = none */
    int64_t prune_at_ms;            /* monotonic: when to look again */
    struct loop_timer *prune_timer; /* owned; NULL = none */
};

void audit_init(struct audit *audit, const struct audit_conf *conf, const char *region);
void audit_fini(struct audit *audit);

/* The program's handlers and hooks. */
void audit_handle_append(struct worker *w, struct call **calls, size_t n);
void audit_handle_request(struct worker *w, struct call **calls, size_t n);
void audit_handle_list(struct worker *w, struct call **calls, size_t n);
void audit_handle_event(struct worker *w, struct call **calls, size_t n);
void audit_handle_checkpoint(struct worker *w, struct call **calls, size_t n);
void audit_handle_proof(struct worker *w, struct call **calls, size_t n);
void audit_handle_consistency(struct worker *w, struct call **calls, size_t n);

extern const struct worker_spec AUDIT_SPEC;

#endif
