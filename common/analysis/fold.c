/* SPDX-License-Identifier: MIT */
/* fold - NFKC and case folding by utf8proc; which accents do not count is decided here. */
#include "analysis/fold.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

#define DECOMPOSED_MAX 32 /* code points of one, the longest has 18 */

#define IN(code, first, last) ((code) >= (first) && (code) <= (last))

const uint8_t FOLD_ASCII[128] = {
    ['0'] = CHAR_DIGIT, ['1'] = CHAR_DIGIT, ['2'] = CHAR_DIGIT, ['3'] = CHAR_DIGIT,
    ['4'] = CHAR_DIGIT, ['5'] = CHAR_DIGIT, ['6'] = CHAR_DIGIT, ['7'] = CHAR_DIGIT,
    ['8'] = CHAR_DIGIT, ['9'] = CHAR_DIGIT, ['A'] = CHAR_UPPER, ['B'] = CHAR_UPPER,
    ['C'] = CHAR_UPPER, ['D'] = CHAR_UPPER, ['E'] = CHAR_UPPER, ['F'] = CHAR_UPPER,
    ['G'] = CHAR_UPPER, ['H'] = CHAR_UPPER, ['I'] = CHAR_UPPER, ['J'] = CHAR_UPPER,
    ['K'] = CHAR_UPPER, ['L'] = CHAR_UPPER, ['M'] = CHAR_UPPER, ['N'] = CHAR_UPPER,
    ['O'] = CHAR_UPPER, ['P'] = CHAR_UPPER, ['Q'] = CHAR_UPPER, ['R'] = CHAR_UPPER,
    ['S'] = CHAR_UPPER, ['T'] = CHAR_UPPER, ['U'] = CHAR_UPPER, ['V'] = CHAR_UPPER,
    ['W'] = CHAR_UPPER, ['X'] = CHAR_UPPER, ['Y'] = CHAR_UPPER, ['Z'] = CHAR_UPPER,
    ['a'] = CHAR_LOWER, ['b'] = CHAR_LOWER, ['c'] = CHAR_LOWER, ['d'] = CHAR_LOWER,
    ['e'] = CHAR_LOWER, ['f'] = CHAR_LOWER, ['g'] = CHAR_LOWER, ['h'] = CHAR_LOWER,
    ['i'] = CHAR_LOWER, ['j'] = CHAR_LOWER, ['k'] = CHAR_LOWER, ['l'] = CHAR_LOWER,
    ['m'] = CHAR_LOWER, ['n'] = CHAR_LOWER, ['o'] = CHAR_LOWER, ['p'] = CHAR_LOWER,
    ['q'] = CHAR_LOWER, ['r'] = CHAR_LOWER, ['s'] = CHAR_LOWER, ['t'] = CHAR_LOWER,
    ['u'] = CHAR_LOWER, ['v'] = CHAR_LOWER, ['w'] = CHAR_LOWER, ['x'] = CHAR_LOWER,
    ['y'] = CHAR_LOWER, ['z'] = CHAR_LOWER,
};

/* --- a text to NFKC ---------------------------------------------------------------------------- */

struct marks {
    uint32_t *out;
    size_t n;
    size_t cap;
    size_t run; /* combining marks at the end of out */
};

/* Canonical order within the run of marks at the end: insertion, in a run of bounded length. */
static void
put_mark(struct marks *m, uint32_t code, utf8proc_propval_t class)
{
    if (m->run == FOLD_MARKS_MAX)
        return;
    size_t at = m->n++;
    size_t first = at - m->run++;
    while (at > first && utf8proc_get_property((int32_t)m->out[at - 1])->combining_class > class) {
        m->out[at] = m->out[at - 1];
        at--;
    }
    m->out[at] = code;
}

static void
put_decomposed(struct marks *m, const utf8proc_int32_t *codes, size_t n)
{
    for (size_t i = 0; i < n && m->n < m->cap; i++) {
        utf8proc_propval_t class = utf8proc_get_property(codes[i])->combining_class;
        if (class > 0) {
            put_mark(m, (uint32_t)codes[i], class);
        } else {
            m->out[m->n++] = (uint32_t)codes[i];
            m->run = 0;
        }
    }
}

