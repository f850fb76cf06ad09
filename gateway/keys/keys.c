/* SPDX-License-Identifier: MIT */
#include "keys/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "keys/keypool.h"
#include "keys/keytable.h"
#include "keys/keywatch.h"
#include "protocol/apikey.h"

#define REFUSED_SLOTS   4096 /* remembered wrong keys; a newer one takes its slot */
#define REFUSED_MS      5000
#define TRIED_MS        10000 /* another text for the same id within this is suspect */
#define UNKNOWN_MAX     8192  /* requests that wait for a poll */
#define HASH_BUCKETS    256
#define SETTLED_IN_TURN 8 /* and the rest of a bucket */
#define CLIENT_MAX      48

struct waiter { /* one caller */
    SLIST_ENTRY(waiter) link;
    keys_fn *fn;
    void *arg;
};

/* One key text on its way; every caller that shows the same text waits on the same one. */
struct check {
    struct keypool_check work; /* first: the pool gives it back */
    LIST_ENTRY(check) link;    /* in its bucket */
    struct keys *keys;
    struct apikey key;
    uint8_t proof[CRYPTO_HASH_LEN];
    char client[CLIENT_MAX];
    uint64_t ticket; /* of the poll that it waits for; 0 = none */
    SLIST_HEAD(, waiter) waiters;
};

struct refused {
    uint8_t proof[CRYPTO_HASH_LEN];
    int64_t until_ms; /* monotonic */
};

struct keys {
    struct loop *loop; /* borrowed */
    struct keys_options options;
    struct keytable table;
    struct keywatch *watch;
    struct keypool *pool;
    uint8_t secret[CRYPTO_KEY_LEN]; /* of the proofs; new in every process */
    int64_t fresh_ms;               /* monotonic time of the last good poll; 0 = none yet */
    bool unavailable;               /* the last poll failed */
    LIST_HEAD(check_list, check) checks[HASH_BUCKETS];
    unsigned n_checks;
    unsigned unsettled;      /* buckets still to be looked at after the last poll */
    uint64_t settled_ticket; /* of the last good poll */
    struct refused refused[REFUSED_SLOTS];
};

bool
keys_fresh(const struct keys *keys)
{
    return keys->fresh_ms && clock_mono_ms() - keys->fresh_ms < KEYS_FRESH_MS;
}

bool
keys_reachable(const struct keys *keys)
{
    return keys_fresh(keys) && !keys->unavailable;
}

size_t
keys_count(const struct keys *keys)
{
    return keys->table.count;
}

/* --- what is known at once -------------------------------------------------------------------- */

static struct refused *
refused_slot(struct keys *keys, const uint8_t proof[CRYPTO_HASH_LEN])
{
    return &keys->refused[(proof[0] | (unsigned)proof[1] << 8) % REFUSED_SLOTS];
}

static void
remember_refused(struct keys *keys, const uint8_t proof[CRYPTO_HASH_LEN])
{
    struct refused *slot = refused_slot(keys, proof);
    memcpy(slot->proof, proof, sizeof(slot->proof));
    slot->until_ms = clock_mono_ms() + REFUSED_MS;
}

static bool
expired(const struct key *key)
{
    return key->expires_ms && key->expires_ms <= clock_wall_ms();
}

bool
keys_known(const struct keys *keys, const char *key_id)
{
    const struct key *key = keytable_get(&keys->table, key_id);
    return key && !expired(key);
}

const char *
keys_workspace(const struct keys *keys, const char *key_id)
{
    const struct key *key = keytable_get(&keys->table, key_id);
    return key && !expired(key) ? key->principal.workspace : NULL;
}

/* RC_OK, RC_DENIED, or RC_NOTFOUND: not known yet. */
static enum rc
look(struct keys *keys, const char *key_id, const uint8_t proof[CRYPTO_HASH_LEN],
     struct key_view *view)
{
    struct key *key = keytable_get(&keys->table, key_id);
    if (!key)
        return RC_NOTFOUND;
    if (expired(key))
        return RC_DENIED;
    if (!key->verified)
        return RC_NOTFOUND;
    /* An id has one right text: any other needs no hash to be wrong. */
    if (!crypto_equal(key->proof, proof, sizeof(key->proof)))
        return RC_DENIED;
    key->used_ms = clock_wall_ms();
    view->principal = key->principal;
    view->expires_ms = key->expires_ms;
    return RC_OK;
}

/* --- checks that take time -------------------------------------------------------------------- */

static struct check_list *
bucket_of(struct keys *keys, const uint8_t proof[CRYPTO_HASH_LEN])
{
    return &keys->checks[proof[2] % HASH_BUCKETS];
}

