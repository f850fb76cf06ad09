/* SPDX-License-Identifier: MIT */
#include "validate/redact.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/credentials.h"

#define RANDOM_MIN 24 /* letters of both cases and digits, nothing between */
#define HEX_MIN    32
#define BASE64_MIN 32
#define NAME_SCAN  64 /* bytes of a name that are looked at */

/* A name that contains one of these, after "-", "_" and " " are dropped. */
static const char *const NAMES[] = {
    "password",      "passwd",    "passphrase",       "passcode",      "secret",     "token",
    "apikey",        "accesskey", "privatekey",       "secretkey",     "signingkey", "authkey",
    "encryptionkey", "masterkey", "credential",       "authorization", "bearer",     "cookie",
    "sessionid",     "jwt",       "connectionstring", "dsn",           "otp",        "mnemonic",
    "seedphrase",    "pgpass",    "sharedkey",        "hmackey",       "datakey",    "xapikey",
    "webhookurl",
};

/* … or that is one of these. */
static const char *const WHOLE_NAMES[] = { "key",  "auth", "pass",      "pwd",    "pin",
                                           "seed", "sig",  "signature", "session" };

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
is_token(char c)
{
    return is_alnum(c) || (c != '\0' && strchr("_-.+/=~%", c) != NULL);
}

bool
redact_named(const char *name, size_t len)
{
    char plain[NAME_SCAN + 1];
    size_t n = 0;

    for (size_t i = 0; i < len && n < NAME_SCAN; i++)
        if (is_alnum(name[i]))
            plain[n++] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    plain[n] = '\0';
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (strstr(plain, NAMES[i]))
            return true;
    for (size_t i = 0; i < sizeof(WHOLE_NAMES) / sizeof(WHOLE_NAMES[0]); i++)
        if (strcmp(plain, WHOLE_NAMES[i]) == 0)
            return true;
    return false;
}

static bool
has_prefix(const char *token, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        if (at > 0 && is_alnum(token[at - 1]))
            continue;
        if (credential_begins(token + at, len - at))
            return true;
    }
    return false;
}

struct run {
    size_t len, upper, lower, digit, hex;
};

