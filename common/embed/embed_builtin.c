/* SPDX-License-Identifier: MIT */
/*
 * embed_builtin - the static model: the sum of the vectors of a text's word pieces.
 *
 * A word is a run of letters and digits, in lower case and without Latin accents. It is a row of the
 * model, or its humps are, or it is cut greedily into the longest pieces. What the model has no
 * letters for (any script from U+0250 on) is hashed: the word and its 3- and 4-grams, or characters
 * and pairs of CJK, each added with a sign to one place (Weinberger et al., 2009).
 *
 * Bounds: 64 code points of a word, the rest is passed over. Time is linear in len.
 *
 * Everything that changes a vector changes EMBED_BUILTIN_MODEL.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fnv.h"
#include "base/log.h"
#include "base/utf8.h"
#include "embed/embed.h"
#include "embed/embed_static.h"

#define WORD_MAX   64 /* code points */
#define PIECES_MAX (2 * WORD_MAX)
#define GRAM_MIN   3
#define GRAM_MAX   4
#define FEW        128 /* rows that are sorted by insertion */
#define ROWS_STACK 512 /* rows of a text that need no memory */
#define CACHE_LINE 64

#define IN(code, first, last) ((code) >= (first) && (code) <= (last))

/* What is known of a text while it is read. */
struct text {
    const struct static_model *model;
    uint32_t *rows;
    size_t count;
    float *out;       /* NULL: words are only counted */
    uint32_t words;   /* CJK characters are words */
    uint32_t unknown; /* words without a row of their own */
};

/* U+00C0 to U+024F without their accents, two letters each; blank: the letter has no row. */
static const char LATIN[] = "a a a a a a aec e e e e i i i i " /* U+00C0 */
                            "d n o o o o o   o u u u u y thss" /* U+00D0 */
                            "a a a a a a aec e e e e i i i i " /* U+00E0 */
                            "d n o o o o o   o u u u u y thy " /* U+00F0 */
                            "a a a a a a c c c c c c c c d d " /* U+0100 */
                            "d d e e e e e e e e e e g g g g " /* U+0110 */
                            "g g g g h h     i i i i i i i i " /* U+0120 */
                            "i i     j j k k   l l l l l l   " /* U+0130 */
                            "  l l n n n n n n       o o o o " /* U+0140 */
                            "o o oeoer r r r r r s s s s s s " /* U+0150 */
                            "s s t t t t     u u u u u u u u " /* U+0160 */
                            "u u u u w w y y y z z z z z z   " /* U+0170 */
                            "                                " /* U+0180 */
                            "                                " /* U+0190 */
                            "o o                           u " /* U+01A0 */
                            "u                               " /* U+01B0 */
                            "                          a a i " /* U+01C0 */
                            "i o o u u u u u u u u u u   a a " /* U+01D0 */
                            "a a aeae    g g k k o o o o     " /* U+01E0 */
                            "j       g g     n n a a aeaeo o " /* U+01F0 */
                            "a a a a e e e e i i i i o o o o " /* U+0200 */
                            "r r r r u u u u s s t t     h h " /* U+0210 */
                            "            a a e e o o o o o o " /* U+0220 */
                            "o o y y                         " /* U+0230 */
                            "                                " /* U+0240 */;

#define LATIN_FIRST 0xC0U
#define LATIN_END   0x250U

/* --- what is no row is hashed ------------------------------------------------------------------ */

static uint64_t
mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ h >> 33;
}

static void
add_hashed(struct text *t, const uint32_t *codes, size_t n, uint64_t kind, float weight)
{
    uint64_t hash = FNV64 ^ kind;
    if (!t->out)
        return;
    for (size_t i = 0; i < n; i++)
        hash = fnv64_add(hash, codes[i]);
    hash = mix(hash);
    t->out[hash % t->model->dim] += hash >> 63 ? weight : -weight;
}

/* The word, and its n-grams with its ends marked. */
static void
add_unknown(struct text *t, const uint32_t *codes, size_t n)
{
    uint32_t marked[WORD_MAX + 2];
    size_t len = n + 2;
    marked[0] = '<';
    memcpy(marked + 1, codes, n * sizeof(*codes));
    marked[len - 1] = '>';
    size_t grams = len - GRAM_MIN + 1 + (len >= GRAM_MAX ? len - GRAM_MAX + 1 : 0);
    float weight = t->model->hashed_scale / sqrtf((float)grams);
    add_hashed(t, codes, n, 1, t->model->hashed_scale);
    for (size_t gram = GRAM_MIN; gram <= GRAM_MAX; gram++)
        for (size_t i = 0; i + gram <= len; i++)
            add_hashed(t, marked + i, gram, gram, weight);
}

