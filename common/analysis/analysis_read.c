/* SPDX-License-Identifier: MIT */
/* analysis_read - the stored form, checked once and then read without checks. */
#include "analysis/analysis.h"

static bool
checked_varint(const uint8_t **at, const uint8_t *end, uint32_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 32 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 28 && byte > 0x0F)
            return false;
        *value |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static uint32_t
varint(const uint8_t **at)
{
    uint32_t value = *(*at)++;
    if (value < 0x80)
        return value;
    value &= 0x7F;
    for (unsigned shift = 7;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
}

static uint64_t
read_term(const uint8_t *at)
{
    uint64_t term = 0;
    for (size_t i = 0; i < ANALYSIS_TERM_BYTES; i++)
        term = term << 8 | at[i];
    return term;
}

/* Positions of one term: ascending, below the number of words. */
static bool
check_positions(const uint8_t **at, const uint8_t *end, uint32_t words)
{
    uint32_t count;
    uint32_t delta;
    uint64_t position = 0;
    if (!checked_varint(at, end, &count) || count == 0 || count > words)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!checked_varint(at, end, &delta) || (i > 0 && delta == 0))
            return false;
        position += delta;
        if (position >= words)
            return false;
    }
    return true;
}

bool
analysis_open(struct analysis_reader *reader, const uint8_t *bytes, size_t len)
{
    const uint8_t *at = bytes;
    const uint8_t *end = bytes + len;
    uint32_t words;
    uint32_t distinct;
    if (analysis_version(bytes, len) != ANALYSIS_VERSION)
        return false;
    at++;
    if (!checked_varint(&at, end, &words) || !checked_varint(&at, end, &distinct) ||
        words > ANALYSIS_WORDS_MAX || distinct > ANALYSIS_TERMS_MAX)
        return false;
    const uint8_t *terms = at;
    uint64_t before = 0;
    for (uint32_t i = 0; i < distinct; i++) {
        if (end - at < ANALYSIS_TERM_BYTES)
            return false;
        uint64_t term = read_term(at);
        at += ANALYSIS_TERM_BYTES;
        if ((i > 0 && term <= before) || !check_positions(&at, end, words))
            return false;
        before = term;
    }
    if (at != end)
        return false;
    *reader = (struct analysis_reader){ bytes[0], words, distinct, distinct, terms, end };
    return true;
}

bool
analysis_next(struct analysis_reader *reader, struct analysis_posting *posting)
{
    if (reader->left == 0)
        return false;
    reader->left--;
    posting->term = read_term(reader->at);
    reader->at += ANALYSIS_TERM_BYTES;
    posting->count = posting->left = varint(&reader->at);
    posting->position = 0;
    posting->at = reader->at;
    for (uint32_t left = posting->count; left > 0; reader->at++)
        left -= *reader->at < 0x80;
    posting->end = reader->at;
    return true;
}

bool
analysis_position(struct analysis_posting *posting, uint32_t *position)
{
    if (posting->left == 0)
        return false;
    posting->left--;
    posting->position += varint(&posting->at);
    *position = posting->position;
    return true;
}

uint8_t
analysis_version(const uint8_t *bytes, size_t len)
{
    return len > 0 ? bytes[0] : 0;
}
