/* SPDX-License-Identifier: MIT */
/*
 * embed_builtin - signed feature hashing of words, pairs of words and character n-grams.
 *
 * Each feature is hashed; the hash picks one of 256 places and a sign, and the feature's weight is
 * added there. The sign makes collisions cancel on average, so that the dot product of two vectors
 * estimates the weighted overlap of their features (Weinberger et al., "Feature hashing for large
 * scale multitask learning", 2009). Character n-grams let "deploy" meet "deployment".
 *
 * Everything that changes a vector changes EMBED_BUILTIN_MODEL.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "embed.h"
#include "embed_fold.h"

#define WORD_MAX     48 /* code points that make n-grams; what is longer is hashed all the same */
#define WEIGHT_PAIR  0.4F
#define WEIGHT_GRAMS 1.0F /* of all n-grams of a word together */
#define WEIGHT_STOP  0.2F /* "the", "and": they say little */
#define GRAM_MIN     3
#define GRAM_MAX     4

#define FNV_OFFSET 0xcbf29ce484222325ULL
#define FNV_PRIME  0x100000001b3ULL

struct word {
    uint64_t hash;
    size_t len; /* code points kept in text */
    uint32_t text[WORD_MAX];
};

/* A distinct word or pair with the number of times that it was seen. */
struct feature {
    uint64_t hash; /* 0 = free */
    uint32_t count;
    float weight;
};

struct feature_table {
    struct feature *items; /* owned */
    size_t mask;
};

static uint64_t
mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 33;
    return h ? h : 1;
}

static void
add(float *out, uint64_t hash, float weight)
{
    size_t place = (size_t)(hash % EMBED_BUILTIN_DIM);
    out[place] += hash >> 63 ? weight : -weight;
}

/* Returns the count before this one. */
static uint32_t
count_feature(struct feature_table *table, uint64_t hash, float weight)
{
    size_t i = (size_t)hash & table->mask;
    while (table->items[i].hash && table->items[i].hash != hash)
        i = (i + 1) & table->mask;
    struct feature *feature = &table->items[i];
    feature->hash = hash;
    feature->weight = weight;
    return feature->count++;
}

/* Common words of English, by hash of their folded text; compared as text to stay readable. */
static bool
is_stop_word(const struct word *word)
{
    static const char STOP[][8] = {
        "a",     "an",    "and",   "are",  "as",   "at",    "be",   "but",  "by",   "can",   "did",
        "do",    "does",  "for",   "from", "had",  "has",   "have", "he",   "her",  "his",   "how",
        "i",     "if",    "in",    "into", "is",   "it",    "its",  "me",   "my",   "no",    "not",
        "of",    "on",    "or",    "our",  "she",  "so",    "than", "that", "the",  "their", "them",
        "then",  "there", "these", "they", "this", "to",    "was",  "we",   "were", "what",  "when",
        "where", "which", "who",   "will", "with", "would", "you",  "your",
    };
    if (word->len > 5)
        return false;
    char text[8] = { 0 };
    for (size_t i = 0; i < word->len; i++) {
        if (word->text[i] > 'z')
            return false;
        text[i] = (char)word->text[i];
    }
    for (size_t i = 0; i < sizeof(STOP) / sizeof(STOP[0]); i++)
        if (strcmp(text, STOP[i]) == 0)
            return true;
    return false;
}

/* The n-grams of "<word>", once for each distinct word. */
static void
add_grams(float *out, const struct word *word)
{
    uint32_t text[WORD_MAX + 2];
    size_t len = 0;
    text[len++] = '<';
    for (size_t i = 0; i < word->len; i++)
        text[len++] = word->text[i];
    text[len++] = '>';
    size_t grams = 0;
    for (size_t n = GRAM_MIN; n <= GRAM_MAX; n++)
        grams += len >= n ? len - n + 1 : 0;
    if (grams == 0)
        return;
    float weight = WEIGHT_GRAMS / sqrtf((float)grams);
    for (size_t n = GRAM_MIN; n <= GRAM_MAX; n++) {
        for (size_t start = 0; start + n <= len; start++) {
            uint64_t hash = FNV_OFFSET ^ n;
            for (size_t i = 0; i < n; i++)
                hash = (hash ^ text[start + i]) * FNV_PRIME;
            add(out, mix(hash), weight);
        }
    }
}

/* The next word of text[*at..len); false at the end. Each CJK character is a word. */
static bool
next_word(const char *text, size_t len, size_t *at, struct word *word)
{
    word->hash = FNV_OFFSET;
    word->len = 0;
    bool some = false;
    while (*at < len) {
        size_t before = *at;
        uint32_t cp = fold_next(text, len, at);
        enum fold_class class = fold_classify(cp);
        if (class == FOLD_ALONE && some) {
            *at = before;
            break;
        }
        if (class == FOLD_SPACE) {
            if (some)
                break;
            continue;
        }
        some = true;
        word->hash = (word->hash ^ cp) * FNV_PRIME;
        if (word->len < WORD_MAX)
            word->text[word->len++] = cp;
        if (class == FOLD_ALONE)
            break;
    }
    word->hash = mix(word->hash);
    return some;
}

static void
normalise(float *out)
{
    double sum = 0;
    for (size_t i = 0; i < EMBED_BUILTIN_DIM; i++)
        sum += (double)out[i] * (double)out[i];
    if (sum <= 0)
        return;
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < EMBED_BUILTIN_DIM; i++)
        out[i] = (float)((double)out[i] * scale);
}

void
embed_builtin(const char *text, size_t len, float *out)
{
    memset(out, 0, EMBED_BUILTIN_DIM * sizeof(*out));
    /* At most one word a byte, and one pair a word: less than half full. */
    size_t cap = 64;
    while (cap < 4 * len)
        cap *= 2;
    struct feature_table table = { calloc(cap, sizeof(struct feature)), cap - 1 };
    if (!table.items)
        log_no_memory("an embedding");

    struct word word;
    uint64_t previous = 0;
    for (size_t at = 0; next_word(text, len, &at, &word);) {
        bool stop = is_stop_word(&word);
        if (count_feature(&table, word.hash, stop ? WEIGHT_STOP : 1) == 0 && !stop)
            add_grams(out, &word);
        if (previous)
            (void)count_feature(&table, mix(previous * FNV_PRIME ^ word.hash),
                                stop ? WEIGHT_STOP * WEIGHT_PAIR : WEIGHT_PAIR);
        previous = word.hash;
    }
    for (size_t i = 0; i < cap; i++) {
        const struct feature *feature = &table.items[i];
        if (feature->hash)
            add(out, feature->hash, feature->weight * (1 + logf((float)feature->count)));
    }
    free(table.items);
    normalise(out);
}
