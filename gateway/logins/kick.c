/* SPDX-License-Identifier: MIT */
#include "logins/kick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "keys/keys.h"
#include "logins/callout.h"
#include "logins/login.h"
#include "protocol/command.h"
#include "tally.h"

#define ALL_SERVERS      "$SYS.REQ.SERVER.PING.CONNZ"
#define ONE_SERVER       "gantry.sys.connz.%s" /* nats/server.conf: that server's CONNZ */
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
    struct tally *tally; /* of the sweep under way */
    char inbox[64];
    struct again again[AGAIN_MAX];
    unsigned n_again;
};

static void
publish(struct kick *kick, const char *subject, const char *reply, const struct buf *data)
{
    struct err err = { 0 };
    struct bus_out out = {
        .subject = subject, .reply = reply, .data = data->data, .len = data->len
    };
    if (bus_connected(kick->bus) && bus_publish(kick->bus, &out, &err) != RC_OK)
        log_warn("connections cannot be ended: %s", err.text);
}

struct query {
    const char *account;
    const char *user; /* NULL = all */
    unsigned limit, offset;
};

/* Ask for one page of connections. What it is for goes into the reply's subject:
 * <inbox>.key.<key id>, <inbox>.all.<offset>, <inbox>.peer.<name of a connection>. */
static void
ask(struct kick *kick, const char *subject, const struct query *query, const char *kind,
    const char *word)
{
    AUTO(buf) struct buf text = { 0 };
    struct json_writer w;
    char reply[SUBJECT_MAX];
    buf_init(&text, QUERY_MAX);
    json_begin(&w, &text);
    json_object(&w, NULL);
    json_put_bool(&w, "auth", true);
    json_put_string(&w, "acc", query->account);
    json_put_int(&w, "limit", query->limit);
    json_put_int(&w, "offset", query->offset);
    if (query->user)
        json_put_string(&w, "user", query->user);
    json_close(&w);
    (void)snprintf(reply, sizeof(reply), "%s.%s.%s", kick->inbox, kind, word);
    if (json_end(&w) == RC_OK)
        publish(kick, subject, reply, &text);
}

static void
ask_key(struct kick *kick, const char *key_id)
{
    const struct query query = { LOGIN_ACCOUNT, key_id, PAGE_OF_KEY, 0 };
    ask(kick, ALL_SERVERS, &query, "key", key_id);
}

static void
ask_all(struct kick *kick, const char *subject, unsigned offset)
{
    const struct query query = { LOGIN_ACCOUNT, NULL, PAGE, offset };
    char word[16];
    (void)snprintf(word, sizeof(word), "%u", offset);
    ask(kick, subject, &query, "all", word);
}

static void
end_connection(struct kick *kick, const char *server_id, int64_t cid)
{
    AUTO(buf) struct buf order = { 0 };
    struct json_writer w;
    char subject[SUBJECT_MAX], reply[SUBJECT_MAX];
    buf_init(&order, QUERY_MAX);
    json_begin(&w, &order);
    json_object(&w, NULL);
    json_put_int(&w, "cid", cid);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return;
    (void)snprintf(subject, sizeof(subject), "$SYS.REQ.SERVER.%s.KICK", server_id);
    /* The server does nothing for a request without a reply subject. */
    (void)snprintf(reply, sizeof(reply), "%s.ended.%lld", kick->inbox, (long long)cid);
    publish(kick, subject, reply, &order);
    ++*kick->options.kicked;
}

/* A sweep sees each server's oldest connections first. */
static bool
is_too_many(struct kick *kick, const char *user)
{
    const char *workspace = keys_workspace(kick->options.keys, user);
    struct tally_row *row = workspace ? tally_row(kick->tally, workspace) : NULL;
    if (!row || ++row->count <= kick->options.most)
        return false;
    kick->options.on_crowded(kick->options.arg, workspace);
    return true;
}

/* The server tells the client only, when it takes no more. */
static void
look_at_subscriptions(struct kick *kick, const cJSON *connection)
{
    const char *user = json_string(connection, "authorized_user");
    const char *workspace = user ? keys_workspace(kick->options.keys, user) : NULL;
    if (workspace && json_int(connection, "subscriptions", 0) >= KICK_SUBSCRIPTIONS)
        kick->options.on_subscribed(kick->options.arg, workspace);
}

/* Does this connection end? */
static bool
ends(struct kick *kick, const cJSON *connection, const char *what)
{
    const char *user = json_string(connection, "authorized_user");
    const char *name = json_string(connection, "name");
    if (strncmp(what, "key.", 4) == 0)
        return user && strcmp(user, what + 4) == 0;
    if (strncmp(what, "peer.", 5) == 0)
        return name && strcmp(name, what + 5) == 0;
    if (!user || !keys_fresh(kick->options.keys))
        return false;
    return !keys_known(kick->options.keys, user) || is_too_many(kick, user);
}

static void
on_page(void *arg, const struct bus_msg *msg)
{
    struct kick *kick = arg;
    AUTO(json) cJSON *doc = NULL;
    struct err err = { 0 };
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
    const cJSON *connection;
    cJSON_ArrayForEach (connection, list) {
        int64_t cid = json_int(connection, "cid", 0);
        if (strncmp(what, "all.", 4) == 0)
            look_at_subscriptions(kick, connection);
        if (!cid || !ends(kick, connection, what))
            continue;
        end_connection(kick, server_id, cid);
        log_fields(LOG_INFO, "a NATS connection is closed", "because", what, NULL);
    }
    int64_t seen = json_int(data, "offset", 0) + cJSON_GetArraySize(list);
    (void)snprintf(next, sizeof(next), ONE_SERVER, server_id);
    if (strncmp(what, "all.", 4) == 0 && cJSON_GetArraySize(list) == PAGE &&
        seen < json_int(data, "total", 0))
        ask_all(kick, next, (unsigned)seen);
}

void
kick_peer(struct kick *kick, const char *name)
{
    const struct query query = { CALLOUT_ACCOUNT, CALLOUT_USER, PAGE_OF_KEY, 0 };
    ask(kick, ALL_SERVERS, &query, "peer", name);
}

void
kick_key(struct kick *kick, const char *key_id)
{
    ask_key(kick, key_id);
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
            ask_key(kick, again->key_id);
    }
    kick->n_again = kept;
}

static void
on_sweep(void *arg)
{
    struct kick *kick = arg;
    tally_clear(kick->tally);
    ask_all(kick, ALL_SERVERS, 0);
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
    enum rc rc = tally_new(&kick->tally, err);
    if (rc == RC_OK)
        rc = bus_connect(loop, &options->bus, FIRST_CONNECT_MS, &kick->bus, err);
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
    tally_free(kick->tally);
    free(kick);
}
