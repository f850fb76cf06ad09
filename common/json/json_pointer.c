/* SPDX-License-Identifier: MIT */
#include "json/json_pointer.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

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

static const cJSON *
element(const cJSON *array, const char *token)
{
    size_t len = strspn(token, "0123456789");
    if (len == 0 || token[len] || len > INDEX_DIGITS_MAX || (token[0] == '0' && len > 1))
        return NULL;
    return cJSON_GetArrayItem(array, (int)strtol(token, NULL, 10));
}

const cJSON *
json_pointer(const cJSON *doc, const char *pointer, size_t len)
{
    AUTO(free) char *token = malloc(len + 1);
    if (!token || !json_pointer_valid(pointer, len))
        return NULL;
    const cJSON *at = doc;
    for (size_t i = 0; i < len && at;) {
        size_t n = 0;
        for (i++; i < len && pointer[i] != '/'; i++) {
            token[n] = pointer[i];
            if (pointer[i] == '~')
                token[n] = pointer[++i] == '1' ? '/' : '~';
            n++;
        }
        token[n] = '\0';
        at = cJSON_IsArray(at)    ? element(at, token)
             : cJSON_IsObject(at) ? cJSON_GetObjectItemCaseSensitive(at, token)
                                  : NULL;
    }
    return at;
}
