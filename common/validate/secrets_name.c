/* SPDX-License-Identifier: MIT */
/*
 * secrets_name - whether a name like "DB_PASSWORD" is one of a credential, and of which kind.
 *
 * A name counts by its end: what stands before ("POSTGRES_", "x-", "my") only says whose it is, and a
 * number or a word like "_PROD" behind it which of several.
 */
#include <string.h>

#include "base/cleanup.h"
#include "validate/secrets_own.h"

/* Compared without what is neither letter nor digit. whole: stands at the start of a word or hump. */
struct ending {
    const char *text;
    size_t len;
    enum name_kind kind;
    bool whole;
};
#define ENDING(text, kind, whole)                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1, kind, whole                                                        \
    }
/* clang-format off */
static const struct ending NAMES[] = {
    ENDING("password", NAME_PASSWORD, false),   ENDING("passwd", NAME_PASSWORD, false),
    ENDING("passphrase", NAME_PASSWORD, false), ENDING("passwort", NAME_PASSWORD, false),
    ENDING("kennwort", NAME_PASSWORD, false),   ENDING("pwd", NAME_SHORT, true),
    ENDING("pass", NAME_SHORT, true),           ENDING("pw", NAME_SHORT, true),
    ENDING("rootpw", NAME_PASSWORD, false),     ENDING("bindpw", NAME_PASSWORD, false),
    ENDING("dbpw", NAME_PASSWORD, false),       ENDING("userpw", NAME_PASSWORD, false),
    ENDING("adminpw", NAME_PASSWORD, false),    ENDING("requirepass", NAME_PASSWORD, false),
    ENDING("masterauth", NAME_PASSWORD, false), ENDING("identifiedby", NAME_QUOTED, true),
    ENDING("passin", NAME_PASSWORD, true),      ENDING("passout", NAME_PASSWORD, true),
    ENDING("apikey", NAME_KEY, false),          ENDING("secretkey", NAME_KEY, false),
    ENDING("secretkeybase", NAME_KEY, false),   ENDING("accesskey", NAME_KEY, false),
    ENDING("accesskeyid", NAME_KEY, false),     ENDING("secretid", NAME_KEY, false),
    ENDING("applicationkey", NAME_KEY, false),  ENDING("applicationkeyid", NAME_KEY, false),
    ENDING("privatekey", NAME_KEY, false),      ENDING("signingkey", NAME_KEY, false),
    ENDING("encryptionkey", NAME_KEY, false),   ENDING("accountkey", NAME_KEY, false),
    ENDING("masterkey", NAME_KEY, false),       ENDING("sharedkey", NAME_KEY, false),
    ENDING("storagekey", NAME_KEY, false),      ENDING("authkey", NAME_KEY, false),
    ENDING("hmackey", NAME_KEY, true),          ENDING("jwtkey", NAME_KEY, true),
    ENDING("appkey", NAME_KEY, true),           ENDING("consumerkey", NAME_KEY, false),
    ENDING("secret", NAME_KEY, false),          ENDING("token", NAME_KEY, false),
    ENDING("credential", NAME_LOOSE, true),     ENDING("auth", NAME_LOOSE, true),
    ENDING("pat", NAME_LOOSE, true),            ENDING("bearer", NAME_LOOSE, true),
    ENDING("session", NAME_SESSION, true),      ENDING("sessionid", NAME_SESSION, false),
    ENDING("sessid", NAME_SESSION, false),      ENDING("sid", NAME_SESSION, true),
    ENDING("authorization", NAME_HEADER, true),
    ENDING("pass", NAME_GLUED, false),          ENDING("pwd", NAME_GLUED, false),
};
/* clang-format on */

/* Which of several: "DB_PASSWORD_PROD", "api-key-old". */
static const struct ending WHICH[] = {
    ENDING("prod", NAME_NONE, true),    ENDING("production", NAME_NONE, true),
    ENDING("staging", NAME_NONE, true), ENDING("stage", NAME_NONE, true),
    ENDING("dev", NAME_NONE, true),     ENDING("test", NAME_NONE, true),
    ENDING("live", NAME_NONE, true),    ENDING("old", NAME_NONE, true),
    ENDING("new", NAME_NONE, true),     ENDING("primary", NAME_NONE, true),
    ENDING("backup", NAME_NONE, true),  ENDING("secondary", NAME_NONE, true),
    ENDING("value", NAME_NONE, true),
};

