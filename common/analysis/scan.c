/* SPDX-License-Identifier: MIT */
/* scan - where words, parts and compounds begin and end. */
#include "analysis/scan.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"

#define LEVEL_INNER 5 /* letters to digits, apostrophe */
#define LEVEL_HUMP  6 /* and between scripts */

/* The joint that a character makes between two parts: the lower, the larger what it joins. */
static int
joint_level(uint32_t c)
{
    switch (c) {
    case '/':
    case '\\':
    case ':':
    case '?':
    case '&':
    case '=':
    case '@':
    case ',':
    case '#':
    case '%':
    case '+':
    case '~':
    case '$':
        return 1;
    case '.':
        return 2;
    case '-':
    case 0x2010:
        return 3;
    case '_':
        return 4;
    case '\'':
    case 0x2019:
        return LEVEL_INNER;
    default:
        return 0;
    }
}

static enum char_class
class_at(const struct scan *s, size_t at)
{
    return at < s->text_len ? fold_class(s->text[at]) : CHAR_OTHER;
}

static bool is_part_class(enum char_class class)
{
    return class == CHAR_LOWER || class == CHAR_UPPER || class == CHAR_DIGIT;
}

/* --- parts of a run ---------------------------------------------------------------------------- */

/* "URLs", "IDs": an s behind capitals is no part. */
static bool
is_plural_end(const struct scan *s, size_t at, size_t end)
{
    return at + 1 < end && s->text[at + 1] == 's' && at + 2 == end;
}

/* Does a hump or another script begin at `at`, behind a character of class `before`? */
static bool
is_hump(const struct scan *s, size_t at, size_t end, enum char_class before)
{
    if (class_at(s, at) != CHAR_UPPER)
        return fold_script(s->text[at]) != fold_script(s->text[at - 1]) &&
               class_at(s, at - 1) != CHAR_MARK;
    if (before == CHAR_LOWER)
        return true;
    return at + 1 < end && class_at(s, at + 1) == CHAR_LOWER && !is_plural_end(s, at, end);
}

/* The level of the boundary at `at`, behind a character of class `before`; 0: there is none. */
static uint8_t
boundary_level(const struct scan *s, size_t at, size_t end, enum char_class before)
{
    if ((before == CHAR_DIGIT) != (class_at(s, at) == CHAR_DIGIT))
        return LEVEL_INNER;
    return is_hump(s, at, end, before) ? LEVEL_HUMP : 0;
}

/* Cuts a run into parts at most `room`; 0 if they do not fit or say nothing, and the run is one. */
static size_t
cut_run(const struct scan *s, size_t start, size_t end, struct part *parts, size_t room)
{
    size_t count = 0;
    size_t from = start;
    uint8_t level = LEVEL_INNER; /* the caller knows that of the first part */
    enum char_class before = class_at(s, start);
    for (size_t at = start + 1; at <= end; at++) {
        enum char_class here = at < end ? class_at(s, at) : CHAR_OTHER;
        if (here == CHAR_MARK)
            continue;
        uint8_t next = at < end ? boundary_level(s, at, end, before) : 0;
        if (at == end || next) {
            if (count == room)
                return 0;
            parts[count++] = (struct part){ (uint32_t)from, (uint32_t)at, level };
            from = at;
            level = next;
        }
        before = here;
    }
    return count > 8 && end - start < 3 * count ? 0 : count;
}

/* --- joints ------------------------------------------------------------------------------------ */

/* The length of the joint at `at` if a part follows it, with its level; else 0. */
static size_t
find_joint(const struct scan *s, size_t at, int *level)
{
    if (at >= s->text_len)
        return 0;
    uint32_t first = s->text[at];
    *level = joint_level(first);
    if (*level == 0)
        return 0;
    size_t len = 1;
    bool many = first == ':' || first == '_' || first == '/' ||
                (first == '-' && at + 1 < s->text_len && s->text[at + 1] == '>');
    while (many && len < 3 && at + len < s->text_len &&
           (joint_level(s->text[at + len]) > 0 || (first == '-' && s->text[at + len] == '>')))
        len++;
    return is_part_class(class_at(s, at + len)) ? len : 0;
}

/* The length of "'s", "'ll" and the like at `at`, which say nothing; 0 if it is none. */
static size_t
find_suffix(const struct scan *s, size_t at)
{
    static const char *const SUFFIXES[] = { "s", "d", "m", "re", "ve", "ll" };
    for (size_t i = 0; i < sizeof(SUFFIXES) / sizeof(SUFFIXES[0]); i++) {
        const char *suffix = SUFFIXES[i];
        size_t len = strlen(suffix);
        size_t same = 0;
        while (same < len && at + 1 + same < s->text_len &&
               (s->text[at + 1 + same] | 32) == (unsigned char)suffix[same])
            same++;
        enum char_class next = class_at(s, at + 1 + len);
        if (same == len && !is_part_class(next) && next != CHAR_MARK)
            return 1 + len;
    }
    return 0;
}

