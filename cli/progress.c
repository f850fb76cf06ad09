/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define EVERY_MS 100
#define WIDTH    30

void
progress_begin(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){
        .what = what,
        .total = total,
        .start_ms = clock_mono_ms(),
        .on = isatty(STDERR_FILENO) == 1,
    };
}

void
progress_show(struct progress *progress, uint64_t done)
{
    int64_t now_ms = clock_mono_ms();
    char bar[WIDTH + 1];

    if (!progress->on || now_ms < progress->next_ms)
        return;
    progress->next_ms = now_ms + EVERY_MS;
    progress->shown = true;
    double seconds = (double)(now_ms - progress->start_ms + 1) / 1000;
    double rate = (double)done / seconds;
    if (progress->total == 0) {
        fprintf(stderr, "\r%s %" PRIu64 " (%.0f/s) ", progress->what, done, rate);
        return;
    }
    double share = done < progress->total ? (double)done / (double)progress->total : 1;
    unsigned full = (unsigned)(share * WIDTH);
    for (unsigned i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    double left = rate > 0 ? (double)(progress->total - done) / rate : 0;
    fprintf(stderr, "\r%s [%s] %3.0f %% %" PRIu64 " (%.0f/s, %.0f s left) ", progress->what, bar,
            share * 100, done, rate, left);
}

void
progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->on = progress->shown = false;
}
