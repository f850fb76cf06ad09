/* SPDX-License-Identifier: MIT */
#include "crypto/note.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "crypto/crypto_encode.h"

#define ALGORITHM_ED25519 0x01
#define KEY_BYTES         (1 + CRYPTO_PUBLIC_LEN)
#define SIG_BYTES         (NOTE_ID_LEN + CRYPTO_SIG_LEN)

static const char DASH[] = "\xe2\x80\x94 "; /* an em dash and a space start a signature line */

static void
make_key_id(struct note_key *key)
{
    static const uint8_t algorithm = ALGORITHM_ED25519;
    const struct hash_part parts[] = {
        { key->name, strlen(key->name) },
        { "\n", 1 },
        { &algorithm, 1 },
        { key->public_key, CRYPTO_PUBLIC_LEN },
    };
    uint8_t hash[HASH_LEN];

    hash_sha256(parts, 4, hash);
    memcpy(key->id, hash, NOTE_ID_LEN);
}

enum rc
note_key_init(struct note_key *key, const char *deployment,
              const uint8_t public_key[CRYPTO_PUBLIC_LEN])
{
    size_t len = strlen(deployment);

    if (len == 0 || len > NOTE_NAME_MAX / 2 || strcspn(deployment, "+ \t\r\n") != len)
        return RC_INVALID;
    snprintf(key->name, sizeof(key->name), "gantry/%s", deployment);
    memcpy(key->public_key, public_key, CRYPTO_PUBLIC_LEN);
    make_key_id(key);
    return RC_OK;
}

void
note_key_text(const struct note_key *key, char text[NOTE_KEY_MAX])
{
    uint8_t bytes[KEY_BYTES] = { ALGORITHM_ED25519 };
    char id[2 * NOTE_ID_LEN + 1], encoded[BASE64_LEN(KEY_BYTES)];

    memcpy(bytes + 1, key->public_key, CRYPTO_PUBLIC_LEN);
    hex_encode(key->id, NOTE_ID_LEN, id);
    base64_encode(bytes, sizeof(bytes), encoded);
    snprintf(text, NOTE_KEY_MAX, "%s+%s+%s", key->name, id, encoded);
}

enum rc
note_key_parse(const char *text, struct note_key *out, struct err *err)
{
    struct note_key key;
    uint8_t bytes[KEY_BYTES], id[NOTE_ID_LEN];
    size_t name_len = strcspn(text, "+ \t\r\n"), len;
    const char *hex = text + name_len + 1, *encoded = hex + 2 * NOTE_ID_LEN + 1;

    if (name_len == 0 || name_len >= sizeof(key.name) || text[name_len] != '+' ||
        strlen(hex) < 2 * NOTE_ID_LEN + 2 || hex[2 * NOTE_ID_LEN] != '+' ||
        hex_decode(hex, 2 * NOTE_ID_LEN, id) != RC_OK ||
        base64_decode(encoded, strlen(encoded), bytes, sizeof(bytes), &len) != RC_OK ||
        len != sizeof(bytes))
        return err_set(err, RC_INVALID, "not a verifier key (name+key id+key)");
    if (bytes[0] != ALGORITHM_ED25519)
        return err_set(err, RC_INVALID, "the verifier key is not for Ed25519");
    memcpy(key.name, text, name_len);
    key.name[name_len] = '\0';
    memcpy(key.public_key, bytes + 1, CRYPTO_PUBLIC_LEN);
    make_key_id(&key);
    if (memcmp(key.id, id, sizeof(id)) != 0)
        return err_set(err, RC_INVALID, "the verifier key's id does not fit its name and key");
    *out = key;
    return RC_OK;
}

size_t
note_sign(const struct note_key *key, const struct crypto_signer *signer,
          const struct merkle_head *head, char text[NOTE_OURS_MAX])
{
    uint8_t bytes[SIG_BYTES];
    char root[BASE64_LEN(HASH_LEN)], sig[BASE64_LEN(SIG_BYTES)];
    int len;

    base64_encode(head->root, HASH_LEN, root);
    len = snprintf(text, NOTE_OURS_MAX, "%s\n%" PRIu64 "\n%s\n", key->name, head->size, root);
    memcpy(bytes, key->id, NOTE_ID_LEN);
    crypto_signature(signer, text, (size_t)len, bytes + NOTE_ID_LEN);
    base64_encode(bytes, sizeof(bytes), sig);
    len += snprintf(text + len, NOTE_OURS_MAX - (size_t)len, "\n%s%s %s\n", DASH, key->name, sig);
    return (size_t)len;
}

