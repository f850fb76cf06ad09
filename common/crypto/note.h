/* SPDX-License-Identifier: MIT */
/*
 * note - signed checkpoints of the audit log: C2SP signed-note and tlog-checkpoint.
 *
 * Shape:   "<origin>\n<size>\n<base64 root>\n\n— <key name> <base64 key id and signature>\n";
 *          other lines of the body and other signatures are allowed when reading
 *          verifier key  "<key name>+<8 hex digits key id>+<base64 algorithm and public key>"
 *          The key's name is the log's origin: "gantry/<deployment id>".
 * Errors:  RC_INVALID  not a note or verifier key of this shape
 *          RC_DENIED   no valid signature by the key, or another log's checkpoint
 * Source:  c2sp.org/signed-note, c2sp.org/tlog-checkpoint, RFC 8032
 */
#ifndef GANTRY_CRYPTO_NOTE_H
#define GANTRY_CRYPTO_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "crypto/crypto.h"
#include "crypto/merkle.h"

#define NOTE_TEXT_MAX 8192 /* bytes of a note that is read; ours have about 250 */
#define NOTE_NAME_MAX 128  /* with the NUL */
#define NOTE_KEY_MAX  256  /* verifier key text with the NUL */
#define NOTE_ID_LEN   4

struct note_key {
    char name[NOTE_NAME_MAX];
    uint8_t id[NOTE_ID_LEN];
    uint8_t public_key[CRYPTO_PUBLIC_LEN];
};

/* The key of the log of a deployment; the id is text without spaces and "+". */
enum rc note_key_init(struct note_key *key, const char *deployment,
                      const uint8_t public_key[CRYPTO_PUBLIC_LEN]);
void note_key_text(const struct note_key *key, char text[NOTE_KEY_MAX]);
enum rc note_key_parse(const char *text, struct note_key *out, struct err *err);

/* Write the signed checkpoint of head; text has room for NOTE_OURS_MAX. Returns its length. */
#define NOTE_OURS_MAX 512
size_t note_sign(const struct note_key *key, const struct crypto_signer *signer,
                 const struct merkle_head *head, char text[NOTE_OURS_MAX]);

/* Check text against key. *body_len is the length of what is signed, with its last newline. */
enum rc note_verify(const struct note_key *key, const char *text, size_t len, size_t *body_len,
                    struct err *err);
/* Check a checkpoint: the signature, that the origin is the key's name, size and root. */
enum rc note_open(const struct note_key *key, const char *text, size_t len, struct merkle_head *out,
                  struct err *err);
/* Size and root of a checkpoint without looking at its signatures. */
enum rc note_peek(const char *text, size_t len, struct merkle_head *out);

#endif
