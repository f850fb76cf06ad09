/* SPDX-License-Identifier: MIT */
/*
 * secrets - one pass over the text; at each start of a word the table of formats is asked.
 */
#include "secrets.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"

enum charset {
    ALNUM = 1, /* 0-9 A-Z a-z */
    WORD,      /* and _ - */
    HEX,       /* 0-9 a-f */
    CAPS,      /* 0-9 A-Z */
    TOKEN      /* and _ - . + / = ~ */
};

/* What the characters behind the prefix must have at least. */
enum need { ANY, DIGIT /* a digit and a letter */, MIXED /* both cases, or a digit */ };

struct format {
    const char *prefix;
    enum charset charset;
    unsigned char min, max; /* characters behind the prefix; max 0 = no end */
    enum need need;
    const char *kind;
};

/* clang-format off */
static const struct format FORMATS[] = {
    { "relay_sk_",      ALNUM, 20,  0, DIGIT, "Gantry API key" },
    { "sk-ant-",        WORD,  20,  0, DIGIT, "Anthropic API key" },
    { "sk-proj-",       WORD,  20,  0, DIGIT, "OpenAI API key" },
    { "sk-svcacct-",    WORD,  20,  0, DIGIT, "OpenAI API key" },
    { "sk-admin-",      WORD,  20,  0, DIGIT, "OpenAI API key" },
    { "sk-or-v1-",      HEX,   32,  0, DIGIT, "OpenRouter API key" },
    { "sk-lf-",         WORD,  30,  0, DIGIT, "Langfuse key" },
    { "sk-",            ALNUM, 20,  0, DIGIT, "API key" },
    { "sk_live_",       ALNUM, 16,  0, DIGIT, "Stripe key" },
    { "sk_test_",       ALNUM, 16,  0, DIGIT, "Stripe key" },
    { "rk_live_",       ALNUM, 16,  0, DIGIT, "Stripe key" },
    { "rk_test_",       ALNUM, 16,  0, DIGIT, "Stripe key" },
    { "whsec_",         TOKEN, 24,  0, DIGIT, "webhook secret" },
    { "ghp_",           ALNUM, 30,  0, DIGIT, "GitHub token" },
    { "gho_",           ALNUM, 30,  0, DIGIT, "GitHub token" },
    { "ghu_",           ALNUM, 30,  0, DIGIT, "GitHub token" },
    { "ghs_",           ALNUM, 30,  0, DIGIT, "GitHub token" },
    { "ghr_",           ALNUM, 30,  0, DIGIT, "GitHub token" },
    { "github_pat_",    WORD,  22,  0, DIGIT, "GitHub token" },
    { "glpat-",         WORD,  20,  0, DIGIT, "GitLab token" },
    { "glptt-",         WORD,  20,  0, DIGIT, "GitLab token" },
    { "gldt-",          WORD,  20,  0, DIGIT, "GitLab token" },
    { "glrt-",          WORD,  20,  0, DIGIT, "GitLab token" },
    { "xoxb-",          WORD,  20,  0, DIGIT, "Slack token" },
    { "xoxp-",          WORD,  20,  0, DIGIT, "Slack token" },
    { "xoxa-",          WORD,  20,  0, DIGIT, "Slack token" },
    { "xoxr-",          WORD,  20,  0, DIGIT, "Slack token" },
    { "xoxs-",          WORD,  20,  0, DIGIT, "Slack token" },
    { "xoxe-",          WORD,  20,  0, DIGIT, "Slack token" },
    { "xapp-",          WORD,  30,  0, DIGIT, "Slack token" },
    { "AKIA",           CAPS,  16, 16, DIGIT, "AWS access key" },
    { "ASIA",           CAPS,  16, 16, DIGIT, "AWS access key" },
    { "ABIA",           CAPS,  16, 16, DIGIT, "AWS access key" },
    { "AIza",           WORD,  35, 35, MIXED, "Google API key" },
    { "ya29.",          WORD,  30,  0, MIXED, "Google access token" },
    { "GOCSPX-",        WORD,  24,  0, MIXED, "Google client secret" },
    { "npm_",           ALNUM, 36, 36, MIXED, "npm token" },
    { "pypi-",          WORD,  50,  0, MIXED, "PyPI token" },
    { "rubygems_",      HEX,   48, 48, DIGIT, "RubyGems key" },
    { "hf_",            ALNUM, 30,  0, MIXED, "Hugging Face token" },
    { "gsk_",           ALNUM, 40,  0, DIGIT, "Groq API key" },
    { "r8_",            ALNUM, 36,  0, DIGIT, "Replicate token" },
    { "pplx-",          ALNUM, 40,  0, DIGIT, "Perplexity API key" },
    { "xai-",           ALNUM, 60,  0, DIGIT, "xAI API key" },
    { "tvly-",          WORD,  28,  0, DIGIT, "Tavily API key" },
    { "dop_v1_",        HEX,   60,  0, DIGIT, "DigitalOcean token" },
    { "doo_v1_",        HEX,   60,  0, DIGIT, "DigitalOcean token" },
    { "dor_v1_",        HEX,   60,  0, DIGIT, "DigitalOcean token" },
    { "shpat_",         HEX,   32,  0, DIGIT, "Shopify token" },
    { "shpss_",         HEX,   32,  0, DIGIT, "Shopify secret" },
    { "shpca_",         HEX,   32,  0, DIGIT, "Shopify token" },
    { "shppa_",         HEX,   32,  0, DIGIT, "Shopify token" },
    { "EAA",            ALNUM, 80,  0, DIGIT, "Facebook token" },
    { "SG.",            TOKEN, 60,  0, MIXED, "SendGrid key" },
    { "hvs.",           WORD,  24,  0, MIXED, "Vault token" },
    { "hvb.",           WORD,  24,  0, MIXED, "Vault token" },
    { "dckr_pat_",      WORD,  20,  0, MIXED, "Docker token" },
    { "ATATT3",         TOKEN, 50,  0, MIXED, "Atlassian token" },
    { "lin_api_",       ALNUM, 32,  0, MIXED, "Linear API key" },
    { "secret_",        ALNUM, 43, 43, DIGIT, "Notion secret" },
    { "ntn_",           ALNUM, 40,  0, DIGIT, "Notion secret" },
    { "figd_",          WORD,  36,  0, DIGIT, "Figma token" },
    { "PMAK-",          WORD,  50,  0, DIGIT, "Postman key" },
    { "pscale_tkn_",    WORD,  32,  0, MIXED, "PlanetScale token" },
    { "key-",           HEX,   32, 32, DIGIT, "Mailgun key" },
    { "xkeysib-",       WORD,  64,  0, DIGIT, "Brevo key" },
    { "dapi",           HEX,   32, 32, DIGIT, "Databricks token" },
    { "NRAK-",          CAPS,  27, 27, DIGIT, "New Relic key" },
    { "sntrys_",        TOKEN, 40,  0, MIXED, "Sentry token" },
    { "glsa_",          WORD,  36,  0, DIGIT, "Grafana token" },
    { "glc_",           TOKEN, 40,  0, MIXED, "Grafana token" },
    { "sq0atp-",        WORD,  22, 22, MIXED, "Square token" },
    { "sq0csp-",        WORD,  43, 43, MIXED, "Square secret" },
    { "sbp_",           HEX,   40, 40, DIGIT, "Supabase token" },
    { "HRKU-",          WORD,  36,  0, DIGIT, "Heroku key" },
    { "dp.pt.",         ALNUM, 40,  0, DIGIT, "Doppler token" },
    { "tskey-",         WORD,  24,  0, DIGIT, "Tailscale key" },
    { "ops_eyJ",        TOKEN, 60,  0, MIXED, "1Password token" },
    { "AGE-SECRET-KEY-1", CAPS, 50, 0, DIGIT, "age key" },
    { "SK",             HEX,   32, 32, DIGIT, "Twilio key" },
    { "SU",             CAPS,  56, 56, DIGIT, "NATS seed" },
    { "SA",             CAPS,  56, 56, DIGIT, "NATS seed" },
    { "SO",             CAPS,  56, 56, DIGIT, "NATS seed" },
    { "SN",             CAPS,  56, 56, DIGIT, "NATS seed" },
};

