/* SPDX-License-Identifier: MIT */
/*
 * dlq - reads DEAD by sequence through the JetStream API; nothing is consumed by looking.
 *
 * A replay publishes the payload on its original subject and then deletes the letter: a crash in
 * between leaves it, and the worker absorbs the second one. (common/protocol/letter.h)
 */
#include "dlq.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli.h"
#include "progress.h"
#include "protocol/command_list.h"
#include "protocol/letter_walk.h"

#define PUBLISH_MS 5000

static enum rc
get_letter(struct cli *cli, int64_t seq, struct letter *out, struct err *err)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct json_writer w;

    buf_init(&body, 1024);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", seq);
    json_close(&w);
    (void)json_end(&w);
    enum rc rc = cli_js(cli, "$JS.API.STREAM.MSG.GET.DEAD", buf_text(&body), &doc, NULL, err);
    if (rc == RC_NOTFOUND)
        return err_set(err, RC_NOTFOUND, "there is no dead letter %lld", (long long)seq);
    return rc == RC_OK ? letter_read(json_member(doc, "message"), out, err) : rc;
}

static enum rc
walk_begin(const struct cli *cli, struct letter_walk *out, struct err *err)
{
    const char *workspace = cli_option(cli, "workspace");
    const char *program = cli_option(cli, "program");
    if (workspace && !workspace_valid(workspace, strlen(workspace)))
        return err_set(
            err, RC_INVALID,
            "--workspace '%.80s' is not a workspace name: 1 to 63 of a-z 0-9 _ -, beginning "
            "with a letter or a digit",
            workspace);
    if (program && (!program[0] || strlen(program) >= LETTER_NAME_MAX ||
                    strspn(program, "abcdefghijklmnopqrstuvwxyz") != strlen(program)))
        return err_set(err, RC_INVALID,
                       "--program '%.80s' is not a program's name: 1 to %d of a-z, such as ingest",
                       program, LETTER_NAME_MAX - 1);
    *out = (struct letter_walk){ .seq = 1 };
    (void)strlcpy(out->workspace, workspace ? workspace : "", sizeof(out->workspace));
    (void)strlcpy(out->program, program ? program : "", sizeof(out->program));
    return RC_OK;
}

static enum rc
ask_next(struct cli *cli, const struct letter_walk *walk, struct letter *out, struct err *err)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    enum rc rc = letter_walk_next(walk, &body);
    if (rc == RC_OK)
        rc = cli_js(cli, "$JS.API.STREAM.MSG.GET.DEAD", buf_text(&body), &doc, NULL, err);
    return rc == RC_OK ? letter_read(json_member(doc, "message"), out, err) : rc;
}

/* The next letter of the walk; RC_NOTFOUND past the last. */
static enum rc
walk_on(struct cli *cli, struct letter_walk *walk, struct letter *out, struct err *err)
{
    for (;;) {
        enum rc rc = ask_next(cli, walk, out, err);
        if (rc == RC_OK) {
            walk->seq = out->seq + 1;
            if (letter_walk_is_ours(walk, out))
                return RC_OK;
            letter_fini(out);
            continue;
        }
        if (rc != RC_NOTFOUND)
            return rc;
        AUTO(buf) struct buf body = { 0 };
        AUTO(json) cJSON *info = NULL;
        rc = letter_walk_count(walk, &body);
        if (rc == RC_OK)
            rc = cli_js(cli, LETTER_INFO_SUBJECT, buf_text(&body), &info, NULL, err);
        if (rc != RC_OK)
            return rc;
        if (!letter_walk_again(walk, info))
            return RC_NOTFOUND;
    }
}

/* --- list and show ---------------------------------------------------------------------------- */

static void
print_line(const struct letter *letter)
{
    char subject[LETTER_HEADER_MAX], reason[LETTER_HEADER_MAX], deliveries[LETTER_HEADER_MAX];
    (void)printf("%-8lld %.19s  %-40s  %3s x  %6zu B  %s\n", (long long)letter->seq, letter->time,
                 letter_header(letter, "Gantry-Subject", subject),
                 letter_header(letter, "Gantry-Deliveries", deliveries), letter->len,
                 letter_header(letter, "Gantry-Reason", reason));
}

static bool
was_shown(const int64_t *shown, int64_t count, int64_t seq)
{
    for (int64_t i = 0; i < count; i++)
        if (shown[i] == seq)
            return true;
    return false;
}

int
cmd_dlq_list(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    AUTO(free) int64_t *shown = NULL;
    struct letter_walk walk;
    struct err err = { 0 };
    struct json_writer w;
    int64_t limit = 0;
    int64_t count = 0;

    enum rc rc = cli_option_int(cli, "limit", 1, 100000, 100, &limit, &err);
    if (rc == RC_OK)
        rc = walk_begin(cli, &walk, &err);
    if (rc != RC_OK)
        return cli_usage("%s", err.text);
    shown = calloc((size_t)limit, sizeof(*shown));
    if (!shown)
        log_no_memory("a list of dead letters");
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_array(&w, "items");
    while (rc == RC_OK && count < limit) {
        AUTO(letter) struct letter letter = { .seq = 0 };
        rc = walk_on(cli, &walk, &letter, &err);
        if (rc != RC_OK)
            break;
        if (walk.all && was_shown(shown, count, letter.seq))
            continue;
        walk.found++;
        shown[count++] = letter.seq;
        if (!cli->json) {
            print_line(&letter);
            continue;
        }
        json_object(&w, NULL);
        letter_put(&w, &letter);
        json_close(&w);
    }
    if (rc != RC_OK && rc != RC_NOTFOUND)
        return cli_fail(&err);
    json_close(&w);
    json_put_int(&w, "count", count);
    json_close(&w);
    (void)json_end(&w);
    return cli->json ? cli_print_json(&out) : EXIT_OK;
}