static struct check *
find_check(struct keys *keys, const uint8_t proof[CRYPTO_HASH_LEN])
{
    struct check *check;
    LIST_FOREACH (check, bucket_of(keys, proof), link)
        if (memcmp(check->proof, proof, CRYPTO_HASH_LEN) == 0)
            return check;
    return NULL;
}

static void
finish(struct check *check, enum rc rc, const struct key_view *view)
{
    struct keys *keys = check->keys;
    LIST_REMOVE(check, link);
    keys->n_checks--;
    if (rc == RC_DENIED)
        remember_refused(keys, check->proof);
    struct waiter *waiter;
    while ((waiter = SLIST_FIRST(&check->waiters)) != NULL) {
        SLIST_REMOVE_HEAD(&check->waiters, link);
        waiter->fn(waiter->arg, rc, view);
        free(waiter);
    }
    crypto_wipe(check, sizeof(*check));
    free(check);
}

static void on_hashed(void *arg);

/* Known id, no text of it verified yet: to the pool; false when that is full. */
static bool
hash(struct check *check, struct key *key)
{
    int64_t now_ms = clock_mono_ms();
    struct keypool_check *work = &check->work;
    check->ticket = 0;
    memcpy(work->secret, check->key.secret, sizeof(work->secret));
    memcpy(work->phc, key->phc, sizeof(work->phc));
    work->suspect = key->tried_ms && now_ms - key->tried_ms < TRIED_MS;
    work->done = on_hashed;
    key->tried_ms = now_ms;
    return keypool_add(check->keys->pool, work, check->client);
}

static void
on_hashed(void *arg)
{
    struct check *check = arg;
    struct keys *keys = check->keys;
    struct key_view view = { 0 };
    struct key *key = keytable_get(&keys->table, check->key.id);
    enum rc rc = check->work.result;
    if (rc == RC_OK && (!key || expired(key))) {
        rc = RC_DENIED;
    } else if (rc == RC_OK && strcmp(key->phc, check->work.phc) != 0) {
        if (hash(check, key))
            return;
        rc = RC_TEMP;
    } else if (rc == RC_OK) {
        key->verified = true;
        key->tried_ms = 0;
        memcpy(key->proof, check->proof, sizeof(key->proof));
        rc = look(keys, check->key.id, check->proof, &view);
    }
    if (rc != RC_OK && rc != RC_DENIED)
        rc = RC_TEMP;
    finish(check, rc, &view);
}

static bool
start(struct keys *keys, const struct apikey *parsed, const uint8_t proof[CRYPTO_HASH_LEN],
      const char *client, struct check **out)
{
    if (keys->n_checks >= UNKNOWN_MAX)
        return false;
    struct check *check = calloc(1, sizeof(*check));
    if (!check)
        return false;
    check->keys = keys;
    check->key = *parsed;
    memcpy(check->proof, proof, CRYPTO_HASH_LEN);
    (void)snprintf(check->client, sizeof(check->client), "%s", client ? client : "");
    LIST_INSERT_HEAD(bucket_of(keys, proof), check, link);
    keys->n_checks++;
    *out = check;
    return true;
}

static enum rc
wait_for(struct keys *keys, const struct apikey *parsed, const uint8_t proof[CRYPTO_HASH_LEN],
         const struct key_text *text, struct waiter *waiter)
{
    struct check *check = find_check(keys, proof);
    if (check) {
        SLIST_INSERT_HEAD(&check->waiters, waiter, link);
        return RC_OK;
    }
    if (!start(keys, parsed, proof, text->client, &check))
        return RC_TEMP;
    struct key *key = keytable_get(&keys->table, parsed->id);
    SLIST_INSERT_HEAD(&check->waiters, waiter, link);
    if (!key) {
        check->ticket = keywatch_ask(keys->watch);
        return RC_OK;
    }
    if (hash(check, key))
        return RC_OK;
    SLIST_INIT(&check->waiters); /* the caller answers at once */
    finish(check, RC_TEMP, NULL);
    return RC_TEMP;
}

bool
keys_verify(struct keys *keys, const struct key_text *text, keys_fn *fn, void *arg, enum rc *rc,
            struct key_view *view)
{
    struct apikey parsed;
    uint8_t proof[CRYPTO_HASH_LEN];
    *rc = RC_DENIED;
    if (apikey_parse(text->text, text->len, &parsed) != RC_OK)
        return true;
    crypto_keyed_hash(keys->secret, text->text, text->len, proof);
    if (!keys_fresh(keys)) {
        *rc = RC_TEMP;
    } else if ((*rc = look(keys, parsed.id, proof, view)) == RC_NOTFOUND) {
        const struct refused *slot = refused_slot(keys, proof);
        struct waiter *waiter = NULL;
        if (crypto_equal(slot->proof, proof, sizeof(slot->proof)) &&
            slot->until_ms > clock_mono_ms()) {
            *rc = RC_DENIED;
        } else if (!(waiter = calloc(1, sizeof(*waiter)))) {
            *rc = RC_TEMP;
        } else {
            *waiter = (struct waiter){ .fn = fn, .arg = arg };
            *rc = wait_for(keys, &parsed, proof, text, waiter);
            if (*rc == RC_OK) {
                apikey_wipe(&parsed);
                return false;
            }
            free(waiter);
        }
    }
    apikey_wipe(&parsed);
    return true;
}

