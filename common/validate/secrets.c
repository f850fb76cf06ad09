/* SPDX-License-Identifier: MIT */
/*
 * secrets - one pass over the text; at each start of a word the table of formats is asked.
 */
#include "validate/secrets.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "validate/secrets_own.h"

#define SPAN_MAX 1024 /* bytes of a token that are looked at: time stays linear */

/* clang-format off */
static const char *const PASSWORD_SCHEMES[] = {
    "postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "redis", "rediss",
    "amqp", "amqps", "nats", "tls", "http", "https", "ftp", "sftp", "ssh", "smtp", "ldap",
    "clickhouse", "mssql",
};
/* clang-format on */

static size_t
span(const char *text, size_t len, enum charset charset)
{
    size_t n = 0;
    while (n < len && secrets_in_charset(text[n], charset))
        n++;
    return n;
}

/* eyJ….eyJ….… : header and claims are JSON objects, in base64url. */
static bool
match_jwt(const char *text, size_t len)
{
    if (len < 40 || memcmp(text, "eyJ", 3) != 0)
        return false;
    size_t head = span(text, len, WORD);
    if (head < 12 || head + 4 >= len || memcmp(text + head, ".eyJ", 4) != 0)
        return false;
    size_t claims = span(text + head + 1, len - head - 1, WORD);
    size_t at = head + 1 + claims;
    return claims >= 8 && at < len && text[at] == '.' &&
           span(text + at + 1, len - at - 1, WORD) >= 16;
}

/* 123456789:AA…: a Telegram bot token. */
static bool
match_telegram(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] >= '0' && text[n] <= '9')
        n++;
    return n >= 8 && n <= 10 && n + 36 <= len && memcmp(text + n, ":AA", 3) == 0 &&
           span(text + n + 1, len - n - 1, WORD) == 35;
}

/* Id, time and code of a Discord bot token, in base64url. */
static bool
match_discord(const char *text, size_t len)
{
    size_t id = strchr("MNO", text[0]) ? span(text, len, ALNUM) : 0;
    if (id < 23 || id > 28 || len < id + 35 || text[id] != '.')
        return false;
    return span(text + id + 1, len - id - 1, WORD) == 6 && text[id + 7] == '.' &&
           span(text + id + 8, len - id - 8, WORD) >= 27;
}

static size_t
skip_blank(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && (text[n] == ' ' || text[n] == '\t'))
        n++;
    return n;
}

/* Does "authorization:" stand before? */
static bool
in_header(const char *text, size_t before)
{
    static const char NAME[] = "authorization";
    size_t n = sizeof(NAME) - 1;
    while (before && strchr(" \t:=\"'", text[-1])) {
        text--;
        before--;
    }
    return before >= n && strncasecmp(text - n, NAME, n) == 0;
}

/* "Bearer <token>" and "Basic <base64>": prose goes on in ordinary words. before: bytes before text. */
static const char *
match_authorization(const char *text, size_t len, size_t before)
{
    bool bearer = len > 7 && strncasecmp(text, "bearer", 6) == 0;
    bool basic = len > 6 && strncasecmp(text, "basic", 5) == 0;
    if (!bearer && !basic)
        return NULL;
    size_t at = bearer ? 6 : 5;
    size_t blank = skip_blank(text + at, len - at);
    at += blank;
    if (blank == 0)
        return NULL;
    size_t n = span(text + at, len - at < SPAN_MAX ? len - at : SPAN_MAX, TOKEN);
    struct traits t = secrets_traits_of(text + at, n);
    if (n < 8 || secrets_is_placeholder(text + at, n) || t.upper + t.lower == 0)
        return NULL;
    if (bearer)
        return (t.digit && (n >= 16 || in_header(text, before))) || t.run >= 20 ? "bearer token"
                                                                                : NULL;
    if (n < 16)
        return NULL;
    return t.upper && t.lower && (t.digit || text[at + n - 1] == '=') ? "basic authorization"
                                                                      : NULL;
}

/* scheme://user:password@host */
static bool
match_url(const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len < 14 ? len : 14);
    if (!colon || (size_t)(colon - text) + 3 >= len || memcmp(colon, "://", 3) != 0)
        return false;
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(PASSWORD_SCHEMES); i++)
        known = known || (strlen(PASSWORD_SCHEMES[i]) == (size_t)(colon - text) &&
                          strncasecmp(text, PASSWORD_SCHEMES[i], (size_t)(colon - text)) == 0);
    if (!known)
        return false;
    const char *end = text + len, *password = NULL;
    for (const char *p = colon + 3; p < end && !strchr("/ \t\r\n\"'<>", *p); p++) {
        if (*p == ':' && !password)
            password = p + 1;
        if (*p != '@')
            continue;
        size_t n = password ? (size_t)(p - password) : 0;
        bool sample =
            n == 0 || secrets_is_sample(password, n) ||
            ((size_t)(password - 1 - (colon + 3)) == n && memcmp(colon + 3, password, n) == 0);
        return n >= 6 && !sample && !secrets_is_placeholder(password, n);
    }
    return false;
}

static bool
match_private_key(const char *text, size_t len)
{
    if (len > 20 && memcmp(text, "PuTTY-User-Key-File-", 20) == 0)
        return true;
    if (len < 21 || (memcmp(text, "-----BEGIN ", 11) != 0 && memcmp(text, "---- BEGIN ", 11) != 0))
        return false;
    size_t line = len < 64 ? len : 64;
    return memmem(text, line, "PRIVATE KEY", 11) != NULL;
}