static void
count_char(struct run *run, char c)
{
    run->len++;
    run->digit += c >= '0' && c <= '9';
    run->upper += c >= 'A' && c <= 'Z';
    run->lower += c >= 'a' && c <= 'z';
    run->hex += (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Long pieces without a separator that mix cases and digits, or are hexadecimal. A UUID is none:
 * its hyphens split it. */
static bool
looks_random(const char *token, size_t len)
{
    struct run plain = { 0 }, base64 = { 0 };

    for (size_t i = 0; i <= len; i++) {
        char c = i < len ? token[i] : ' ';
        if (is_alnum(c)) {
            count_char(&plain, c);
        } else {
            if (plain.len >= RANDOM_MIN && plain.upper && plain.lower && plain.digit)
                return true;
            if (plain.len >= HEX_MIN && plain.hex == plain.len && plain.digit)
                return true;
            plain = (struct run){ 0 };
        }
        if (is_alnum(c) || c == '+' || c == '/' || c == '=') {
            count_char(&base64, c);
        } else {
            if (base64.len >= BASE64_MIN && base64.upper && base64.lower && base64.digit)
                return true;
            base64 = (struct run){ 0 };
        }
    }
    return false;
}

/* Does the token say that the next one is a credential: "Bearer", "Basic", "password:"? */
static bool
announces(const char *text, size_t len, size_t end)
{
    size_t name_len = len;

    if ((len == 6 && strncasecmp(text, "bearer", 6) == 0) ||
        (len == 5 && strncasecmp(text, "basic", 5) == 0))
        return true;
    while (name_len > 0 && text[name_len - 1] == '=')
        name_len--;
    if (name_len == len && (len >= end || (text[len] != ':' && text[len] != '"')))
        return false;
    return redact_named(text, name_len);
}

/* The length of "user:password@" at the start of what follows "://"; 0 when there is none. */
static size_t
user_part(const char *text, size_t len)
{
    for (size_t i = 0; i < len && text[i] != '/' && text[i] != ' ' && text[i] != '"'; i++)
        if (text[i] == '@')
            return i;
    return 0;
}

static void
redact_token(const char *token, size_t len, bool announced, struct buf *out)
{
    const char *equals = memchr(token, '=', len);

    if (announced || has_prefix(token, len) || looks_random(token, len)) {
        buf_puts(out, REDACT_MARK);
    } else if (equals && equals + 1 < token + len &&
               redact_named(token, (size_t)(equals - token))) {
        buf_add(out, token, (size_t)(equals - token) + 1);
        buf_puts(out, REDACT_MARK);
    } else {
        buf_add(out, token, len);
    }
}

void
redact_text(const char *text, size_t len, struct buf *out)
{
    bool announced = false;

    if (memmem(text, len, "-----BEGIN", 10) || memmem(text, len, "PRIVATE KEY", 11)) {
        buf_puts(out, REDACT_MARK);
        return;
    }
    for (size_t at = 0; at < len && !buf_failed(out);) {
        size_t n = 0, user;
        while (at + n < len && is_token(text[at + n]))
            n++;
        if (n > 0) {
            bool next = announces(text + at, n, len - at);
            redact_token(text + at, n, announced && !next, out);
            announced = next;
            at += n;
            continue;
        }
        buf_putc(out, text[at]);
        at++;
        /* "://" ends in characters of a token; the user part is looked for before that token. */
        if (text[at - 1] == ':' && len - at > 2 && text[at] == '/' && text[at + 1] == '/') {
            buf_puts(out, "//");
            at += 2;
            user = user_part(text + at, len - at);
            if (user > 0)
                buf_puts(out, REDACT_MARK);
            at += user;
            announced = false;
        }
    }
}

static void
put_redacted(struct json_writer *w, const char *name, const char *text)
{
    AUTO(buf) struct buf plain = { 0 };

    buf_init(&plain, 2 * strlen(text) + 64);
    redact_text(text, strlen(text), &plain);
    json_put_bytes(w, name, buf_text(&plain), plain.len);
}

static void
put_scalar(struct json_writer *w, const char *name, const cJSON *item)
{
    if (cJSON_IsString(item))
        put_redacted(w, name, item->valuestring);
    else
        json_put_doc(w, name, item);
}

/* True: it is an object or an array, which is open now. */
static bool
put_item(struct json_writer *w, const cJSON *item, const char *label)
{
    AUTO(buf) struct buf clean = { 0 };
    const char *name = NULL;
    buf_init(&clean, 4096);
    if (label) {
        redact_text(label, strlen(label), &clean);
        name = buf_text(&clean);
    }
    if (label && redact_named(label, strlen(label))) {
        json_put_string(w, name, REDACT_MARK);
        return false;
    }
    if (cJSON_IsObject(item))
        json_object(w, name);
    else if (cJSON_IsArray(item))
        json_array(w, name);
    else
        put_scalar(w, name, item);
    return cJSON_IsObject(item) || cJSON_IsArray(item);
}

void
redact_json(const cJSON *doc, size_t enough, struct buf *out)
{
    const cJSON *up[JSON_DEPTH_MAX + 2];
    unsigned depth = 0;
    struct json_writer w;

    json_begin(&w, out);
    for (const cJSON *item = doc; item;) {
        bool opened = put_item(&w, item, depth > 0 ? item->string : NULL);
        if (out->len >= enough || (opened && depth >= JSON_DEPTH_MAX + 1))
            return;
        if (opened) {
            up[depth++] = item;
            item = item->child;
        } else {
            item = depth > 0 ? item->next : NULL;
        }
        while (!item && depth > 0) {
            json_close(&w);
            item = depth > 1 ? up[depth - 1]->next : NULL;
            depth--;
        }
    }
    (void)json_end(&w);
}