/* Names whose assigned value is a credential when it looks like one; compared without "-_ ". */
static const char *const NAMES[] = {
    "apikey",       "xapikey",       "apitoken",    "accesstoken", "authtoken",   "refreshtoken",
    "clientsecret", "secretkey",     "secret",      "token",       "password",    "passwd",
    "pwd",          "privatekey",    "accesskey",   "signingkey",  "bearertoken", "apisecret",
    "awssecretaccesskey", "secretaccesskey", "encryptionkey",
};

static const char *const PASSWORD_SCHEMES[] = {
    "postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "redis", "rediss",
    "amqp", "amqps", "nats", "tls", "http", "https", "ftp", "sftp", "ssh", "smtp", "ldap",
    "clickhouse", "mssql",
};
/* clang-format on */

struct traits {
    size_t len, upper, lower, digit, hex;
};

static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
in_charset(char c, enum charset charset)
{
    switch (charset) {
    case ALNUM:
        return is_alnum(c);
    case WORD:
        return is_alnum(c) || c == '_' || c == '-';
    case HEX:
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    case CAPS:
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
    case TOKEN:
        return is_alnum(c) || (c != '\0' && strchr("_-.+/=~", c) != NULL);
    }
    return false;
}

static struct traits
traits_of(const char *text, size_t len)
{
    struct traits t = { .len = len };
    for (size_t i = 0; i < len; i++) {
        t.upper += text[i] >= 'A' && text[i] <= 'Z';
        t.lower += text[i] >= 'a' && text[i] <= 'z';
        t.digit += text[i] >= '0' && text[i] <= '9';
        t.hex += in_charset(text[i], HEX) || (text[i] >= 'A' && text[i] <= 'F');
    }
    return t;
}

