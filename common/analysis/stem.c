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

/* No rule of the English stemmer changes a word with one of these at its end. */
static bool
ends_in_stem(const char *word, size_t len)
{
    static const char FINAL[] = "abfhjkopquvwxz";
    for (size_t i = 0; i < sizeof(FINAL) - 1; i++)
        if (word[len - 1] == FINAL[i])
            return true;
    return false;
}

const char *
stem_word(struct stemmers *s, enum language language, const char *word, size_t len,
          size_t *stem_len)
{
    *stem_len = len;
    if (len < 3 || len > STEM_WORD_MAX)
        return word;
    if (language == LANGUAGE_ENGLISH && ends_in_stem(word, len))
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
