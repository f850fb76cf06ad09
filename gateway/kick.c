/* SPDX-License-Identifier: MIT */
#include "kick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "command.h"
#include "crypto.h"
#include "json.h"
#include "keys.h"
#include "log.h"
#include "login.h"

#define ALL_SERVERS      "$SYS.REQ.SERVER.PING.CONNZ"
#define INBOX            "_INBOX." KICK_USER
#define QUERY_MAX        256
#define FIRST_CONNECT_MS 5000
#define PAGE             256  /* connections in one answer of a sweep */
#define PAGE_OF_KEY      1024 /* of one key */
#define AGAIN_MAX        256  /* keys to look at again; more are left to a sweep */

struct again {
    char key_id[KEY_ID_LEN + 1];
    int64_t due_ms; /* monotonic */
};

struct kick {
    struct kick_options options;
    struct bus *bus;
    struct bus_sub *sub;
    struct loop_timer *sweep, *look_again;
    char inbox[64];
    struct again again[AGAIN_MAX];
    unsigned n_again;
};

static void
publish(struct kick *kick, const char *subject, const char *reply, const struct buf *data)
{
    struct err err;
    struct bus_out out = {
        .subject = subject, .reply = reply, .data = data->data, .len = data->len
    };
    if (bus_connected(kick->bus) && bus_publish(kick->bus, &out, &err) != RC_OK)
        log_warn("connections cannot be ended: %s", err.text);
}

/* Ask for one page of connections: of one key, or of all. The reply's subject says what was asked:
 * <inbox>.key.<key id>, or <inbox>.all.<offset>. */
static void
ask(struct kick *kick, const char *subject, const char *key_id, unsigned offset)
{
    AUTO(buf) struct buf query;
    struct json_writer w;
    char reply[SUBJECT_MAX];
    buf_init(&query, QUERY_MAX);
    json_begin(&w, &query);
    json_object(&w, NULL);
    json_put_bool(&w, "auth", true);
    json_put_string(&w, "acc", LOGIN_ACCOUNT);
    json_put_int(&w, "limit", key_id ? PAGE_OF_KEY : PAGE);
    json_put_int(&w, "offset", offset);
    if (key_id)
        json_put_string(&w, "user", key_id);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return;
    if (key_id)
        (void)snprintf(reply, sizeof(reply), "%s.key.%s", kick->inbox, key_id);
    else
        (void)snprintf(reply, sizeof(reply), "%s.all.%u", kick->inbox, offset);
    publish(kick, subject, reply, &query);
}

static void
end_connection(struct kick *kick, const char *server_id, int64_t cid, const char *key_id)
{
    AUTO(buf) struct buf order;
    struct json_writer w;
    char subject[SUBJECT_MAX], number[24];
    buf_init(&order, QUERY_MAX);
    json_begin(&w, &order);
    json_object(&w, NULL);
    json_put_int(&w, "cid", cid);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return;
    (void)snprintf(subject, sizeof(subject), "$SYS.REQ.SERVER.%s.KICK", server_id);
    publish(kick, subject, NULL, &order);
    ++*kick->options.kicked;
    (void)snprintf(number, sizeof(number), "%lld", (long long)cid);
    log_fields(LOG_INFO, "a NATS connection is ended: its key was revoked or changed", "key_id",
               key_id, "connection", number, NULL);
}

/* Go through one page. wanted: the key whose connections end, or NULL for those of no valid key. */
static void
judge(struct kick *kick, const cJSON *list, const char *server_id, const char *wanted)
{
    const cJSON *connection;
    cJSON_ArrayForEach (connection, list) {
        const char *user = json_string(connection, "authorized_user");
        int64_t cid = json_int(connection, "cid", 0);
        if (!user || !cid)
            continue;
        if (wanted ? strcmp(user, wanted) == 0 : !keys_known(kick->options.keys, user))
            end_connection(kick, server_id, cid, user);
    }
}