static size_t
put_ascii(const char *text, size_t len, uint32_t *out, size_t cap)
{
    size_t n = 0;
    for (size_t end = len < cap ? len : cap; n < end && (unsigned char)text[n] < 0x80; n++)
        out[n] = (unsigned char)text[n];
    return n;
}

size_t
fold_text(const char *text, size_t len, uint32_t *out, size_t cap)
{
    struct marks m = { out, 0, cap, 0 };
    m.n = put_ascii(text, len, out, cap);
    if (m.n == len)
        return m.n;
    int boundary = 0;
    size_t start = m.n > 0 ? m.n - 1 : 0; /* a mark may compose with what is before it */
    for (size_t at = m.n; at < len && m.n < cap;) {
        uint32_t code = 0xFFFD;
        size_t step = utf8_decode(text + at, len - at, &code);
        at += step ? step : 1;
        if (code < 0x80) {
            out[m.n++] = code;
            m.run = 0;
            continue;
        }
        utf8proc_int32_t codes[DECOMPOSED_MAX];
        utf8proc_ssize_t n = utf8proc_decompose_char(
            (int32_t)code, codes, DECOMPOSED_MAX,
            UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_IGNORE, &boundary);
        put_decomposed(&m, codes, n > 0 && n <= DECOMPOSED_MAX ? (size_t)n : 0);
    }
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32((utf8proc_int32_t *)out + start, (utf8proc_ssize_t)(m.n - start),
                                 UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return start + (n > 0 ? (size_t)n : 0);
}

/* --- what a code point is ---------------------------------------------------------------------- */

static bool
is_cjk(uint32_t c)
{
    return IN(c, 0x3041, 0x30FF) || IN(c, 0x3400, 0x4DBF) || IN(c, 0x4E00, 0x9FFF) ||
           IN(c, 0xF900, 0xFAFF) || IN(c, 0x3105, 0x312F) || IN(c, 0x31A0, 0x31FF) ||
           IN(c, 0x3005, 0x3007) || IN(c, 0x20000, 0x3FFFF);
}

/* Thai, Lao, Burmese, Khmer, Tai Le, New Tai Lue, Tai Tham, Javanese, Yi, Tai Viet. */
static bool
is_thai(uint32_t c)
{
    return IN(c, 0x0E00, 0x0EFF) || IN(c, 0x1000, 0x109F) || IN(c, 0x1780, 0x17FF) ||
           IN(c, 0x1950, 0x1AAF) || IN(c, 0xA000, 0xA4CF) || IN(c, 0xA980, 0xA9FF) ||
           IN(c, 0xAA60, 0xAADF);
}

enum char_class
fold_class_of(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
        category == UTF8PROC_CATEGORY_ME)
        return CHAR_MARK;
    if (category == UTF8PROC_CATEGORY_ND)
        return CHAR_DIGIT;
    if (category == UTF8PROC_CATEGORY_SO || category == UTF8PROC_CATEGORY_SK)
        return c == 0xFFFD || c < 0x2000 ? CHAR_OTHER : CHAR_SYMBOL;
    if (category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT)
        return CHAR_UPPER;
    if (category >= UTF8PROC_CATEGORY_LL && category <= UTF8PROC_CATEGORY_LO) {
        if (IN(c, 0xAC00, 0xD7A3))
            return CHAR_HANGUL;
        return is_cjk(c) || is_thai(c) ? CHAR_UNSPACED : CHAR_LOWER;
    }
    return category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO
               ? (is_cjk(c) ? CHAR_UNSPACED : CHAR_LOWER)
               : CHAR_OTHER;
}

