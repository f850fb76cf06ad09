/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "worker_own.h"

/* The order of both lists is that of enum log_level and enum log_format. */
static const char *const LEVELS[] = { "debug", "info", "warn", "error", "fatal", NULL };
static const char *const FORMATS[] = { "json", "text", NULL };

#define COMMON(member) offsetof(struct worker_common, member)

static const struct conf_item ITEMS[] = {
    { "NATS_URL", CONF_URL, COMMON(nats_url), NULL, 0, 0, NULL, 0,
      "NATS with the program's user and password: nats:// or tls://." },
    { "ACTOR_KEY", CONF_KEY32, COMMON(actor.now), NULL, 0, 0, NULL, 0,
      "Checks the gateway's claims (Gantry-Actor); gantry-gateway --print-actor-key PROGRAM "
      "derives it from ACTOR_SIGNING_KEY." },
    { "ACTOR_KEY_PREVIOUS", CONF_KEY32, COMMON(actor.before), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "Previous ACTOR_KEY during a rotation; its claims are still accepted." },
    { "ACTOR_PUBLIC_KEY", CONF_KEY32, COMMON(actor.signer), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "Ed25519 public key for claims of an older gateway; only during an upgrade." },
    { "REGION", CONF_STRING, COMMON(region), "", 0, 64, NULL, 0,
      "Region of this program; written into audit events." },
    { "LOG_LEVEL", CONF_CHOICE, COMMON(log_level), "info", 0, 0, LEVELS, 0,
      "Lowest level that is logged." },
    { "LOG_FORMAT", CONF_CHOICE, COMMON(log_format), "json", 0, 0, FORMATS, 0,
      "Format of log lines: one JSON object a line, or text." },
    { "DELIVERY_LIMIT", CONF_INT, COMMON(delivery_limit), "8", 2, 1000, NULL, 0,
      "A message that was delivered more often without being settled becomes a dead letter." },
    { "NATS_TLS_CA", CONF_STRING, COMMON(tls_ca), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "File with the certificate authority of the NATS server." },
    { "NATS_TLS_CERT", CONF_STRING, COMMON(tls_cert), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "File with this program's certificate for NATS." },
    { "NATS_TLS_KEY", CONF_STRING, COMMON(tls_key), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "File with the key of NATS_TLS_CERT." },
    { "RATE_LIMIT_PER_MINUTE", CONF_INT, COMMON(rate_limit_per_minute), "600", 0, 100000000, NULL,
      0, "Requests per minute of a workspace's NATS clients, in each process; 0 = no limit." },
    { "ALLOW_PLAINTEXT", CONF_BOOL, COMMON(allow_plaintext), "0", 0, 0, NULL, 0,
      "1 = do not warn about unencrypted connections to other machines." },
    TRACE_CONF_ITEMS(COMMON(trace)),
};
static const struct conf_item DATABASE_ITEM[] = {
    { "DATABASE_URL", CONF_URL, COMMON(database_url), NULL, 0, 0, NULL, 0,
      "PostgreSQL with the program's role and password." },
};
static const struct conf_item REDIS_ITEM[] = {
    { "REDIS_URL", CONF_URL, COMMON(redis_url), NULL, 0, 0, NULL, 0,
      "Redis with the program's user and password: redis://, rediss:// or unix://." },
};

static size_t
common_tables(const struct worker_spec *spec, struct conf_table tables[3])
{
    size_t n = 0;
    tables[n++] = (struct conf_table){ ITEMS, ARRAY_LEN(ITEMS), NULL };
    if (spec->statements)
        tables[n++] = (struct conf_table){ DATABASE_ITEM, ARRAY_LEN(DATABASE_ITEM), NULL };
    if (spec->uses_kv)
        tables[n++] = (struct conf_table){ REDIS_ITEM, ARRAY_LEN(REDIS_ITEM), NULL };
    return n;
}

/* Its own struct and the common one are read together: all problems in one run. */
enum rc
worker_conf_read(struct worker *w, struct err *err)
{
    struct conf_table tables[5];
    const struct conf_table *const own[] = { w->spec->conf, w->spec->conf_too };
    size_t n = common_tables(w->spec, tables);
    w->conf = calloc(1, w->spec->conf_size ? w->spec->conf_size : 1);
    if (!w->conf)
        return err_set(err, RC_TEMP, "no memory");
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (own[i])
            tables[n++] = (struct conf_table){ own[i]->items, own[i]->count, w->conf };
    return conf_read(tables, n, &w->common, err);
}

static int
usage(FILE *out, const struct worker_spec *spec, int code)
{
    fprintf(out,
            "gantry-%s: %s\n\n"
            "Takes its configuration from the environment and runs until SIGTERM.\n"
            "  --check-config     report every problem of the configuration, then exit\n"
            "  --print-config     print the effective configuration, secrets as (set)\n"
            "  --document-config  print what each variable means, as Markdown rows\n"
            "%s"
            "  --version, --help\n",
            spec->name, spec->description ? spec->description : "a worker of Gantry",
            spec->command_line_help ? spec->command_line_help : "");
    return code;
}

static int
check_config(const struct worker_spec *spec, bool print)
{
    struct worker w = { .spec = spec };
    struct conf_table tables[3];
    struct err err = { 0 };
    enum rc rc = worker_conf_read(&w, &err);
    if (rc == RC_OK && print) {
        conf_print(stdout, tables, common_tables(spec, tables), &w.common);
        if (spec->conf)
            conf_print(stdout, spec->conf, 1, w.conf);
        if (spec->conf_too)
            conf_print(stdout, spec->conf_too, 1, w.conf);
    }
    free(w.conf);
    if (rc != RC_OK)
        fprintf(stderr, "gantry-%s: %s\n", spec->name, err.text);
    return rc_exit(rc);
}

/* An exit code, or -1: run. */
int
worker_command_line(int argc, char **argv, const struct worker_spec *spec)
{
    struct conf_table tables[3];
    if (argc <= 1)
        return -1;
    int code = spec->command_line ? spec->command_line(argc, argv, spec) : -1;
    if (code >= 0)
        return code;
    if (argc > 2)
        return usage(stderr, spec, EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0)
        return usage(stdout, spec, EXIT_OK);
    if (strcmp(argv[1], "--version") == 0)
        return printf("gantry-%s %s\n", spec->name, GANTRY_VERSION) < 0 ? EXIT_NO : EXIT_OK;
    if (strcmp(argv[1], "--check-config") == 0)
        return check_config(spec, false);
    if (strcmp(argv[1], "--print-config") == 0)
        return check_config(spec, true);
    if (strcmp(argv[1], "--document-config") != 0)
        return usage(stderr, spec, EXIT_USAGE);
    conf_document(stdout, tables, common_tables(spec, tables));
    if (spec->conf)
        conf_document(stdout, spec->conf, 1);
    if (spec->conf_too)
        conf_document(stdout, spec->conf_too, 1);
    return EXIT_OK;
}
