/* SPDX-License-Identifier: MIT */
/*
 * test_actor - a claim fits one program, one command, one subject and one payload, and nothing else.
 *
 * The literal keys and headers were made by Python: hashlib.blake2b(..., key=..., digest_size=32), and
 * the signed one by its package cryptography.
 */
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "protocol/actor.h"
#include "tests/unit/test.h"

#define SUBJECT "gantry.v1.acme.memory.ingest"
#define PAYLOAD "{\"scope\":\"s\",\"text\":\"t\"}"
#define ID      "0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071"
#define IDEM    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEAD    "2," ID ",Ab3dEf6hIj9k,developer,1700000000123,req-1," IDEM ","
#define WIRE    HEAD "Awjm3Rz1bHSm9anVfROzZyJ8IP5A5VmjTHyBvZbgIxo"
#define WIRE_BARE                                                                                  \
    "2," ID ",Ab3dEf6hIj9k,developer,1700000000123,,,lfoRvjpnhSrwAG_kQRER1h8s1BjzGV1PRdhXhq5rZmc"
#define WIRE_SIGNED                                                                                \
    "eyJpZCI6IjAxOTBhNWIyLTdjM2UtN2Q0Zi04YTFiLTJjM2Q0ZTVmNjA3MSIsImtpZCI6IkFiM2RFZjZoSWo5ayIsInJv" \
    "bGUiOiJkZXZlbG9wZXIiLCJhdCI6MTcwMDAwMDAwMDEyMywicmlkIjoicmVxLTEiLCJpZGVtIjoiYmE3ODE2YmY4ZjAx" \
    "Y2ZlYTQxNDE0MGRlNWRhZTIyMjNiMDAzNjFhMzk2MTc3YTljYjQxMGZmNjFmMjAwMTVhZCJ9."                    \
    "QGh8VeR4ACtzC0sCOhGtpnmIVhmE2gNQqmaOOZBd9NfDMVHiOX_vPT6lICBLlNmeX3pSnxc0eEUzbo4cJ6uaDg"

static struct actor_keys INGEST; /* what the worker ingest believes */
static struct crypto_signer SIGNER;

static const struct actor_claim CLAIM = {
    .command_id = ID,
    .key_id = "Ab3dEf6hIj9k",
    .role = ROLE_DEVELOPER,
    .accepted_ms = 1700000000123,
    .request_id = "req-1",
    .idem_hash = IDEM,
};

static void
make_signing_key(uint8_t key[CRYPTO_KEY_LEN])
{
    for (uint8_t i = 0; i < CRYPTO_KEY_LEN; i++)
        key[i] = i;
}

static int
set_up(void **state)
{
    uint8_t signing_key[CRYPTO_KEY_LEN];
    if (crypto_init(NULL) != RC_OK)
        return -1;
    make_signing_key(signing_key);
    actor_key(signing_key, "ingest", INGEST.now);
    crypto_signer_init(&SIGNER, signing_key);
    return 0;
}

static enum rc
verify(const char *wire, const char *subject, const char *payload, struct actor_claim *out)
{
    struct err err;
    return actor_verify(&INGEST, wire, subject, payload, strlen(payload), out, &err);
}

static enum rc
verify_by(const struct actor_keys *keys, const char *wire)
{
    struct actor_claim out;
    return actor_verify(keys, wire, SUBJECT, PAYLOAD, strlen(PAYLOAD), &out, NULL);
}

static void
assert_is_the_claim(const struct actor_claim *out)
{
    assert_string_equal(out->command_id, ID);
    assert_string_equal(out->key_id, "Ab3dEf6hIj9k");
    assert_int_equal(out->role, ROLE_DEVELOPER);
    assert_int_equal(out->accepted_ms, 1700000000123);
    assert_string_equal(out->request_id, "req-1");
    assert_string_equal(out->idem_hash, IDEM);
}

