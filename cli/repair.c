/* SPDX-License-Identifier: MIT */
/*
 * repair - consumers that are ahead of their stream are made anew; streams get their first message.
 */
#include "repair.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli.h"
#include "process/fault.h"

#define BODY_MAX      8192 /* bytes of a consumer's configuration */
#define SUBJECT_LEN   200  /* bytes with the NUL */
#define LOOK_AGAIN_MS 300

/* Error codes of the JetStream API. */
#define STREAM_NOT_FOUND   10059
#define NO_MESSAGE_FOUND   10037
#define CONSUMER_NOT_FOUND 10014

/* --- what there is ---------------------------------------------------------------------------- */

void
places_add(struct places *places, const char *name)
{
    if (strlen(name) >= PLACE_MAX)
        return;
    if (places->count == places->cap) {
        places->cap = places->cap ? 2 * places->cap : 64;
        places->all = reallocarray(places->all, places->cap, sizeof(*places->all));
        if (!places->all)
            log_no_memory("the names of consumers");
    }
    (void)strlcpy(places->all[places->count++].name, name, PLACE_MAX);
}

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->name, ((const struct place *)b)->name);
}

bool
places_have(struct places *places, const char *name)
{
    struct place wanted = { 0 };
    if (strlcpy(wanted.name, name, PLACE_MAX) >= PLACE_MAX || places->count == 0)
        return false;
    if (places->ordered < places->count)
        qsort(places->all, places->count, sizeof(*places->all), compare);
    places->ordered = places->count;
    return bsearch(&wanted, places->all, places->count, sizeof(*places->all), compare) != NULL;
}

void
places_cleanup(struct places *places)
{
    free(places->all);
    *places = (struct places){ 0 };
}

/* --- consumers that are ahead ----------------------------------------------------------------- */

/* One request about a consumer or a stream; a thing that is not there leaves *out NULL. */
static enum rc
ask(struct cli *cli, const char *verb, const char *thing, const char *body, cJSON **out,
    struct err *err)
{
    char subject[SUBJECT_LEN];
    int64_t code = 0;

    (void)snprintf(subject, sizeof(subject), "$JS.API.%s.%s", verb, thing);
    enum rc rc = cli_js_patient(cli, subject, body, out, &code, err);
    bool missing =
        code == STREAM_NOT_FOUND || code == NO_MESSAGE_FOUND || code == CONSUMER_NOT_FOUND;
    return rc != RC_OK && missing ? RC_OK : rc;
}

/* The sequence of the stream's first message that the consumer takes; 0 = there is none. */
static enum rc
first_for(struct cli *cli, const char *stream, const cJSON *config, int64_t *out, struct err *err)
{
    AUTO(buf) struct buf body = { 0 };
    AUTO(json) cJSON *found = NULL;
    struct json_writer w;
    const char *filter = json_string(config, "filter_subject");

    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "seq", 0);
    json_put_string(&w, "next_by_subj", filter && *filter ? filter : ">");
    json_close(&w);
    enum rc rc = json_end(&w);
    if (rc == RC_OK)
        rc = ask(cli, "STREAM.MSG.GET", stream, buf_text(&body), &found, err);
    if (rc == RC_OK)
        *out = json_int(json_member(found, "message"), "seq", 0);
    return rc;
}

struct ahead {
    bool of_all; /* messages that the stream has */
    int64_t of;  /* the sequence of the first one; 0 = of none */
};

/*
 * Ahead: it has delivered what the stream says it never had, or the stream of a work queue still has
 * what it has settled. The consumer is asked first: what it counts then, the stream has for sure.
 */
static enum rc
is_ahead(struct cli *cli, const char *stream, const char *place, struct ahead *out, struct err *err)
{
    AUTO(json) cJSON *consumer = NULL;
    AUTO(json) cJSON *info = NULL;
    int64_t first = 0;

    *out = (struct ahead){ 0 };
    enum rc rc = ask(cli, "CONSUMER.INFO", place, "", &consumer, err);
    if (rc == RC_OK)
        rc = ask(cli, "STREAM.INFO", stream, "", &info, err);
    if (rc != RC_OK || !consumer || json_int(json_member(info, "config"), "num_replicas", 0) != 1)
        return rc; /* the other servers of a cluster remember */
    rc = first_for(cli, stream, json_member(consumer, "config"), &first, err);
    if (rc != RC_OK)
        return rc;
    int64_t delivered = json_int(json_member(consumer, "delivered"), "stream_seq", 0);
    int64_t settled = json_int(json_member(consumer, "ack_floor"), "stream_seq", 0);
    int64_t last = json_int(json_member(info, "state"), "last_seq", 0);
    out->of_all = delivered > last;
    out->of = first <= settled ? first : 0;
    return RC_OK;
}

static enum rc
make_anew(struct cli *cli, const char *stream, const char *place, const cJSON *config,
          struct err *err)
{
    AUTO(json) cJSON *gone = NULL;
    AUTO(json) cJSON *made = NULL;
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;

