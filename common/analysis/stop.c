/* SPDX-License-Identifier: MIT */
/* stop - one table a script, sorted by bytes; the unit test checks that. */
#include "analysis/stop.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define EN (1U << LANGUAGE_ENGLISH)
#define DE (1U << LANGUAGE_GERMAN)
#define ES (1U << LANGUAGE_SPANISH)
#define FR (1U << LANGUAGE_FRENCH)

#define LATIN_MAX    7  /* bytes of the longest */
#define CYRILLIC_MAX 14 /* likewise */

static const struct {
    char word[LATIN_MAX + 1];
    uint8_t languages;
} LATIN[] = {
    /* clang-format off */
    { "a", EN | ES | FR }, { "aber", DE }, { "about", EN }, { "above", EN }, { "after", EN },
    { "again", EN }, { "al", ES }, { "algo", ES }, { "all", EN }, { "alle", DE }, { "als", DE },
    { "also", EN | DE }, { "am", EN | DE }, { "an", EN | DE }, { "and", EN }, { "any", EN },
    { "are", EN }, { "aren", EN }, { "arent", EN }, { "as", EN }, { "at", EN }, { "au", FR },
    { "auch", DE }, { "auf", DE }, { "aus", DE }, { "aux", FR }, { "avec", FR }, { "be", EN },
    { "because", EN }, { "been", EN }, { "before", EN }, { "bei", DE }, { "being", EN },
    { "below", EN }, { "between", EN }, { "bis", DE }, { "both", EN }, { "but", EN },
    { "by", EN }, { "c", FR }, { "can", EN }, { "cant", EN }, { "ce", FR }, { "ces", FR },
    { "cet", FR }, { "cette", FR }, { "comme", FR }, { "comment", FR }, { "como", ES },
    { "con", ES }, { "could", EN }, { "couldnt", EN }, { "cual", ES }, { "cuales", ES },
    { "cuando", ES }, { "cuantas", ES }, { "cuanto", ES }, { "cuantos", ES }, { "d", FR },
    { "da", DE }, { "dans", FR }, { "das", DE }, { "dass", DE }, { "de", ES | FR }, { "del", ES },
    { "dem", DE }, { "den", DE }, { "depuis", FR }, { "der", DE }, { "des", DE | FR },
    { "desde", ES }, { "did", EN }, { "didnt", EN }, { "die", DE }, { "dies", DE },
    { "diese", DE }, { "dieser", DE }, { "dieses", DE }, { "do", EN }, { "does", EN },
    { "doesnt", EN }, { "doing", EN }, { "donde", ES }, { "dont", EN }, { "down", EN },
    { "du", FR }, { "durante", ES }, { "durch", DE }, { "during", EN }, { "e", ES },
    { "each", EN }, { "ein", DE }, { "eine", DE }, { "einem", DE }, { "einen", DE },
    { "einer", DE }, { "eines", DE }, { "el", ES }, { "ella", ES }, { "elle", FR },
    { "elles", FR }, { "ellos", ES }, { "en", ES | FR }, { "entre", ES | FR }, { "er", DE },
    { "era", ES }, { "es", DE | ES }, { "esa", ES }, { "ese", ES }, { "eso", ES }, { "est", FR },
    { "esta", ES }, { "estaba", ES }, { "estan", ES }, { "este", ES }, { "esto", ES },
    { "estos", ES }, { "et", FR }, { "etait", FR }, { "ete", FR }, { "etre", FR }, { "eux", FR },
    { "fait", FR }, { "few", EN }, { "for", EN }, { "from", EN }, { "fue", ES }, { "fueron", ES },
    { "fur", DE }, { "further", EN }, { "gibt", DE }, { "ha", ES }, { "haben", DE },
    { "habia", ES }, { "hace", ES }, { "had", EN }, { "hadnt", EN }, { "han", ES }, { "has", EN },
    { "hasnt", EN }, { "hasta", ES }, { "hat", DE }, { "hatte", DE }, { "hatten", DE },
    { "have", EN }, { "havent", EN }, { "having", EN }, { "hay", ES }, { "he", EN },
    { "her", EN }, { "here", EN }, { "hers", EN }, { "him", EN }, { "his", EN }, { "how", EN },
    { "i", EN }, { "ich", DE }, { "if", EN }, { "ihr", DE }, { "ihre", DE }, { "il", FR },
    { "ils", FR }, { "im", DE }, { "in", EN | DE }, { "ins", DE }, { "into", EN }, { "is", EN },
    { "isnt", EN }, { "ist", DE }, { "it", EN }, { "its", EN }, { "j", FR }, { "ja", DE },
    { "je", FR }, { "just", EN }, { "kann", DE }, { "kein", DE }, { "keine", DE },
    { "konnen", DE }, { "l", FR }, { "la", ES | FR }, { "las", ES }, { "le", ES | FR },
    { "les", ES | FR }, { "leur", FR }, { "leurs", FR }, { "lo", ES }, { "los", ES },
    { "lui", FR }, { "m", FR }, { "ma", FR }, { "mais", FR }, { "man", DE }, { "mas", ES },
    { "me", EN | ES }, { "mehr", DE }, { "meme", FR }, { "mes", FR }, { "mi", ES }, { "mit", DE },
    { "moins", FR }, { "mon", FR }, { "more", EN }, { "most", EN }, { "muy", ES }, { "my", EN },
    { "n", FR }, { "nach", DE }, { "ne", FR }, { "nicht", DE }, { "no", EN | ES }, { "noch", DE },
    { "nor", EN }, { "nos", ES | FR }, { "not", EN }, { "notre", FR }, { "nous", FR },
    { "nur", DE }, { "o", ES }, { "ob", DE }, { "oder", DE }, { "of", EN }, { "off", EN },
    { "ohne", DE }, { "on", EN | FR }, { "once", EN }, { "only", EN }, { "ont", FR },
    { "or", EN }, { "other", EN }, { "ou", FR }, { "our", EN }, { "ours", EN }, { "out", EN },
    { "over", EN }, { "own", EN }, { "par", FR }, { "para", ES }, { "pas", FR }, { "pero", ES },
    { "peut", FR }, { "plus", FR }, { "por", ES }, { "porque", ES }, { "pour", FR },
    { "puede", ES }, { "qu", FR }, { "quand", FR }, { "que", ES | FR }, { "quel", FR },
    { "quelle", FR }, { "quelles", FR }, { "quels", FR }, { "qui", FR }, { "quien", ES },
    { "quienes", ES }, { "s", FR }, { "sa", FR }, { "same", EN }, { "sans", FR },
    { "se", ES | FR }, { "segun", ES }, { "sein", DE }, { "seine", DE }, { "ser", ES },
    { "ses", FR }, { "shall", EN }, { "she", EN }, { "should", EN }, { "si", ES | FR },
    { "sich", DE }, { "sie", DE }, { "sin", ES }, { "sind", DE }, { "so", EN | DE },
    { "sobre", ES }, { "some", EN }, { "son", ES | FR }, { "sont", FR }, { "sous", FR },
    { "sowie", DE }, { "su", ES }, { "such", EN }, { "sur", FR }, { "sus", ES }, { "t", FR },
    { "ta", FR }, { "tambien", ES }, { "than", EN }, { "that", EN }, { "the", EN },
    { "their", EN }, { "theirs", EN }, { "them", EN }, { "then", EN }, { "there", EN },
    { "these", EN }, { "they", EN }, { "this", EN }, { "those", EN }, { "through", EN },
    { "tiene", ES }, { "to", EN }, { "todo", ES }, { "todos", ES }, { "too", EN }, { "tous", FR },
    { "tout", FR }, { "tras", ES }, { "tres", FR }, { "tu", ES | FR }, { "uber", DE },
    { "um", DE }, { "un", ES | FR }, { "una", ES }, { "und", DE }, { "under", EN }, { "une", FR },
    { "uno", ES }, { "unos", ES }, { "uns", DE }, { "unter", DE }, { "until", EN }, { "up", EN },
    { "us", EN }, { "vers", FR }, { "very", EN }, { "vom", DE }, { "von", DE }, { "vor", DE },
    { "vos", FR }, { "votre", FR }, { "vous", FR }, { "wann", DE }, { "war", DE },
    { "waren", DE }, { "warum", DE }, { "was", EN | DE }, { "wasnt", EN }, { "we", EN },
    { "wegen", DE }, { "welche", DE }, { "welcher", DE }, { "welches", DE }, { "wenn", DE },
    { "wer", DE }, { "werden", DE }, { "were", EN }, { "werent", EN }, { "what", EN },
    { "when", EN }, { "where", EN }, { "which", EN }, { "while", EN }, { "who", EN },
    { "whom", EN }, { "whose", EN }, { "why", EN }, { "wie", DE }, { "will", EN }, { "wir", DE },
    { "wird", DE }, { "with", EN }, { "wo", DE }, { "wont", EN }, { "worden", DE },
    { "would", EN }, { "wurde", DE }, { "wurden", DE }, { "y", ES | FR }, { "ya", ES },
    { "you", EN }, { "your", EN }, { "yours", EN }, { "zu", DE }, { "zum", DE }, { "zur", DE },
    /* clang-format on */
};

