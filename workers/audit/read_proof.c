/* SPDX-License-Identifier: MIT */
/*
 * Inclusion and consistency proofs. A proof is checked before it leaves: one that would not lead to
 * the root is a damaged tile, and an error, not an answer.
 */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "head.h"
#include "prove.h"

#define ANSWER_MAX 16384 /* bytes: at most MERKLE_PROOF_MAX hashes */

static void
put_hash(struct json_writer *w, const char *name, const uint8_t hash[HASH_LEN])
{
    char hex[HASH_TEXT_MAX];

    hex_encode(hash, HASH_LEN, hex);
    json_put_string(w, name, hex);
}

static void
put_hashes(struct json_writer *w, const char *name, const uint8_t (*hashes)[HASH_LEN], size_t n)
{
    json_array(w, name);
    for (size_t i = 0; i < n; i++)
        put_hash(w, NULL, hashes[i]);
    json_close(w);
}

static void
finish(struct call *call, struct json_writer *w, const struct buf *body)
{
    json_close(w);
    if (json_end(w) == RC_OK)
        call_answer(call, 200, body);
    else
        call_fail(call, &(struct err){ .rc = RC_BUG, .text = "the answer cannot be written" });
}

/* The current size; false when the call is answered already. */
static bool
current_head(struct worker *w, struct call *call, struct merkle_head *head)
{
    struct err err = { 0 };
    enum rc rc = head_read(worker_state(w), worker_db(w), head, NULL, &err);

    if (rc == RC_NOTFOUND)
        call_problem(call, PROBLEM_NOT_FOUND, NULL, "The audit log is empty");
    else if (rc != RC_OK)
        call_fail(call, &err);
    return rc == RC_OK;
}

static void
refuse(struct call *call, const char *field, int64_t high, const char *what, int64_t found)
{
    struct field_errors errors = { .count = 0 };

    field_errors_add(&errors, field, "must be between 1 and %lld, %s, not %lld", (long long)high,
                     what, (long long)found);
    call_problem(call, PROBLEM_INVALID_REQUEST, &errors, "The log has no such tree");
}

static struct prove *
new_proof(struct call *call)
{
    struct prove *prove = arena_alloc(call->mem, sizeof(*prove));

    if (prove)
        prove->count = PROVE_PLANS;
    else
        call_fail(call, &(struct err){ .rc = RC_TEMP, .text = "no memory" });
    return prove;
}

/* Fetch and fold; false when the call is answered already. */
static bool
carry_out(struct worker *w, struct call *call, struct prove *prove, bool planned)
{
    struct err err = { .rc = RC_BUG, .text = "a proof cannot be planned" };

    if (planned && prove_plans(worker_db(w), prove, &err) == RC_OK)
        return true;
    call_fail(call, &err);
    return false;
}

static void
contradict(struct call *call)
{
    call_fail(call,
              &(struct err){ .rc = RC_BUG, .text = "the stored tiles contradict each other" });
}

static void
put_inclusion(struct call *call, int64_t index, int64_t size, const struct prove *prove)
{
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;

    buf_init(&body, ANSWER_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "leaf_index", index);
    json_put_int(&w, "tree_size", size);
    put_hash(&w, "leaf_hash", prove->hashes[0][0]);
    put_hash(&w, "root_hash", prove->hashes[2][0]);
    put_hashes(&w, "audit_path", prove->hashes[1], prove->plans[1].hash_count);
    finish(call, &w, &body);
}

static void
prove_inclusion(struct worker *w, struct call *call)
{
    struct merkle_head head;
    struct prove *prove;

    if (!current_head(w, call, &head))
        return;
    int64_t index = json_int(call->body, "leaf_index", -1);
    int64_t size = json_int(call->body, "tree_size", (int64_t)head.size);
    if (size < 1 || (uint64_t)size > head.size) {
        refuse(call, "tree_size", (int64_t)head.size, "the size of the log", size);
        return;
    }
    if (index < 0 || index >= size) {
        call_problem(call, PROBLEM_NOT_FOUND, NULL,
                     "There is no leaf with this index in a tree of that size.");
        return;
    }
    if (!(prove = new_proof(call)))
        return;
    prove->plans[0] = (struct merkle_plan){ 1, { { 0, (uint64_t)index } }, 1, { 1 } };
    if (!carry_out(w, call, prove,
                   merkle_plan_inclusion((uint64_t)index, (uint64_t)size, &prove->plans[1]) ==
                           RC_OK &&
                       merkle_plan_root((uint64_t)size, &prove->plans[2]) == RC_OK))
        return;
    if (merkle_verify_inclusion(prove->hashes[0][0], (uint64_t)index, (uint64_t)size,
                                prove->hashes[1], prove->plans[1].hash_count,
                                prove->hashes[2][0]) != RC_OK)
        contradict(call);
    else
        put_inclusion(call, index, size, prove);
}

void
audit_handle_proof(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        prove_inclusion(w, calls[i]);
}

static void
put_consistency(struct call *call, const struct merkle_head *old, const struct merkle_head *new,
                const struct prove *prove)
{
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;

    buf_init(&body, ANSWER_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_int(&w, "from", (int64_t)old->size);
    json_put_int(&w, "to", (int64_t) new->size);
    put_hash(&w, "from_root", old->root);
    put_hash(&w, "to_root", new->root);
    put_hashes(&w, "consistency", prove->hashes[2], prove->plans[2].hash_count);
    finish(call, &w, &body);
}

static void
prove_consistency(struct worker *w, struct call *call)
{
    struct merkle_head head, old, new;
    struct prove *prove;

    if (!current_head(w, call, &head))
        return;
    int64_t from = json_int(call->body, "from", -1);
    int64_t to = json_int(call->body, "to", (int64_t)head.size);
    if (to < 1 || (uint64_t)to > head.size) {
        refuse(call, "to", (int64_t)head.size, "the size of the log", to);
        return;
    }
    if (from < 1 || from > to) {
        refuse(call, "from", to, "the later size", from);
        return;
    }
    old.size = (uint64_t)from;
    new.size = (uint64_t)to;
    if (!(prove = new_proof(call)))
        return;
    if (!carry_out(w, call, prove,
                   merkle_plan_root(old.size, &prove->plans[0]) == RC_OK &&
                       merkle_plan_root(new.size, &prove->plans[1]) == RC_OK &&
                       merkle_plan_consistency(old.size, new.size, &prove->plans[2]) == RC_OK))
        return;
    memcpy(old.root, prove->hashes[0][0], HASH_LEN);
    memcpy(new.root, prove->hashes[1][0], HASH_LEN);
    if (merkle_verify_consistency(&old, &new, prove->hashes[2], prove->plans[2].hash_count) !=
        RC_OK)
        contradict(call);
    else
        put_consistency(call, &old, &new, prove);
}

void
audit_handle_consistency(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        prove_consistency(w, calls[i]);
}