/* Tokens that open nothing, which are places in a list, and words that only end like a name. */
static const struct ending HARMLESS[] = {
    ENDING("pagetoken", NAME_NONE, false),
    ENDING("nexttoken", NAME_NONE, false),
    ENDING("synctoken", NAME_NONE, false),
    ENDING("resumetoken", NAME_NONE, false),
    ENDING("continuationtoken", NAME_NONE, false),
    ENDING("paginationtoken", NAME_NONE, false),
    ENDING("cancellationtoken", NAME_NONE, false),
    ENDING("bypass", NAME_NONE, false),
    ENDING("compass", NAME_NONE, false),
    ENDING("overpass", NAME_NONE, false),
    ENDING("underpass", NAME_NONE, false),
    ENDING("trespass", NAME_NONE, false),
    ENDING("surpass", NAME_NONE, false),
    ENDING("bandpass", NAME_NONE, false),
    ENDING("lowpass", NAME_NONE, false),
    ENDING("highpass", NAME_NONE, false),
    ENDING("oldpwd", NAME_NONE, false),
};

/* What ends with KEY in the name of a variable and opens nothing. */
static const struct ending PLAIN_KEYS[] = {
    ENDING("publickey", NAME_NONE, false),      ENDING("primarykey", NAME_NONE, false),
    ENDING("foreignkey", NAME_NONE, false),     ENDING("partitionkey", NAME_NONE, false),
    ENDING("sortkey", NAME_NONE, false),        ENDING("cachekey", NAME_NONE, false),
    ENDING("idempotencykey", NAME_NONE, false), ENDING("rowkey", NAME_NONE, false),
    ENDING("hashkey", NAME_NONE, false),        ENDING("objectkey", NAME_NONE, false),
    ENDING("uniquekey", NAME_NONE, false),      ENDING("s3key", NAME_NONE, false),
    ENDING("hostkey", NAME_NONE, false),        ENDING("lockkey", NAME_NONE, false),
    ENDING("routingkey", NAME_NONE, false),     ENDING("rediskey", NAME_NONE, false),
};

static bool
ends_with(const char *name, size_t len, const struct ending *ending)
{
    size_t left = ending->len, at = len;

    while (left > 0 && at > 0) {
        char c = name[--at];
        if (!secrets_is_alnum(c))
            continue;
        if (secrets_lower(c) != ending->text[--left])
            return false;
    }
    return left == 0 && (!ending->whole || at == 0 || !secrets_is_alnum(name[at - 1]) ||
                         (secrets_is_upper(name[at]) && !secrets_is_upper(name[at - 1])));
}

static const struct ending *
find_ending(const char *name, size_t len, const struct ending *endings, size_t count)
{
    while (len > 0 && !secrets_is_alnum(name[len - 1]))
        len--;
    if (len == 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (endings[i].text[endings[i].len - 1] == secrets_lower(name[len - 1]) &&
            ends_with(name, len, &endings[i]))
            return &endings[i];
    return NULL;
}

/* "AZURE_OPENAI_KEY": a variable of an environment, of whichever service. */
static bool
is_variable_key(const char *name, size_t len)
{
    if (len < 5 || memcmp(name + len - 4, "_KEY", 4) != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (secrets_is_lower(name[i]))
            return false;
    return !find_ending(name, len, PLAIN_KEYS, ARRAY_LEN(PLAIN_KEYS));
}

/* The length of a name without what only says which of several it is. */
static size_t
cut_which(const char *name, size_t len)
{
    const struct ending *which;

    while (len > 0 && (secrets_is_digit(name[len - 1]) || !secrets_is_alnum(name[len - 1])))
        len--;
    which = find_ending(name, len, WHICH, ARRAY_LEN(WHICH));
    if (!which || len <= which->len)
        return len;
    len -= which->len;
    while (len > 0 && (secrets_is_digit(name[len - 1]) || !secrets_is_alnum(name[len - 1])))
        len--;
    return len;
}

enum name_kind
secrets_name_kind(const char *name, size_t len)
{
    const struct ending *found;

    len = cut_which(name, len);
    if (find_ending(name, len, HARMLESS, ARRAY_LEN(HARMLESS)))
        return NAME_NONE;
    found = find_ending(name, len, NAMES, ARRAY_LEN(NAMES));
    if (!found && len > 0 && secrets_lower(name[len - 1]) == 's') { /* a list of them: "api_keys" */
        found = find_ending(name, len - 1, NAMES, ARRAY_LEN(NAMES));
        if (found && found->kind != NAME_PASSWORD && found->kind != NAME_KEY)
            found = NULL;
        if (found && find_ending(name, len - 1, HARMLESS, ARRAY_LEN(HARMLESS)))
            found = NULL;
    }
    if (found)
        return found->kind;
    return is_variable_key(name, len) ? NAME_KEY : NAME_NONE;
}