/* --- polls ------------------------------------------------------------------------------------ */

/* Everything that waited for a poll which began after it came. A flood of made-up keys waits by the
 * hundred: they are answered a few in a turn, so that others get theirs in between. */
static int
settle_unknown(void *arg)
{
    struct keys *keys = arg;
    unsigned n = 0;
    for (; keys->unsettled && n < SETTLED_IN_TURN; keys->unsettled--) {
        struct check *next;
        for (struct check *check = LIST_FIRST(&keys->checks[keys->unsettled - 1]); check;
             check = next) {
            next = LIST_NEXT(check, link);
            bool known = check->ticket <= keys->settled_ticket;
            if (!check->ticket || (!known && !keys->unavailable))
                continue;
            struct key *key = keytable_get(&keys->table, check->key.id);
            if (!key || expired(key))
                finish(check, known ? RC_DENIED : RC_TEMP, NULL);
            else if (!hash(check, key))
                finish(check, RC_TEMP, NULL);
            n++;
        }
    }
    return n ? 0 : -1;
}

static void
on_batch(void *arg)
{
    struct keywatch_batch *batch = arg;
    struct keys *keys = batch->arg;
    for (size_t i = 0; i < batch->count; i++) {
        const char *key_id = batch->rows[i].principal.key_id;
        bool changed = keytable_apply(&keys->table, &batch->rows[i]);
        if (changed && !batch->first && keys->options.on_change)
            keys->options.on_change(keys->options.arg, key_id);
    }
    if (batch->ok && !batch->more)
        keys->fresh_ms = batch->asked_ms;
    if (!batch->ok && !keys->unavailable)
        log_warn("keys cannot be read (verified ones go on for %d s): %s", KEYS_FRESH_MS / 1000,
                 batch->problem);
    if (batch->ok && keys->unavailable)
        log_info("keys are read again");
    keys->unavailable = !batch->ok;
    if (batch->ok && !batch->more)
        keys->settled_ticket = batch->ticket;
    if (!batch->more)
        keys->unsettled = HASH_BUCKETS;
    keywatch_batch_free(batch);
}

void
keys_forget(struct keys *keys, const char *key_id)
{
    struct key *key = keytable_get(&keys->table, key_id);
    if (key)
        key->verified = false;
    (void)keywatch_ask(keys->watch);
}

size_t
keys_take_uses(struct keys *keys, struct key_use *uses, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < keys->table.n_buckets; i++) {
        struct key *key;
        LIST_FOREACH (key, &keys->table.buckets[i], chain) {
            if (n == max)
                return n;
            if (!key->used_ms)
                continue;
            memcpy(uses[n].key_id, key->principal.key_id, sizeof(uses[n].key_id));
            memcpy(uses[n].workspace, key->principal.workspace, sizeof(uses[n].workspace));
            uses[n++].used_ms = key->used_ms;
            key->used_ms = 0;
        }
    }
    return n;
}

/* --- life ------------------------------------------------------------------------------------- */

enum rc
keys_open(struct loop *loop, const struct keys_options *options, struct keys **out, struct err *err)
{
    struct keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return err_set(err, RC_TEMP, "no memory for the keys");
    keys->loop = loop;
    keys->options = *options;
    keytable_init(&keys->table);
    loop_prepare(loop, LOOP_RANK_SETTLE, settle_unknown, keys);
    crypto_random(keys->secret, sizeof(keys->secret));
    enum rc rc = keypool_open(loop, options->hash_threads, &keys->pool, err);
    if (rc == RC_OK)
        rc = keywatch_open(loop, options->database_url, on_batch, keys, &keys->watch, err);
    if (rc != RC_OK) {
        keys_close(keys);
        return rc;
    }
    *out = keys;
    return RC_OK;
}

void
keys_close(struct keys *keys)
{
    if (!keys)
        return;
    loop_unprepare(keys->loop, settle_unknown, keys);
    keywatch_close(keys->watch);
    keypool_close(keys->pool);
    for (unsigned i = 0; i < HASH_BUCKETS; i++)
        while (!LIST_EMPTY(&keys->checks[i]))
            finish(LIST_FIRST(&keys->checks[i]), RC_TEMP, NULL);
    keytable_fini(&keys->table);
    crypto_wipe(keys, sizeof(*keys));
    free(keys);
}