static bool
match_webhook(const char *text, size_t len)
{
    static const char SLACK[] = "https://hooks.slack.com/services/T";
    static const char DISCORD[] = "/api/webhooks/";
    if (len > sizeof(SLACK) + 40 && memcmp(text, SLACK, sizeof(SLACK) - 1) == 0)
        return span(text + 33, len - 33, TOKEN) >= 40;
    if (len < 60 || memcmp(text, "https://discord", 15) != 0)
        return false;
    const char *path = memmem(text, 40, DISCORD, sizeof(DISCORD) - 1);
    return path && span(path + 14, len - (size_t)(path + 14 - text), TOKEN) >= 70;
}

/* The kind of what starts at text[at], the start of a word. */
static const char *
match_word(const char *text, size_t len, size_t at)
{
    const char *word = text + at;
    const char *kind = secrets_match_format(word, len - at);
    if (!kind)
        kind = match_authorization(word, len - at, at);
    if (kind)
        return kind;
    if (match_jwt(word, len - at))
        return "JSON Web Token";
    if (match_discord(word, len - at))
        return "Discord bot token";
    if (match_telegram(word, len - at))
        return "Telegram bot token";
    if (match_private_key(word, len - at))
        return "private key";
    if (match_url(word, len - at))
        return "URL with a password";
    return match_webhook(word, len - at) ? "webhook URL" : NULL;
}

static const char *
match_dash(const char *text, size_t len, size_t at)
{
    if (at + 1 < len && text[at + 1] == '-' && match_private_key(text + at, len - at))
        return "private key";
    return secrets_match_command(text, len, at) ? "password of a command" : NULL;
}

/* Of what is given to a name: the next word may have a name of its own. */
static const char *
match_sign(const char *text, size_t len, size_t at)
{
    const char *kind = NULL;
    if (!secrets_match_assignment(text, len, at))
        return NULL;
    while (at < len && !secrets_is_alnum(text[at]))
        at++;
    if (at < len)
        kind = match_word(text, len, at);
    return kind ? kind : "assigned credential";
}

static const char *
match_at(const char *text, size_t len, size_t at)
{
    switch (text[at]) {
    case '-':
        return match_dash(text, len, at);
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ':':
    case '=':
    case '>':
    case ',':
    case '(':
    case '|':
        return match_sign(text, len, at);
    default:
        if (!secrets_is_alnum(text[at]) || (at > 0 && secrets_in_charset(text[at - 1], WORD)))
            return NULL;
        return match_word(text, len, at);
    }
}

const char *
secrets_find(const char *text, size_t len)
{
    const char *kind = NULL;
    for (size_t i = 0; i < len && !kind; i++)
        kind = match_at(text, len, i);
    return kind;
}

/* A member or element on the way to where the search is; the path is written when something is found. */
struct place {
    const struct place *parent;
    const cJSON *item;
    size_t index;
    bool in_array;
    const char *name; /* of the member that it is, or is an element of */
};

/* From the outside in: the document itself has no name. */
static void
write_path(const struct place *place, char out[SECRETS_FIELD_MAX])
{
    char above[SECRETS_FIELD_MAX];
    out[0] = '\0';
    if (!place->parent)
        return;
    write_path(place->parent, above);
    if (place->in_array)
        (void)snprintf(out, SECRETS_FIELD_MAX, "%.80s[%zu]", above, place->index);
    else
        (void)snprintf(out, SECRETS_FIELD_MAX, "%.60s%s%.32s", above, above[0] ? "." : "",
                       place->item->string ? place->item->string : "");
}

const char *
secrets_name_of_value(const cJSON *parent, const cJSON *member)
{
    static const char *const NAMES[] = { "name", "key", "label", "field", "variable" };

    if (!cJSON_IsObject(parent) || !member->string || strcasecmp(member->string, "value") != 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        const cJSON *name = cJSON_GetObjectItem(parent, NAMES[i]);
        if (cJSON_IsString(name))
            return name->valuestring;
    }
    return NULL;
}

/* Recursion is bounded by JSON_DEPTH_MAX, which json_read() enforces. */
static const char *
find_in(const struct place *place, char field[SECRETS_FIELD_MAX])
{
    const cJSON *item = place->item;
    const char *kind = NULL;
    if (item->string)
        kind = secrets_find(item->string, strlen(item->string));
    if (!kind && cJSON_IsString(item)) {
        size_t len = strlen(item->valuestring);
        kind = secrets_find(item->valuestring, len);
        const char *name = place->parent ? secrets_name_of_value(place->parent->item, item) : NULL;
        name = name ? name : place->name;
        if (!kind && name && secrets_is_assigned(name, strlen(name), item->valuestring, len))
            kind = "assigned credential";
        if (!kind && place->in_array && secrets_match_word(place->parent->item->child, item))
            kind = "password of a command";
    }
    if (kind) {
        write_path(place, field);
        return kind;
    }
    struct place below = { .parent = place, .in_array = cJSON_IsArray(item) };
    for (const cJSON *child = item->child; child && !kind; child = child->next, below.index++) {
        below.item = child;
        below.name = below.in_array ? place->name : child->string;
        kind = find_in(&below, field);
    }
    return kind;
}

const char *
secrets_find_json(const cJSON *doc, char field[SECRETS_FIELD_MAX])
{
    const struct place root = { .item = doc };
    return find_in(&root, field);
}
