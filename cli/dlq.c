/* SPDX-License-Identifier: MIT */
/*
 * dlq - reads DEAD by sequence through the JetStream API; nothing is consumed by looking.
 *
 * A replay publishes the payload on its original subject and then deletes the letter: a crash in
 * between leaves it, and the worker absorbs the second one. A command with the gateway's claim keeps
 * its id by the claim and gets a new Nats-Msg-Id; a direct client's id is the Nats-Msg-Id itself, so
 * within JetStream's duplicate window of two minutes it cannot be sent again.
 */
#include "dlq.h"

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli.h"
#include "crypto/crypto_encode.h"
#include "progress.h"
#include "protocol/command.h"

#define NAME_ROOM   64
#define HEADER_ROOM 1100 /* bytes of one header's value with the NUL */
#define PUBLISH_MS  5000

struct letter {
    int64_t seq;
    char subject[SUBJECT_MAX]; /* where it died */
    char time[CLOCK_TEXT_MAX + 8];
    char *headers; /* owned; NUL-terminated block */
    char *data;    /* owned */
    size_t len;
};

static void
letter_fini(struct letter *letter)
{
    free(letter->headers);
    free(letter->data);
    *letter = (struct letter){ .seq = 0 };
}

#define letter_cleanup letter_fini

/* The value of a header in the block "NATS/1.0\r\nName: value\r\n…"; "" when absent. */
static const char *
header(const struct letter *letter, const char *name, char out[HEADER_ROOM])
{
    size_t own = strlen(name);
    out[0] = '\0';
    for (const char *line = letter->headers; line && *line;) {
        size_t len = strcspn(line, "\r\n");
        if (len > own + 1 && strncasecmp(line, name, own) == 0 && line[own] == ':') {
            const char *value = line + own + 1 + strspn(line + own + 1, " ");
            size_t n = (size_t)(line + len - value);
            if (n < HEADER_ROOM) {
                memcpy(out, value, n);
                out[n] = '\0';
            }
            return out;
        }
        line += len + strspn(line + len, "\r\n");
    }
    return out;
}

static enum rc
decode(const char *text, char **out, size_t *len, struct err *err)
{
    size_t cap = text ? strlen(text) : 0;
    AUTO(free) char *bytes = calloc(1, cap + 1);
    if (!bytes)
        return err_set(err, RC_TEMP, "no memory for a message");
    *len = 0;
    if (text && base64_decode(text, cap, (uint8_t *)bytes, cap, len) != RC_OK)
        return err_set(err, RC_BUG, "the server sent no base64");
    bytes[*len] = '\0';
    *out = TAKE(bytes);
    return RC_OK;
}

static enum rc
read_letter(const cJSON *message, struct letter *out, struct err *err)
{
    size_t len = 0;
    const char *subject = json_string(message, "subject");
    const char *time = json_string(message, "time");
    out->seq = json_int(message, "seq", 0);
    (void)strlcpy(out->subject, subject ? subject : "", sizeof(out->subject));
    (void)strlcpy(out->time, time ? time : "", sizeof(out->time));
    enum rc rc = decode(json_string(message, "hdrs"), &out->headers, &len, err);
    if (rc == RC_OK)
        rc = decode(json_string(message, "data"), &out->data, &out->len, err);
    return rc;
}

/* The first letter at or after seq that the filter matches; RC_NOTFOUND past the last. filter NULL:
 * exactly seq. */
static enum rc
get_letter(struct cli *cli, int64_t seq, const char *filter, struct letter *out, struct err *err)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct json_writer w;

    buf_init(&body, 1024);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", seq);
    if (filter)
        json_put_string(&w, "next_by_subj", filter);
    json_close(&w);
    (void)json_end(&w);
    enum rc rc = cli_js(cli, "$JS.API.STREAM.MSG.GET.DEAD", buf_text(&body), &doc, NULL, err);
    if (rc == RC_NOTFOUND)
        return err_set(err, RC_NOTFOUND, "there is no dead letter %lld", (long long)seq);
    return rc == RC_OK ? read_letter(json_member(doc, "message"), out, err) : rc;
}

static void
split_subject(const struct letter *letter, char workspace[NAME_ROOM], char program[NAME_ROOM])
{
    workspace[0] = program[0] = '\0';
    (void)sscanf(letter->subject, "gantry.v1.%63[^.].dead.%63s", workspace, program);
}

static enum rc
make_filter(const struct cli *cli, char out[SUBJECT_MAX], struct err *err)
{
    const char *workspace = cli_option(cli, "workspace");
    const char *program = cli_option(cli, "program");
    if ((workspace && !workspace_valid(workspace, strlen(workspace))) ||
        (program && strspn(program, "abcdefghijklmnopqrstuvwxyz") != strlen(program)))
        return err_set(err, RC_INVALID, "--workspace or --program is no name");
    (void)snprintf(out, SUBJECT_MAX, "gantry.v1.%s.dead.%s", workspace ? workspace : "*",
                   program ? program : "*");
    return RC_OK;
}

static void
put_letter(struct json_writer *w, const struct letter *letter)
{
    static const struct {
        const char *header, *member;
    } NAMES[] = { { "Gantry-Subject", "subject" },
                  { "Gantry-Reason", "reason" },
                  { "Gantry-Msg-Id", "msg_id" } };
    char workspace[NAME_ROOM], program[NAME_ROOM], value[HEADER_ROOM];

    split_subject(letter, workspace, program);
    json_put_int(w, "seq", letter->seq);
    json_put_string(w, "workspace", workspace);
    json_put_string(w, "program", program);
    json_put_string(w, "time", letter->time);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        json_put_string(w, NAMES[i].member, header(letter, NAMES[i].header, value));
    json_put_int(w, "deliveries", strtoll(header(letter, "Gantry-Deliveries", value), NULL, 10));
    json_put_int(w, "size", (int64_t)letter->len);
}

