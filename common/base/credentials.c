/* SPDX-License-Identifier: MIT */
#include "base/credentials.h"

#include <string.h>

#include "base/cleanup.h"

/* clang-format off */
const struct credential CREDENTIALS[] = {
    /* prefix          eager  charset min max need   kind */
    { "relay_sk_",         16, ALNUM, 20,  0, ANY,    "Gantry API key" },
    { "sk-ant-",           16, WORD,  20,  0, EITHER, "Anthropic API key" },
    { "sk-proj-",          16, WORD,  20,  0, EITHER, "OpenAI API key" },
    { "sk-svcacct-",       16, WORD,  20,  0, DIGIT,  "OpenAI API key" },
    { "sk-admin-",         16, WORD,  20,  0, DIGIT,  "OpenAI API key" },
    { "sk-live-",          16, WORD,  16,  0, RUN,    "API key" },
    { "sk-test-",          16, WORD,  16,  0, RUN,    "API key" },
    { "sk-or-v1-",         16, HEX,   32,  0, DIGIT,  "OpenRouter API key" },
    { "sk-lf-",            16, WORD,  30,  0, DIGIT,  "Langfuse key" },
    { "sk-",               16, ALNUM, 20,  0, ANY,    "API key" },
    { "sk_live_",          16, ALNUM, 16,  0, ANY,    "Stripe key" },
    { "sk_test_",          16, ALNUM, 16,  0, ANY,    "Stripe key" },
    { "rk_live_",          16, ALNUM, 16,  0, ANY,    "Stripe key" },
    { "rk_test_",          16, ALNUM, 16,  0, ANY,    "Stripe key" },
    { "whsec_",            16, TOKEN, 24,  0, DIGIT,  "webhook secret" },
    { "ghp_",              16, ALNUM, 30,  0, ANY,    "GitHub token" },
    { "gho_",              16, ALNUM, 30,  0, ANY,    "GitHub token" },
    { "ghu_",              16, ALNUM, 30,  0, ANY,    "GitHub token" },
    { "ghs_",              16, ALNUM, 30,  0, ANY,    "GitHub token" },
    { "ghr_",              16, ALNUM, 30,  0, ANY,    "GitHub token" },
    { "github_pat_",       16, WORD,  22,  0, EITHER, "GitHub token" },
    { "glpat-",            16, WORD,  20,  0, EITHER, "GitLab token" },
    { "glptt-",            16, WORD,  20,  0, DIGIT,  "GitLab token" },
    { "gldt-",             16, WORD,  20,  0, DIGIT,  "GitLab token" },
    { "glrt-",             16, WORD,  20,  0, DIGIT,  "GitLab token" },
    { "xoxb-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxp-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxa-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxr-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxs-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxe-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxc-",             12, WORD,  20,  0, EITHER, "Slack token" },
    { "xoxd-",             12, TOKEN, 40,  0, EITHER, "Slack token" },
    { "nvapi-",            16, WORD,  40,  0, DIGIT,  "NVIDIA API key" },
    { "lsv2_pt_",          16, WORD,  32,  0, DIGIT,  "LangSmith key" },
    { "lsv2_sk_",          16, WORD,  32,  0, DIGIT,  "LangSmith key" },
    { "dckr_oat_",         16, WORD,  20,  0, MIXED,  "Docker token" },
    { "glft-",             16, WORD,  20,  0, DIGIT,  "GitLab token" },
    { "glcbt-",            16, WORD,  20,  0, DIGIT,  "GitLab token" },
    { "sgp_",              16, HEX,   40,  0, DIGIT,  "Sourcegraph token" },
    { "phx_",              16, ALNUM, 40,  0, DIGIT,  "PostHog key" },
    { "xapp-",             12, WORD,  30,  0, DIGIT,  "Slack token" },
    { "AKIA",              16, CAPS,  16, 16, ANY,    "AWS access key" },
    { "ASIA",              16, CAPS,  16, 16, ANY,    "AWS access key" },
    { "ABIA",              16, CAPS,  16, 16, ANY,    "AWS access key" },
    { "AIza",              20, WORD,  35, 35, EITHER, "Google API key" },
    { "ya29.",             16, WORD,  30,  0, MIXED,  "Google access token" },
    { "GOCSPX-",           16, WORD,  24,  0, MIXED,  "Google client secret" },
    { "npm_",              16, ALNUM, 36, 36, ANY,    "npm token" },
    { "pypi-",             16, WORD,  50,  0, EITHER, "PyPI token" },
    { "rubygems_",         16, HEX,   48, 48, DIGIT,  "RubyGems key" },
    { "hf_",               16, ALNUM, 30,  0, ANY,    "Hugging Face token" },
    { "gsk_",              16, ALNUM, 40,  0, ANY,    "Groq API key" },
    { "r8_",               16, ALNUM, 36,  0, DIGIT,  "Replicate token" },
    { "pplx-",             16, ALNUM, 40,  0, DIGIT,  "Perplexity API key" },
    { "xai-",              16, ALNUM, 60,  0, DIGIT,  "xAI API key" },
    { "tvly-",             16, WORD,  28,  0, DIGIT,  "Tavily API key" },
    { "dop_v1_",           16, HEX,   60,  0, DIGIT,  "DigitalOcean token" },
    { "doo_v1_",           16, HEX,   60,  0, DIGIT,  "DigitalOcean token" },
    { "dor_v1_",           16, HEX,   60,  0, DIGIT,  "DigitalOcean token" },
    { "shpat_",            16, HEX,   32,  0, DIGIT,  "Shopify token" },
    { "shpss_",            16, HEX,   32,  0, DIGIT,  "Shopify secret" },
    { "shpca_",            16, HEX,   32,  0, DIGIT,  "Shopify token" },
    { "shppa_",            16, HEX,   32,  0, DIGIT,  "Shopify token" },
    { "EAA",               30, ALNUM, 80,  0, DIGIT,  "Facebook token" },
    { "SG.",               16, TOKEN, 60,  0, EITHER, "SendGrid key" },
    { "hvs.",              16, WORD,  24,  0, EITHER, "Vault token" },
    { "hvb.",              16, WORD,  24,  0, MIXED,  "Vault token" },
    { "dckr_pat_",         16, WORD,  20,  0, MIXED,  "Docker token" },
    { "ATATT3",            16, TOKEN, 50,  0, MIXED,  "Atlassian token" },
    { "lin_api_",          16, ALNUM, 32,  0, MIXED,  "Linear API key" },
    { "secret_",            0, ALNUM, 43, 43, DIGIT,  "Notion secret" },
    { "ntn_",              16, ALNUM, 40,  0, DIGIT,  "Notion secret" },
    { "figd_",             16, WORD,  36,  0, DIGIT,  "Figma token" },
    { "PMAK-",             16, WORD,  50,  0, DIGIT,  "Postman key" },
    { "pscale_tkn_",       16, WORD,  32,  0, MIXED,  "PlanetScale token" },
    { "key-",               0, HEX,   32, 32, DIGIT,  "Mailgun key" },
    { "xkeysib-",          16, WORD,  64,  0, DIGIT,  "Brevo key" },
    { "dapi",               0, HEX,   32, 32, DIGIT,  "Databricks token" },
    { "NRAK-",             16, CAPS,  27, 27, DIGIT,  "New Relic key" },
    { "sntrys_",           16, TOKEN, 40,  0, MIXED,  "Sentry token" },
    { "glsa_",             16, WORD,  36,  0, DIGIT,  "Grafana token" },
    { "glc_",              16, TOKEN, 40,  0, MIXED,  "Grafana token" },
    { "sq0atp-",           16, WORD,  22, 22, MIXED,  "Square token" },
    { "sq0csp-",           16, WORD,  43, 43, MIXED,  "Square secret" },
    { "sbp_",              16, HEX,   40, 40, DIGIT,  "Supabase token" },
    { "HRKU-",             16, WORD,  36,  0, DIGIT,  "Heroku key" },
    { "dp.pt.",            16, ALNUM, 40,  0, DIGIT,  "Doppler token" },
    { "tskey-",            16, WORD,  24,  0, DIGIT,  "Tailscale key" },
    { "ops_eyJ",           20, TOKEN, 60,  0, MIXED,  "1Password token" },
    { "AGE-SECRET-KEY-1",  16, CAPS,  50,  0, DIGIT,  "age key" },
    { "SK",                 0, HEX,   32, 32, DIGIT,  "Twilio key" },
    { "SU",                 0, CAPS,  56, 56, DIGIT,  "NATS seed" },
    { "SA",                 0, CAPS,  56, 56, DIGIT,  "NATS seed" },
    { "SO",                 0, CAPS,  56, 56, DIGIT,  "NATS seed" },
    { "SN",                 0, CAPS,  56, 56, DIGIT,  "NATS seed" },
    { "sk_",               16, ALNUM,  0,  0, ANY,    NULL },
    { "pk_",               16, ALNUM,  0,  0, ANY,    NULL },
    { "rk_",               16, ALNUM,  0,  0, ANY,    NULL },
    { "eyJ",               20, ALNUM,  0,  0, ANY,    NULL },
    { "SUA",               40, ALNUM,  0,  0, ANY,    NULL },
};
/* clang-format on */
const size_t CREDENTIAL_COUNT = ARRAY_LEN(CREDENTIALS);

/* What the prefixes begin with: most words are passed over by that alone. */
static const char FIRSTS[] = "AEGHNPSdefghlnoprstwxy";

bool
credential_begins(const char *text, size_t len)
{
    if (len == 0 || !memchr(FIRSTS, text[0], sizeof(FIRSTS) - 1))
        return false;
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        const struct credential *c = &CREDENTIALS[i];
        if (c->eager && len >= c->eager && text[0] == c->prefix[0] &&
            memcmp(text, c->prefix, strlen(c->prefix)) == 0)
            return true;
    }
    return false;
}