/* "xxxxxxxx", "your-key-here", "<token>", "${TOKEN}", "EXAMPLE": what stands for a credential. */
static bool
is_placeholder(const char *text, size_t len)
{
    static const char *const WORDS[] = { "example",   "your",      "placeholder", "changeme",
                                         "change_me", "xxxx",      "dummy",       "redacted",
                                         "insert",    "todo",      "sample",      "****",
                                         "....",      "0000000000" };
    char lower[65];
    size_t n = len < sizeof(lower) - 1 ? len : sizeof(lower) - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    lower[n] = '\0';
    if (n && strchr("<$%{[", lower[0]))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (strstr(lower, WORDS[i]))
            return true;
    return false;
}

static const char *
match_format(const char *text, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
        const struct format *f = &FORMATS[i];
        size_t start = strlen(f->prefix), end = start;
        if (f->prefix[0] != text[0] || len < start + f->min || memcmp(text, f->prefix, start) != 0)
            continue;
        while (end < len && in_charset(text[end], f->charset))
            end++;
        if (end - start < f->min || (f->max && end - start > f->max))
            continue;
        if (end < len && is_alnum(text[end]))
            continue; /* a longer word of other characters */
        struct traits t = traits_of(text + start, end - start);
        bool letters = t.upper + t.lower > 0;
        if ((f->need == DIGIT && !(t.digit && letters)) ||
            (f->need == MIXED && !(letters && (t.digit || (t.upper && t.lower)))))
            continue;
        if (!is_placeholder(text + start, end - start))
            return f->kind;
    }
    return NULL;
}

static size_t
span(const char *text, size_t len, enum charset charset)
{
    size_t n = 0;
    while (n < len && in_charset(text[n], charset))
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

static size_t
skip_blank(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && (text[n] == ' ' || text[n] == '\t'))
        n++;
    return n;
}

/* "Bearer <token>" and "Basic <base64>": prose goes on in ordinary words. */
static const char *
match_authorization(const char *text, size_t len)
{
    bool bearer = len > 7 && strncasecmp(text, "bearer", 6) == 0;
    bool basic = len > 6 && strncasecmp(text, "basic", 5) == 0;
    if (!bearer && !basic)
        return NULL;
    size_t at = bearer ? 6 : 5;
    size_t blank = skip_blank(text + at, len - at);
    at += blank;
    size_t n = span(text + at, len - at, TOKEN);
    struct traits t = traits_of(text + at, n);
    if (blank == 0 || n < 16 || is_placeholder(text + at, n) || t.upper + t.lower == 0)
        return NULL;
    if (bearer)
        return t.digit ? "bearer token" : NULL;
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
        bool word = n == 8 && strncasecmp(password, "password", 8) == 0;
        bool same = n == 6 && strncasecmp(password, "secret", 6) == 0;
        return n >= 6 && !word && !same && !is_placeholder(password, n);
    }
    return false;
}

static bool
is_secret_name(const char *name, size_t len)
{
    char plain[24];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(name[i]))
            continue;
        if (n == sizeof(plain) - 1)
            return false;
        plain[n++] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    }
    plain[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (strcmp(plain, NAMES[i]) == 0)
            return true;
    return false;
}