static const char CYRILLIC[][CYRILLIC_MAX + 2] = {
    "а",      "без",   "более",   "бы",    "был",   "была", "были",  "было",  "быть",  "в",
    "вам",    "вас",   "весь",    "во",    "вот",   "все",  "всего", "всех",  "вы",    "где",
    "да",     "для",   "до",      "его",   "ее",    "если", "есть",  "еще",   "же",    "за",
    "и",      "из",    "или",     "им",    "их",    "к",    "как",   "какая", "какие", "какой",
    "ко",     "когда", "который", "кто",   "ли",    "либо", "мне",   "мы",    "на",    "над",
    "нас",    "не",    "него",    "нее",   "нет",   "ни",   "них",   "но",    "о",     "об",
    "однако", "он",    "она",     "они",   "оно",   "от",   "по",    "под",   "при",   "про",
    "с",      "со",    "так",     "также", "такой", "там",  "то",    "того",  "тоже",  "только",
    "том",    "ты",    "у",       "уже",   "чего",  "чем",  "что",   "чтобы", "чье",   "чья",
    "эта",    "эти",   "это",     "этот",  "я"
};

/* The bytes of a short word as a number that sorts as they do. */
static uint64_t
packed(const char *word, size_t len)
{
    uint64_t bytes = 0;
    memcpy(&bytes, word, len);
    return htobe64(bytes);
}

