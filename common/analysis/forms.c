/* SPDX-License-Identifier: MIT */
/* forms - the terms of a word, of a compound, of a run of an unspaced script. */
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/scan.h"
#include "analysis/stop.h"
#include "analysis/term.h"

#define KEPT_LEN_MAX 48 /* bytes of a word that gets another language's stem */
#define HITS_MIN     2  /* function words before a language is believed */

/* --- growing arrays ---------------------------------------------------------------------------- */

static bool
grow(struct scan *s, void **items, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return true;
    size_t more = *cap ? *cap : 64;
    while (more < need)
        more *= 2;
    void *grown = realloc(*items, more * size);
    s->failed |= !grown;
    if (!grown)
        return false;
    *items = grown;
    *cap = more;
    return true;
}

static struct form *
add_term(struct scan *s, enum form_kind kind, enum script script, uint64_t term, size_t position,
         size_t span)
{
    if (s->count == ANALYSIS_TERMS_MAX || position >= ANALYSIS_WORDS_MAX)
        return NULL;
    void *forms = s->forms;
    bool grown = grow(s, &forms, &s->cap, s->count + 1, sizeof(*s->forms));
    s->forms = forms;
    if (!grown)
        return NULL;
    struct form *form = &s->forms[s->count++];
    *form = (struct form){ .term = term,
                           .position = (uint16_t)position,
                           .kind = (uint8_t)kind,
                           .script = (uint8_t)script,
                           .span = (uint8_t)span };
    return form;
}

void
scan_add(struct scan *s, enum form_kind kind, enum script script, const char *word, size_t len,
         size_t position, size_t span)
{
    (void)add_term(s, kind, script, term_of(word, len), position, span);
}

/* --- one word ---------------------------------------------------------------------------------- */

static enum language
script_language(enum script script)
{
    static const enum language LANGUAGES[SCRIPT_COUNT] = {
        [SCRIPT_LATIN] = LANGUAGE_ENGLISH,    [SCRIPT_GREEK] = LANGUAGE_GREEK,
        [SCRIPT_CYRILLIC] = LANGUAGE_RUSSIAN, [SCRIPT_ARABIC] = LANGUAGE_ARABIC,
        [SCRIPT_DEVANAGARI] = LANGUAGE_HINDI, [SCRIPT_HEBREW] = LANGUAGE_COUNT,
        [SCRIPT_CJK] = LANGUAGE_COUNT,        [SCRIPT_THAI] = LANGUAGE_COUNT,
        [SCRIPT_HANGUL] = LANGUAGE_COUNT,     [SCRIPT_SYMBOL] = LANGUAGE_COUNT,
        [SCRIPT_OTHER] = LANGUAGE_COUNT,
    };
    return LANGUAGES[script];
}

/* The term of a word's stem by its script. */
static uint64_t
base_term(struct scan *s, enum script script, const char *word, size_t len)
{
    enum language language = script_language(script);
    size_t stem_len = len;
    const char *stem =
        language == LANGUAGE_COUNT ? word : stem_word(&s->stemmers, language, word, len, &stem_len);
    return term_of(stem, stem_len);
}

/* Another language's stem, without its accents. */
static void
add_stem(struct scan *s, enum language language, const char *word, size_t len, size_t position,
         uint64_t base)
{
    size_t stem_len;
    const char *stem = stem_word(&s->stemmers, language, word, len, &stem_len);
    uint32_t codes[FOLDED_MAX];
    struct folded folded;
    size_t n = fold_text(stem, stem_len, codes, FOLDED_MAX);
    fold_word(codes, n, &folded);
    uint64_t term = term_of(folded.plain, folded.plain_len);
    if (term == base)
        return;
    struct form *form = add_term(s, FORM_LANGUAGE, SCRIPT_LATIN, term, position, 1);
    if (form)
        form->language = (uint8_t)language;
}

static void
keep(struct scan *s, const struct folded *word, size_t position)
{
    if (word->accented_len > KEPT_LEN_MAX || word->accented_len < 3)
        return;
    void *later = s->later;
    void *kept = s->kept;
    bool grown = grow(s, &later, &s->later_cap, s->later_count + 1, sizeof(*s->later)) &&
                 grow(s, &kept, &s->kept_cap, s->kept_len + word->accented_len, 1);
    s->later = later;
    s->kept = kept;
    if (!grown)
        return;
    s->later[s->later_count++] =
        (struct later){ (uint32_t)s->kept_len, (uint16_t)position, (uint8_t)word->accented_len };
    memcpy(s->kept + s->kept_len, word->accented, word->accented_len);
    s->kept_len += word->accented_len;
}

