/* SPDX-License-Identifier: MIT */
/*
 * id - identifiers and their encodings.
 *
 * UUIDv7 in one process are strictly increasing, from any thread: the 60 leading bits (48 of
 * milliseconds, 12 of counter) live in one atomic word that only grows. Within a millisecond the
 * counter starts in its lower half at random; when it overflows, time is borrowed from the next one.
 */
#include "base/id.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/credentials.h"
#include "base/hex.h"

#define COUNTER_BITS   12
#define CREDENTIAL_MIN 20 /* shorter words are taken for request ids */

static const char HEX_DIGITS[] = "0123456789abcdef";

static void
format_uuid(const uint8_t bytes[16], unsigned version, char text[ID_TEXT_MAX])
{
    uint8_t marked[16];
    char *at = text;

    memcpy(marked, bytes, sizeof(marked));
    marked[6] = (uint8_t)((marked[6] & 0x0F) | version << 4);
    marked[8] = (uint8_t)((marked[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < sizeof(marked); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = HEX_DIGITS[marked[i] >> 4];
        *at++ = HEX_DIGITS[marked[i] & 15];
    }
    *at = '\0';
}

void
id_new(char text[ID_TEXT_MAX])
{
    /* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
    static _Atomic uint64_t last;
    uint8_t bytes[16];
    uint64_t fresh, next, before;

    arc4random_buf(bytes, sizeof(bytes));
    fresh = (uint64_t)clock_wall_ms() << COUNTER_BITS | (bytes[0] | (bytes[1] & 7U) << 8);
    before = atomic_load_explicit(&last, memory_order_relaxed);
    do {
        next = fresh > before ? fresh : before + 1;
    } while (!atomic_compare_exchange_weak_explicit(&last, &before, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(next >> (COUNTER_BITS + 40 - 8 * i));
    bytes[6] = (uint8_t)(next >> 8 & 0x0F);
    bytes[7] = (uint8_t)next;
    format_uuid(bytes, 7, text);
}

void
id_new_random(char text[ID_TEXT_MAX])
{
    uint8_t bytes[16];

    arc4random_buf(bytes, sizeof(bytes));
    format_uuid(bytes, 4, text);
}

enum rc
id_parse(const char *text, size_t len, char out[ID_TEXT_MAX])
{
    char lower[ID_TEXT_MAX] = { 0 };

    if (len != ID_TEXT_MAX - 1)
        return RC_INVALID;
    for (size_t i = 0; i < len; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        int value = hex_value(text[i]);
        if (hyphen ? text[i] != '-' : value < 0)
            return RC_INVALID;
        lower[i] = hyphen ? '-' : HEX_DIGITS[value];
    }
    memcpy(out, lower, sizeof(lower));
    return RC_OK;
}

bool
id_valid(const char *text)
{
    char lower[ID_TEXT_MAX];

    return text && id_parse(text, strnlen(text, ID_TEXT_MAX), lower) == RC_OK;
}

static bool
is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
workspace_valid(const char *text, size_t len)
{
    if (len < 1 || len >= WORKSPACE_TEXT_MAX || !is_lower_or_digit(text[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_lower_or_digit(text[i]) && text[i] != '_' && text[i] != '-')
            return false;
    return true;
}

/* A request id is echoed and logged, so a key that was pasted into the wrong header must not be one.
 * Too eager is harmless: the request then gets an id of ours. */
static bool
looks_like_credential(const char *text, size_t len)
{
    static const char *const ANYWHERE[] = { "relay_sk_", "github_pat_" };
    char lower[REQUEST_ID_MAX];

    for (size_t i = 0; i < len; i++)
        lower[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
    lower[len] = '\0';
    for (size_t i = 0; i < sizeof(ANYWHERE) / sizeof(ANYWHERE[0]); i++)
        if (strstr(lower, ANYWHERE[i]))
            return true;
    return len >= CREDENTIAL_MIN &&
           (strncmp(lower, "bearer", 6) == 0 || credential_begins(text, len));
}

bool
request_id_valid(const char *text, size_t len)
{
    if (len < 1 || len >= REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char lower = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
        if (!is_lower_or_digit(lower) && text[i] != '.' && text[i] != '_' && text[i] != ':' &&
            text[i] != '-')
            return false;
    }
    return !looks_like_credential(text, len);
}
