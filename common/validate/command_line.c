/* SPDX-License-Identifier: MIT */
#include "validate/command_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LOOK_BACK  384 /* bytes of a command before the option */
#define WORDS_MAX  32  /* … and words */
#define NAME_BYTES 64
#define GAP_MAX    64 /* quotes and blanks between an option and its value */
#define VALUE_MAX  256
#define LIST_BACK  12 /* words of a list before the one in question */

#define CLUSTER_MAX 6              /* "-ksSu" */
#define LETTERS     "AKNPUXakpsuw" /* the options of all programs */

/* How a program takes a password. */
struct program {
    const char *name;
    const char *glued; /* letters of options: the value in the same word */
    const char *next;  /* … in the next word */
    char between;      /* user and password; '\0' = there is no user */
    bool first;        /* only options may stand between: behind them another command begins */
};

/* clang-format off */
/* In the order of strcmp(). */
static const struct program PROGRAMS[] = {
    { "7z", "p", "", '\0', false },            { "7za", "p", "", '\0', false },
    { "7zr", "p", "", '\0', false },           { "7zz", "p", "", '\0', false },
    { "ab", "AP", "AP", ':', false },          { "bcp", "P", "P", '\0', false },
    { "beeline", "", "p", '\0', false },       { "cqlsh", "", "p", '\0', false },
    { "crackmapexec", "", "p", '\0', false },  { "curl", "uU", "uU", ':', false },
    { "cypher-shell", "", "p", '\0', false },  { "evil-winrm", "", "p", '\0', false },
    { "hey", "", "a", ':', false },            { "http", "a", "a", ':', false },
    { "https", "a", "a", ':', false },         { "hurl", "u", "u", ':', false },
    { "hydra", "", "p", '\0', false },         { "ipmitool", "P", "P", '\0', false },
    { "keydb-cli", "", "a", '\0', false },     { "ldapadd", "w", "w", '\0', false },
    { "ldapcompare", "w", "w", '\0', false },  { "ldapdelete", "w", "w", '\0', false },
    { "ldapmodify", "w", "w", '\0', false },   { "ldapmodrdn", "w", "w", '\0', false },
    { "ldappasswd", "asw", "asw", '\0', false }, { "ldapsearch", "w", "w", '\0', false },
    { "ldapwhoami", "w", "w", '\0', false },   { "lftp", "u", "u", ',', false },
    { "login", "", "p", '\0', false },         { "mariabackup", "p", "", '\0', false },
    { "mariadb", "p", "", '\0', false },       { "mariadb-admin", "p", "", '\0', false },
    { "mariadb-check", "p", "", '\0', false }, { "mariadb-dump", "p", "", '\0', false },
    { "mariadb-import", "p", "", '\0', false }, { "mariadb-show", "p", "", '\0', false },
    { "mongo", "p", "p", '\0', false },        { "mongodump", "p", "p", '\0', false },
    { "mongoexport", "p", "p", '\0', false },  { "mongoimport", "p", "p", '\0', false },
    { "mongorestore", "p", "p", '\0', false }, { "mongosh", "p", "p", '\0', false },
    { "mongostat", "p", "p", '\0', false },    { "mongotop", "p", "p", '\0', false },
    { "mosquitto_pub", "", "P", '\0', false }, { "mosquitto_rr", "", "P", '\0', false },
    { "mosquitto_sub", "", "P", '\0', false }, { "mysql", "p", "", '\0', false },
    { "mysqladmin", "p", "", '\0', false },    { "mysqlcheck", "p", "", '\0', false },
    { "mysqldump", "p", "", '\0', false },     { "mysqlimport", "p", "", '\0', false },
    { "mysqlpump", "p", "", '\0', false },     { "mysqlsh", "p", "", '\0', false },
    { "mysqlshow", "p", "", '\0', false },     { "mysqlslap", "p", "", '\0', false },
    { "ncftp", "", "p", '\0', false },         { "ncftpget", "", "p", '\0', false },
    { "ncftpput", "", "p", '\0', false },      { "net", "U", "U", '%', false },
    { "netexec", "", "p", '\0', false },       { "nxc", "", "p", '\0', false },
    { "openssl", "", "Kk", '\0', false },      { "osql", "P", "P", '\0', false },
    { "psexec", "", "p", '\0', false },        { "rabbitmqadmin", "p", "p", '\0', false },
    { "rar", "p", "", '\0', false },           { "rdesktop", "", "p", '\0', false },
    { "redis-cli", "", "a", '\0', false },     { "rpcclient", "U", "U", '%', false },
    { "smbclient", "U", "U", '%', false },     { "smbget", "U", "U", '%', false },
    { "snmpbulkwalk", "", "AX", '\0', false }, { "snmpget", "", "AX", '\0', false },
    { "snmpset", "", "AX", '\0', false },      { "snmpwalk", "", "AX", '\0', false },
    { "sqlcmd", "P", "P", '\0', false },       { "ssh-keygen", "", "NP", '\0', false },
    { "sshpass", "p", "p", '\0', true },       { "tsql", "P", "P", '\0', false },
    { "twine", "", "p", '\0', false },         { "unrar", "p", "", '\0', false },
    { "unzip", "P", "P", '\0', false },        { "valkey-cli", "", "a", '\0', false },
    { "vsql", "", "w", '\0', false },          { "winexe", "U", "U", '%', false },
    { "xh", "a", "a", ':', false },            { "xhs", "a", "a", ':', false },
    { "xtrabackup", "p", "", '\0', false },    { "youtube-dl", "", "p", '\0', false },
    { "yt-dlp", "", "p", '\0', false },        { "zip", "P", "P", '\0', false },
};
/* clang-format on */