void
scan_languages(struct scan *s)
{
    static const enum language LANGUAGES[] = { LANGUAGE_GERMAN, LANGUAGE_SPANISH, LANGUAGE_FRENCH };
    s->language = LANGUAGE_ENGLISH;
    for (size_t i = 0; i < 3; i++)
        if (s->hits[LANGUAGES[i]] > s->hits[s->language] && s->hits[LANGUAGES[i]] >= HITS_MIN)
            s->language = LANGUAGES[i];
    for (size_t i = 0; i < s->later_count && !s->failed; i++) {
        const char *word = s->kept + s->later[i].at;
        size_t len = s->later[i].len;
        for (size_t j = 0; j < 3; j++) {
            if (s->kind == SCAN_QUERY || s->language == LANGUAGES[j])
                add_stem(s, LANGUAGES[j], word, len, s->later[i].position, 0);
        }
    }
}

/* A function word with a capital that no sentence asks for: Will, IT. */
static void
add_case(struct scan *s, const struct part *part, const struct folded *word, size_t position)
{
    size_t upper = 0;
    for (size_t i = part->start; i < part->end; i++)
        upper += fold_class(s->text[i]) == CHAR_UPPER;
    bool all = upper > 1 && upper == part->end - part->start;
    bool named = upper == 1 && word->plain_len > 1 &&
                 fold_class(s->text[part->start]) == CHAR_UPPER &&
                 (!s->at_sentence || s->kind == SCAN_QUERY);
    if (!all && !named)
        return;
    uint64_t state = term_add(TERM_SEED, all ? "\1" : "\2", 1);
    (void)add_term(s, FORM_CASE, SCRIPT_LATIN,
                   term_end(term_add(state, word->plain, word->plain_len)), position, 1);
}

/* A part beyond FOLD_WORD_CHARS: all of it, folded piece by piece. */
static void
add_long(struct scan *s, const struct part *part, enum script script, size_t position)
{
    uint64_t state = TERM_SEED;
    struct folded folded;
    for (size_t at = part->start; at < part->end; at += FOLD_WORD_CHARS) {
        size_t left = part->end - at;
        fold_word(s->text + at, left < FOLD_WORD_CHARS ? left : FOLD_WORD_CHARS, &folded);
        state = term_add(state, folded.plain, folded.plain_len);
    }
    (void)add_term(s, FORM_BASE, script, term_end(state), position, 1);
}

/* The forms of a part, which is left in `word`. */
static void
add_part(struct scan *s, const struct part *part, bool alone, struct folded *word, size_t position)
{
    enum script script = fold_script(s->text[part->start]);
    word->plain_len = 0;
    if (part->end - part->start > FOLD_WORD_CHARS) {
        add_long(s, part, script, position);
        return;
    }
    fold_word(s->text + part->start, part->end - part->start, word);
    unsigned stop = stop_languages(word->plain, word->plain_len);
    for (size_t i = 0; stop && i <= LANGUAGE_FRENCH; i++)
        s->hits[i] += stop >> i & 1;
    bool is_stop = (stop & (1U << LANGUAGE_ENGLISH | 1U << LANGUAGE_RUSSIAN)) != 0;
    uint64_t base = is_stop ? term_of(word->plain, word->plain_len)
                            : base_term(s, script, word->plain, word->plain_len);
    struct form *form = add_term(s, FORM_BASE, script, base, position, 1);
    if (form)
        form->is_stop = stop != 0 && alone;
    if (is_stop && alone && script == SCRIPT_LATIN)
        add_case(s, part, word, position);
    bool has_accents = word->accented_len != word->plain_len ||
                       memcmp(word->accented, word->plain, word->plain_len) != 0;
    if (has_accents)
        scan_add(s, FORM_ACCENT, script, word->accented, word->accented_len, position, 1);
    if (word->spelled_len > 0)
        (void)add_term(s, FORM_SPELLING, script,
                       base_term(s, script, word->spelled, word->spelled_len), position, 1);
    if (stop == 0 && script == SCRIPT_LATIN && fold_class(s->text[part->start]) != CHAR_DIGIT)
        keep(s, word, position);
}

/* --- compounds --------------------------------------------------------------------------------- */

static void
join(struct joined *j, const struct scan *s, const struct part *part)
{
    const struct folded *word = &s->word;
    if (word->plain_len == 0 || j->len + word->plain_len + 1 > SCAN_JOINED_MAX)
        return;
    /* 1.5 is not 15. */
    uint32_t before = part->start > 0 ? s->text[part->start - 1] : 0;
    if (j->len > 0 && (unsigned char)(j->text[j->len - 1] - '0') < 10 &&
        fold_class(s->text[part->start]) == CHAR_DIGIT && before < 0x80 && before != ',')
        j->text[j->len++] = (char)before;
    j->start[j->count] = (uint16_t)j->len;
    memcpy(j->text + j->len, word->plain, word->plain_len);
    j->len += word->plain_len;
    j->end[j->count++] = (uint16_t)j->len;
}