/* One line of signature: is it by this key, and of its shape? */
static bool
read_signature(const struct note_key *key, const char *line, size_t len,
               uint8_t sig[CRYPTO_SIG_LEN])
{
    size_t dash_len = sizeof(DASH) - 1, name_len = strlen(key->name), out_len;
    uint8_t bytes[SIG_BYTES];

    if (len < dash_len + name_len + 1 || memcmp(line, DASH, dash_len) != 0 ||
        memcmp(line + dash_len, key->name, name_len) != 0 || line[dash_len + name_len] != ' ')
        return false;
    line += dash_len + name_len + 1;
    len -= dash_len + name_len + 1;
    if (base64_decode(line, len, bytes, sizeof(bytes), &out_len) != RC_OK ||
        out_len != sizeof(bytes) || memcmp(bytes, key->id, NOTE_ID_LEN) != 0)
        return false;
    memcpy(sig, bytes + NOTE_ID_LEN, CRYPTO_SIG_LEN);
    return true;
}

enum rc
note_verify(const struct note_key *key, const char *text, size_t len, size_t *body_len,
            struct err *err)
{
    const char *line = NULL, *end = text + len;
    uint8_t sig[CRYPTO_SIG_LEN];
    size_t signed_len;

    /* The signatures follow the last empty line. */
    for (size_t i = 1; i < len && len <= NOTE_TEXT_MAX; i++)
        if (text[i] == '\n' && text[i - 1] == '\n')
            line = text + i + 1;
    if (!line || line == end || end[-1] != '\n' || memchr(text, '\0', len))
        return err_set(err, RC_INVALID, "not a signed note");
    signed_len = (size_t)(line - text) - 1;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (read_signature(key, line, (size_t)(stop - line), sig) &&
            crypto_verify(key->public_key, text, signed_len, sig) == RC_OK) {
            *body_len = signed_len;
            return RC_OK;
        }
        line = stop + 1;
    }
    return err_set(err, RC_DENIED, "the checkpoint is not signed by %s", key->name);
}

static enum rc
read_size(const char *line, size_t len, uint64_t *out)
{
    uint64_t size = 0;

    if (len == 0 || len > 15 || (line[0] == '0' && len > 1))
        return RC_INVALID;
    for (size_t i = 0; i < len; i++) {
        if (line[i] < '0' || line[i] > '9')
            return RC_INVALID;
        size = size * 10 + (uint64_t)(line[i] - '0');
    }
    *out = size;
    return size >> MERKLE_LEVELS ? RC_INVALID : RC_OK;
}

/* The first three lines of a checkpoint; *origin_len is the length of the first. */
static enum rc
read_body(const char *text, size_t len, size_t *origin_len, struct merkle_head *out)
{
    const char *line[3];
    size_t line_len[3], root_len;
    struct merkle_head head;

    for (size_t i = 0, at = 0; i < 3; i++) {
        const char *stop = at < len ? memchr(text + at, '\n', len - at) : NULL;
        if (!stop)
            return RC_INVALID;
        line[i] = text + at;
        line_len[i] = (size_t)(stop - line[i]);
        at += line_len[i] + 1;
    }
    if (read_size(line[1], line_len[1], &head.size) != RC_OK ||
        base64_decode(line[2], line_len[2], head.root, HASH_LEN, &root_len) != RC_OK ||
        root_len != HASH_LEN)
        return RC_INVALID;
    *origin_len = line_len[0];
    *out = head;
    return RC_OK;
}

enum rc
note_open(const struct note_key *key, const char *text, size_t len, struct merkle_head *out,
          struct err *err)
{
    size_t body_len, origin_len;
    struct merkle_head head;
    enum rc rc;

    if ((rc = note_verify(key, text, len, &body_len, err)) != RC_OK)
        return rc;
    if (read_body(text, body_len, &origin_len, &head) != RC_OK)
        return err_set(err, RC_INVALID, "the note is not a checkpoint");
    if (origin_len != strlen(key->name) || memcmp(text, key->name, origin_len) != 0)
        return err_set(err, RC_DENIED, "the checkpoint belongs to another log");
    *out = head;
    return RC_OK;
}

enum rc
note_peek(const char *text, size_t len, struct merkle_head *out)
{
    size_t origin_len;

    return read_body(text, len, &origin_len, out);
}
