/* SPDX-License-Identifier: MIT */
/*
 * cli - the command line: which subcommand, which options, help.
 */
#include "cli.h"

#include <bsd/stdlib.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/utf8.h"
#include "base/version.h"
#include "crypto/crypto.h"
#include "help.h"
#include "process/conf.h"

/* clang-format off */
static const struct conf_item ITEMS[] = {
    { .name = "GANTRY_URL", .type = CONF_URL, .offset = offsetof(struct cli_conf, url), .flags = CONF_OPTIONAL,
      .help = "Address of the gateway, for memory, run, jobs, policy test, approval, audit tail, status and top." },
    { .name = "GANTRY_ADMIN_URL", .type = CONF_URL, .offset = offsetof(struct cli_conf, admin_url), .flags = CONF_OPTIONAL,
      .help = "Address of the gateway's admin listener, for the rates of requests in top and the commands in lists in status." },
    { .name = "GANTRY_API_KEY", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, api_key), .flags = CONF_OPTIONAL,
      .help = "API key, for memory, run, jobs, policy test, approval and audit tail." },
    { .name = "GANTRY_NATS_OPERATOR_URL", .type = CONF_URL, .offset = offsetof(struct cli_conf, operator_url), .flags = CONF_OPTIONAL,
      .help = "NATS with the user operator, for provision, workspace create, secret, webhook, hook, dlq, status and top." },
    { .name = "DATABASE_URL", .type = CONF_URL, .offset = offsetof(struct cli_conf, database_url), .flags = CONF_OPTIONAL,
      .help = "PostgreSQL with the role gantry_owner, for workspace, policy, key, provision, memory reindex, audit verify, export and checkpoint, and status." },
    { .name = "DATABASE_SUPERUSER_URL", .type = CONF_URL, .offset = offsetof(struct cli_conf, superuser_url), .flags = CONF_OPTIONAL,
      .help = "PostgreSQL with a superuser, for migrate." },
    { .name = "REDIS_URL", .type = CONF_URL, .offset = offsetof(struct cli_conf, redis_url), .flags = CONF_OPTIONAL,
      .help = "Redis, for status." },
    { .name = "GANTRY_AUDIT_VKEY", .type = CONF_STRING, .offset = offsetof(struct cli_conf, audit_vkey), .flags = CONF_OPTIONAL,
      .help = "The audit log's verifier key, for audit verify." },
    { .name = "NATS_TLS_CA", .type = CONF_STRING, .offset = offsetof(struct cli_conf, tls_ca), .flags = CONF_OPTIONAL,
      .help = "File with the certificate authority of the NATS server." },
    { .name = "NATS_TLS_CERT", .type = CONF_STRING, .offset = offsetof(struct cli_conf, tls_cert), .flags = CONF_OPTIONAL,
      .help = "File with this program's certificate for NATS." },
    { .name = "NATS_TLS_KEY", .type = CONF_STRING, .offset = offsetof(struct cli_conf, tls_key), .flags = CONF_OPTIONAL,
      .help = "File with the key of NATS_TLS_CERT." },
    { .name = "DB_PASSWORD_GATEWAY", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, role_passwords[0]), .flags = CONF_OPTIONAL,
      .help = "For migrate: password for the role gantry_gateway." },
    { .name = "DB_PASSWORD_INGEST", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, role_passwords[1]), .flags = CONF_OPTIONAL,
      .help = "For migrate: password for the role gantry_ingest." },
    { .name = "DB_PASSWORD_SEARCH", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, role_passwords[2]), .flags = CONF_OPTIONAL,
      .help = "For migrate: password for the role gantry_search." },
    { .name = "DB_PASSWORD_AUDIT", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, role_passwords[3]), .flags = CONF_OPTIONAL,
      .help = "For migrate: password for the role gantry_audit." },
    { .name = "DB_PASSWORD_PRUNER", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, role_passwords[4]), .flags = CONF_OPTIONAL,
      .help = "For migrate: password for the role gantry_pruner." },
    { .name = "DB_PASSWORD_CONNECTOR", .type = CONF_SECRET, .offset = offsetof(struct cli_conf, role_passwords[5]), .flags = CONF_OPTIONAL,
      .help = "For migrate: password for the role gantry_connector." },
};
/* clang-format on */
static const struct conf_table TABLE = { ITEMS, ARRAY_LEN(ITEMS), NULL };

