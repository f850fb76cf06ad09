/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_export.h"
#include "audit_verify.h"
#include "base/cleanup.h"
#include "progress.h"
#include "sql_audit_cli.h"

static enum rc
verifier_key(const struct cli *cli, struct note_key *key, struct err *err)
{
    const char *text = cli_option(cli, "key");

    if (!text)
        text = cli->conf.audit_vkey;
    if (!text || !*text)
        return err_set(err, RC_CONFIG,
                       "no verifier key: give --key or set GANTRY_AUDIT_VKEY (it is never taken "
                       "from the database)");
    if (note_key_parse(text, key, err) == RC_OK)
        return RC_OK;
    (void)err_wrap(err, "%s", cli_option(cli, "key") ? "--key" : "GANTRY_AUDIT_VKEY");
    return err->rc = RC_CONFIG; /* not an answer about the log */
}

/* The owner's connection, with the statements of the audit log. */
static enum rc
open_db(const struct cli *cli, struct db **db, struct err *err)
{
    if (!cli->conf.database_url)
        return cli_missing("DATABASE_URL", err);
    return db_open(cli->conf.database_url, "gantry audit", SQL_AUDIT_CLI, SQL_AUDIT_CLI_COUNT, db,
                   err);
}

static enum rc
read_note(const char *path, char *note, struct err *err)
{
    AUTO(file) FILE *file = fopen(path, "re");

    if (!file)
        return err_set(err, RC_NOTFOUND, "%s cannot be opened", path);
    size_t len = fread(note, 1, NOTE_TEXT_MAX, file);
    if (len == NOTE_TEXT_MAX || ferror(file))
        return err_set(err, RC_INVALID, "%s is not a checkpoint", path);
    note[len] = '\0';
    return RC_OK;
}

static void
show(void *arg, uint64_t leaves)
{
    progress_show(arg, leaves);
}

static void
json_result(const struct audit_result *result, bool held, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_bool(&w, "ok", result->problem[0] == '\0');
    json_put_int(&w, "leaves", (int64_t)result->leaves);
    json_put_int(&w, "pruned", (int64_t)result->pruned);
    json_put_int(&w, "checkpoint_size", (int64_t)result->proven);
    json_put_bool(&w, "checkpoint_held", held);
    json_put_int(&w, "unproven",
                 result->leaves > result->proven ? (int64_t)(result->leaves - result->proven) : 0);
    if (result->has_wrong) {
        json_put_int(&w, "wrong_from", (int64_t)result->wrong_from);
        json_put_int(&w, "wrong_to", (int64_t)result->wrong_to);
    }
    if (result->problem[0])
        json_put_string(&w, "problem", result->problem);
    json_close(&w);
    (void)json_end(&w);
}

static void
print_result(const struct audit_result *result, bool held)
{
    if (result->problem[0]) {
        printf("FAILED: %s\n", result->problem);
        return;
    }
    printf("OK: %" PRIu64 " leaves, %" PRIu64
           " of them pruned, are those that were signed at size %" PRIu64 "\n",
           result->leaves < result->proven ? result->leaves : result->proven, result->pruned,
           result->proven);
    if (result->leaves > result->proven)
        printf("Unproven: leaves %" PRIu64 " to %" PRIu64
               " lie after the checkpoint that was given\n",
               result->proven, result->leaves - 1);
    if (!held)
        printf(
            "Note: no checkpoint was given, so the log was held against its own last one; a tail "
            "that was cut off together with its checkpoints cannot be seen this way\n");
}

static int
report(const struct cli *cli, const struct audit_result *result, bool held)
{
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, CLI_OUTPUT_MAX);
    if (!cli->json) {
        print_result(result, held);
    } else {
        json_result(result, held, &out);
        int code = cli_print_json(&out);
        if (code != EXIT_OK)
            return code;
    }
    return result->problem[0] ? EXIT_NO : EXIT_OK;
}

