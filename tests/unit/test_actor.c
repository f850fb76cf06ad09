/* SPDX-License-Identifier: MIT */
/*
 * test_actor - a claim fits one command, one subject and one payload, and nothing else.
 */
#include <string.h>

#include "protocol/actor.h"
#include "tests/unit/test.h"

#define SUBJECT "gantry.v1.acme.memory.ingest"
#define PAYLOAD "{\"scope\":\"s\",\"text\":\"t\"}"
#define IDEM    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct crypto_signer SIGNER;

static const struct actor_claim CLAIM = {
    .command_id = "0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071",
    .key_id = "Ab3dEf6hIj9k",
    .role = ROLE_DEVELOPER,
    .accepted_ms = 1700000000123,
    .request_id = "req-1",
    .idem_hash = IDEM,
};

static int
set_up(void **state)
{
    uint8_t seed[CRYPTO_SEED_LEN] = { 7 };
    if (crypto_init(NULL) != RC_OK)
        return -1;
    crypto_signer_init(&SIGNER, seed);
    return 0;
}

static enum rc
verify(const char *wire, const char *subject, const char *payload, struct actor_claim *out)
{
    struct err err;
    return actor_verify(SIGNER.public_key, wire, subject, payload, strlen(payload), out, &err);
}

static void
claim_comes_back(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim out;
    assert_int_equal(actor_sign(&SIGNER, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_OK);
    assert_string_equal(out.command_id, CLAIM.command_id);
    assert_string_equal(out.key_id, CLAIM.key_id);
    assert_int_equal(out.role, ROLE_DEVELOPER);
    assert_int_equal(out.accepted_ms, 1700000000123);
    assert_string_equal(out.request_id, "req-1");
    assert_string_equal(out.idem_hash, IDEM);
}

static void
claim_without_idempotency_key(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim claim = CLAIM, out;
    claim.idem_hash[0] = '\0';
    assert_int_equal(actor_sign(&SIGNER, &claim, SUBJECT, "", 0, wire, NULL), RC_OK);
    assert_int_equal(verify(wire, SUBJECT, "", &out), RC_OK);
    assert_string_equal(out.idem_hash, "");
}

static void
longest_claim_fits(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim claim = CLAIM, out;
    memset(claim.request_id, 'r', REQUEST_ID_MAX - 1);
    claim.request_id[REQUEST_ID_MAX - 1] = '\0';
    assert_int_equal(actor_sign(&SIGNER, &claim, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_OK);
    assert_string_equal(out.request_id, claim.request_id);
}

static void
claim_fits_nothing_else(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim out = { .key_id = "kept" };
    struct crypto_signer other;
    uint8_t seed[CRYPTO_SEED_LEN] = { 8 };
    assert_int_equal(actor_sign(&SIGNER, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_int_equal(verify(wire, "gantry.v1.acmf.memory.ingest", PAYLOAD, &out), RC_CORRUPT);
    assert_int_equal(verify(wire, "gantry.v1.acme.memory.patch", PAYLOAD, &out), RC_CORRUPT);
    assert_int_equal(verify(wire, SUBJECT, PAYLOAD " ", &out), RC_CORRUPT);
    crypto_signer_init(&other, seed);
    assert_int_equal(
        actor_verify(other.public_key, wire, SUBJECT, PAYLOAD, strlen(PAYLOAD), &out, NULL),
        RC_CORRUPT);
    assert_string_equal(out.key_id, "kept");
}

static void
every_changed_character_is_corrupt(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim out;
    assert_int_equal(actor_sign(&SIGNER, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    for (size_t i = 0; wire[i]; i++) {
        char was = wire[i];
        wire[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
        wire[i] = '\0';
        assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
        wire[i] = was;
    }
}

static void
malformed_headers_are_corrupt(void **state)
{
    struct actor_claim out;
    const char *bad[] = { "", ".", "a.b", "e30.", ".e30", "e30.e30", "{}.{}", "e30" };
    char huge[2 * ACTOR_WIRE_MAX];
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_int_equal(verify(bad[i], SUBJECT, PAYLOAD, &out), RC_CORRUPT);
    memset(huge, 'A', sizeof(huge) - 1);
    huge[100] = '.';
    huge[sizeof(huge) - 1] = '\0';
    assert_int_equal(verify(huge, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claim_comes_back),
        cmocka_unit_test(claim_without_idempotency_key),
        cmocka_unit_test(longest_claim_fits),
        cmocka_unit_test(claim_fits_nothing_else),
        cmocka_unit_test(every_changed_character_is_corrupt),
        cmocka_unit_test(malformed_headers_are_corrupt),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