static bool
is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_word(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || is_one_of(c, "_-.");
}

static bool
begins_word(const char *text, size_t at)
{
    return at == 0 || is_one_of(text[at - 1], " \t\r\n\"'`([{,=");
}

struct word {
    const char *text;
    size_t len;
};

static int
compare(const void *key, const void *row)
{
    const struct word *word = key;
    const char *name = ((const struct program *)row)->name;
    int order = strncmp(word->text, name, word->len);

    return order ? order : name[word->len] ? -1 : 0;
}

static const struct program *
find_program(const char *text, size_t len)
{
    struct word word = { text, len };
    const char *slash = memrchr(text, '/', len);

    if (slash) {
        word.text = slash + 1;
        word.len = (size_t)(text + len - word.text);
    }
    for (; word.len > 0 && is_one_of(word.text[0], "!@$");
         word.text++) /* of a notebook, a recipe */
        word.len--;
    if (word.len < 2 || word.len > 16)
        return NULL;
    return bsearch(&word, PROGRAMS, ARRAY_LEN(PROGRAMS), sizeof(PROGRAMS[0]), compare);
}

/* Does the line that begins at text[at] go on with the list of words before it: "- -p", "\"-p\","? */
static bool
goes_on(const char *text, size_t len, size_t at)
{
    size_t end = len - at > GAP_MAX ? at + GAP_MAX : len;

    while (at < end && is_one_of(text[at], " \t"))
        at++;
    return at + 1 < end && ((text[at] == '-' && text[at + 1] == ' ') || is_one_of(text[at], "\"'"));
}

/* Is text[at] between two commands? In a quoted URL & and ; are none. */
static bool
ends_command(const char *text, size_t len, size_t at)
{
    char c = text[at], next = at + 1 < len ? text[at + 1] : ' ';

    if (c == '\n')
        return !(at > 0 && text[at - 1] == '\\') &&
               !(at > 1 && text[at - 1] == '\r' && text[at - 2] == '\\') &&
               !goes_on(text, len, at + 1);
    if (c == ';')
        return is_one_of(next, " \t\r\n");
    return (c == '|' || c == '&') && (is_one_of(next, " \t|&") || (at > 0 && text[at - 1] == ' '));
}