int
cli_fail(const struct err *err)
{
    (void)fprintf(stderr, "gantry: %s\n", err->text);
    return rc_exit(err->rc);
}

int
cli_usage(const char *format, ...)
{
    va_list args;
    (void)fputs("gantry: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return EXIT_USAGE;
}

int
cli_print_json(const struct buf *text)
{
    struct err err = { 0 };
    if (buf_failed(text))
        (void)err_set(&err, RC_LIMIT, "the answer is too large to print");
    else if (fwrite(text->data, 1, text->len, stdout) != text->len || fputc('\n', stdout) == EOF ||
             fflush(stdout) != 0)
        (void)err_set(&err, RC_TEMP, "cannot write to standard output");
    return err.rc == RC_OK ? EXIT_OK : cli_fail(&err);
}

int
cli_print_doc(const cJSON *doc)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_put_doc(&w, NULL, doc);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cli_check_workspace(const char *name)
{
    if (workspace_valid(name, strlen(name)))
        return EXIT_OK;
    return cli_usage(
        "'%.80s' is not a workspace name: 1 to 63 of a-z 0-9 _ -, beginning with a letter "
        "or a digit",
        name);
}

/* --- options ---------------------------------------------------------------------------------- */

static int
find_option(const struct cli_command *command, const char *name, size_t len, bool *takes_value)
{
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i]; i++) {
        size_t own = strcspn(command->options[i], "=");
        if (own == len && strncmp(command->options[i], name, len) == 0) {
            *takes_value = command->options[i][own] == '=';
            return i;
        }
    }
    return -1;
}

const char *
cli_option(const struct cli *cli, const char *name)
{
    bool takes_value = false;
    int i = find_option(cli->command, name, strlen(name), &takes_value);
    return i < 0 ? NULL : cli->values[i];
}

enum rc
cli_option_int(const struct cli *cli, const char *name, int64_t min, int64_t max, int64_t fallback,
               int64_t *out, struct err *err)
{
    const char *text = cli_option(cli, name);
    const char *why = NULL;
    if (!text) {
        *out = fallback;
        return RC_OK;
    }
    long long value = strtonum(text, min, max, &why);
    if (why)
        return err_set(err, RC_INVALID, "--%s: must be a number from %lld to %lld", name,
                       (long long)min, (long long)max);
    *out = value;
    return RC_OK;
}

enum rc
cli_duration(const char *text, int64_t *out_ms, struct err *err)
{
    static const struct {
        char unit;
        int64_t ms;
    } UNITS[] = {
        { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 }, { 'w', 7 * 86400000LL }
    };
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    if (end != text && value > 0 && value <= 100000 && end[0] && !end[1])
        for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
            if (UNITS[i].unit == *end) {
                *out_ms = value * UNITS[i].ms;
                return RC_OK;
            }
    return err_set(err, RC_INVALID, "'%.20s' is not a duration such as 90d, 12h, 30m", text);
}

enum rc
cli_read_file(const char *path, struct buf *out, struct err *err)
{
    bool from_stdin = strcmp(path, "-") == 0;
    AUTO(file) FILE *file = from_stdin ? NULL : fopen(path, "re");
    FILE *in = from_stdin ? stdin : file;
    const char *name = from_stdin ? "standard input" : path;
    char block[8192];
    size_t len = 0;

    if (!in)
        return err_set(err, RC_NOTFOUND, "%.200s cannot be read", name);
    while ((len = fread(block, 1, sizeof(block), in)) > 0 && !buf_failed(out))
        buf_add(out, block, len);
    if (ferror(in))
        return err_set(err, RC_NOTFOUND, "%.200s cannot be read", name);
    if (buf_failed(out))
        return err_set(err, RC_LIMIT, "%.200s is longer than %zu bytes", name, out->max);
    if (!utf8_valid(buf_text(out), out->len) || memchr(buf_text(out), '\0', out->len))
        return err_set(err, RC_INVALID, "%.200s is not UTF-8 text", name);
    return RC_OK;
}

