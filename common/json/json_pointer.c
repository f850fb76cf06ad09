/* SPDX-License-Identifier: MIT */
#include "json/json_pointer.h"

#define INDEX_DIGITS_MAX 6

bool
json_pointer_valid(const char *pointer, size_t len)
{
    if (len > 0 && pointer[0] != '/')
        return false;
    for (size_t i = 0; i < len; i++)
        if (pointer[i] == '\0' || (pointer[i] == '~' && (i + 1 == len || (pointer[i + 1] != '0' &&
                                                                          pointer[i + 1] != '1'))))
            return false;
    return true;
}

/* The end of the reference token that begins at i. */
static size_t
token_end(const char *pointer, size_t len, size_t i)
{
    while (i < len && pointer[i] != '/')
        i++;
    return i;
}

static const cJSON *
element(const cJSON *array, const char *token, size_t len)
{
    int index = 0;
    if (len == 0 || len > INDEX_DIGITS_MAX || (token[0] == '0' && len > 1))
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (token[i] < '0' || token[i] > '9')
            return NULL;
        index = 10 * index + (token[i] - '0');
    }
    return cJSON_GetArrayItem(array, index);
}

/* Whether a member's name is the token, which has ~0 for ~ and ~1 for a slash. */
static bool
names(const char *name, const char *token, size_t len)
{
    for (size_t i = 0; i < len; i++, name++) {
        char wanted = token[i];
        if (wanted == '~')
            wanted = token[++i] == '1' ? '/' : '~';
        if (*name != wanted)
            return false;
    }
    return *name == '\0';
}

static const cJSON *
member(const cJSON *object, const char *token, size_t len)
{
    const cJSON *one;
    cJSON_ArrayForEach (one, object)
        if (names(one->string, token, len))
            return one;
    return NULL;
}

/* Nothing is allocated: a value that is there is found, however little memory there is. */
const cJSON *
json_pointer(const cJSON *doc, const char *pointer, size_t len)
{
    if (!json_pointer_valid(pointer, len))
        return NULL;
    const cJSON *at = doc;
    for (size_t i = 0, end; i < len && at; i = end) {
        const char *token = pointer + i + 1;
        end = token_end(pointer, len, i + 1);
        size_t n = end - i - 1;
        at = cJSON_IsArray(at)    ? element(at, token, n)
             : cJSON_IsObject(at) ? member(at, token, n)
                                  : NULL;
    }
    return at;
}