static void
add_cjk(struct text *t, uint32_t code, uint32_t before)
{
    uint32_t pair[] = { before, code };
    t->words++;
    t->unknown++;
    add_hashed(t, &code, 1, 1, t->model->hashed_scale * 0.5F);
    if (before)
        add_hashed(t, pair, 2, 2, t->model->hashed_scale);
}

/* --- words ------------------------------------------------------------------------------------- */

/* A word folded to the letters of the model, with the places where its humps begin. */
struct word {
    char text[2 * WORD_MAX];
    size_t len;
    uint32_t lower[WORD_MAX];
    size_t cut[WORD_MAX + 1];
    size_t cuts;
    bool has_letters; /* the model's, throughout */
    bool has_upper;
    bool has_lower;
};

static bool
is_upper(uint32_t c)
{
    return IN(c, 'A', 'Z');
}

static bool
is_lower(uint32_t c)
{
    return IN(c, 'a', 'z');
}

static bool
is_hump(const uint32_t *codes, size_t n, size_t i)
{
    uint32_t before = codes[i - 1];
    if (!is_upper(codes[i]))
        return false;
    return is_lower(before) || IN(before, '0', '9') ||
           (is_upper(before) && i + 1 < n && is_lower(codes[i + 1]));
}

static uint32_t
to_lower(uint32_t c)
{
    if (is_upper(c) || IN(c, 0x391, 0x3A9) || IN(c, 0x410, 0x42F))
        return c + 32;
    return IN(c, 0x400, 0x40F) ? c + 80 : c;
}

static void
fold(const uint32_t *codes, size_t n, struct word *word)
{
    word->len = word->cuts = 0;
    word->has_letters = true;
    word->has_upper = word->has_lower = false;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = codes[i];
        if (i > 0 && is_hump(codes, n, i))
            word->cut[word->cuts++] = word->len;
        word->has_upper |= is_upper(c);
        word->has_lower |= is_lower(c);
        word->lower[i] = to_lower(c);
        const char *base = IN(c, LATIN_FIRST, LATIN_END - 1) ? LATIN + 2 * (c - LATIN_FIRST) : " ";
        if (c < 0x80) {
            word->text[word->len++] = (char)word->lower[i];
        } else if (base[0] != ' ') {
            word->text[word->len++] = base[0];
            if (base[1] != ' ')
                word->text[word->len++] = base[1];
        } else {
            word->has_letters = false;
        }
    }
    word->cut[word->cuts] = word->len;
}

/* Appends the longest pieces of text to rows; false, if some of it is no piece. */
static bool
find_pieces(const struct static_model *model, const char *text, size_t len, uint32_t *rows,
            size_t *count)
{
    for (size_t at = 0; at < len;) {
        size_t n = len - at;
        uint32_t row = static_model_longest(model, text + at, &n, at > 0);
        if (row == STATIC_NONE || *count == PIECES_MAX)
            return false;
        rows[(*count)++] = row;
        at += n;
    }
    return true;
}

/* The rows of a word's humps, if it has any. */
static size_t
find_humps(const struct static_model *model, const struct word *word, uint32_t *rows)
{
    size_t count = 0;
    size_t at = 0;
    if (word->cuts == 0 || !word->has_upper || !word->has_lower)
        return 0;
    for (size_t i = 0; i <= word->cuts; i++) {
        if (!find_pieces(model, word->text + at, word->cut[i] - at, rows, &count))
            return 0;
        at = word->cut[i];
    }
    return count;
}

/* Takes the next count rows, and has them fetched: most are in no cache, and are needed in a moment. */
static void
take_rows(struct text *t, size_t count)
{
    for (size_t i = 0; i < count && t->out; i++) {
        const int8_t *row = t->model->row + (size_t)t->rows[t->count + i] * EMBED_BUILTIN_DIM;
        for (size_t at = 0; at < EMBED_BUILTIN_DIM; at += CACHE_LINE)
            __builtin_prefetch(row + at);
    }
    t->count += count;
}

static void
add_word(struct text *t, const uint32_t *codes, size_t n)
{
    struct word word;
    uint32_t *rows = t->rows + t->count;
    size_t count = 0;
    fold(codes, n, &word);
    t->words++;
    if (word.has_letters) {
        rows[0] = static_model_find(t->model, word.text, word.len, false);
        if (rows[0] != STATIC_NONE) {
            take_rows(t, 1);
            return;
        }
        count = find_humps(t->model, &word, rows);
        if (count == 0) {
            t->unknown++;
            if (!find_pieces(t->model, word.text, word.len, rows, &count))
                count = 0;
        }
    } else {
        t->unknown++;
    }
    take_rows(t, count);
    if (count == 0)
        add_unknown(t, word.lower, n);
}