/* "n't" belongs to its word: isn't is isnt. */
static bool
is_negation(const struct scan *s, size_t at)
{
    return at > 0 && (s->text[at - 1] | 32) == 'n' && at + 1 < s->text_len &&
           (s->text[at + 1] | 32) == 't' && !is_part_class(class_at(s, at + 2));
}

static bool
is_apostrophe(uint32_t c)
{
    return c == '\'' || c == 0x2019;
}

/* The end of the run of letters, digits and marks at `at`. */
static size_t
run_end(const struct scan *s, size_t at)
{
    for (; at < s->text_len; at++) {
        enum char_class class = class_at(s, at);
        if (is_part_class(class) || class == CHAR_MARK)
            continue;
        if (is_apostrophe(s->text[at]) && is_negation(s, at))
            continue;
        break;
    }
    return at;
}

static bool
is_glued(const struct scan *s, size_t at)
{
    size_t hyphens = 0;
    while (hyphens < 3 && at > hyphens && s->text[at - 1 - hyphens] == '-')
        hyphens++;
    if (hyphens == 0 || hyphens == 3)
        return false;
    return at == hyphens || fold_is_blank(s->text[at - 1 - hyphens]);
}

/* One compound from `at` on; returns where it ends. */
static size_t
read_compound(struct scan *s, size_t at)
{
    struct part *parts = s->parts;
    size_t count = 0;
    bool glued = is_glued(s, at);
    int level = 1;
    for (;;) {
        size_t end = run_end(s, at);
        size_t n = cut_run(s, at, end, parts + count, SCAN_PARTS_MAX - count);
        if (n == 0) {
            parts[count] = (struct part){ (uint32_t)at, (uint32_t)end, 0 };
            n = 1;
        }
        parts[count].level = (uint8_t)level;
        count += n;
        at = end;
        if (at < s->text_len && is_apostrophe(s->text[at]))
            at += find_suffix(s, at);
        size_t joint = count < SCAN_PARTS_MAX ? find_joint(s, at, &level) : 0;
        if (joint == 0)
            break;
        at += joint;
    }
    scan_compound(s, parts, count, glued);
    return at;
}

/* The end of the run of one class, with its marks. */
static size_t
class_end(const struct scan *s, size_t at, enum char_class class)
{
    enum char_class here;
    for (at++; at < s->text_len; at++) {
        here = class_at(s, at);
        if (here != class && here != CHAR_MARK)
            break;
    }
    return at;
}

static size_t
read_word(struct scan *s, size_t at, enum char_class class)
{
    char symbol[4];
    size_t end;
    switch (class) {
    case CHAR_LOWER:
    case CHAR_UPPER:
    case CHAR_DIGIT:
        return read_compound(s, at);
    case CHAR_UNSPACED:
        end = class_end(s, at, class);
        scan_unspaced(s, at, end);
        return end;
    case CHAR_HANGUL:
        end = class_end(s, at, class);
        scan_hangul(s, at, end);
        return end;
    case CHAR_SYMBOL:
        scan_add(s, FORM_BASE, SCRIPT_SYMBOL, symbol, fold_put(s->text[at], symbol), s->words++, 1);
        return at + 1;
    case CHAR_OTHER:
    case CHAR_MARK:
        break;
    }
    return at + 1;
}

static bool
ends_sentence(uint32_t c)
{
    return c == '.' || c == '!' || c == '?' || c == ':' || c == '\n' || c == '"' || c == '*' ||
           c == 0x201C || c == 0x2014;
}

enum rc
scan_text(struct scan *s, enum scan_kind kind, const char *text, size_t len)
{
    *s = (struct scan){ .kind = kind, .at_sentence = true };
    size_t cap = FOLD_CAP(len);
    s->text = malloc(cap * sizeof(*s->text));
    if (!s->text)
        return RC_TEMP;
    s->text_len = fold_text(text, len, s->text, cap);
    for (size_t at = 0; at < s->text_len && s->words < ANALYSIS_WORDS_MAX && !s->failed;) {
        enum char_class class = fold_class(s->text[at]);
        if (class != CHAR_OTHER && class != CHAR_MARK) {
            at = read_word(s, at, class);
            s->at_sentence = false;
        } else {
            s->at_sentence |= ends_sentence(s->text[at]);
            at++;
        }
    }
    scan_languages(s);
    return s->failed || s->stemmers.failed ? RC_TEMP : RC_OK;
}

void
scan_fini(struct scan *s)
{
    stemmers_fini(&s->stemmers);
    free(s->forms);
    free(s->text);
    free(s->later);
    free(s->kept);
    *s = (struct scan){ 0 };
}