/* --- list and show ---------------------------------------------------------------------------- */

static void
print_line(const struct letter *letter)
{
    char subject[HEADER_ROOM], reason[HEADER_ROOM], deliveries[HEADER_ROOM];
    (void)printf("%-8lld %.19s  %-40s  %3s x  %6zu B  %s\n", (long long)letter->seq, letter->time,
                 header(letter, "Gantry-Subject", subject),
                 header(letter, "Gantry-Deliveries", deliveries), letter->len,
                 header(letter, "Gantry-Reason", reason));
}

int
cmd_dlq_list(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    char filter[SUBJECT_MAX];
    struct err err = { .rc = RC_OK };
    struct json_writer w;
    int64_t limit = 0;
    int64_t count = 0;
    int64_t seq = 1;

    enum rc rc = cli_option_int(cli, "limit", 1, 100000, 100, &limit, &err);
    if (rc == RC_OK)
        rc = make_filter(cli, filter, &err);
    if (rc != RC_OK)
        return cli_usage("%s", err.text);
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_array(&w, "items");
    while (rc == RC_OK && count < limit) {
        AUTO(letter) struct letter letter = { .seq = 0 };
        rc = get_letter(cli, seq, filter, &letter, &err);
        if (rc != RC_OK)
            break;
        count++;
        seq = letter.seq + 1;
        if (!cli->json) {
            print_line(&letter);
            continue;
        }
        json_object(&w, NULL);
        put_letter(&w, &letter);
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
        return err_set(err, RC_INVALID, "'%.40s' is no sequence number", text);
    *out = value;
    return RC_OK;
}

int
cmd_dlq_show(struct cli *cli)
{
    AUTO(buf) struct buf out = { 0 };
    AUTO(json) cJSON *doc = NULL;
    AUTO(letter) struct letter letter = { .seq = 0 };
    struct err err = { .rc = RC_OK };
    struct json_writer w;
    int64_t seq = 0;

    if (parse_seq(cli->argv[0], &seq, &err) != RC_OK)
        return cli_usage("%s", err.text);
    if (get_letter(cli, seq, NULL, &letter, &err) != RC_OK)
        return cli_fail(&err);
    if (!cli->json) {
        (void)printf("%s\n", letter.headers);
        (void)fwrite(letter.data, 1, letter.len, stdout);
        return putchar('\n') == EOF ? EXIT_TEMP : EXIT_OK;
    }
    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    put_letter(&w, &letter);
    /* The payload as a document if it is one; else its bytes, which nobody could decode. */
    if (json_read(letter.data, letter.len, &doc, NULL) == RC_OK) {
        json_put_doc(&w, "payload", doc);
    } else {
        AUTO(free) char *text = calloc(1, BASE64_LEN(letter.len));
        if (!text)
            return EXIT_TEMP;
        base64_encode((const uint8_t *)letter.data, letter.len, text);
        json_put_string(&w, "payload_base64", text);
    }
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
        return err_set(err, RC_TEMP, "JetStream still knows this message id: again in two minutes");
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
    char subject[HEADER_ROOM], actor[HEADER_ROOM], id[HEADER_ROOM], fresh[HEADER_ROOM + 40];
    char workspace[WORKSPACE_TEXT_MAX];
    enum command command = CMD_COUNT;
    const struct bus_header headers[] = { { ACTOR_HEADER, header(letter, ACTOR_HEADER, actor) } };

    if (header(letter, CUT_HEADER, id)[0])
        return err_set(err, RC_INVALID,
                       "dead letter %lld cannot be sent again: of its %s bytes only %zu are kept",
                       (long long)letter->seq, id, letter->len);
    (void)header(letter, "Gantry-Subject", subject);
    (void)header(letter, "Gantry-Msg-Id", id);
    if (strlen(subject) >= SUBJECT_MAX || command_parse(subject, workspace, &command) != RC_OK ||
        command_info(command)->stream == STREAM_NONE)
        return err_set(err, RC_INVALID, "dead letter %lld names no command to send again",
                       (long long)letter->seq);
    (void)strlcpy(fresh, id, sizeof(fresh));
    if (actor[0] || command == CMD_AUDIT_REQUEST)
        (void)snprintf(fresh, sizeof(fresh), "%s.replay.%lld", id, (long long)letter->seq);
    const struct bus_out out = { .subject = subject,
                                 .headers = headers,
                                 .n_headers = actor[0] ? 1 : 0,
                                 .data = letter->data,
                                 .len = letter->len };
    enum rc rc = publish(cli, &out, fresh[0] ? fresh : NULL, err);
    return rc == RC_OK ? discard(cli, letter, err) : rc;
}

typedef enum rc change_fn(struct cli *cli, const struct letter *letter, struct err *err);

static enum rc
change_all(struct cli *cli, change_fn *change, uint64_t *count, struct err *err)
{
    char filter[SUBJECT_MAX];
    struct progress progress;
    int64_t seq = 1;

    enum rc rc = make_filter(cli, filter, err);
    progress_begin(&progress, "dead letters", 0);
    while (rc == RC_OK) {
        AUTO(letter) struct letter letter = { .seq = 0 };
        rc = get_letter(cli, seq, filter, &letter, err);
        if (rc != RC_OK)
            break;
        seq = letter.seq + 1;
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
            rc = get_letter(cli, seq, NULL, &letter, err);
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
    struct err err = { .rc = RC_OK };
    struct json_writer w;
    uint64_t count = 0;
    bool all = cli_option(cli, "all") != NULL;

    if (all == (cli->argc > 0))
        return cli_usage("dlq %s: sequence numbers or --all, please", cli->command->verb);
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
