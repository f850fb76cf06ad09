/* SPDX-License-Identifier: MIT */
/*
 * secrets_form - the key formats of well-known services.
 */
#include <string.h>

#include "base/cleanup.h"
#include "validate/secrets_own.h"

#define FORM_MAX 256 /* bytes of a key that are looked at: time stays linear */

/* What the characters behind the prefix must have at least. */
enum need {
    ANY,
    DIGIT, /* a digit and a letter */
    MIXED, /* both cases, or a digit */
    RUN,   /* SECRETS_RUN_MIN letters and digits in a row */
    EITHER /* DIGIT or RUN */
};

struct format {
    const char *prefix;
    enum charset charset;
    unsigned char min, max; /* characters behind the prefix; max 0 = no end */
    enum need need;
    const char *kind;
};

/* clang-format off */
static const struct format FORMATS[] = {
    { "relay_sk_",      ALNUM, 20,  0, ANY,   "Gantry API key" },
    { "sk-ant-",        WORD,  20,  0, EITHER, "Anthropic API key" },
    { "sk-proj-",       WORD,  20,  0, EITHER, "OpenAI API key" },
    { "sk-svcacct-",    WORD,  20,  0, DIGIT, "OpenAI API key" },
    { "sk-admin-",      WORD,  20,  0, DIGIT, "OpenAI API key" },
    { "sk-live-",       WORD,  16,  0, RUN,   "API key" },
    { "sk-test-",       WORD,  16,  0, RUN,   "API key" },
    { "sk-or-v1-",      HEX,   32,  0, DIGIT, "OpenRouter API key" },
    { "sk-lf-",         WORD,  30,  0, DIGIT, "Langfuse key" },
    { "sk-",            ALNUM, 20,  0, ANY,   "API key" },
    { "sk_live_",       ALNUM, 16,  0, ANY,   "Stripe key" },
    { "sk_test_",       ALNUM, 16,  0, ANY,   "Stripe key" },
    { "rk_live_",       ALNUM, 16,  0, ANY,   "Stripe key" },
    { "rk_test_",       ALNUM, 16,  0, ANY,   "Stripe key" },
    { "whsec_",         TOKEN, 24,  0, DIGIT, "webhook secret" },
    { "ghp_",           ALNUM, 30,  0, ANY,   "GitHub token" },
    { "gho_",           ALNUM, 30,  0, ANY,   "GitHub token" },
    { "ghu_",           ALNUM, 30,  0, ANY,   "GitHub token" },
    { "ghs_",           ALNUM, 30,  0, ANY,   "GitHub token" },
    { "ghr_",           ALNUM, 30,  0, ANY,   "GitHub token" },
    { "github_pat_",    WORD,  22,  0, EITHER, "GitHub token" },
    { "glpat-",         WORD,  20,  0, EITHER, "GitLab token" },
    { "glptt-",         WORD,  20,  0, DIGIT, "GitLab token" },
    { "gldt-",          WORD,  20,  0, DIGIT, "GitLab token" },
    { "glrt-",          WORD,  20,  0, DIGIT, "GitLab token" },
    { "xoxb-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxp-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxa-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxr-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxs-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxe-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxc-",          WORD,  20,  0, EITHER, "Slack token" },
    { "xoxd-",          TOKEN, 40,  0, EITHER, "Slack token" },
    { "nvapi-",         WORD,  40,  0, DIGIT, "NVIDIA API key" },
    { "lsv2_pt_",       WORD,  32,  0, DIGIT, "LangSmith key" },
    { "lsv2_sk_",       WORD,  32,  0, DIGIT, "LangSmith key" },
    { "dckr_oat_",      WORD,  20,  0, MIXED, "Docker token" },
    { "glft-",          WORD,  20,  0, DIGIT, "GitLab token" },
    { "glcbt-",         WORD,  20,  0, DIGIT, "GitLab token" },
    { "sgp_",           HEX,   40,  0, DIGIT, "Sourcegraph token" },
    { "phx_",           ALNUM, 40,  0, DIGIT, "PostHog key" },
    { "xapp-",          WORD,  30,  0, DIGIT, "Slack token" },
    { "AKIA",           CAPS,  16, 16, ANY,   "AWS access key" },
    { "ASIA",           CAPS,  16, 16, ANY,   "AWS access key" },
    { "ABIA",           CAPS,  16, 16, ANY,   "AWS access key" },
    { "AIza",           WORD,  35, 35, EITHER, "Google API key" },
    { "ya29.",          WORD,  30,  0, MIXED, "Google access token" },
    { "GOCSPX-",        WORD,  24,  0, MIXED, "Google client secret" },
    { "npm_",           ALNUM, 36, 36, ANY,   "npm token" },
    { "pypi-",          WORD,  50,  0, EITHER, "PyPI token" },
    { "rubygems_",      HEX,   48, 48, DIGIT, "RubyGems key" },
    { "hf_",            ALNUM, 30,  0, ANY,   "Hugging Face token" },
    { "gsk_",           ALNUM, 40,  0, ANY,   "Groq API key" },
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
    { "SG.",            TOKEN, 60,  0, EITHER, "SendGrid key" },
    { "hvs.",           WORD,  24,  0, EITHER, "Vault token" },
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
/* clang-format on */

struct traits
secrets_traits_of(const char *text, size_t len)
{
    struct traits t = { .len = len };
    size_t run = 0;
    for (size_t i = 0; i < len; i++) {
        run = secrets_is_alnum(text[i]) ? run + 1 : 0;
        t.run = run > t.run ? run : t.run;
        t.upper += text[i] >= 'A' && text[i] <= 'Z';
        t.lower += text[i] >= 'a' && text[i] <= 'z';
        t.digit += text[i] >= '0' && text[i] <= '9';
        t.hex += secrets_in_charset(text[i], HEX) || (text[i] >= 'A' && text[i] <= 'F');
    }
    return t;
}

/* "EXAMPLE_KEY" is no key, but "…NG/bPxRfiCYEXAMPLEKEY" has the form of one. */
static bool
has_word(const char *lower, const char *word)
{
    const char *at = strstr(lower, word);
    return at && (at == lower || !secrets_is_alnum(at[-1])) && !secrets_is_alnum(at[strlen(word)]);
}

/* "xxxxxxxx", "your-key-here", "<token>", "${TOKEN}": what stands for a credential. */
bool
secrets_is_placeholder(const char *text, size_t len)
{
    static const char *const WORDS[] = { "your",  "placeholder", "changeme",  "change_me", "xxxx",
                                         "dummy", "redacted",    "insert",    "todo",      "sample",
                                         "****",  "....",        "0000000000" };
    char lower[65];
    size_t n = len < sizeof(lower) - 1 ? len : sizeof(lower) - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    lower[n] = '\0';
    if ((n && strchr("<$%{[", lower[0])) || has_word(lower, "example"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (strstr(lower, WORDS[i]))
            return true;
    return false;
}

static bool
meets(const struct traits *t, enum need need)
{
    bool letters = t->upper + t->lower > 0;
    switch (need) {
    case ANY:
        return true;
    case DIGIT:
        return t->digit && letters;
    case MIXED:
        return letters && (t->digit || (t->upper && t->lower));
    case RUN:
        return t->run >= SECRETS_RUN_MIN;
    case EITHER:
        return (t->digit && letters) || t->run >= SECRETS_RUN_MIN;
    }
    return false;
}

/* "sk-xxxxxxxx", "AKIAIOSFODNN7EXAMPLE": what manuals print in place of a key. */
static bool
is_sample(const char *text, size_t len)
{
    static const char *const WORDS[] = { "xxxx",        "XXXX",    "EXAMPLE",  "example",
                                         "placeholder", "yourkey", "REDACTED", "redacted" };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (memmem(text, len, WORDS[i], strlen(WORDS[i])))
            return true;
    return false;
}

const char *
secrets_match_format(const char *text, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
        const struct format *f = &FORMATS[i];
        if (f->prefix[0] != text[0]) /* nearly every word: before anything is measured */
            continue;
        size_t start = strlen(f->prefix), end = start;
        if (len < start + f->min || memcmp(text, f->prefix, start) != 0)
            continue;
        while (end < len && end < FORM_MAX && secrets_in_charset(text[end], f->charset))
            end++;
        if (end - start < f->min || (f->max && end - start > f->max))
            continue;
        if (end < len && end < FORM_MAX && secrets_is_alnum(text[end]))
            continue; /* a longer word of other characters */
        struct traits t = secrets_traits_of(text + start, end - start);
        if (!meets(&t, f->need))
            continue;
        if (f->need == ANY ? !is_sample(text + start, end - start)
                           : !secrets_is_placeholder(text + start, end - start))
            return f->kind;
    }
    return NULL;
}
