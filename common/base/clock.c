/* SPDX-License-Identifier: MIT */
/*
 * clock - wall and monotonic time, and RFC 3339 text.
 *
 * The calendar is computed here (days from civil, proleptic Gregorian), because timegm() accepts
 * dates that do not exist and gmtime_r() is several times slower than a log line should be.
 */
#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_SECONDS  86400LL
#define YEAR_0_MS    (-62167219200000LL) /* 0000-01-01T00:00:00.000Z */
#define YEAR_9999_MS 253402300799999LL   /* 9999-12-31T23:59:59.999Z */

static int64_t
read_clock_us(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_wall_ms(void)
{
    return read_clock_us(CLOCK_REALTIME) / 1000;
}

int64_t
clock_wall_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}

int64_t
clock_mono_ms(void)
{
    return read_clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_mono_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

static int64_t
days_from_civil(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static char *
put_digits(char *at, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + width;
}

const char *
clock_format(int64_t wall_ms, char text[CLOCK_TEXT_MAX])
{
    if (wall_ms < YEAR_0_MS)
        wall_ms = YEAR_0_MS;
    if (wall_ms > YEAR_9999_MS)
        wall_ms = YEAR_9999_MS;

    int64_t ms_of_year_0 = wall_ms - YEAR_0_MS; /* not negative: division truncates as it should */
    int64_t ms_of_day = ms_of_year_0 % (DAY_SECONDS * 1000);
    int64_t days = ms_of_year_0 / (DAY_SECONDS * 1000) - 60; /* since 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_index = (5 * day_of_year + 2) / 153; /* 0 = March */
    int64_t day = day_of_year - (153 * month_index + 2) / 5 + 1;
    int64_t month = month_index < 10 ? month_index + 3 : month_index - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    char *at = put_digits(text, year, 4);

    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, ms_of_day / 3600000, 2);
    *at++ = ':';
    at = put_digits(at, ms_of_day / 60000 % 60, 2);
    *at++ = ':';
    at = put_digits(at, ms_of_day / 1000 % 60, 2);
    *at++ = '.';
    at = put_digits(at, ms_of_day % 1000, 3);
    *at++ = 'Z';
    *at = '\0';
    return text;
}

/* Read exactly width digits at *at; false leaves *at where it was. */
static bool
take_digits(const char **at, int width, int *value)
{
    int sum = 0;

    for (int i = 0; i < width; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        sum = sum * 10 + (c - '0');
    }
    *value = sum;
    *at += width;
    return true;
}

static bool
take_char(const char **at, char upper)
{
    if (**at != upper && !(upper >= 'A' && **at == (char)(upper | 0x20)))
        return false;
    (*at)++;
    return true;
}

static bool
take_date(const char **at, int64_t *days)
{
    static const int LENGTHS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year, month, day;

    if (!take_digits(at, 4, &year) || !take_char(at, '-') || !take_digits(at, 2, &month) ||
        !take_char(at, '-') || !take_digits(at, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 ||
        day > LENGTHS[month - 1] + (month == 2 && leap ? 1 : 0))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

static bool
take_fraction_ms(const char **at, int *ms)
{
    int digits = 0;

    *ms = 0;
    if (**at != '.')
        return true;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, digits++)
        if (digits < 3)
            *ms = *ms * 10 + (**at - '0');
    for (int i = digits; i < 3; i++)
        *ms *= 10;
    return digits > 0;
}

static bool
take_offset(const char **at, int *minutes)
{
    int hour, minute;
    int sign = **at == '-' ? -1 : 1;

    *minutes = 0;
    if (take_char(at, 'Z'))
        return true;
    if (**at != '+' && **at != '-')
        return false;
    (*at)++;
    if (!take_digits(at, 2, &hour) || !take_char(at, ':') || !take_digits(at, 2, &minute) ||
        hour > 23 || minute > 59)
        return false;
    *minutes = sign * (hour * 60 + minute);
    return true;
}

struct moment {
    int64_t days;
    int hour, minute, second, ms, offset;
};

static enum rc
finish_moment(const struct moment *m, int64_t *wall_ms)
{
    if (m->hour > 23 || m->minute > 59 || m->second > 60)
        return RC_INVALID;

    int64_t seconds =
        m->days * DAY_SECONDS + m->hour * 3600LL + (m->minute - m->offset) * 60LL + m->second;
    /* A leap second exists only at the end of a UTC day; it is read as the second after it. */
    if (m->second == 60 && seconds % DAY_SECONDS != 0)
        return RC_INVALID;
    int64_t result = seconds * 1000 + m->ms;
    if (result < YEAR_0_MS || result > YEAR_9999_MS)
        return RC_INVALID;
    *wall_ms = result;
    return RC_OK;
}

enum rc
clock_parse(const char *text, int64_t *wall_ms)
{
    struct moment m;
    const char *at = text;

    if (!take_date(&at, &m.days) || !take_char(&at, 'T') || !take_digits(&at, 2, &m.hour) ||
        !take_char(&at, ':') || !take_digits(&at, 2, &m.minute) || !take_char(&at, ':') ||
        !take_digits(&at, 2, &m.second) || !take_fraction_ms(&at, &m.ms) ||
        !take_offset(&at, &m.offset) || *at != '\0')
        return RC_INVALID;
    return finish_moment(&m, wall_ms);
}

/* "" is UTC, " 01:00" and "+0100" are +01:00. */
static bool
take_loose_offset(const char **at, int *minutes)
{
    char text[] = "+00:00";
    const char *offset = text;

    *minutes = 0;
    if (**at == '\0')
        return true;
    if (**at != '+' && **at != '-' && **at != ' ')
        return take_offset(at, minutes);
    text[0] = **at == '-' ? '-' : '+';
    (*at)++;
    size_t colon = strlen(*at) > 2 && (*at)[2] == ':';
    if (strlen(*at) != 4 + colon)
        return false;
    memcpy(text + 1, *at, 2);
    memcpy(text + 4, *at + 2 + colon, 2);
    *at += 4 + colon;
    return take_offset(&offset, minutes);
}

enum rc
clock_parse_loose(const char *text, int64_t *wall_ms)
{
    struct moment m = { 0 };
    const char *at = text;

    if (!take_date(&at, &m.days))
        return RC_INVALID;
    if (*at == '\0')
        return finish_moment(&m, wall_ms);
    if ((!take_char(&at, 'T') && !take_char(&at, ' ')) || !take_digits(&at, 2, &m.hour) ||
        !take_char(&at, ':') || !take_digits(&at, 2, &m.minute))
        return RC_INVALID;
    if (take_char(&at, ':') && (!take_digits(&at, 2, &m.second) || !take_fraction_ms(&at, &m.ms)))
        return RC_INVALID;
    if (!take_loose_offset(&at, &m.offset) || *at != '\0')
        return RC_INVALID;
    return finish_moment(&m, wall_ms);
}