/* One word of the command line; *used is 2 when the next word was its value. Non-zero: exit. */
static int
take_option(struct cli *cli, const char *word, const char *next, int *used)
{
    bool takes_value = false;
    size_t len = strcspn(word + 2, "=");
    const char *value = word[2 + len] == '=' ? word + 2 + len + 1 : NULL;
    int i = find_option(cli->command, word + 2, len, &takes_value);

    *used = 1;
    if (strcmp(word, "--json") == 0) {
        cli->json = true;
        return 0;
    }
    if (i < 0)
        return cli_usage("%s: no such option; see gantry %s --help", word, cli->command->group);
    if (!takes_value && value)
        return cli_usage("--%.*s takes no value", (int)len, word + 2);
    if (takes_value && !value) {
        if (!next)
            return cli_usage("%s takes a value", word);
        value = next;
        *used = 2;
    }
    cli->values[i] = value ? value : "";
    return 0;
}

/* Options may stand anywhere after the command; "--" ends them. */
static int
parse_words(struct cli *cli, int argc, char **argv)
{
    bool options = true;
    for (int i = 0; i < argc;) {
        int used = 1;
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            int code = take_option(cli, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
            if (code)
                return code;
        } else {
            cli->argv[cli->argc++] = argv[i];
        }
        i += used;
    }
    if (cli->argc < cli->command->min_arguments)
        return cli_usage("%s is missing; see gantry %s --help", cli->command->arguments,
                         cli->command->group);
    if (cli->command->max_arguments >= 0 && cli->argc > cli->command->max_arguments)
        return cli_usage("'%.60s' is one argument too many", cli->argv[cli->argc - 1]);
    return 0;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool
wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static const struct cli_command *
find_command(const struct cli_command *commands, size_t count, int argc, char **argv, int *words)
{
    for (size_t i = 0; argc > 1 && i < count; i++) {
        if (strcmp(commands[i].group, argv[1]) != 0)
            continue;
        *words = commands[i].verb ? 3 : 2;
        if (!commands[i].verb || (argc > 2 && strcmp(commands[i].verb, argv[2]) == 0))
            return &commands[i];
    }
    return NULL;
}

static bool
is_group(const struct cli_command *commands, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i].group, name) == 0)
            return true;
    return false;
}

static void
close_all(struct cli *cli)
{
    fetch_pool_free(cli->http);
    kv_free(cli->kv);
    if (cli->bus)
        bus_free(cli->bus);
    loop_free(cli->loop);
    db_close(cli->db);
    conf_wipe(&TABLE, 1, &cli->conf);
}

static int
run(struct cli *cli, int argc, char **argv)
{
    struct err err = { 0 };
    AUTO(free) char **words = calloc((size_t)argc + 1, sizeof(*words));
    if (!words)
        return EXIT_TEMP;
    cli->argv = words;
    int code = parse_words(cli, argc, argv);
    if (code)
        return code;
    if (conf_read(&TABLE, 1, &cli->conf, &err) != RC_OK)
        return EXIT_CONFIG; /* conf has said everything */
    if (crypto_init(&err) != RC_OK)
        return cli_fail(&err);
    return cli->command->run(cli);
}

int
cli_main(int argc, char **argv, const struct cli_command *commands, size_t count)
{
    struct cli cli = { .command = NULL };
    const struct help all = { commands, count, ITEMS, ARRAY_LEN(ITEMS) };
    int words = 0, code = EXIT_OK;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for the widths of characters */
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return printf("gantry %s\n", GANTRY_VERSION) > 0 ? EXIT_OK : EXIT_TEMP;
    if (argc == 2 && strcmp(argv[1], "--document-config") == 0) {
        conf_document(stdout, &TABLE, 1);
        return EXIT_OK;
    }
    bool known = argc > 1 && is_group(commands, count, argv[1]);
    if (argc > 1 && help_generate(argc, argv, &all, &code))
        return code;
    if (wants_help(argc, argv) || (argc > 1 && strcmp(argv[1], "help") == 0)) {
        help_print(stdout, &all, known ? argv[1] : NULL);
        return EXIT_OK;
    }
    cli.command = find_command(commands, count, argc, argv, &words);
    if (!cli.command) {
        if (known && argc == 2)
            (void)cli_usage("%s: which of its commands?", argv[1]);
        else if (argc > 1)
            (void)cli_usage("there is no command '%.40s%s%.40s'", argv[1], argc > 2 ? " " : "",
                            argc > 2 ? argv[2] : "");
        help_print(stderr, &all, known ? argv[1] : NULL);
        return EXIT_USAGE;
    }
    code = run(&cli, argc - words, argv + words);
    close_all(&cli);
    return code;
}
