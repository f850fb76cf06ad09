/* SPDX-License-Identifier: MIT */
/* stem - see stem.h. */
#include "analysis/stem.h"

#include <libstemmer.h>
#include <stdint.h>

static const char *const NAMES[LANGUAGE_COUNT] = { "english", "german", "spanish", "french",
                                                   "russian", "greek",  "arabic",  "hindi" };

void
stemmers_fini(struct stemmers *s)
{
    for (size_t i = 0; i < LANGUAGE_COUNT; i++) {
        sb_stemmer_delete(s->of[i]);
        s->of[i] = NULL;
    }
}

/* Can a rule of the English stemmer apply to a word (of 3 bytes or more) with this end? Most words
 * are spared the call. */
static bool
may_change(const char *word, size_t len)
{
    char last = word[len - 1];
    char before = word[len - 2];
    switch (last) {
    case 'c': /* ic */
        return before == 'i';
    case 'd': /* ed */
        return before == 'e';
    case 'g': /* ing */
        return before == 'n';
    case 'l': /* al, ful, ll */
        return before == 'a' || before == 'u' || before == 'l';
    case 'm': /* ism */
        return before == 's';
    case 'n': /* ion */
        return before == 'o' && word[len - 3] == 'i';
    case 'r': /* er, or */
        return before == 'e' || before == 'o';
    case 't': /* ant, ent */
        return before == 'n';
    case 'e':
    case 'i':
    case 's':
    case 'y':
        return true;
    default:
        return (unsigned char)last >= 0x80;
    }
}

const char *
stem_word(struct stemmers *s, enum language language, const char *word, size_t len,
          size_t *stem_len)
{
    *stem_len = len;
    if (len < 3 || len > STEM_WORD_MAX)
        return word;
    if (language == LANGUAGE_ENGLISH && !may_change(word, len))
        return word;
    if (!s->of[language]) {
        s->of[language] = sb_stemmer_new(NAMES[language], "UTF_8");
        s->failed |= !s->of[language];
        if (!s->of[language])
            return word;
    }
    const sb_symbol *stem =
        sb_stemmer_stem(s->of[language], (const sb_symbol *)(const void *)word, (int)len);
    int n = stem ? sb_stemmer_length(s->of[language]) : 0;
    if (n <= 0)
        return word;
    *stem_len = (size_t)n;
    return (const char *)stem;
}
