/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/merkle.h"
#include "merkle_known.h"
#include "test.h"

#define LIMIT 300
#define BIG   70000 /* leaves: more than one tile of the second level */

static void
expect_hex(const uint8_t hash[HASH_LEN], const char *hex)
{
    char text[HASH_TEXT_MAX];

    for (size_t i = 0; i < HASH_LEN; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(text, hex);
}

static void
make_leaf(unsigned i, uint8_t out[HASH_LEN])
{
    char text[24];
    int len = snprintf(text, sizeof(text), "leaf %u", i);

    merkle_leaf(text, (size_t)len, out);
}

/* What a database would hold: the full tiles; and the tree, which has the others. */
struct store {
    struct merkle_tree tree;
    struct merkle_tile full[MERKLE_TILE_LEVELS][300];
    uint64_t count[MERKLE_TILE_LEVELS];
};

static void
keep_tile(void *arg, unsigned level, uint64_t index, const struct merkle_tile *tile,
          const uint8_t root[HASH_LEN])
{
    struct store *store = arg;
    uint8_t expected[HASH_LEN];

    assert_int_equal(index, store->count[level]);
    assert_int_equal(tile->count, MERKLE_TILE_WIDTH);
    merkle_complete(tile->hashes, MERKLE_TILE_WIDTH, expected);
    assert_memory_equal(root, expected, HASH_LEN);
    store->full[level][store->count[level]++] = *tile;
}

static void
prove(const struct store *store, const struct merkle_plan *plan, uint8_t (*proof)[HASH_LEN])
{
    uint8_t nodes[MERKLE_NODES_MAX][HASH_LEN];

    for (size_t i = 0; i < plan->node_count; i++) {
        struct merkle_place place = merkle_place(plan->nodes[i]);
        const struct merkle_tile *tile = place.index < store->count[place.level]
                                             ? &store->full[place.level][place.index]
                                             : &store->tree.tiles[place.level];
        if (tile == &store->tree.tiles[place.level])
            assert_true(place.index == store->count[place.level] &&
                        place.offset + place.count <= tile->count);
        merkle_complete(&tile->hashes[place.offset], place.count, nodes[i]);
    }
    merkle_fold(plan, nodes, proof);
}

static void
digest_proof(const struct merkle_plan *plan, uint8_t (*proof)[HASH_LEN], uint8_t **at)
{
    *(*at)++ = (uint8_t)plan->hash_count;
    memcpy(*at, proof, plan->hash_count * HASH_LEN);
    *at += plan->hash_count * HASH_LEN;
}

static void
rfc6962_vectors(void **state)
{
    /* The inputs and tree heads of the certificate-transparency reference code. */
    static const struct {
        const char *data;
        size_t len;
        const char *root;
    } CASES[] = {
        { "", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
        { "\x00", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
        { "\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
        { "\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
        { "\x30\x31", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
        { "\x40\x41\x42\x43", 4,
          "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
        { "\x50\x51\x52\x53\x54\x55\x56\x57", 8,
          "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
        { "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16,
          "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
    };
    AUTO(free) struct merkle_tree *tree = malloc(sizeof(*tree));
    assert_true(tree);
    uint8_t hash[HASH_LEN];

    (void)state;
    merkle_init(tree);
    merkle_root(tree, hash);
    expect_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        merkle_leaf(CASES[i].data, CASES[i].len, hash);
        merkle_append(tree, hash, NULL, NULL);
        merkle_root(tree, hash);
        expect_hex(hash, CASES[i].root);
    }
}

static void
known_roots(void **state)
{
    static const struct {
        unsigned size;
        const char *root;
    } CASES[] = {
        { 1, KNOWN_ROOT_1 },     { 2, KNOWN_ROOT_2 },     { 3, KNOWN_ROOT_3 },
        { 7, KNOWN_ROOT_7 },     { 8, KNOWN_ROOT_8 },     { 255, KNOWN_ROOT_255 },
        { 256, KNOWN_ROOT_256 }, { 257, KNOWN_ROOT_257 }, { 300, KNOWN_ROOT_300 },
    };
    AUTO(free) struct merkle_tree *tree = malloc(sizeof(*tree));
    assert_true(tree);
    uint8_t roots[LIMIT + 1][HASH_LEN], hash[HASH_LEN];

    (void)state;
    merkle_init(tree);
    for (unsigned size = 0; size <= LIMIT; size++) {
        merkle_root(tree, roots[size]);
        make_leaf(size, hash);
        merkle_append(tree, hash, NULL, NULL);
    }
    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        expect_hex(roots[CASES[i].size], CASES[i].root);
    hash_sha256_bytes(roots, sizeof(roots), hash);
    expect_hex(hash, KNOWN_ROOTS_0_TO_300);
}

static void
known_proofs(void **state)
{
    AUTO(free) struct store *store = calloc(1, sizeof(*store));
    AUTO(free) uint8_t *inclusion = malloc(LIMIT * LIMIT * 10 * HASH_LEN);
    AUTO(free) uint8_t *consistency = malloc(LIMIT * LIMIT * 11 * HASH_LEN);
    assert_true(store && inclusion && consistency);
    uint8_t roots[LIMIT + 1][HASH_LEN], leaves[LIMIT][HASH_LEN], proof[MERKLE_PROOF_MAX][HASH_LEN];
    uint8_t *in = inclusion, *con = consistency, hash[HASH_LEN];
    struct merkle_plan plan;

    (void)state;
    for (unsigned size = 1; size <= LIMIT; size++) {
        make_leaf(size - 1, leaves[size - 1]);
        merkle_append(&store->tree, leaves[size - 1], keep_tile, store);
        merkle_root(&store->tree, roots[size]);
        for (unsigned index = 0; index < size; index++) {
            assert_int_equal(merkle_plan_inclusion(index, size, &plan), RC_OK);
            prove(store, &plan, proof);
            assert_int_equal(merkle_verify_inclusion(leaves[index], index, size, proof,
                                                     plan.hash_count, roots[size]),
                             RC_OK);
            digest_proof(&plan, proof, &in);
        }
        for (unsigned from = 1; from <= size; from++) {
            struct merkle_head old = { .size = from }, new = { .size = size };
            memcpy(old.root, roots[from], HASH_LEN);
            memcpy(new.root, roots[size], HASH_LEN);
            assert_int_equal(merkle_plan_consistency(from, size, &plan), RC_OK);
            prove(store, &plan, proof);
            assert_int_equal(merkle_verify_consistency(&old, &new, proof, plan.hash_count), RC_OK);
            digest_proof(&plan, proof, &con);
        }
    }
    hash_sha256_bytes(inclusion, (size_t)(in - inclusion), hash);
    expect_hex(hash, KNOWN_INCLUSION_0_TO_300);
    hash_sha256_bytes(consistency, (size_t)(con - consistency), hash);
    expect_hex(hash, KNOWN_CONSISTENCY_0_TO_300);
}

/* Every proof of the sizes up to 40, with one bit wrong, one hash too few or too many, or for
 * another leaf or size, is refused. */
static void
wrong_proofs(void **state)
{
    AUTO(free) struct store *store = calloc(1, sizeof(*store));
    assert_true(store);
    uint8_t roots[41][HASH_LEN], leaves[41][HASH_LEN], proof[MERKLE_PROOF_MAX][HASH_LEN];
    struct merkle_plan plan;
    size_t n;

    (void)state;
    for (unsigned size = 1; size <= 40; size++) {
        make_leaf(size - 1, leaves[size - 1]);
        merkle_append(&store->tree, leaves[size - 1], keep_tile, store);
        merkle_root(&store->tree, roots[size]);
        for (unsigned index = 0; index < size; index++) {
            assert_int_equal(merkle_plan_inclusion(index, size, &plan), RC_OK);
            n = plan.hash_count;
            prove(store, &plan, proof);
            memset(proof[n], 0x5a, HASH_LEN);
#define CHECK(leaf, at, of, count)                                                                 \
    assert_int_equal(merkle_verify_inclusion(leaf, at, of, proof, count, roots[size]), RC_DENIED)
            CHECK(leaves[index], index, size, n + 1);
            if (n > 0)
                CHECK(leaves[index], index, size, n - 1);
            CHECK(leaves[index], size, size, n);
            CHECK(leaves[index], index, 0, n);
            CHECK(leaves[index], index, index, n);
            if (index > 0)
                CHECK(leaves[index], index - 1, size, n);
            for (size_t i = 0; i < n; i++) {
                proof[i][i % HASH_LEN] ^= 1;
                CHECK(leaves[index], index, size, n);
                proof[i][i % HASH_LEN] ^= 1;
            }
            CHECK(roots[size], index, size, n + (n == 0));
#undef CHECK
        }
        for (unsigned from = 1; from < size; from++) {
            struct merkle_head old = { .size = from }, new = { .size = size };
            memcpy(old.root, roots[from], HASH_LEN);
            memcpy(new.root, roots[size], HASH_LEN);
            assert_int_equal(merkle_plan_consistency(from, size, &plan), RC_OK);
            n = plan.hash_count;
            prove(store, &plan, proof);
            memset(proof[n], 0x5a, HASH_LEN);
            assert_int_equal(merkle_verify_consistency(&old, &new, proof, n + 1), RC_DENIED);
            assert_int_equal(merkle_verify_consistency(&old, &new, proof, n - 1), RC_DENIED);
            assert_int_equal(merkle_verify_consistency(&new, &old, proof, n), RC_DENIED);
            for (size_t i = 0; i < n; i++) {
                proof[i][31] ^= 0x80;
                assert_int_equal(merkle_verify_consistency(&old, &new, proof, n), RC_DENIED);
                proof[i][31] ^= 0x80;
            }
            old.root[3] ^= 4;
            assert_int_equal(merkle_verify_consistency(&old, &new, proof, n), RC_DENIED);
        }
    }
}

static void
bounds(void **state)
{
    struct merkle_plan plan = { .node_count = 7 };

    (void)state;
    assert_int_equal(merkle_plan_inclusion(0, 0, &plan), RC_INVALID);
    assert_int_equal(merkle_plan_inclusion(5, 5, &plan), RC_INVALID);
    assert_int_equal(merkle_plan_inclusion(0, 1ull << MERKLE_LEVELS, &plan), RC_INVALID);
    assert_int_equal(merkle_plan_consistency(0, 5, &plan), RC_INVALID);
    assert_int_equal(merkle_plan_consistency(6, 5, &plan), RC_INVALID);
    assert_int_equal(merkle_plan_root(0, &plan), RC_INVALID);
    assert_int_equal(plan.node_count, 7);
    /* The largest tree's proofs fit. */
    assert_int_equal(merkle_plan_inclusion(0, (1ull << MERKLE_LEVELS) - 1, &plan), RC_OK);
    assert_true(plan.hash_count == 48 && plan.node_count <= MERKLE_NODES_MAX);
    assert_int_equal(merkle_plan_inclusion((1ull << 47) - 1, (1ull << MERKLE_LEVELS) - 1, &plan),
                     RC_OK);
    assert_int_equal(merkle_plan_consistency(1, (1ull << MERKLE_LEVELS) - 1, &plan), RC_OK);
    assert_true(plan.node_count <= MERKLE_NODES_MAX);
}

/* A tree that is put back from its tiles is the tree that was. */
static void
restored(void **state)
{
    AUTO(free) struct store *store = calloc(1, sizeof(*store));
    AUTO(free) struct merkle_tree *back = malloc(sizeof(*back));
    AUTO(free) uint8_t(*leaves)[HASH_LEN] = malloc(BIG * sizeof(*leaves));
    assert_true(store && back && leaves);
    uint8_t root[HASH_LEN], again[HASH_LEN], proof[MERKLE_PROOF_MAX][HASH_LEN];
    struct merkle_plan plan;

    (void)state;
    for (unsigned i = 0; i < BIG; i++) {
        make_leaf(i, leaves[i]);
        merkle_append(&store->tree, leaves[i], keep_tile, store);
        if (i % 997 != 0 && i != 255 && i != 65535)
            continue;
        merkle_root(&store->tree, root);
        assert_int_equal(merkle_restore(back, i + 1, store->tree.tiles), RC_OK);
        merkle_root(back, again);
        assert_memory_equal(root, again, HASH_LEN);
        back->tiles[0].count++;
        assert_int_equal(merkle_restore(&store->tree, i + 1, back->tiles), RC_INVALID);
        assert_int_equal(merkle_plan_root(i + 1, &plan), RC_OK);
        prove(store, &plan, proof);
        assert_memory_equal(root, proof[0], HASH_LEN);
    }
    assert_int_equal(store->count[0], BIG / 256);
    assert_int_equal(store->count[1], 1);
    merkle_root(&store->tree, root);
    for (unsigned i = 0; i < BIG; i += 101) {
        assert_int_equal(merkle_plan_inclusion(i, BIG, &plan), RC_OK);
        prove(store, &plan, proof);
        assert_int_equal(merkle_verify_inclusion(leaves[i], i, BIG, proof, plan.hash_count, root),
                         RC_OK);
    }
}

static void
hmac_vectors(void **state)
{
    uint8_t key[131], out[HASH_LEN];
    struct hash_part parts[] = { { "what do ya want ", 16 }, { "for nothing?", 12 } };
    struct hash_part large = { "Test Using Larger Than Block-Size Key - Hash Key First", 54 };

    (void)state; /* RFC 4231, cases 2 and 6 */
    hmac_sha256((const uint8_t *)"Jefe", 4, parts, 2, out);
    expect_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    hmac_sha256(key, sizeof(key), &large, 1, out);
    expect_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hash_sha256_bytes("abc", 3, out);
    expect_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_vectors), cmocka_unit_test(rfc6962_vectors),
        cmocka_unit_test(known_roots),  cmocka_unit_test(known_proofs),
        cmocka_unit_test(wrong_proofs), cmocka_unit_test(bounds),
        cmocka_unit_test(restored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
