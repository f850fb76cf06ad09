/* SPDX-License-Identifier: MIT */
#include "validate/redact.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/credentials.h"
#include "validate/command_line.h"
#include "validate/secrets.h"

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

static size_t
skip_blanks(const char *text, size_t at, size_t end)
{
    while (at < end && (text[at] == ' ' || text[at] == '\t'))
        at++;
    return at;
}

/* Does the token say that the next one is a credential: "Bearer", "Basic", "password:", "password =",
 * and in SQL "password '", "identified by '"? */
static bool
announces(const char *text, size_t len, size_t end)
{
    size_t name_len = len, sign = skip_blanks(text, len, end);

    if ((len == 6 && strncasecmp(text, "bearer", 6) == 0) ||
        (len == 5 && strncasecmp(text, "basic", 5) == 0))
        return true;
    bool quoted = sign > len && sign < end && (text[sign] == '\'' || text[sign] == '"');
    if (quoted && len == 2 && strncasecmp(text, "by", 2) == 0)
        return true;
    while (name_len > 0 && text[name_len - 1] == '=')
        name_len--;
    bool arrow = sign + 1 < end && text[sign] == '-' && text[sign + 1] == '>';
    bool assigned = arrow || (sign < end && (text[sign] == ':' || text[sign] == '='));
    if (name_len == len && !assigned && !quoted && (len >= end || text[len] != '"'))
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

/* The end of a value, which may hold what no token does: its closing quote, or a blank, a quote, what
 * follows in a list. quote: what stands before the value. */
static size_t
value_end(const char *text, size_t len, size_t at, char quote)
{
    if (quote != '"' && quote != '\'')
        while (at < len && (unsigned char)text[at] > ' ' && !strchr("\"'`&,;<>()[]{}", text[at]))
            at++;
    else
        while (at < len && text[at] != quote && text[at] != '\n')
            at++;
    return at;
}

/* Writes text[at..at + n), a token, and returns where the text goes on. */
static size_t
redact_token(const char *text, size_t len, size_t at, size_t n, bool announced, struct buf *out)
{
    const char *token = text + at, *equals = memchr(token, '=', n);

    if (announced) {
        buf_puts(out, REDACT_MARK);
        return value_end(text, len, at + n, at > 0 ? text[at - 1] : '\0');
    }
    if (has_prefix(token, n) || looks_random(token, n)) {
        buf_puts(out, REDACT_MARK);
    } else if (equals && equals + 1 < token + n && redact_named(token, (size_t)(equals - token))) {
        buf_add(out, token, (size_t)(equals - token) + 1);
        buf_puts(out, REDACT_MARK);
        return value_end(text, len, at + n, '\0');
    } else {
        buf_add(out, token, n);
    }
    return at + n;
}

/* "-pX", "--password X" of a command: writes it and returns where the text goes on; at = it is none. */
static size_t
redact_argument(const char *text, size_t len, size_t at, struct buf *out)
{
    struct argument given;

    if (!argument_at(text, len, at, &given) ||
        (given.name && !redact_named(given.name, given.name_len)))
        return at;
    size_t kept = (size_t)(given.value - (text + at));
    if (has_prefix(text + at, kept) || looks_random(text + at, kept)) /* a key for a user */
        return at;
    buf_add(out, text + at, kept);
    buf_puts(out, REDACT_MARK);
    return (size_t)(given.value - text) + given.len;
}

/* Where a credential is expected: what no token begins with, nor stands between names and values. */
static bool
begins_value(char c)
{
    return (unsigned char)c >= 0x80 || (c != '\0' && strchr("!#$?@^", c) != NULL);
}

static bool
has_alnum(const char *token, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (is_alnum(token[i]))
            return true;
    return false;
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
        size_t n = 0, user, argument = text[at] == '-' ? redact_argument(text, len, at, out) : at;
        if (argument > at) {
            at = argument;
            announced = false;
            continue;
        }
        if (announced && begins_value(text[at])) {
            buf_puts(out, REDACT_MARK);
            at = value_end(text, len, at, at > 0 ? text[at - 1] : '\0');
            announced = false;
            continue;
        }
        while (at + n < len && is_token(text[at + n]))
            n++;
        if (n > 0) {
            bool next = announces(text + at, n, len - at);
            bool sign = !has_alnum(text + at, n); /* "=", "->": the value is still to come */
            at = redact_token(text, len, at, n, announced && !next && !sign, out);
            announced = next || (announced && sign);
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

/* Is item, a member or an element of parent, by what stands beside it a credential? *kept receives how
 * many bytes of it are none. */
static bool
is_given(const cJSON *parent, const cJSON *item, size_t *kept)
{
    struct argument given;
    const char *name;

    *kept = 0;
    if (!parent || !cJSON_IsString(item))
        return false;
    if (cJSON_IsArray(parent)) {
        if (!argument_in_list(parent->child, item, &given) ||
            (given.name && !redact_named(given.name, given.name_len)))
            return false;
        *kept = (size_t)(given.value - item->valuestring);
        return true;
    }
    name = secrets_name_of_value(parent, item);
    return name && redact_named(name, strlen(name));
}

static void
put_scalar(struct json_writer *w, const char *name, const cJSON *parent, const cJSON *item)
{
    AUTO(buf) struct buf text = { 0 };
    size_t kept;

    if (is_given(parent, item, &kept)) {
        buf_init(&text, kept + 64);
        buf_add(&text, item->valuestring, kept);
        buf_puts(&text, REDACT_MARK);
        json_put_bytes(w, name, buf_text(&text), text.len);
    } else if (cJSON_IsString(item)) {
        put_redacted(w, name, item->valuestring);
    } else {
        json_put_doc(w, name, item);
    }
}

/* True: it is an object or an array, which is open now. parent: NULL = it is the document. */
static bool
put_item(struct json_writer *w, const cJSON *parent, const cJSON *item)
{
    AUTO(buf) struct buf clean = { 0 };
    const char *name = NULL, *label = parent ? item->string : NULL;
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
        put_scalar(w, name, parent, item);
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
        bool opened = put_item(&w, depth > 0 ? up[depth - 1] : NULL, item);
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
