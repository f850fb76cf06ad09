/* SPDX-License-Identifier: MIT */
/*
 * cli - what every subcommand of gantry shares: its row in the table, its arguments, its servers.
 *
 * A subcommand is one row in main.c and one function that returns an exit code (contract, section 2).
 * Connections are opened at first use and closed at the end. Results go to standard output, as text
 * for people or, with --json, as one JSON document; everything else goes to standard error.
 */
#ifndef GANTRY_CLI_CLI_H
#define GANTRY_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "bus/bus.h"
#include "db/db.h"
#include "fetch/fetch_pool.h"
#include "json/json.h"
#include "kv/kv.h"

#define CLI_OPTIONS_MAX 8
#define CLI_OUTPUT_MAX  (16u * 1024 * 1024) /* bytes of one JSON document */

struct cli;

struct cli_command {
    const char *group;     /* "key" */
    const char *verb;      /* "create"; NULL when the group is the command */
    const char *arguments; /* for people: "FILE.jsonl" */
    const char *summary;
    /* Names without the dashes; "role=R" takes a value, "all" does not. */
    const char *options[CLI_OPTIONS_MAX];
    int min_arguments, max_arguments; /* max -1: any number */
    int (*run)(struct cli *cli);
};

struct cli_conf {
    char *url, *admin_url, *api_key, *operator_url, *database_url, *superuser_url, *redis_url,
        *audit_vkey;
    char *tls_ca, *tls_cert, *tls_key;
    char *role_passwords[6]; /* in the order of CLI_ROLES */
};

#define CLI_ROLES                                                                                  \
    {                                                                                              \
        "gateway", "ingest", "search", "audit", "pruner", "connector"                              \
    }

struct cli {
    const struct cli_command *command;
    struct cli_conf conf;
    bool json;
    int argc; /* the arguments that are no options */
    char **argv;
    const char *values[CLI_OPTIONS_MAX]; /* of command->options; NULL = not given */
    struct db *db;
    bool schema_differs; /* cli_db(): PostgreSQL answers, but its schema is not this program's */
    struct loop *loop;
    struct bus *bus;
    struct kv *kv;
    struct fetch_pool *http;
};

int cli_main(int argc, char **argv, const struct cli_command *commands, size_t count);

/* The value of an option ("" for one without), or NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
/* A whole number in min..max; RC_INVALID with a sentence otherwise. */
enum rc cli_option_int(const struct cli *cli, const char *name, int64_t min, int64_t max,
                       int64_t fallback, int64_t *out, struct err *err);
/* "90d", "12h", "30m", "45s", "2w" as milliseconds. */
enum rc cli_duration(const char *text, int64_t *out_ms, struct err *err);

/* The content of a file, or of standard input for "-": UTF-8 text of at most out->max bytes. */
enum rc cli_read_file(const char *path, struct buf *out, struct err *err);

/* Servers. The database is the owner's (DATABASE_URL) with the statements of sql_cli.h; NATS is the
 * operator's user; HTTP is the gateway with the API key. RC_CONFIG names the missing variable. */
enum rc cli_missing(const char *name, struct err *err);
enum rc cli_db(struct cli *cli, struct db **out, struct err *err);
enum rc cli_bus(struct cli *cli, struct bus **out, struct err *err);
enum rc cli_kv(struct cli *cli, const struct kv_script *scripts, size_t count, struct kv **out,
               struct err *err);
enum rc cli_http(struct cli *cli, unsigned parallel, struct fetch_pool **out, struct err *err);

/* Say what failed; returns the exit code. */
int cli_fail(const struct err *err);
__attribute__((format(printf, 1, 2))) int cli_usage(const char *format, ...);
/* Print a finished JSON document and a newline; returns the exit code. */
int cli_print_json(const struct buf *text);
int cli_print_doc(const cJSON *doc);
/* EXIT_OK if it is the name of a workspace; else says what one is, and returns the exit code. */
int cli_check_workspace(const char *name);

/* JetStream's API: one request and its answer as a document. A server's error is RC_NOTFOUND for
 * 404, RC_INVALID for other 4xx, else RC_TEMP; *code (may be NULL) is its err_code. */
enum rc cli_js(struct cli *cli, const char *subject, const char *body, cJSON **out, int64_t *code,
               struct err *err);
/* The same for who changes streams: what fails for now, as in a cluster that elects a leader, is
 * tried again for a minute, or for the seconds of the option --wait, and said on standard error. */
enum rc cli_js_patient(struct cli *cli, const char *subject, const char *body, cJSON **out,
                       int64_t *code, struct err *err);

#endif