enum script
fold_script(uint32_t c)
{
    if (c < 0x370 || IN(c, 0x1E00, 0x1EFF))
        return SCRIPT_LATIN;
    if (IN(c, 0x370, 0x3FF) || IN(c, 0x1F00, 0x1FFF))
        return SCRIPT_GREEK;
    if (IN(c, 0x400, 0x52F))
        return SCRIPT_CYRILLIC;
    if (IN(c, 0x590, 0x5FF))
        return SCRIPT_HEBREW;
    if (IN(c, 0x600, 0x77F) || IN(c, 0x8A0, 0x8FF))
        return SCRIPT_ARABIC;
    if (IN(c, 0x900, 0x97F))
        return SCRIPT_DEVANAGARI;
    if (is_cjk(c))
        return SCRIPT_CJK;
    if (is_thai(c))
        return SCRIPT_THAI;
    if (IN(c, 0xAC00, 0xD7A3) || IN(c, 0x1100, 0x11FF))
        return SCRIPT_HANGUL;
    return IN(c, 0x2000, 0x2BFF) || IN(c, 0x1F000, 0x1FFFF) ? SCRIPT_SYMBOL : SCRIPT_OTHER;
}

bool
fold_is_blank(uint32_t c)
{
    return c <= ' ' || c == 0x85 || c == 0x1680 || IN(c, 0x2000, 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x3000;
}

/* --- a word ------------------------------------------------------------------------------------ */

size_t
fold_put(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Letters that do not decompose into a base and a mark. */
static const char *
base_letters(uint32_t c)
{
    static const struct {
        uint16_t code;
        char base[3];
    } LETTERS[] = {
        { 0xE6, "ae" },  { 0xF0, "d" },  { 0xF8, "o" },  { 0xFE, "th" }, { 0x111, "d" },
        { 0x127, "h" },  { 0x131, "i" }, { 0x138, "k" }, { 0x142, "l" }, { 0x14B, "n" },
        { 0x153, "oe" }, { 0x167, "t" }, { 0x180, "b" }, { 0x188, "c" }, { 0x192, "f" },
        { 0x199, "k" },  { 0x19A, "l" }, { 0x1B4, "y" }, { 0x1B6, "z" }, { 0x1DD, "e" },
        { 0x1E5, "g" },  { 0x23C, "c" }, { 0x247, "e" }, { 0x249, "j" }, { 0x24D, "r" },
        { 0x24F, "y" },  { 0x253, "b" }, { 0x254, "o" }, { 0x257, "d" }, { 0x259, "e" },
        { 0x25B, "e" },  { 0x260, "g" }, { 0x268, "i" }, { 0x26B, "l" }, { 0x272, "n" },
    };
    for (size_t i = 0; i < sizeof(LETTERS) / sizeof(LETTERS[0]) && LETTERS[i].code <= c; i++)
        if (LETTERS[i].code == c)
            return LETTERS[i].base;
    return NULL;
}

static bool
is_dropped_mark(uint32_t c)
{
    return IN(c, 0x300, 0x36F) || IN(c, 0x591, 0x5C7) || IN(c, 0x610, 0x61A) || c == 0x640 ||
           IN(c, 0x64B, 0x65F) || c == 0x670 || IN(c, 0x6D6, 0x6ED);
}

/* Letters of Arabic, Persian and Russian that people write for one another. */
static uint32_t
plain_letter(uint32_t c)
{
    switch (c) {
    case 0x451:
        return 0x435; /* io, e */
    case 0x622:
    case 0x623:
    case 0x625:
    case 0x671:
        return 0x627; /* alef with madda, hamza above or below, wasla */
    case 0x629:
        return 0x647; /* teh marbuta, heh */
    case 0x649:
    case 0x6CC:
        return 0x64A; /* alef maksura, Farsi yeh, yeh */
    case 0x6A9:
        return 0x643; /* keheh, kaf */
    default:
        return c;
    }
}

static size_t
put_plain(uint32_t c, char *out)
{
    if (c < 0x80)
        return fold_put(c, out);
    if (is_dropped_mark(c))
        return 0;
    const char *base = c < 0x300 ? base_letters(c) : NULL;
    if (base) {
        size_t len = strlen(base);
        memcpy(out, base, len);
        return len;
    }
    if (!(c < 0x250 || IN(c, 0x1E00, 0x1EFF) || IN(c, 0x370, 0x3FF) || IN(c, 0x1F00, 0x1FFF)))
        return fold_put(plain_letter(c), out);
    utf8proc_int32_t codes[DECOMPOSED_MAX];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((int32_t)c, codes, DECOMPOSED_MAX, UTF8PROC_DECOMPOSE, &boundary);
    return fold_put(n > 0 ? (uint32_t)codes[0] : c, out);
}

/* How German, Danish, Norwegian and Swedish spell these without the letter. */
static const char *
spelling(uint32_t c)
{
    switch (c) {
    case 0xE4:
        return "ae";
    case 0xF6:
    case 0xF8:
        return "oe";
    case 0xFC:
        return "ue";
    case 0xE5:
        return "aa";
    default:
        return NULL;
    }
}

/* Decimal digits of the scripts that have their own beside ASCII's. */
static uint32_t
plain_digit(uint32_t c)
{
    static const uint16_t ZEROS[] = { 0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xED0, 0x1040, 0x17E0 };
    for (size_t i = 0; i < sizeof(ZEROS) / sizeof(ZEROS[0]); i++)
        if (IN(c, ZEROS[i], ZEROS[i] + 9U))
            return '0' + (c - ZEROS[i]);
    return c;
}

static void
put_folded(struct folded *out, uint32_t c, bool *spelled)
{
    /* Turkish: dotted and dotless i are one letter here; I would else belong to either. */
    if (c == 0x131)
        c = 'i';
    if (c == 0x307 && out->accented_len > 0 && out->accented[out->accented_len - 1] == 'i')
        return;
    c = plain_digit(c);
    size_t before = out->plain_len;
    out->accented_len += fold_put(c, out->accented + out->accented_len);
    out->plain_len += put_plain(c, out->plain + out->plain_len);
    const char *other = spelling(c);
    const char *from = other ? other : out->plain + before;
    size_t len = other ? 2 : out->plain_len - before;
    memcpy(out->spelled + out->spelled_len, from, len);
    out->spelled_len += len;
    *spelled |= other != NULL;
}

static bool
fold_ascii(const uint32_t *word, size_t n, struct folded *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (word[i] >= 0x80)
            return false;
        if (word[i] != '\'')
            out->plain[len++] = (char)(word[i] - 'A' < 26 ? word[i] + 32 : word[i]);
    }
    memcpy(out->accented, out->plain, len);
    out->plain_len = out->accented_len = len;
    out->spelled_len = 0;
    out->is_ascii = true;
    return true;
}

static bool
has_room(const struct folded *out)
{
    return out->spelled_len + 8 < FOLDED_MAX && out->accented_len + 8 < FOLDED_MAX;
}

void
fold_word(const uint32_t *word, size_t n, struct folded *out)
{
    if (n > FOLD_WORD_CHARS)
        n = FOLD_WORD_CHARS;
    if (fold_ascii(word, n, out))
        return;
    out->plain_len = out->accented_len = out->spelled_len = 0;
    bool spelled = false;
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '\'' || word[i] == 0x2019)
            continue;
        utf8proc_int32_t codes[DECOMPOSED_MAX];
        int boundary = 0;
        utf8proc_ssize_t k = utf8proc_decompose_char((int32_t)word[i], codes, DECOMPOSED_MAX,
                                                     UTF8PROC_CASEFOLD, &boundary);
        for (utf8proc_ssize_t j = 0; j < k && has_room(out); j++)
            put_folded(out, (uint32_t)codes[j], &spelled);
    }
    if (!spelled)
        out->spelled_len = 0;
    out->is_ascii = true;
    for (size_t i = 0; i < out->plain_len; i++)
        out->is_ascii &= (unsigned char)out->plain[i] < 0x80;
}
