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
    { .name = "NATS_URL",
      .type = CONF_URL,
      .offset = COMMON(nats_url),
      .help = "NATS with the program's user and password: nats:// or tls://." },
    { .name = "ACTOR_KEY",
      .type = CONF_KEY32,
      .offset = COMMON(actor.now),
      .help =
          "Checks the gateway's claims (Gantry-Actor); gantry-gateway --print-actor-key PROGRAM "
          "derives it from ACTOR_SIGNING_KEY." },
    { .name = "ACTOR_KEY_PREVIOUS",
      .type = CONF_KEY32,
      .offset = COMMON(actor.before),
      .flags = CONF_OPTIONAL,
      .help = "Previous ACTOR_KEY during a rotation; its claims are still accepted." },
    { .name = "ACTOR_PUBLIC_KEY",
      .type = CONF_KEY32,
      .offset = COMMON(actor.signer),
      .flags = CONF_OPTIONAL,
      .help = "Ed25519 public key for claims of an older gateway; only during an upgrade." },
    { .name = "REGION",
      .type = CONF_STRING,
      .offset = COMMON(region),
      .default_text = "",
      .max = 64,
      .help = "Region of this program; written into audit events." },
    { .name = "LOG_LEVEL",
      .type = CONF_CHOICE,
      .offset = COMMON(log_level),
      .default_text = "info",
      .choices = LEVELS,
      .help = "Lowest level that is logged." },
    { .name = "LOG_FORMAT",
      .type = CONF_CHOICE,
      .offset = COMMON(log_format),
      .default_text = "json",
      .choices = FORMATS,
      .help = "Format of log lines: one JSON object a line, or text." },
    { .name = "DELIVERY_LIMIT",
      .type = CONF_INT,
      .offset = COMMON(delivery_limit),
      .default_text = "8",
      .min = 2,
      .max = 1000,
      .help =
          "A message that was delivered more often without being settled becomes a dead letter." },
    { .name = "NATS_TLS_CA",
      .type = CONF_STRING,
      .offset = COMMON(tls_ca),
      .flags = CONF_OPTIONAL,
      .help = "File with the certificate authority of the NATS server." },
    { .name = "NATS_TLS_CERT",
      .type = CONF_STRING,
      .offset = COMMON(tls_cert),
      .flags = CONF_OPTIONAL,
      .help = "File with this program's certificate for NATS." },
    { .name = "NATS_TLS_KEY",
      .type = CONF_STRING,
      .offset = COMMON(tls_key),
      .flags = CONF_OPTIONAL,
      .help = "File with the key of NATS_TLS_CERT." },
    { .name = "RATE_LIMIT_PER_MINUTE",
      .type = CONF_INT,
      .offset = COMMON(rate_limit_per_minute),
      .default_text = "600",
      .max = 100000000,
      .help = "Requests per minute of a workspace's NATS clients, in each process; 0 = no limit." },
    { .name = "ALLOW_PLAINTEXT",
      .type = CONF_BOOL,
      .offset = COMMON(allow_plaintext),
      .default_text = "0",
      .help = "1 = do not warn about unencrypted connections to other machines." },
    TRACE_CONF_ITEMS(COMMON(trace)),
};
static const struct conf_item DATABASE_ITEM[] = {
    { .name = "DATABASE_URL",
      .type = CONF_URL,
      .offset = COMMON(database_url),
      .help = "PostgreSQL with the program's role and password." },
};
static const struct conf_item REDIS_ITEM[] = {
    { .name = "REDIS_URL",
      .type = CONF_URL,
      .offset = COMMON(redis_url),
      .help = "Redis with the program's user and password: redis://, rediss:// or unix://." },
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
