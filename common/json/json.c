/* SPDX-License-Identifier: MIT */
/*
 * json - reading: the strict pass, cJSON's tree, duplicate members.
 */
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fnv.h"
#include "json/json_pool.h"
#include "json/json_scan.h"

#define PAIRWISE_MAX 48 /* members that are compared each with each, by a hash first */

/* cJSON says NULL for "malformed" and for "no memory" alike, and a good command must never be taken
 * for a malformed one. So there is no second case: the pool ends the process. */
__attribute__((constructor)) static void
install_allocator(void)
{
    cJSON_Hooks hooks = { .malloc_fn = json_pool_alloc, .free_fn = json_pool_free };

    cJSON_InitHooks(&hooks);
}

void
json_cleanup(cJSON **doc)
{
    cJSON_Delete(*doc);
    *doc = NULL;
}

void
json_wipe(cJSON *doc)
{
    cJSON *child;
    if (cJSON_IsString(doc) && doc->valuestring)
        explicit_bzero(doc->valuestring, strlen(doc->valuestring));
    cJSON_ArrayForEach (child, doc) {
        json_wipe(child);
    }
}

void
json_secret_cleanup(cJSON **doc)
{
    json_wipe(*doc);
    json_cleanup(doc);
}

/* UTF-16 order is the order of the bytes of UTF-8, but for one thing: what lies beyond U+FFFF (leading
 * byte F0 and up) is written with surrogates and so comes before U+E000 to U+FFFF (EE, EF). */
static int
rank(unsigned char byte)
{
    return byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte;
}

static int
compare_names(const void *left, const void *right)
{
    const unsigned char *a = (const unsigned char *)(*(const cJSON *const *)left)->string;
    const unsigned char *b = (const unsigned char *)(*(const cJSON *const *)right)->string;

    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

size_t
json_sorted(const cJSON *object, const cJSON ***out)
{
    size_t count = 0;
    size_t at = 0;

    for (const cJSON *child = object->child; child; child = child->next)
        count++;
    *out = NULL;
    if (count == 0)
        return 0;
    /* cJSON's allocator, because it never returns NULL. */
    *out = json_alloc(count * sizeof(**out));
    for (const cJSON *child = object->child; child; child = child->next)
        (*out)[at++] = child;
    qsort(*out, count, sizeof(**out), compare_names);
    return count;
}

/* Each returns the name that is repeated, or NULL. */
static const char *
repeats_pairwise(const cJSON *object)
{
    const cJSON *members[PAIRWISE_MAX];
    uint32_t hashes[PAIRWISE_MAX];
    size_t count = 0;

    for (const cJSON *one = object->child; one; one = one->next, count++) {
        members[count] = one;
        hashes[count] = fnv32_text(one->string);
        for (size_t i = 0; i < count; i++)
            if (hashes[i] == hashes[count] && strcmp(members[i]->string, one->string) == 0)
                return one->string;
    }
    return NULL;
}

static const char *
repeats_sorted(const cJSON *object)
{
    const cJSON **members;
    size_t count = json_sorted(object, &members);
    const char *repeated = NULL;

    for (size_t i = 1; i < count && !repeated; i++)
        if (strcmp(members[i - 1]->string, members[i]->string) == 0)
            repeated = members[i]->string;
    free(members);
    return repeated;
}

/* Recursion is bounded: the strict pass refused what is deeper than JSON_DEPTH_MAX. */
static const char *
repeats_member(const cJSON *value)
{
    const char *repeated;
    size_t count = 0;

    for (const cJSON *child = value->child; child; child = child->next, count++)
        if (child->child && (repeated = repeats_member(child)) != NULL)
            return repeated;
    if (!cJSON_IsObject(value))
        return NULL;
    return count <= PAIRWISE_MAX ? repeats_pairwise(value) : repeats_sorted(value);
}

/* A name may be a credential that lost its way: only words without digits are repeated. */
static enum rc
refuse_repeated(const char *name, struct err *err)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    bool plain = len > 0 && len <= 32 && name[len] == '\0';

    return err_set(err, RC_CORRUPT, "malformed JSON: a member name is repeated%s%s",
                   plain ? ": " : "", plain ? name : "");
}

/* The tree of what the strict pass has accepted. */
static enum rc
read_scanned(const char *text, size_t len, cJSON **out, struct err *err)
{
    AUTO(json) cJSON *doc = cJSON_ParseWithLength(text, len);
    const char *repeated;

    if (!doc)
        return err_set(err, RC_BUG, "the JSON parser refused what the strict pass accepted");
    if ((repeated = repeats_member(doc)) != NULL)
        return refuse_repeated(repeated, err);
    *out = TAKE(doc);
    return RC_OK;
}

static enum rc
read_strictly(const char *text, size_t len, bool any_integer, cJSON **out,
              char field[JSON_FIELD_MAX], struct err *err)
{
    size_t mark = json_mark_len(text, len);
    enum rc rc = json_scan(text, len, any_integer, field, err);

    return rc == RC_OK ? read_scanned(text + mark, len - mark, out, err) : rc;
}

enum rc
json_read(const char *text, size_t len, cJSON **out, struct err *err)
{
    return read_strictly(text, len, false, out, NULL, err);
}

enum rc
json_read_field(const char *text, size_t len, cJSON **out, char field[JSON_FIELD_MAX],
                struct err *err)
{
    return read_strictly(text, len, false, out, field, err);
}

enum rc
json_read_canonical(const char *text, size_t len, cJSON **out, struct err *err)
{
    return read_strictly(text, len, true, out, NULL, err);
}

enum rc
json_read_exact(const char *text, size_t len, cJSON **out, struct err *err)
{
    char *copy = json_alloc(len + 1);
    enum rc rc;

    memcpy(copy, text, len);
    rc = json_scan_exact(copy, len, err);
    if (rc == RC_OK)
        rc = read_scanned(copy, len, out, err);
    free(copy);
    return rc;
}

enum rc
json_read_foreign(const char *text, size_t len, cJSON **out, struct err *err)
{
    cJSON *doc = cJSON_ParseWithLength(text, len);

    if (!doc)
        return err_set(err, RC_CORRUPT, "malformed JSON");
    *out = doc;
    return RC_OK;
}

const cJSON *
json_member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *
json_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(json_member(object, name));
}

bool
json_has_text(const cJSON *array, const char *text)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, array)
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
            return true;
    return false;
}

int64_t
json_int(const cJSON *object, const char *name, int64_t fallback)
{
    const cJSON *item = json_member(object, name);

    if (!cJSON_IsNumber(item) || !json_is_int(item->valuedouble))
        return fallback;
    return (int64_t)item->valuedouble;
}

double
json_number(const cJSON *object, const char *name, double fallback)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

bool
json_bool(const cJSON *object, const char *name, bool fallback)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}