static void
each_program_has_a_key_of_its_own(void **state)
{
    static const char *const KNOWN[][2] = {
        { "ingest", "8e5f8c6f10f2caf26cd99d935e176549df45c23e79b51f69cc27a4d663081b7f" },
        { "search", "3b8ac70193c30881e75fcc6e736bd30b26dbc748dd0f4ae65c891fbf901d833e" },
        { "audit", "24ade59db8acd6f6bfe20da6858c9b083fd36131b403fc57b99ac4453255fb9a" },
        { "executor", "033bd36a91559c899254072aec2fad954f3d23745098d743456221f968868782" },
    };
    uint8_t signing_key[CRYPTO_KEY_LEN], key[CRYPTO_KEY_LEN];
    char text[HEX_LEN(CRYPTO_KEY_LEN)];
    make_signing_key(signing_key);
    for (size_t i = 0; i < TEST_COUNT(KNOWN); i++) {
        actor_key(signing_key, KNOWN[i][0], key);
        hex_encode(key, sizeof(key), text);
        assert_string_equal(text, KNOWN[i][1]);
    }
}

static void
claim_is_what_another_implementation_makes(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim claim = CLAIM, out;
    assert_int_equal(actor_write(INGEST.now, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_string_equal(wire, WIRE);
    assert_int_equal(verify(WIRE, SUBJECT, PAYLOAD, &out), RC_OK);
    assert_is_the_claim(&out);

    claim.request_id[0] = claim.idem_hash[0] = '\0';
    assert_int_equal(actor_write(INGEST.now, &claim, SUBJECT, "", 0, wire, NULL), RC_OK);
    assert_string_equal(wire, WIRE_BARE);
    assert_int_equal(verify(WIRE_BARE, SUBJECT, "", &out), RC_OK);
    assert_string_equal(out.request_id, "");
    assert_string_equal(out.idem_hash, "");
}

static void
approval_is_a_field_of_its_own(void **state)
{
    char wire[ACTOR_WIRE_MAX], longer[ACTOR_WIRE_MAX + 8];
    struct actor_claim claim = CLAIM, out;
    (void)strcpy(claim.approval, "12.0123456789AB");
    assert_int_equal(actor_write(INGEST.now, &claim, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_non_null(strstr(wire, ",12.0123456789AB,"));
    assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_OK);
    assert_string_equal(out.approval, "12.0123456789AB");
    assert_is_the_claim(&out);

    /* nobody else puts one in, or takes it out */
    assert_int_equal(actor_write(INGEST.now, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_OK);
    assert_string_equal(out.approval, "");
    const char *mac = strrchr(wire, ',') + 1;
    (void)snprintf(longer, sizeof(longer), "%.*s1.a,%s", (int)(mac - wire), wire, mac);
    assert_int_equal(verify(longer, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
}

static void
longest_claim_fits(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim claim = CLAIM, out;
    memset(claim.request_id, 'r', REQUEST_ID_MAX - 1);
    claim.request_id[REQUEST_ID_MAX - 1] = '\0';
    assert_int_equal(actor_write(INGEST.now, &claim, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_OK);
    assert_string_equal(out.request_id, claim.request_id);
}

static void
field_with_a_comma_is_not_written(void **state)
{
    char wire[ACTOR_WIRE_MAX];
    struct actor_claim claim = CLAIM;
    (void)strcpy(claim.request_id, "req,1");
    assert_int_equal(actor_write(INGEST.now, &claim, SUBJECT, "", 0, wire, NULL), RC_BUG);
}

static void
claim_fits_nothing_else(void **state)
{
    struct actor_claim out = { .key_id = "kept" };
    assert_int_equal(verify(WIRE, "gantry.v1.acmf.memory.ingest", PAYLOAD, &out), RC_CORRUPT);
    assert_int_equal(verify(WIRE, "gantry.v1.acme.memory.patch", PAYLOAD, &out), RC_CORRUPT);
    assert_int_equal(verify(WIRE, SUBJECT, PAYLOAD " ", &out), RC_CORRUPT);
    assert_int_equal(verify(WIRE, SUBJECT, "", &out), RC_CORRUPT);
    assert_int_equal(verify(WIRE, SUBJECT "{", &PAYLOAD[1], &out), RC_CORRUPT);
    assert_string_equal(out.key_id, "kept");
}

static void
no_other_programs_key_makes_it(void **state)
{
    static const char *const OTHERS[] = { "search", "audit", "executor", "gateway", "" };
    uint8_t signing_key[CRYPTO_KEY_LEN], key[CRYPTO_KEY_LEN];
    char wire[ACTOR_WIRE_MAX];
    make_signing_key(signing_key);
    for (size_t i = 0; i < TEST_COUNT(OTHERS); i++) {
        actor_key(signing_key, OTHERS[i], key);
        assert_int_equal(actor_write(key, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                         RC_OK);
        assert_int_equal(verify_by(&INGEST, wire), RC_CORRUPT);
    }
}

static void
two_keys_are_believed_while_one_is_rotated(void **state)
{
    struct actor_keys rotated = { .now = { 1 } }, none = { 0 };
    char wire[ACTOR_WIRE_MAX];
    assert_int_equal(verify_by(&rotated, WIRE), RC_CORRUPT);
    memcpy(rotated.before, INGEST.now, sizeof(rotated.before));
    assert_int_equal(verify_by(&rotated, WIRE), RC_OK);
    assert_int_equal(
        actor_write(rotated.now, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL), RC_OK);
    assert_int_equal(verify_by(&rotated, wire), RC_OK);
    /* A key that is not set is none, though anybody knows it. */
    assert_int_equal(actor_write(none.now, &CLAIM, SUBJECT, PAYLOAD, strlen(PAYLOAD), wire, NULL),
                     RC_OK);
    assert_int_equal(verify_by(&none, wire), RC_CORRUPT);
    assert_int_equal(verify_by(&INGEST, wire), RC_CORRUPT);
}

/* Of every field, the MAC included; one character left out, and one more. */
static void
every_changed_character_is_corrupt(void **state)
{
    char wire[] = WIRE;
    char longer[sizeof(WIRE) + 1];
    struct actor_claim out;
    for (size_t i = 0; wire[i]; i++) {
        char was = wire[i];
        for (unsigned bit = 0; bit < 7; bit++) {
            wire[i] = (char)(was ^ (1 << bit));
            assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
        }
        wire[i] = '\0';
        assert_int_equal(verify(wire, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
        wire[i] = was;
        memcpy(longer, wire, i);
        longer[i] = '0';
        memcpy(longer + i + 1, wire + i, sizeof(wire) - i);
        assert_int_equal(verify(longer, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
    }
    (void)snprintf(longer, sizeof(longer), "%sA", WIRE);
    assert_int_equal(verify(longer, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
}

static void
malformed_headers_are_corrupt(void **state)
{
    struct actor_claim out;
    const char *bad[] = { "",    ",",       ".",     "2",   "2,", "2,,,,,,,",
                          "a.b", "e30.e30", "{}.{}", "e30", HEAD };
    char huge[2 * ACTOR_WIRE_MAX];
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_int_equal(verify(bad[i], SUBJECT, PAYLOAD, &out), RC_CORRUPT);
    memset(huge, 'A', sizeof(huge) - 1);
    memcpy(huge, "2,", 2);
    huge[sizeof(huge) - 1] = '\0';
    assert_int_equal(verify(huge, SUBJECT, PAYLOAD, &out), RC_CORRUPT);
}

/* Right MACs over what the gateway never writes: the fields are looked at all the same. */
static void
fields_are_checked_behind_the_mac(void **state)
{
    static const char *const BAD[] = {
        "2,",
        "2," ID ",",
        "2," ID ",Ab3dEf6hIj9k,developer,1700000000123,req-1,",
        "2," ID ",Ab3dEf6hIj9k,developer,1700000000123,req-1," IDEM ",more,",
        "2,no-uuid,Ab3dEf6hIj9k,developer,1,,,",
        "2," ID ",Ab3dEf6hIj9,developer,1,,,",
        "2," ID ",Ab3dEf6hIj9kk,developer,1,,,",
        "2," ID ",Ab3dEf6hIj9k,root,1,,,",
        "2," ID ",Ab3dEf6hIj9k,developerdeveloper,1,,,",
        "2," ID ",Ab3dEf6hIj9k,developer,,,,",
        "2," ID ",Ab3dEf6hIj9k,developer,-1,,,",
        "2," ID ",Ab3dEf6hIj9k,developer,1e3,,,",
        "2," ID ",Ab3dEf6hIj9k,developer,1000000000000000,,,",
        "2," ID ",Ab3dEf6hIj9k,developer,1,,abcd,",
        "2," ID ",Ab3dEf6hIj9k,developer,1,," IDEM "0,",
        "2," ID
        ",Ab3dEf6hIj9k,developer,1,,BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F"
        "20015AD,",
        "3," ID ",Ab3dEf6hIj9k,developer,1,,,",
    };
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        const struct hash_part parts[] = { { BAD[i], strlen(BAD[i]) },
                                           { "", 1 },
                                           { SUBJECT, sizeof(SUBJECT) },
                                           { PAYLOAD, strlen(PAYLOAD) } };
        uint8_t mac[CRYPTO_HASH_LEN];
        char wire[ACTOR_WIRE_MAX];
        crypto_mac(INGEST.now, parts, TEST_COUNT(parts), mac);
        int n = snprintf(wire, sizeof(wire), "%s", BAD[i]);
        base64url_encode(mac, sizeof(mac), wire + n);
        assert_int_equal(verify_by(&INGEST, wire), RC_CORRUPT);
    }
}

static void
signed_claim_is_believed_while_one_upgrades(void **state)
{
    struct actor_keys upgrading = INGEST;
    struct actor_claim out;
    char wire[] = WIRE_SIGNED;
    assert_int_equal(verify_by(&INGEST, WIRE_SIGNED), RC_CORRUPT);
    memcpy(upgrading.signer, SIGNER.public_key, sizeof(upgrading.signer));
    assert_int_equal(
        actor_verify(&upgrading, WIRE_SIGNED, SUBJECT, PAYLOAD, strlen(PAYLOAD), &out, NULL),
        RC_OK);
    assert_is_the_claim(&out);
    assert_int_equal(verify_by(&upgrading, WIRE), RC_OK);
    assert_int_equal(actor_verify(&upgrading, WIRE_SIGNED, SUBJECT, PAYLOAD " ",
                                  strlen(PAYLOAD) + 1, &out, NULL),
                     RC_CORRUPT);
    for (size_t i = 0; wire[i]; i++) {
        char was = wire[i];
        wire[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(verify_by(&upgrading, wire), RC_CORRUPT);
        wire[i] = was;
    }
    upgrading.signer[0] ^= 1;
    assert_int_equal(verify_by(&upgrading, WIRE_SIGNED), RC_CORRUPT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_program_has_a_key_of_its_own),
        cmocka_unit_test(claim_is_what_another_implementation_makes),
        cmocka_unit_test(approval_is_a_field_of_its_own),
        cmocka_unit_test(longest_claim_fits),
        cmocka_unit_test(field_with_a_comma_is_not_written),
        cmocka_unit_test(claim_fits_nothing_else),
        cmocka_unit_test(no_other_programs_key_makes_it),
        cmocka_unit_test(two_keys_are_believed_while_one_is_rotated),
        cmocka_unit_test(every_changed_character_is_corrupt),
        cmocka_unit_test(malformed_headers_are_corrupt),
        cmocka_unit_test(fields_are_checked_behind_the_mac),
        cmocka_unit_test(signed_claim_is_believed_while_one_upgrades),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