static void
on_page(void *arg, const struct bus_msg *msg)
{
    struct kick *kick = arg;
    AUTO(json) cJSON *doc = NULL;
    struct err err;
    char next[SUBJECT_MAX];
    const char *what = msg->subject + strlen(kick->inbox) + 1;
    if (json_read_foreign(msg->data, msg->len, &doc, &err) != RC_OK) {
        log_warn("a list of connections cannot be read: %s", err.text);
        return;
    }
    const char *server_id = json_string(json_member(doc, "server"), "id");
    const cJSON *data = json_member(doc, "data");
    const cJSON *list = json_member(data, "connections");
    if (!server_id || strlen(server_id) > 128 || strpbrk(server_id, ".*> ") || !list)
        return;
    if (strncmp(what, "key.", 4) == 0) {
        judge(kick, list, server_id, what + 4);
        return;
    }
    if (!keys_fresh(kick->options.keys)) /* nobody is judged by old knowledge */
        return;
    judge(kick, list, server_id, NULL);
    int64_t seen = json_int(data, "offset", 0) + cJSON_GetArraySize(list);
    (void)snprintf(next, sizeof(next), "$SYS.REQ.SERVER.%s.CONNZ", server_id);
    if (cJSON_GetArraySize(list) == PAGE && seen < json_int(data, "total", 0))
        ask(kick, next, NULL, (unsigned)seen);
}

void
kick_key(struct kick *kick, const char *key_id)
{
    ask(kick, ALL_SERVERS, key_id, 0);
    if (kick->n_again == AGAIN_MAX) {
        loop_timer_set(kick->sweep, KICK_AGAIN_MS, KICK_SWEEP_MS);
        return;
    }
    struct again *again = &kick->again[kick->n_again++];
    (void)snprintf(again->key_id, sizeof(again->key_id), "%s", key_id);
    again->due_ms = clock_mono_ms() + KICK_AGAIN_MS;
}

/* A key that is valid (its rights had changed) has logged in with them by now: leave it. */
static void
on_look_again(void *arg)
{
    struct kick *kick = arg;
    unsigned kept = 0;
    for (unsigned i = 0; i < kick->n_again; i++) {
        struct again *again = &kick->again[i];
        if (again->due_ms > clock_mono_ms())
            kick->again[kept++] = *again;
        else if (!keys_known(kick->options.keys, again->key_id))
            ask(kick, ALL_SERVERS, again->key_id, 0);
    }
    kick->n_again = kept;
}

static void
on_sweep(void *arg)
{
    ask(arg, ALL_SERVERS, NULL, 0);
}

/* --- life ------------------------------------------------------------------------------------- */

enum rc
kick_open(struct loop *loop, const struct kick_options *options, struct kick **out, struct err *err)
{
    struct kick *kick = calloc(1, sizeof(*kick));
    char subject[SUBJECT_MAX], unique[ID_TEXT_MAX];
    if (!kick)
        return err_set(err, RC_TEMP, "no memory");
    kick->options = *options;
    id_new_random(unique);
    (void)snprintf(kick->inbox, sizeof(kick->inbox), INBOX ".%s", unique);
    (void)snprintf(subject, sizeof(subject), "%s.*.*", kick->inbox);
    enum rc rc = bus_connect(loop, &options->bus, FIRST_CONNECT_MS, &kick->bus, err);
    if (rc == RC_OK)
        rc = bus_subscribe(kick->bus, subject, NULL, on_page, kick, &kick->sub, err);
    if (rc != RC_OK) {
        kick_close(kick);
        return rc;
    }
    kick->sweep = loop_timer_new(loop, on_sweep, kick);
    kick->look_again = loop_timer_new(loop, on_look_again, kick);
    loop_timer_set(kick->sweep, KICK_AGAIN_MS, KICK_SWEEP_MS);
    loop_timer_set(kick->look_again, KICK_AGAIN_MS / 4, KICK_AGAIN_MS / 4);
    *out = kick;
    return RC_OK;
}

void
kick_close(struct kick *kick)
{
    if (!kick)
        return;
    if (kick->sweep)
        loop_timer_free(kick->sweep);
    if (kick->look_again)
        loop_timer_free(kick->look_again);
    bus_free(kick->bus);
    free(kick);
}
