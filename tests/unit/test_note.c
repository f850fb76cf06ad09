/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "crypto/crypto_encode.h"
#include "crypto/note.h"
#include "test.h"

/* The example of Go's golang.org/x/mod/sumdb/note, and the key of the Go checksum database. */
static const char GO_KEY[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char GO_NOTE[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n";
static const char SUM_KEY[] =
    "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

static const uint8_t SEED[CRYPTO_SEED_LEN] = "0123456789abcdef0123456789abcde";

static void
known_notes(void **state)
{
    struct note_key key;
    struct err err;
    struct merkle_head head = { .size = 99 };
    char text[sizeof(GO_NOTE)], key_text[NOTE_KEY_MAX];
    size_t body;

    (void)state;
    assert_int_equal(note_key_parse(SUM_KEY, &key, &err), RC_OK);
    assert_string_equal(key.name, "sum.golang.org");
    note_key_text(&key, key_text);
    assert_string_equal(key_text, SUM_KEY);
    assert_int_equal(note_key_parse(GO_KEY, &key, &err), RC_OK);
    assert_int_equal(note_verify(&key, GO_NOTE, sizeof(GO_NOTE) - 1, &body, &err), RC_OK);
    assert_int_equal(body, 99);
    /* Signed, but no checkpoint. */
    assert_int_equal(note_open(&key, GO_NOTE, sizeof(GO_NOTE) - 1, &head, &err), RC_INVALID);
    assert_int_equal(head.size, 99);
    /* Any byte of it changed, and it is no longer signed. */
    for (size_t i = 0; i < sizeof(GO_NOTE) - 1; i++) {
        memcpy(text, GO_NOTE, sizeof(text));
        text[i] ^= 1;
        assert_int_not_equal(note_verify(&key, text, sizeof(GO_NOTE) - 1, &body, &err), RC_OK);
    }
    for (size_t len = 0; len < sizeof(GO_NOTE) - 1; len++)
        assert_int_not_equal(note_verify(&key, GO_NOTE, len, &body, &err), RC_OK);
    assert_int_equal(note_key_parse(SUM_KEY, &key, &err), RC_OK);
    assert_int_equal(note_verify(&key, GO_NOTE, sizeof(GO_NOTE) - 1, &body, &err), RC_DENIED);
}

static void
bad_keys(void **state)
{
    static const char *const KEYS[] = {
        "",
        "x",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumanm+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWAA==",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    struct note_key key = { .name = "untouched" };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(KEYS); i++)
        assert_int_equal(note_key_parse(KEYS[i], &key, NULL), RC_INVALID);
    assert_string_equal(key.name, "untouched");
}

static void
own_checkpoints(void **state)
{
    struct crypto_signer signer;
    struct note_key key, back;
    struct merkle_head head = { .size = 1234567 }, out;
    char text[NOTE_OURS_MAX], more[NOTE_OURS_MAX * 2], key_text[NOTE_KEY_MAX];
    size_t len;

    (void)state;
    assert_int_equal(crypto_init(NULL), RC_OK);
    memset(head.root, 0xa7, HASH_LEN);
    crypto_signer_init(&signer, SEED);
    assert_int_equal(note_key_init(&key, "a b", signer.public_key), RC_INVALID);
    assert_int_equal(note_key_init(&key, "", signer.public_key), RC_INVALID);
    assert_int_equal(note_key_init(&key, "d7", signer.public_key), RC_OK);
    assert_string_equal(key.name, "gantry/d7");
    len = note_sign(&key, &signer, &head, text);
    assert_int_equal(len, strlen(text));
    snprintf(more, sizeof(more), "%s\n1234567\np6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=\n\n",
             key.name);
    assert_memory_equal(text, more, strlen(more));
    note_key_text(&key, key_text);
    assert_int_equal(note_key_parse(key_text, &back, NULL), RC_OK);
    assert_int_equal(note_open(&back, text, len, &out, NULL), RC_OK);
    assert_int_equal(out.size, 1234567);
    assert_memory_equal(out.root, head.root, HASH_LEN);
    /* A witness's signature after ours, or before it, does not disturb. */
    snprintf(more, sizeof(more), "%s\xe2\x80\x94 witness.example AAAAAAAA\n", text);
    assert_int_equal(note_open(&key, more, strlen(more), &out, NULL), RC_OK);
    /* A checkpoint of another log that the same key signed under another name. */
    snprintf(back.name, sizeof(back.name), "gantry/other");
    len = note_sign(&back, &signer, &head, text);
    assert_int_equal(note_open(&key, text, len, &out, NULL), RC_DENIED);
    len = note_sign(&key, &signer, &head, text);
    for (size_t i = 0; i < len; i++) {
        note_sign(&key, &signer, &head, text);
        text[i] ^= 4;
        assert_int_not_equal(note_open(&key, text, len, &out, NULL), RC_OK);
    }
}

static void
base64_vectors(void **state)
{
    static const char *const PAIRS[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    static const char *const BAD[] = { "Z",        "Zg",   "Zg=",    "Zg===", "Zh==",       "Zm9=",
                                       "Zm8=Zm8=", "====", "Zm9v\n", "Zm-v",  "Z\xc3\xa9==" };
    uint8_t bytes[16];
    char text[32];
    size_t len;

    (void)state; /* RFC 4648, section 10; then texts that no encoder writes */
    for (size_t i = 0; i < TEST_COUNT(PAIRS); i++) {
        base64_encode((const uint8_t *)PAIRS[i][0], strlen(PAIRS[i][0]), text);
        assert_string_equal(text, PAIRS[i][1]);
        assert_int_equal(base64_decode(text, strlen(text), bytes, sizeof(bytes), &len), RC_OK);
        assert_int_equal(len, strlen(PAIRS[i][0]));
        assert_memory_equal(bytes, PAIRS[i][0], len);
    }
    for (size_t i = 0; i < TEST_COUNT(BAD); i++)
        assert_int_equal(base64_decode(BAD[i], strlen(BAD[i]), bytes, sizeof(bytes), &len),
                         RC_INVALID);
    assert_int_equal(base64_decode("Zm9vYmFy", 8, bytes, 5, &len), RC_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_notes),
        cmocka_unit_test(bad_keys),
        cmocka_unit_test(own_checkpoints),
        cmocka_unit_test(base64_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
