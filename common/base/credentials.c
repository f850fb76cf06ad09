/* SPDX-License-Identifier: MIT */
#include "base/credentials.h"

#include <string.h>

#include "base/cleanup.h"

static const struct {
    const char *text;
    size_t min;
} PREFIXES[] = {
    { "relay_sk_", 16 },  { "sk-", 16 },    { "sk_", 16 },       { "pk_", 16 },    { "rk_", 16 },
    { "ghp_", 16 },       { "gho_", 16 },   { "ghu_", 16 },      { "ghs_", 16 },   { "ghr_", 16 },
    { "github_pat", 16 }, { "glpat-", 16 }, { "xoxa-", 12 },     { "xoxb-", 12 },  { "xoxp-", 12 },
    { "xoxr-", 12 },      { "xoxs-", 12 },  { "xapp-", 12 },     { "AKIA", 16 },   { "ASIA", 16 },
    { "AIza", 20 },       { "ya29.", 16 },  { "eyJ", 20 },       { "npm_", 16 },   { "pypi-", 16 },
    { "hf_", 16 },        { "SG.", 16 },    { "dop_v1_", 16 },   { "shpat_", 16 }, { "whsec_", 16 },
    { "AGE-SECRET", 16 }, { "hvs.", 16 },   { "dckr_pat_", 16 }, { "EAA", 30 },    { "SUA", 40 },
};

bool
credential_begins(const char *text, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++)
        if (len >= PREFIXES[i].min && memcmp(text, PREFIXES[i].text, strlen(PREFIXES[i].text)) == 0)
            return true;
    return false;
}
