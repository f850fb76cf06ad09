/* SPDX-License-Identifier: MIT */
/*
 * Appends EVENTS request events in batches, as the audit worker does, and says how fast. Also fills
 * logs for tests: workspaces "a" and "b", event ids made from the index of the leaf.
 *
 *     audit_append DATABASE_URL EVENTS BATCH [SIGNING_KEY_HEX [FIRST_ID [steps]]]
 *
 * With steps each batch waits for a line on standard input, and is answered by one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto_encode.h"
#include "db/db.h"
#include "protocol/audit_event.h"
#include "sql_audit.h"
#include "workers/audit/append.h"

#define BATCH_MAX 4096
#define MEM_MAX   (256u << 20)

static int
die(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    return EXIT_NO;
}

static cJSON *
make_body(uint64_t n)
{
    char id[ID_TEXT_MAX], digest[AUDIT_DIGEST_MAX];
    AUTO(buf) struct buf text = { 0 };
    cJSON *doc = NULL;

    buf_init(&text, AUDIT_EVENT_MAX);
    snprintf(id, sizeof(id), "0198c0de-0000-7000-8000-%012" PRIx64, n);
    audit_digest(&n, sizeof(n), digest);
    const struct audit_request_event event = {
        .event_id = id,
        .key_id = "AbCdEf123456",
        .request_id = id,
        .action = n % 3 == 0 ? "memory.search" : "memory.ingest",
        .target = "user:1",
        .http_status = 200,
        .duration_ms = (int64_t)(n % 40),
        .params_sha256 = digest,
        .time_ms = clock_wall_ms(),
    };
    if (audit_event_write(&event, &text) != RC_OK ||
        json_read(buf_text(&text), text.len, &doc, NULL) != RC_OK)
        abort();
    return doc;
}

static int
run(struct audit *audit, struct db *db, uint64_t events, size_t batch, uint64_t first, bool steps)
{
    AUTO(free) struct call *calls = calloc(batch, sizeof(*calls));
    AUTO(free) struct leaf *leaves = calloc(batch, sizeof(*leaves));
    AUTO(arena) struct arena mem = { 0 };
    struct err err;
    int64_t spent_us = 0, decoded_us = 0;

    arena_init(&mem, MEM_MAX);
    for (uint64_t done = 0; done < events; done += batch) {
        size_t n = events - done < batch ? events - done : batch;
        if (steps && getchar() == EOF)
            return EXIT_OK;
        int64_t start_us = clock_mono_us();
        for (size_t i = 0; i < n; i++) {
            calls[i] = (struct call){ .command = CMD_AUDIT_REQUEST, .program = "ingest" };
            snprintf(calls[i].actor.workspace, WORKSPACE_TEXT_MAX, "%s",
                     (first + done + i) % 2 ? "b" : "a");
            calls[i].body = make_body(first + done + i);
            leaf_of_request(&calls[i], calls[i].body, &leaves[i]);
        }
        decoded_us += clock_mono_us() - start_us;
        start_us = clock_mono_us();
        if (append_leaves(audit, db, leaves, n, NULL, &mem, &err) != RC_OK)
            return die("append", &err);
        spent_us += clock_mono_us() - start_us;
        for (size_t i = 0; i < n; i++) {
            cJSON *body = (cJSON *)(uintptr_t)calls[i].body;
            json_cleanup(&body);
        }
        arena_reset(&mem);
        if (steps) {
            puts("done");
            (void)fflush(stdout);
        }
    }
    printf("audit append, %zu a batch\t%.0f\tevents/s\n", batch,
           (double)events * 1e6 / (double)spent_us);
    fprintf(stderr, "(writing and reading the messages: %.1f us each)\n",
            (double)decoded_us / (double)events);
    return EXIT_OK;
}

int
main(int argc, char **argv)
{
    AUTO(free) struct audit *audit = calloc(1, sizeof(*audit));
    AUTO(pgresult) PGresult *row = NULL;
    AUTO(db) struct db *db = NULL;
    struct audit_conf conf = { .retention_days = 90 };
    struct err err;
    char text[NOTE_KEY_MAX];

    if (argc < 4 || argc > 7) {
        fprintf(stderr, "usage: audit_append DATABASE_URL EVENTS BATCH [KEY [FIRST_ID [steps]]]\n");
        return EXIT_USAGE;
    }
    size_t batch = strtoul(argv[3], NULL, 10);
    if (batch < 1 || batch > BATCH_MAX)
        return EXIT_USAGE;
    if (crypto_init(&err) != RC_OK)
        return die("crypto", &err);
    if (argc > 4 && (strlen(argv[4]) != 64 || hex_decode(argv[4], 64, conf.signing_key) != RC_OK))
        return EXIT_USAGE;
    audit_init(audit, &conf, "");
    if (db_open(argv[1], "bench", SQL_AUDIT, SQL_AUDIT_COUNT, &db, &err) != RC_OK ||
        db_query(db, NULL, SQL_AUDIT_DEPLOYMENT, NULL, &row, &err) != RC_OK)
        return die("database", &err);
    if (note_key_init(&audit->key, db_text(row, 0, 0), audit->signer.public_key) != RC_OK)
        return EXIT_NO;
    note_key_text(&audit->key, text);
    fprintf(stderr, "%s\n", text);
    return run(audit, db, strtoull(argv[2], NULL, 10), batch,
               argc > 5 ? strtoull(argv[5], NULL, 10) : 0, argc > 6);
}