/* The program of the command that text[at] belongs to and that takes a password with this letter. */
static const struct program *
program_before(const char *text, size_t len, size_t at, char letter, bool glued)
{
    size_t stop = at > LOOK_BACK ? at - LOOK_BACK : 0;
    bool only_options = true;

    for (unsigned words = 0; at > stop && words < WORDS_MAX;) {
        size_t end = at;
        while (at > stop && text[at - 1] > ' ' && !is_one_of(text[at - 1], "\"'`,()[]{};|&"))
            at--;
        if (at == end) {
            if (ends_command(text, len, at - 1))
                return NULL;
            at--;
            continue;
        }
        words++;
        if (text[at] == '-')
            continue;
        const struct program *p = find_program(text + at, end - at);
        if (p && is_one_of(letter, glued ? p->glued : p->next) && (only_options || !p->first))
            return p;
        only_options = only_options && end - at == 1 && text[at] == '\\';
    }
    return NULL;
}

/* Where the value of an option begins that ends at text[at]; *quote is the mark before it. */
static size_t
skip_gap(const char *text, size_t len, size_t at, char *quote)
{
    size_t end = len - at > GAP_MAX ? at + GAP_MAX : len;

    *quote = '\0';
    for (; at < end; at++) {
        char c = text[at];
        if (is_one_of(c, "\"'`"))
            *quote = c;
        else if (is_one_of(c, " \t,"))
            *quote = '\0';
        else if (c == '\n' && !ends_command(text, len, at))
            *quote = '\0';
        else if (c == '-' && at + 1 < end && text[at + 1] == ' ' && is_one_of(text[at - 1], " \n"))
            *quote = '\0'; /* the next of a list */
        else if (c != '\\' && c != '\r')
            break;
    }
    return at;
}

/* The end of the word that begins at text[at]. */
static size_t
value_end(const char *text, size_t len, size_t at, char quote)
{
    size_t end = len - at > VALUE_MAX ? at + VALUE_MAX : len;

    for (; at < end && text[at] != '\n' && text[at] != '\r'; at++) {
        if (quote ? text[at] == quote : is_one_of(text[at], " \t\"'`;|<>"))
            break;
        if (text[at] == '\\' && at + 1 < end && is_one_of(text[at + 1], "\"'"))
            break; /* quotes inside of quotes */
    }
    return at;
}

static bool
take_value(const char *text, size_t len, size_t at, char quote, struct argument *out)
{
    size_t end = value_end(text, len, at, quote);

    out->value = text + at;
    out->len = end - at;
    return end > at;
}

/* What stands behind the user, if there is one. */
static bool
cut_user(char between, struct argument *out)
{
    const char *mark = memchr(out->value, between, out->len);

    if (!mark)
        return false;
    out->len -= (size_t)(mark + 1 - out->value);
    out->value = mark + 1;
    return out->len > 0;
}

static bool
is_user(const struct argument *a)
{
    return (a->name_len == 4 && memcmp(a->name, "user", 4) == 0) ||
           (a->name_len == 10 && memcmp(a->name, "proxy-user", 10) == 0);
}

/* "--db-password=X", "-password X", "--api-key 'X'": its name and its value. */
static bool
take_long(const char *text, size_t len, size_t at, struct argument *out)
{
    size_t start = at + 1, end;
    char quote;

    start += start < len && text[start] == '-';
    end = start;
    while (end < len && end - start < NAME_BYTES && is_word(text[end]))
        end++;
    if (end - start < 2 || end == len)
        return false;
    if (end - start > 3 && memcmp(text + start, "no-", 3) == 0) /* takes no value */
        return false;
    out->name = text + start;
    out->name_len = end - start;
    bool assigned = text[end] == '=' || text[end] == ':';
    size_t value = skip_gap(text, len, assigned ? end + 1 : end, &quote);
    if (!assigned && (value == end || (value < len && text[value] == '-'))) /* another option */
        return false;
    if (!take_value(text, len, value, quote, out))
        return false;
    const struct program *p = is_user(out) ? program_before(text, len, at, 'u', false) : NULL;
    if (!p || p->between != ':')
        return true;
    out->name = NULL; /* of curl: "--user ada:X" */
    return cut_user(p->between, out);
}