static enum rc
open_source(const struct cli *cli, struct db **db, FILE **file, struct audit_source *source,
            struct err *err)
{
    const char *path = cli_option(cli, "export");
    enum rc rc;

    if (!path) {
        if ((rc = open_db(cli, db, err)) != RC_OK)
            return rc;
        return audit_source_db(source, *db, err);
    }
    *file = fopen(path, "re");
    if (!*file)
        return err_set(err, RC_NOTFOUND, "%s cannot be opened", path);
    return audit_source_file(source, *file, err);
}

int
cmd_audit_verify(struct cli *cli)
{
    AUTO(audit_source) struct audit_source source = { 0 };
    AUTO(db) struct db *db = NULL;
    AUTO(file) FILE *file = NULL;
    AUTO(free) char *note = malloc(NOTE_TEXT_MAX + 1);
    const char *path = cli_option(cli, "checkpoint");
    struct note_key key;
    struct progress progress;
    struct audit_result result;
    struct err err = { .rc = RC_TEMP, .text = "no memory" };
    enum rc rc;

    if (!note)
        return cli_fail(&err);
    if (verifier_key(cli, &key, &err) != RC_OK || (path && read_note(path, note, &err) != RC_OK) ||
        open_source(cli, &db, &file, &source, &err) != RC_OK)
        return cli_fail(&err);
    const struct audit_verify verify = {
        .key = &key,
        .checkpoint = path ? note : NULL,
        .progress = show,
        .arg = &progress,
    };
    progress_begin(&progress, "verifying", source.count);
    rc = audit_verify(&verify, &source, &result, &err);
    progress_end(&progress);
    if (rc != RC_OK && rc != RC_DENIED)
        return cli_fail(&err);
    return report(cli, &result, path != NULL);
}

int
cmd_audit_export(struct cli *cli)
{
    AUTO(audit_source) struct audit_source source = { 0 };
    AUTO(db) struct db *db = NULL;
    AUTO(file) FILE *file = NULL;
    const char *path = cli_option(cli, "output");
    struct note_key key;
    struct progress progress;
    uint64_t leaves = 0;
    struct err err = { 0 };

    if (verifier_key(cli, &key, &err) != RC_OK || open_db(cli, &db, &err) != RC_OK ||
        audit_source_db(&source, db, &err) != RC_OK)
        return cli_fail(&err);
    if (path && !(file = fopen(path, "wxe"))) {
        (void)err_set(&err, RC_CONFLICT, "%s cannot be created (it must not be there yet)", path);
        return cli_fail(&err);
    }
    const struct audit_export export = {
        .key = &key,
        .out = file ? file : stdout,
        .progress = show,
        .arg = &progress,
    };
    progress_begin(&progress, "exporting", source.count);
    enum rc rc = audit_export(&export, &source, &leaves, &err);
    progress_end(&progress);
    if (rc != RC_OK)
        return cli_fail(&err);
    fprintf(stderr, "%" PRIu64 " leaves\n", leaves);
    return EXIT_OK;
}

int
cmd_audit_checkpoint(struct cli *cli)
{
    AUTO(audit_source) struct audit_source source = { 0 };
    AUTO(db) struct db *db = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct merkle_head head;
    struct note_key key;
    struct json_writer w;
    struct err err = { 0 };

    if (verifier_key(cli, &key, &err) != RC_OK || open_db(cli, &db, &err) != RC_OK ||
        audit_source_db(&source, db, &err) != RC_OK)
        return cli_fail(&err);
    if (!source.note) {
        (void)err_set(&err, RC_NOTFOUND, "the audit log is empty");
        return cli_fail(&err);
    }
    if (note_open(&key, source.note, strlen(source.note), &head, &err) != RC_OK)
        return cli_fail(&err);
    if (!cli->json)
        return fputs(source.note, stdout) < 0 || fflush(stdout) != 0 ? EXIT_TEMP : EXIT_OK;
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_int(&w, "tree_size", (int64_t)head.size);
    json_put_string(&w, "checkpoint", source.note);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}
