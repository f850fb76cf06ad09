/* SPDX-License-Identifier: MIT */
#include "gateway.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define WAIT_MS 20000 /* of one try: somebody is watching */

/* What a task printed may hold U+0000, which our reader refuses, and sequences that change a
 * terminal's settings: both become U+FFFD. Only escapes can hold them; the text keeps its length or
 * grows. */
static void
soften(const char *text, size_t len, bool for_terminal, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\\' || i + 1 == len) {
            buf_putc(out, text[i]);
        } else if (strncmp(text + i + 1, "u0000", 5) == 0 ||
                   (for_terminal && (strncmp(text + i + 1, "u000", 4) == 0 ||
                                     strncmp(text + i + 1, "u001", 4) == 0))) {
            buf_puts(out, "\\ufffd");
            i += 5;
        } else if (for_terminal && (text[i + 1] == 'b' || text[i + 1] == 'f')) {
            buf_puts(out, "\\ufffd");
            i++;
        } else {
            buf_add(out, text + i, 2);
            i++;
        }
    }
}

enum rc
gateway_open(struct cli *cli, unsigned parallel, struct fetch_pool **out, struct err *err)
{
    if (!cli->conf.api_key)
        return cli_missing("GANTRY_API_KEY", err);
    return cli_http(cli, parallel, out, err);
}

/* What a person who is not at home here would ask next. */
static enum rc
advise(enum rc rc, struct err *err)
{
    static const struct {
        const char *part, *advice;
    } ADVICE[] = {
        { "(HTTP 401)", "GANTRY_API_KEY is wrong, expired or revoked: `gantry key list` shows the "
                        "keys, `gantry key create` makes one" },
        { "(HTTP 403)", "`gantry key list` shows the key's role, `gantry workspace list` what its "
                        "workspace may run" },
        { "(HTTP 429)", "wait, or raise RATE_LIMIT_PER_MINUTE" },
        { "(HTTP 5", "`gantry status` says which part is down" },
        { "://", "is GANTRY_URL right, and the gateway up? `gantry status` says which part is "
                 "down" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ADVICE); i++)
        if (strstr(err->text, ADVICE[i].part)) {
            struct err told = *err;
            return err_set(err, rc, "%.250s; %s", told.text, ADVICE[i].advice);
        }
    return rc;
}

enum rc
gateway_call(struct cli *cli, const struct fetch_request *request, struct buf *answer, cJSON **doc,
             struct err *err)
{
    AUTO(buf) struct buf soft = { 0 };
    struct fetch_pool *pool = NULL;
    enum rc rc = gateway_open(cli, 1, &pool, err);

    buf_init(answer, FETCH_ANSWER_MAX);
    buf_init(&soft, FETCH_ANSWER_MAX);
    if (rc != RC_OK)
        return rc;
    if ((rc = fetch_pool_call(pool, request, answer, err)) != RC_OK)
        return advise(rc, err);
    if (!doc)
        return RC_OK;
    soften(buf_text(answer), answer->len, isatty(STDOUT_FILENO) == 1, &soft);
    if (buf_failed(&soft) || json_read(buf_text(&soft), soft.len, doc, err) != RC_OK)
        return err_set(err, RC_BUG, "the gateway's answer cannot be read; is GANTRY_URL Gantry's?");
    return RC_OK;
}

enum rc
gateway_get(struct cli *cli, const char *path, struct buf *answer, cJSON **doc, struct err *err)
{
    const struct fetch_request request = {
        .method = "GET", .path = path, .once = true, .timeout_ms = WAIT_MS
    };
    return gateway_call(cli, &request, answer, doc, err);
}

void
gateway_query(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(path, "%c%s=", strchr(buf_text(path), '?') ? '&' : '?', name);
    for (const char *c = value; *c; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c))
            buf_putc(path, *c);
        else
            buf_printf(path, "%%%02X", (unsigned)(unsigned char)*c);
    }
}