    buf_init(&body, BODY_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "stream_name", stream);
    json_put_doc(&w, "config", config);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return err_set(err, RC_BUG, "the configuration of consumer %s is too long", place);
    enum rc rc = ask(cli, "CONSUMER.DELETE", place, "", &gone, err);
    FAULT("consumer_deleted"); /* until it is missed (provision.c) */
    if (rc == RC_OK)
        rc = ask(cli, "CONSUMER.DURABLE.CREATE", place, buf_text(&body), &made, err);
    return rc;
}

static void
wait_a_little(void)
{
    long long ms = FAULT_NUMBER("FAULT_LOOK_AGAIN_MS", LOOK_AGAIN_MS);
    (void)nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
                    NULL);
}

static enum rc
repair_consumer(struct cli *cli, const char *stream, const char *place, const cJSON *consumer,
                unsigned *count, struct err *err)
{
    struct ahead ahead;
    struct ahead still;

    enum rc rc = is_ahead(cli, stream, place, &ahead, err);
    if (rc != RC_OK || (!ahead.of_all && !ahead.of))
        return rc;
    /* A message that is just being settled looks like that for an instant: look again. */
    wait_a_little();
    rc = is_ahead(cli, stream, place, &still, err);
    if (rc != RC_OK || !((ahead.of_all && still.of_all) || (ahead.of && still.of == ahead.of)))
        return rc;
    rc = make_anew(cli, stream, place, json_member(consumer, "config"), err);
    if (rc != RC_OK)
        return rc;
    log_fields(LOG_WARN, "a consumer was ahead of its stream and was created again", "consumer",
               place, NULL);
    (*count)++;
    return RC_OK;
}

enum rc
repair_stream(struct cli *cli, const char *stream, struct places *places, unsigned *count,
              struct err *err)
{
    int64_t offset = 0;
    int64_t total = 1;
    enum rc rc = RC_OK;

    while (rc == RC_OK && offset < total) {
        AUTO(json) cJSON *page = NULL;
        const cJSON *consumer = NULL;
        AUTO(buf) struct buf body = { 0 };
        struct json_writer w;
        buf_init(&body, BODY_MAX);
        json_begin(&w, &body);
        json_object(&w, NULL);
        json_put_int(&w, "offset", offset);
        json_close(&w);
        if ((rc = json_end(&w)) == RC_OK)
            rc = ask(cli, "CONSUMER.LIST", stream, buf_text(&body), &page, err);
        const cJSON *consumers = rc == RC_OK ? json_member(page, "consumers") : NULL;
        total = json_int(page, "total", 0);
        if (page && offset == 0)
            places_add(places, stream);
        cJSON_ArrayForEach (consumer,
                            json_member(page, "missing")) { /* in a cluster: it answers later */
            char place[SUBJECT_LEN];
            (void)snprintf(place, sizeof(place), "%s.%s", stream,
                           cJSON_IsString(consumer) ? consumer->valuestring : "");
            places_add(places, place);
        }
        if (!cJSON_GetArraySize(consumers))
            break;
        cJSON_ArrayForEach (consumer, consumers) {
            char place[SUBJECT_LEN];
            const char *name = json_string(consumer, "name");
            offset++;
            (void)snprintf(place, sizeof(place), "%s.%s", stream, name ? name : "");
            places_add(places, place);
            rc = repair_consumer(cli, stream, place, consumer, count, err);
            if (rc != RC_OK)
                break;
        }
    }
    return rc;
}

/* The first subject of a stream, of a workspace that none can be: no consumer asks for it. */
static enum rc
own_subject(const cJSON *body, char out[SUBJECT_LEN], struct err *err)
{
    const cJSON *first =
        json_member(body, "subjects") ? json_member(body, "subjects")->child : NULL;
    if (!cJSON_IsString(first) || strlen(first->valuestring) >= SUBJECT_LEN)
        return err_set(err, RC_BUG, "a stream without a subject");
    (void)strlcpy(out, first->valuestring, SUBJECT_LEN);
    for (char *star = out; (star = strchr(star, '*')) != NULL;)
        *star = '_';
    return RC_OK;
}

/* PURGE takes also what a repetition has stored. */
enum rc
repair_new_stream(struct cli *cli, const char *stream, const cJSON *body, struct err *err)
{
    AUTO(json) cJSON *stored = NULL;
    AUTO(json) cJSON *purged = NULL;
    AUTO(buf) struct buf filter = { 0 };
    char own[SUBJECT_LEN];
    struct json_writer w;
    int64_t code = 0;

    enum rc rc = own_subject(body, own, err);
    if (rc == RC_OK)
        rc = cli_js_patient(cli, own, "", &stored, &code, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&filter, BODY_MAX);
    json_begin(&w, &filter);
    json_object(&w, NULL);
    json_put_string(&w, "filter", own);
    json_close(&w);
    rc = json_end(&w);
    return rc == RC_OK ? ask(cli, "STREAM.PURGE", stream, buf_text(&filter), &purged, err) : rc;
}
