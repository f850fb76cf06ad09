/* SPDX-License-Identifier: MIT */
/*
 * json_number - doubles as text, as ECMAScript's Number::toString writes them.
 *
 * The fewest digits that read back as the same double, and of those the nearest to it. Fifteen digits
 * always survive the way through a double, so a shorter text shows as trailing zeros of fifteen; only
 * subnormals need fewer to be tried. At a power of two the doubles below are twice as close as those
 * above, so the nearest sixteen digits may miss where the next ones up hit (2^-44).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

#define DIGITS_MAX 17
#define SUBNORMAL  2.2250738585072014e-308

/* Numbers that are written without trying. */
#define SHORT_PLACES 12
#define SHORT_UNIT   1e12
#define SHORT_LEAST  1e-5
#define SHORT_MOST   1000

struct decimal {
    char digits[DIGITS_MAX + 1];
    int count;
    int exponent; /* value = 0.digits * 10^exponent */
};

bool
json_is_int(double value)
{
    return value >= -(double)JSON_INT_MAX && value <= (double)JSON_INT_MAX &&
           !(value < trunc(value)) && !(value > trunc(value));
}

static bool
same(double a, double b)
{
    return !(a < b) && !(a > b);
}

/* The count digits nearest to value, which is positive; whether they read back as value. */
static bool
round_to(double value, int count, struct decimal *d)
{
    char text[40];

    (void)snprintf(text, sizeof(text), "%.*e", count - 1, value); /* d.ddddde±xx */
    d->digits[0] = text[0];
    memcpy(d->digits + 1, text + 2, (size_t)count - 1);
    d->digits[count] = '\0';
    d->count = count;
    d->exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
    return same(strtod(text, NULL), value);
}

/* The next larger number of as many digits. */
static void
step_up(struct decimal *d)
{
    int i = d->count - 1;

    while (i >= 0 && d->digits[i] == '9')
        d->digits[i--] = '0';
    if (i >= 0) {
        d->digits[i]++;
    } else {
        d->digits[0] = '1';
        d->exponent++;
    }
}

static bool
reads_back(const struct decimal *d, double value)
{
    char text[40];

    (void)snprintf(text, sizeof(text), "0.%se%d", d->digits, d->exponent);
    return same(strtod(text, NULL), value);
}

static void
shortest(double value, struct decimal *d)
{
    for (int count = value < SUBNORMAL ? 1 : 15; count < DIGITS_MAX; count++) {
        if (round_to(value, count, d))
            return;
        step_up(d);
        if (reads_back(d, value))
            return;
    }
    (void)round_to(value, DIGITS_MAX, d);
}

static void
write_decimal(const struct decimal *d, char *text, size_t size)
{
    static const char ZEROS[] = "000000000000000000000";
    int n = d->exponent;
    int k = d->count;

    if (k <= n && n <= 21)
        (void)snprintf(text, size, "%s%.*s", d->digits, n - k, ZEROS);
    else if (n > 0 && n <= 21)
        (void)snprintf(text, size, "%.*s.%s", n, d->digits, d->digits + n);
    else if (n > -6 && n <= 0)
        (void)snprintf(text, size, "0.%.*s%s", -n, ZEROS, d->digits);
    else
        (void)snprintf(text, size, "%c%s%se%+d", d->digits[0], k > 1 ? "." : "", d->digits + 1,
                       n - 1);
}

/* Of at most twelve places: a whole number of them and the power of ten are exact, so the double that
 * their quotient gives is the one that the text reads back as. False: it has more. */
static bool
write_short(double value, char *text)
{
    uint64_t units;
    char *at;

    if (value < SHORT_LEAST || value >= SHORT_MOST)
        return false;
    units = (uint64_t)(value * SHORT_UNIT + .5);
    if (!same((double)units / SHORT_UNIT, value))
        return false;
    at = text + 1 + (value >= 10) + (value >= 100) + 1 + SHORT_PLACES;
    *at = '\0';
    for (int place = 0; place < SHORT_PLACES; place++, units /= 10) {
        *--at = (char)('0' + units % 10);
        if (*at == '0' && at[1] == '\0')
            *at = '\0';
    }
    *--at = '.';
    for (; at > text; units /= 10)
        *--at = (char)('0' + units % 10);
    return true;
}

const char *
json_format_number(double value, char text[JSON_NUMBER_TEXT_MAX])
{
    struct decimal d;
    char *at = text;

    *text = '\0';
    if (!isfinite(value))
        return text;
    if (json_is_int(value)) {
        (void)snprintf(text, JSON_NUMBER_TEXT_MAX, "%lld", (long long)value);
        return text;
    }
    if (value < 0) {
        *at++ = '-';
        value = -value;
    }
    if (write_short(value, at))
        return text;
    shortest(value, &d);
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.digits[--d.count] = '\0';
    write_decimal(&d, at, JSON_NUMBER_TEXT_MAX - 1);
    return text;
}
