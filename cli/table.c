/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/cleanup.h"
#include "base/rc.h"
#include "base/utf8.h"

#define CELLS_MAX  (16u * 1024 * 1024) /* bytes */
#define GAP        2
#define CUT_LEAST  6 /* a column that was cut still says something */
#define ELLIPSIS   "\xE2\x80\xA6"
#define BAD_SYMBOL "\xEF\xBF\xBD"

void
table_screen(unsigned *columns, unsigned *lines)
{
    struct winsize size = { 0 };
    *columns = *lines = 0;
    if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    *columns = size.ws_col;
    *lines = size.ws_row;
}

void
table_init(struct table *table, const struct table_column *columns, unsigned count)
{
    unsigned lines = 0;
    *table = (struct table){ .columns = columns, .n_columns = count };
    table_screen(&table->width, &lines);
    table->titles = table->width > 0;
    buf_init(&table->cells, CELLS_MAX);
}

void
table_cleanup(struct table *table)
{
    buf_fini(&table->cells);
}

void
table_put(struct table *table, const char *text)
{
    uint32_t code = 0;
    size_t step = 0;

    if (!text)
        text = "-";
    for (size_t left = strlen(text); left > 0; text += step, left -= step) {
        step = utf8_decode(text, left, &code);
        if (step == 0 || (code >= 0x7f && code < 0xa0) || (code < ' ' && !strchr("\t\r\n", *text)))
            buf_puts(&table->cells, BAD_SYMBOL);
        else if (code < ' ')
            buf_putc(&table->cells, ' ');
        else
            buf_add(&table->cells, text, step);
        step = step ? step : 1;
    }
    buf_add(&table->cells, "", 1);
    table->n_cells++;
}

void
table_putf(struct table *table, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table_put(table, text);
}

static unsigned
symbol_width(uint32_t code)
{
    int width = wcwidth((wchar_t)code);
    return width > 0 ? (unsigned)width : 0;
}

/* The bytes of text that fit into width, and the columns that these take. */
static size_t
fit(const char *text, unsigned width, unsigned *taken)
{
    size_t at = 0, len = strlen(text), step = 0;
    uint32_t code = 0;

    *taken = 0;
    while (at < len && (step = utf8_decode(text + at, len - at, &code)) > 0) {
        unsigned more = symbol_width(code);
        if (*taken + more > width)
            break;
        *taken += more;
        at += step;
    }
    return at;
}

unsigned
table_text_width(const char *text)
{
    unsigned width = 0;
    (void)fit(text, ~0u / 2, &width);
    return width;
}

static void
put_cell(const struct table_column *column, const char *text, unsigned width, bool last,
         struct buf *out)
{
    unsigned taken = 0;
    size_t len = fit(text, width, &taken);
    bool cut = text[len] != '\0';

    if (cut)
        len = fit(text, width - 1, &taken);
    unsigned pad = width - taken - (cut ? 1 : 0);
    if (column->right)
        buf_printf(out, "%*s", (int)pad, "");
    buf_add(out, text, len);
    if (cut)
        buf_puts(out, ELLIPSIS);
    if (!column->right && !last)
        buf_printf(out, "%*s", (int)pad, "");
    buf_puts(out, last ? "\n" : "  ");
}

static void
measure(const struct table *table, unsigned widths[TABLE_COLUMNS_MAX])
{
    const char *cell = buf_text(&table->cells);

    for (unsigned i = 0; i < table->n_columns; i++) {
        const struct table_column *column = &table->columns[i];
        unsigned title = table->titles ? table_text_width(column->title) : 0;
        widths[i] = title > column->least ? title : column->least;
    }
    for (unsigned i = 0, column = 0; i < table->n_cells; i++, cell += strlen(cell) + 1) {
        unsigned width = table_text_width(cell);
        if (width > widths[column])
            widths[column] = width;
        column = column + 1 < table->n_columns ? column + 1 : 0;
    }
}

/* The widest column that may be cut loses, one by one, until a row fits; where that is not enough the
 * last columns are left out. The count of columns that are shown. */
static unsigned
shrink(const struct table *table, unsigned widths[TABLE_COLUMNS_MAX])
{
    unsigned shown = table->n_columns, sum = GAP * (shown - 1);

    for (unsigned i = 0; i < shown; i++)
        sum += widths[i];
    while (table->width && sum > table->width && shown > 1) {
        unsigned widest = shown;
        for (unsigned i = 0; i < shown; i++) {
            unsigned least = table->columns[i].least;
            if (table->columns[i].cut && widths[i] > (least > CUT_LEAST ? least : CUT_LEAST) &&
                (widest == shown || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == shown) {
            sum -= widths[--shown] + GAP;
        } else {
            widths[widest]--;
            sum--;
        }
    }
    return shown;
}

void
table_write(struct table *table, struct buf *out)
{
    unsigned widths[TABLE_COLUMNS_MAX] = { 0 };
    const char *cell = buf_text(&table->cells);

    measure(table, widths);
    unsigned shown = shrink(table, widths);
    for (unsigned i = 0; table->titles && i < shown; i++)
        put_cell(&table->columns[i], table->columns[i].title, widths[i], i + 1 == shown, out);
    for (unsigned i = 0; i < table->n_cells; i++, cell += strlen(cell) + 1) {
        unsigned column = i % table->n_columns;
        if (column < shown)
            put_cell(&table->columns[column], cell, widths[column], column + 1 == shown, out);
    }
    buf_reset(&table->cells);
    table->n_cells = 0;
    table->titles = false;
}

int
table_print(struct table *table)
{
    AUTO(buf) struct buf out = { 0 };
    buf_init(&out, 2 * CELLS_MAX);
    table_write(table, &out);
    return fwrite(buf_text(&out), 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? EXIT_OK
                                                                                        : EXIT_TEMP;
}