static enum rc
parse_seq(const char *text, int64_t *out, struct err *err)
{
    const char *why = NULL;
    long long value = strtonum(text, 1, INT64_MAX, &why);
    if (why)
        return err_set(err, RC_INVALID, "'%.40s' is not a sequence number", text);
    *out = value;
    return RC_OK;
}

int
cmd_dlq_show(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    AUTO(letter) struct letter letter = { .seq = 0 };
    struct err err = { 0 };
    struct json_writer w;
    int64_t seq = 0;

    if (parse_seq(cli->argv[0], &seq, &err) != RC_OK)
        return cli_usage("%s", err.text);
    if (get_letter(cli, seq, &letter, &err) != RC_OK)
        return cli_fail(&err);
    if (!cli->json) {
        (void)printf("%s\n", letter.headers);
        (void)fwrite(letter.data, 1, letter.len, stdout);
        return putchar('\n') == EOF ? EXIT_TEMP : EXIT_OK;
    }
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    letter_put(&w, &letter);
    if (letter_put_payload(&w, &letter, &err) != RC_OK)
        return cli_fail(&err);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

/* --- replay and discard ----------------------------------------------------------------------- */

struct ack {
    bool done, duplicate;
    enum rc rc;
    struct err err;
};

static void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct ack *ack = arg;
    ack->done = true;
    ack->rc = rc;
    ack->duplicate = duplicate;
    if (err)
        ack->err = *err;
}

static enum rc
publish(struct cli *cli, const struct bus_out *out, const char *msg_id, struct err *err)
{
    struct bus *bus = NULL;
    struct ack ack = { .rc = RC_TEMP };
    enum rc rc = cli_bus(cli, &bus, err);
    if (rc == RC_OK)
        rc = bus_js_publish(bus, out, msg_id, PUBLISH_MS, on_ack, &ack, err);
    if (rc != RC_OK)
        return rc;
    while (!ack.done)
        loop_turn(cli->loop, 50);
    if (ack.rc != RC_OK)
        return err_set(err, ack.rc, "%s", ack.err.text);
    if (ack.duplicate)
        return err_set(err, RC_TEMP,
                       "JetStream still knows this message id: try again in two minutes");
    return RC_OK;
}

static enum rc
discard(struct cli *cli, const struct letter *letter, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;

    buf_init(&body, 256);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", letter->seq);
    json_close(&w);
    (void)json_end(&w);
    return cli_js(cli, "$JS.API.STREAM.MSG.DELETE.DEAD", buf_text(&body), &doc, NULL, err);
}

static enum rc
replay(struct cli *cli, const struct letter *letter, struct err *err)
{
    struct letter_again again;
    enum rc rc = letter_again(letter, &again, err);
    if (rc != RC_OK)
        return rc;
    const struct bus_header headers[] = { { ACTOR_HEADER, again.actor },
                                          { LIST_HEADER, again.list } };
    const struct bus_out out = { .subject = again.subject,
                                 .headers = headers,
                                 .n_headers = again.actor[0] ? 1 + (again.list[0] != 0) : 0,
                                 .data = letter->data,
                                 .len = letter->len };
    rc = publish(cli, &out, again.msg_id[0] ? again.msg_id : NULL, err);
    return rc == RC_OK ? discard(cli, letter, err) : rc;
}

typedef enum rc change_fn(struct cli *cli, const struct letter *letter, struct err *err);

static enum rc
change_all(struct cli *cli, change_fn *change, uint64_t *count, struct err *err)
{
    struct letter_walk walk;
    struct progress progress;

    enum rc rc = walk_begin(cli, &walk, err);
    progress_begin(&progress, "dead letters", 0);
    while (rc == RC_OK) {
        AUTO(letter) struct letter letter = { .seq = 0 };
        rc = walk_on(cli, &walk, &letter, err);
        if (rc != RC_OK)
            break;
        rc = change(cli, &letter, err);
        *count += rc == RC_OK;
        progress_show(&progress, *count);
    }
    progress_end(&progress);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc
change_named(struct cli *cli, change_fn *change, uint64_t *count, struct err *err)
{
    for (int i = 0; i < cli->argc; i++) {
        AUTO(letter) struct letter letter = { .seq = 0 };
        int64_t seq = 0;
        enum rc rc = parse_seq(cli->argv[i], &seq, err);
        if (rc == RC_OK)
            rc = get_letter(cli, seq, &letter, err);
        if (rc == RC_OK)
            rc = change(cli, &letter, err);
        if (rc != RC_OK)
            return rc;
        ++*count;
    }
    return RC_OK;
}

static int
change_letters(struct cli *cli, change_fn *change, const char *word)
{
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    struct json_writer w;
    uint64_t count = 0;
    bool all = cli_option(cli, "all") != NULL;

    if (all == (cli->argc > 0))
        return cli_usage("dlq %s needs sequence numbers, or --all", cli->command->verb);
    enum rc rc =
        all ? change_all(cli, change, &count, &err) : change_named(cli, change, &count, &err);
    if (rc != RC_OK) {
        if (count)
            (void)fprintf(stderr, "%llu %s before this:\n", (unsigned long long)count, word);
        return cli_fail(&err);
    }
    if (!cli->json) {
        (void)printf("%llu %s\n", (unsigned long long)count, word);
        return EXIT_OK;
    }
    buf_init(&out, 256);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_int(&w, word, (int64_t)count);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_dlq_replay(struct cli *cli)
{
    return change_letters(cli, replay, "replayed");
}

int
cmd_dlq_discard(struct cli *cli)
{
    return change_letters(cli, discard, "discarded");
}