static unsigned
find_latin(const char *word, size_t len)
{
    uint64_t key = packed(word, len);
    size_t low = 0;
    size_t high = sizeof(LATIN) / sizeof(LATIN[0]);
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint64_t found = packed(LATIN[middle].word, LATIN_MAX + 1);
        if (found == key)
            return LATIN[middle].languages;
        if (found < key)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static unsigned
find_cyrillic(const char *word, size_t len)
{
    char key[CYRILLIC_MAX + 2] = { 0 };
    memcpy(key, word, len);
    size_t low = 0;
    size_t high = sizeof(CYRILLIC) / sizeof(CYRILLIC[0]);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(CYRILLIC[middle], key, sizeof(key));
        if (order == 0)
            return 1U << LANGUAGE_RUSSIAN;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

unsigned
stop_languages(const char *word, size_t len)
{
    if (len == 0)
        return 0;
    if ((unsigned char)word[0] < 0x80)
        return len <= LATIN_MAX ? find_latin(word, len) : 0;
    return len <= CYRILLIC_MAX ? find_cyrillic(word, len) : 0;
}

bool
stop_is_sorted(void)
{
    for (size_t i = 1; i < sizeof(LATIN) / sizeof(LATIN[0]); i++)
        if (memcmp(LATIN[i - 1].word, LATIN[i].word, LATIN_MAX + 1) >= 0)
            return false;
    for (size_t i = 1; i < sizeof(CYRILLIC) / sizeof(CYRILLIC[0]); i++)
        if (memcmp(CYRILLIC[i - 1], CYRILLIC[i], CYRILLIC_MAX + 2) >= 0)
            return false;
    return true;
}