static void
add_whole(struct scan *s, const struct joined *j, size_t from, size_t to, size_t position)
{
    const char *text = j->text + j->start[from];
    size_t len = (size_t)(j->end[to - 1] - j->start[from]);
    (void)add_term(s, FORM_WHOLE, SCRIPT_LATIN, base_term(s, SCRIPT_LATIN, text, len),
                   position + from, to - from);
}

/* Each level's segments of at least two parts, unless the level above has the same. */
static void
add_wholes(struct scan *s, const struct joined *j, const struct part *parts, size_t position)
{
    for (uint8_t level = 0; level < SCAN_LEVELS; level++) {
        for (size_t from = 0, to; from < j->count; from = to) {
            for (to = from + 1; to < j->count && parts[to].level > level; to++)
                ;
            bool same = level > 0 && (from == 0 || parts[from].level < level) &&
                        (to == j->count || parts[to].level < level);
            if (to - from > 1 && !same)
                add_whole(s, j, from, to, position);
        }
    }
}

/* "c++", "c#", "f#": the sign belongs to the name. */
static void
add_signed(struct scan *s, const struct part *part, const struct folded *word, size_t position)
{
    uint32_t sign = part->end < s->text_len ? s->text[part->end] : 0;
    if ((sign != '+' && sign != '#') || word->plain_len == 0 || word->plain_len > 8)
        return;
    char text[16];
    memcpy(text, word->plain, word->plain_len);
    text[word->plain_len] = (char)sign;
    scan_add(s, FORM_ACCENT, SCRIPT_LATIN, text, word->plain_len + 1, position, 1);
}

void
scan_compound(struct scan *s, const struct part *parts, size_t count, bool glued)
{
    struct joined *joined = &s->joined;
    joined->len = joined->count = 0;
    size_t position = s->words;
    for (size_t i = 0; i < count; i++) {
        add_part(s, &parts[i], count == 1, &s->word, position + i);
        if (joined->count == i && (count > 1 || glued))
            join(joined, s, &parts[i]);
    }
    add_signed(s, &parts[count - 1], &s->word, position + count - 1);
    s->words += (uint32_t)count;
    if (s->words > ANALYSIS_WORDS_MAX)
        s->words = ANALYSIS_WORDS_MAX;
    if (count > 1)
        add_wholes(s, joined, parts, position);
    if (glued && joined->count > 0)
        (void)add_term(s, FORM_GLUED, SCRIPT_LATIN,
                       term_end(term_add(term_add(TERM_SEED, "-", 1), joined->text, joined->len)),
                       position, count);
}

/* --- scripts without blanks -------------------------------------------------------------------- */

/* One character with its marks, folded; returns where it ends. */
static size_t
read_unit(const struct scan *s, size_t at, size_t end, char *out, size_t *len)
{
    *len = fold_put(s->text[at], out);
    for (at++; at < end && fold_class(s->text[at]) == CHAR_MARK; at++)
        if (*len + 4 <= FOLDED_MAX)
            *len += fold_put(s->text[at], out + *len);
    return at;
}

void
scan_unspaced(struct scan *s, size_t start, size_t end)
{
    enum script script = fold_script(s->text[start]);
    char units[2 * FOLDED_MAX];
    size_t before = 0;
    size_t first = s->words;
    for (size_t at = start; at < end && s->words < ANALYSIS_WORDS_MAX; s->words++) {
        size_t len;
        at = read_unit(s, at, end, units + before, &len);
        bool alone = s->words == first && at == end;
        scan_add(s, alone ? FORM_BASE : FORM_CHAR, script, units + before, len, s->words, 1);
        if (before > 0)
            scan_add(s, FORM_PAIR, script, units, before + len, s->words - 1, 2);
        memmove(units, units + before, len);
        before = len;
    }
}

void
scan_hangul(struct scan *s, size_t start, size_t end)
{
    char units[2 * FOLDED_MAX];
    size_t before = 0;
    size_t first = s->words;
    uint64_t whole = TERM_SEED;
    for (size_t at = start; at < end && s->words < ANALYSIS_WORDS_MAX; s->words++) {
        size_t len;
        at = read_unit(s, at, end, units + before, &len);
        whole = term_add(whole, units + before, len);
        if (s->words == first)
            scan_add(s, at == end ? FORM_BASE : FORM_CHAR, SCRIPT_HANGUL, units, len, first, 1);
        if (before > 0)
            scan_add(s, FORM_PAIR, SCRIPT_HANGUL, units, before + len, s->words - 1, 2);
        memmove(units, units + before, len);
        before = len;
    }
    size_t span = s->words - first;
    if (span > 2 && span < 256)
        (void)add_term(s, FORM_WORD, SCRIPT_HANGUL, term_end(whole), first, span);
}