/* "-p X", and as the last of several letters "-su user:X". */
static bool
take_next(const char *text, size_t len, size_t at, struct argument *out)
{
    size_t end = at + 1;
    char quote;

    while (end < len && end - at < CLUSTER_MAX && is_letter(text[end]))
        end++;
    if (end - at < 2 || end == len || !is_one_of(text[end - 1], LETTERS))
        return false;
    size_t value = skip_gap(text, len, end, &quote);
    if (value == end || value == len || text[value] == '-')
        return false;
    const struct program *p = program_before(text, len, at, text[end - 1], false);
    return p && (end - at == 2 || p->between == ':') && take_value(text, len, value, quote, out) &&
           (!p->between || cut_user(p->between, out));
}

/* "-pX", "-p'X'" and "-uuser:X". */
static bool
take_glued(const char *text, size_t len, size_t at, struct argument *out)
{
    size_t value = at + 2;
    char quote = '\0';

    if (!is_one_of(text[at + 1], LETTERS))
        return false;
    if (is_one_of(text[value], "\"'`"))
        quote = text[value++];
    else if (text[value] == '=')
        value++;
    if (value == len || is_one_of(text[value], " \t\r\n,"))
        return false;
    const struct program *p = program_before(text, len, at, text[at + 1], true);
    return p && take_value(text, len, value, quote, out) &&
           (!p->between || cut_user(p->between, out));
}

bool
argument_at(const char *text, size_t len, size_t at, struct argument *out)
{
    struct argument found = { 0 };

    if (at + 2 >= len || !begins_word(text, at))
        return false;
    if (text[at + 1] == '-' ||
        (!take_next(text, len, at, &found) && !take_glued(text, len, at, &found))) {
        if (!take_long(text, len, at, &found))
            return false;
    }
    *out = found;
    return true;
}

/* Writes word behind the others; one that is too long for what it could be counts as none. */
static size_t
add_word(char *line, size_t at, const cJSON *word, size_t max)
{
    size_t len = cJSON_IsString(word) ? strlen(word->valuestring) : 0;

    if (len > max)
        len = 0;
    line[at++] = ' ';
    if (len > 0)
        memcpy(line + at, word->valuestring, len);
    return at + len;
}

bool
argument_in_list(const cJSON *first, const cJSON *word, struct argument *out)
{
    char line[(LIST_BACK + 1) * (NAME_BYTES + 1) + VALUE_MAX];
    const cJSON *from = word, *option = word;
    struct argument found;
    size_t at = 0, begin = 0;

    if (word->valuestring[0] != '-') {
        if (word == first || !cJSON_IsString(word->prev) || word->prev->valuestring[0] != '-')
            return false;
        option = word->prev;
    }
    for (unsigned i = 0; i < LIST_BACK && from != first; i++)
        from = from->prev;
    for (; from != word; from = from->next) {
        begin = from == option ? at + 1 : begin;
        at = add_word(line, at, from, NAME_BYTES);
    }
    begin = option == word ? at + 1 : begin;
    const char *copy = line + at + 1;
    at = add_word(line, at, word, VALUE_MAX);
    if (!argument_at(line, at, begin, &found) || found.value < copy)
        return false;
    *out = found;
    out->value = word->valuestring + (found.value - copy);
    out->len = strlen(out->value);
    if (found.name)
        out->name = option->valuestring + (found.name - (line + begin));
    return true;
}