static bool
is_cjk(uint32_t c)
{
    return IN(c, 0x3040, 0x30FF) || IN(c, 0x3400, 0x9FFF) || IN(c, 0xF900, 0xFAFF) ||
           IN(c, 0x20000, 0x3FFFF);
}

static bool
is_word(uint32_t c)
{
    if (c < 0x80)
        return IN(c, '0', '9') || IN(c | 32, 'a', 'z');
    if (c < 0xC0)
        return c == 0xAA || c == 0xB5 || c == 0xBA || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
               IN(c, 0xBC, 0xBE);
    return !(c == 0xD7 || c == 0xF7 || IN(c, 0x300, 0x36F) || c == 0x1680 ||
             IN(c, 0x2000, 0x206F) || IN(c, 0x20A0, 0x20CF) || IN(c, 0x2190, 0x2BFF) ||
             IN(c, 0x3000, 0x3004) || IN(c, 0x3007, 0x3020) || c == 0x30FB ||
             IN(c, 0xFF01, 0xFF0F) || c >= 0x1F000 || c == 0xFFFD || c == 0xFEFF);
}

static void
read_words(struct text *t, const char *text, size_t len)
{
    uint32_t word[WORD_MAX];
    size_t n = 0;
    uint32_t before = 0; /* the CJK character before this one */
    for (size_t at = 0; at < len;) {
        uint32_t c = 0xFFFD;
        size_t step = utf8_decode(text + at, len - at, &c);
        at += step ? step : 1;
        bool cjk = is_cjk(c);
        if (n > 0 && (cjk || !is_word(c))) {
            add_word(t, word, n);
            n = 0;
        }
        if (cjk)
            add_cjk(t, c, before);
        else if (is_word(c) && n < WORD_MAX)
            word[n++] = c;
        before = cjk ? c : 0;
    }
    if (n > 0)
        add_word(t, word, n);
}

/* --- the sum ----------------------------------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void
sort_rows(uint32_t *rows, size_t n)
{
    if (n > FEW) {
        qsort(rows, n, sizeof(*rows), by_number);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        uint32_t row = rows[i];
        size_t at = i;
        for (; at > 0 && rows[at - 1] > row; at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
}

/* Each row once, with 1 + ln of the times that it was seen. */
static void
sum_rows(struct text *t)
{
    float sum[EMBED_BUILTIN_DIM] = { 0 };
    sort_rows(t->rows, t->count);
    for (size_t i = 0, end; i < t->count; i = end) {
        for (end = i + 1; end < t->count && t->rows[end] == t->rows[i]; end++)
            ;
        const int8_t *row = t->model->row + (size_t)t->rows[i] * EMBED_BUILTIN_DIM;
        float weight = end - i == 1 ? 1 : 1 + logf((float)(end - i));
        for (size_t j = 0; j < EMBED_BUILTIN_DIM; j++)
            sum[j] += weight * (float)row[j];
    }
    for (size_t j = 0; j < EMBED_BUILTIN_DIM; j++)
        t->out[j] += sum[j] * t->model->scale[j];
}

static void
normalise(float *out)
{
    double sum = 0;
    for (size_t i = 0; i < EMBED_BUILTIN_DIM; i++)
        sum += (double)out[i] * (double)out[i];
    if (sum <= 0)
        return;
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < EMBED_BUILTIN_DIM; i++)
        out[i] *= scale;
}

/* Reads a text into rows and out (which may be NULL). Returns the share of words without a row. */
static float
embed(const char *text, size_t len, float *out)
{
    uint32_t few[ROWS_STACK];
    AUTO(free) uint32_t *many = NULL;
    struct static_model model;
    size_t file_len;
    const uint8_t *file = static_model_builtin(&file_len);
    if (!static_model_view(file, file_len, &model) || model.dim != EMBED_BUILTIN_DIM)
        return 0; /* embed_new() has checked it */
    /* A byte makes at most one row; a word that is given up has written up to PIECES_MAX. */
    size_t cap = len + PIECES_MAX + 1;
    if (cap > ROWS_STACK) {
        many = malloc(cap * sizeof(*many));
        if (!many)
            log_no_memory("an embedding");
    }
    struct text t = { .model = &model, .rows = many ? many : few, .out = out };
    read_words(&t, text, len);
    if (out) {
        sum_rows(&t);
        normalise(out);
    }
    return t.words > 0 ? (float)t.unknown / (float)t.words : 0;
}

void
embed_builtin(const char *text, size_t len, float *out)
{
    memset(out, 0, EMBED_BUILTIN_DIM * sizeof(*out));
    (void)embed(text, len, out);
}

float
embed_builtin_unknown(const char *text, size_t len)
{
    return embed(text, len, NULL);
}