/* What stands behind "api_key:": random enough to be a key, too random to be a word. */
static bool
is_secret_value(const char *text, size_t len, bool password)
{
    struct traits t = traits_of(text, len);
    if (is_placeholder(text, len))
        return false;
    if (t.upper && t.lower && t.digit)
        return len >= (password ? 12 : 20);
    if (t.hex == len)
        return len >= 32 && t.digit && t.digit < len;
    return t.digit >= 4 && t.upper + t.lower >= 4 && t.digit + t.upper + t.lower == len &&
           len >= 24;
}

static bool
is_assigned(const char *name, size_t name_len, const char *value, size_t len)
{
    size_t n = span(value, len, TOKEN);
    bool password = name_len > 0 && (name[0] == 'p' || name[0] == 'P');
    return n > 0 && is_secret_name(name, name_len) && is_secret_value(value, n, password);
}

/* text[at] is ':' or '=': looks at the word before and the value behind. */
static bool
match_assignment(const char *text, size_t len, size_t at)
{
    size_t end = at;
    while (end > 0 && strchr(" \"'`", text[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && end - start < 40 && in_charset(text[start - 1], WORD))
        start--;
    size_t value = at + 1;
    while (value < len && strchr(" \t\"'`=", text[value]))
        value++;
    return start < end && value < len &&
           is_assigned(text + start, end - start, text + value, len - value);
}

static bool
match_private_key(const char *text, size_t len)
{
    if (len > 20 && memcmp(text, "PuTTY-User-Key-File-", 20) == 0)
        return true;
    if (len < 21 || memcmp(text, "-----BEGIN ", 11) != 0)
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

const char *
secrets_find(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char *at = text + i;
        if (*at == ':' || *at == '=') {
            if (match_assignment(text, len, i))
                return "assigned credential";
            continue;
        }
        bool dash = *at == '-' && i + 1 < len && at[1] == '-';
        bool start = is_alnum(*at) && (i == 0 || !in_charset(at[-1], WORD));
        if (dash && match_private_key(at, len - i))
            return "private key";
        if (!start)
            continue;
        const char *kind = match_format(at, len - i);
        if (!kind)
            kind = match_authorization(at, len - i);
        if (kind)
            return kind;
        if (match_jwt(at, len - i))
            return "JSON Web Token";
        if (match_telegram(at, len - i))
            return "Telegram bot token";
        if (match_private_key(at, len - i))
            return "private key";
        if (match_url(at, len - i))
            return "URL with a password";
        if (match_webhook(at, len - i))
            return "webhook URL";
    }
    return NULL;
}

/* The path of item, from the outside in: the parents' part was written before. */
static void
append_path(const cJSON *item, size_t index, bool in_array, const char *parent,
            char out[SECRETS_FIELD_MAX])
{
    if (in_array)
        (void)snprintf(out, SECRETS_FIELD_MAX, "%.80s[%zu]", parent, index);
    else
        (void)snprintf(out, SECRETS_FIELD_MAX, "%.60s%s%.32s", parent, parent[0] ? "." : "",
                       item->string ? item->string : "");
}

/* Recursion is bounded by JSON_DEPTH_MAX, which json_read() enforces. */
static const char *
find_in(const cJSON *item, const char *path, char field[SECRETS_FIELD_MAX])
{
    const char *kind = NULL;
    if (item->string)
        kind = secrets_find(item->string, strlen(item->string));
    if (!kind && cJSON_IsString(item)) {
        size_t len = strlen(item->valuestring);
        kind = secrets_find(item->valuestring, len);
        if (!kind && item->string &&
            is_assigned(item->string, strlen(item->string), item->valuestring, len))
            kind = "assigned credential";
    }
    if (kind) {
        (void)snprintf(field, SECRETS_FIELD_MAX, "%s", path);
        return kind;
    }
    size_t index = 0;
    for (const cJSON *child = item->child; child; child = child->next) {
        char below[SECRETS_FIELD_MAX];
        append_path(child, index++, cJSON_IsArray(item), path, below);
        kind = find_in(child, below, field);
        if (kind)
            return kind;
    }
    return NULL;
}

const char *
secrets_find_json(const cJSON *doc, char field[SECRETS_FIELD_MAX])
{
    return find_in(doc, "", field);
}
