/* SPDX-License-Identifier: MIT */
/*
 * gantry-gateway - the HTTP front door and the NATS auth callout.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "check.h"
#include "claims.h"
#include "logins/direct.h"
#include "process/conf.h"
#include "process/confine.h"
#include "requests/openapi.h"
#include "serve.h"
#include "settings.h"

static const char USAGE[] =
    "usage: gantry-gateway [--check-config | --print-config | --document-config |\n"
    "                       --print-openapi | --print-callout-issuer |\n"
    "                       --print-actor-key PROGRAM | --version | --help]\n"
    "The gateway of Gantry. Configuration is by environment variables: docs/configuration.md.\n";

static int
print_openapi(void)
{
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    buf_init(&out, OPENAPI_MAX);
    if (openapi_write(&out, &err) != RC_OK) {
        (void)fprintf(stderr, "gantry-gateway: %s\n", err.text);
        return EXIT_TEMP;
    }
    puts(buf_text(&out));
    return EXIT_OK;
}

int
main(int argc, char **argv)
{
    static struct settings settings;
    struct err err = { 0 };
    const char *word = argc > 1 ? argv[1] : "";
    if (argc == 3 && strcmp(word, "--print-actor-key") == 0)
        return claims_print_key(argv[2]);
    if (argc > 2 || strcmp(word, "--help") == 0) {
        (void)fputs(USAGE, argc > 2 ? stderr : stdout);
        return argc > 2 ? EXIT_USAGE : EXIT_OK;
    }
    if (strcmp(word, "--version") == 0)
        return puts("gantry-gateway " GANTRY_VERSION) < 0 ? EXIT_TEMP : EXIT_OK;
    if (strcmp(word, "--print-openapi") == 0)
        return print_openapi();
    if (strcmp(word, "--document-config") == 0) {
        conf_document(stdout, &SETTINGS, 1);
        return EXIT_OK;
    }
    if (strcmp(word, "--print-callout-issuer") == 0)
        return direct_print_issuer();
    bool check = strcmp(word, "--check-config") == 0;
    bool print = strcmp(word, "--print-config") == 0;
    if (word[0] && !check && !print) {
        (void)fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    if (confine_memory(&err) != RC_OK || conf_read(&SETTINGS, 1, &settings, &err) != RC_OK) {
        (void)fprintf(stderr, "gantry-gateway: %s\n", err.text);
        return EXIT_CONFIG;
    }
    log_init("gateway", (enum log_level)settings.log_level, (enum log_format)settings.log_format);
    if (print)
        conf_print(stdout, &SETTINGS, 1, &settings);
    int code = check   ? check_settings(&settings) ? EXIT_CONFIG : EXIT_OK
               : print ? EXIT_OK
                       : serve(&settings);
    conf_wipe(&SETTINGS, 1, &settings);
    return code;
}
