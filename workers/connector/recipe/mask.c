/* SPDX-License-Identifier: MIT */
#include "recipe/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"
#include "recipe/fill.h"

#define PLAIN_FORMS 3 /* as it is, percent-encoded, escaped */
#define FORMS       (PLAIN_FORMS + 6)

struct forms {
    struct buf *items;
    size_t count;
};

/* --- forms ------------------------------------------------------------------------------------------------ */

static void
add_form(struct forms *forms, const char *text, size_t len)
{
    if (len < MASK_MIN)
        return;
    struct buf *form = &forms->items[forms->count++];
    buf_init(form, len);
    buf_add(form, text, len);
    if (buf_failed(form)) /* an empty form would be found everywhere, and mask nothing */
        log_no_memory("a secret");
}

static void
add_escaped(struct forms *forms, const char *secret, size_t len)
{
    struct buf text = { 0 };
    struct json_writer w;
    buf_init(&text, len * 6 + 2);
    json_begin(&w, &text);
    json_put_string(&w, NULL, secret);
    if (json_end(&w) != RC_OK)
        log_no_memory("a secret");
    add_form(forms, buf_text(&text) + 1, text.len - 2); /* without the quotes */
    buf_wipe(&text);
}

/* As a part of what is encoded: behind lead bytes, without the characters that others have a share in. */
static void
add_base64(struct forms *forms, const char *secret, size_t len, size_t lead)
{
    size_t all = lead + len;
    size_t first = (lead * 8 + 5) / 6, end = all * 8 / 6;
    uint8_t *bytes = calloc(1, all);
    char *text = malloc(BASE64_LEN(all));
    if (!bytes || !text)
        log_no_memory("a secret");
    memcpy(bytes + lead, secret, len);
    base64_encode(bytes, all, text);
    add_form(forms, text + first, end - first);
    base64url_encode(bytes, all, text);
    add_form(forms, text + first, end - first);
    crypto_wipe(bytes, all);
    crypto_wipe(text, strlen(text));
    free(bytes);
    free(text);
}

static void
add_secret(struct forms *forms, const char *secret)
{
    struct buf percent = { 0 };
    size_t len = strlen(secret);
    if (len < MASK_MIN)
        return;
    add_form(forms, secret, len);
    buf_init(&percent, len * 3);
    fill_percent(&percent, secret, len);
    if (buf_failed(&percent))
        log_no_memory("a secret");
    add_form(forms, buf_text(&percent), percent.len);
    buf_wipe(&percent);
    add_escaped(forms, secret, len);
    for (size_t lead = 0; lead < 3; lead++)
        add_base64(forms, secret, len, lead);
}

static int
longer_first(const void *a, const void *b)
{
    size_t left = ((const struct buf *)a)->len, right = ((const struct buf *)b)->len;
    return (left < right) - (left > right);
}

static struct forms
forms_of(const cJSON *secrets)
{
    size_t most = (size_t)cJSON_GetArraySize(secrets) * FORMS;
    struct forms forms = { .items = calloc(most + 1, sizeof(*forms.items)) };
    const cJSON *secret;
    if (!forms.items)
        log_no_memory("a result");
    cJSON_ArrayForEach (secret, secrets) {
        if (cJSON_IsString(secret))
            add_secret(&forms, secret->valuestring);
    }
    qsort(forms.items, forms.count, sizeof(*forms.items), longer_first);
    return forms;
}

/* --- texts ------------------------------------------------------------------------------------------------ */

static void
mask_one(char **text, const char *form)
{
    size_t len = strlen(form);
    char *at = strcasestr(*text, form);
    struct buf out = { 0 };
    if (!at)
        return;
    buf_init(&out, strlen(*text) * 2 + sizeof(MASK_SHOWN));
    for (const char *from = *text; from; from = at ? at + len : NULL) {
        at = strcasestr(from, form);
        buf_add(&out, from, at ? (size_t)(at - from) : strlen(from));
        if (at)
            buf_puts(&out, MASK_SHOWN);
    }
    crypto_wipe(*text, strlen(*text));
    cJSON_free(*text);
    *text = buf_failed(&out) ? NULL : cJSON_malloc(out.len + 1);
    if (!*text)
        log_no_memory("a result");
    memcpy(*text, buf_text(&out), out.len + 1);
    buf_wipe(&out);
}

static void
mask_text(char **text, const struct forms *forms)
{
    for (size_t i = 0; i < forms->count; i++)
        mask_one(text, buf_text(&forms->items[i]));
}

static void
mask_all(cJSON *doc, const struct forms *forms)
{
    cJSON *child;
    if (cJSON_IsString(doc))
        mask_text(&doc->valuestring, forms);
    cJSON_ArrayForEach (child, doc) {
        if (child->string && !(child->type & cJSON_StringIsConst))
            mask_text(&child->string, forms);
        mask_all(child, forms);
    }
}

void
mask_doc(cJSON *doc, const cJSON *secrets)
{
    if (!doc || cJSON_GetArraySize(secrets) == 0)
        return;
    struct forms forms = forms_of(secrets);
    mask_all(doc, &forms);
    for (size_t i = 0; i < forms.count; i++)
        buf_wipe(&forms.items[i]);
    free(forms.items);
}
