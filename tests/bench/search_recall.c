/* SPDX-License-Identifier: MIT */
/*
 * Recall@10 of `vector` searches against a scan by float, as a search worker answers them: candidates of
 * the index, put in order by the cosine of the stored halfvecs. Texts are embedded by the built-in model.
 *
 *     search_recall ROWS,ROWS... TEXTS QUERIES...     files of lines; the first ROWS of TEXTS are stored
 *     search_recall --made                            sets that are made against the index's margins
 *
 * A row that is as near as the tenth (1e-6) counts as found. "lost" is the cosine of the tenth row of the
 * truth less that of the tenth row of the answer, at worst.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "embed/embed.h"
#include "index/collection_own.h"

#define DIMS     EMBED_BUILTIN_DIM
#define K        10
#define QUERIES  100
#define TOGETHER 4

struct set {
    float (*vectors)[DIMS]; /* owned */
    size_t n, cap;
};

static void
set_cleanup(struct set *set)
{
    free(set->vectors);
}

static float *
set_add(struct set *set)
{
    if (set->n == set->cap) {
        set->cap = set->cap * 2 + 1024;
        set->vectors = realloc(set->vectors, set->cap * sizeof(*set->vectors));
        if (!set->vectors)
            abort();
    }
    return set->vectors[set->n++];
}

/* Lines of a file as vectors; those without a word are left out. */
static void
read_lines(const char *name, size_t most, struct set *set)
{
    static const struct embed_conf conf = { .provider = EMBED_BUILTIN };
    AUTO(embedder) struct embedder *embedder = NULL;
    FILE *file = fopen(name, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    float vector[DIMS];

    if (!file || embed_new(&conf, &embedder, NULL) != RC_OK) {
        fprintf(stderr, "%s: cannot be read\n", name);
        exit(EXIT_NO);
    }
    while (set->n < most && (len = getline(&line, &room, file)) > 0) {
        const struct embed_text text = { line, (size_t)len };
        uint8_t half[EMBED_HALF_BYTES(DIMS)];
        if (embed_batch(embedder, &text, 1, vector, NULL) == RC_OK &&
            embed_to_half(vector, DIMS, half))
            memcpy(set_add(set), vector, sizeof(vector));
    }
    free(line);
    (void)fclose(file);
}

static void
to_stored(const float *vector, float *stored)
{
    uint8_t half[EMBED_HALF_BYTES(DIMS)];

    if (!embed_to_half(vector, DIMS, half) ||
        embed_from_half(half, sizeof(half), stored, DIMS) != DIMS)
        abort();
}

static float
cosine(const float *a, const float *b)
{
    typedef float lanes __attribute__((vector_size(64)));
    lanes dots = { 0 }, lengths_a = dots, lengths_b = dots;
    double dot = 0, length_a = 0, length_b = 0;

    for (size_t i = 0; i < DIMS; i += 16) {
        lanes x, y;
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        dots += x * y;
        lengths_a += x * x;
        lengths_b += y * y;
    }
    for (size_t i = 0; i < 16; i++) {
        dot += (double)dots[i];
        length_a += (double)lengths_a[i];
        length_b += (double)lengths_b[i];
    }
    return (float)(dot / sqrt(length_a * length_b));
}

/* The nearest, best first. */
struct nearest {
    size_t n;
    float cosine[K];
    uint32_t row[K];
};

static void
nearest_add(struct nearest *nearest, float value, uint32_t row)
{
    size_t at = nearest->n;

    if (at == K && value <= nearest->cosine[K - 1])
        return;
    at = at < K ? nearest->n++ : K - 1;
    for (; at > 0 && nearest->cosine[at - 1] < value; at--) {
        nearest->cosine[at] = nearest->cosine[at - 1];
        nearest->row[at] = nearest->row[at - 1];
    }
    nearest->cosine[at] = value;
    nearest->row[at] = row;
}

static struct nearest
answer(const struct collection *c, const struct set *rows, const float *query, size_t *candidates)
{
    static struct collection_legs legs;
    static struct collection_hit hits[COLLECTION_HITS_MAX];
    struct nearest found = { 0 };
    float stored[DIMS], asked[DIMS];
    struct err err = { 0 };
    const struct collection_search search = {
        .mode = COLLECTION_VECTOR, .k = K, .vector = query, .filter.now_ms = 1
    };

    legs.text_count = legs.vector_count = legs.whole_count = 0;
    if (collection_find(c, &search, &legs, &err) != RC_OK)
        abort();
    size_t n = collection_union(COLLECTION_VECTOR, K, &legs, hits);
    *candidates += n;
    to_stored(query, asked);
    for (size_t i = 0; i < n; i++) {
        uint32_t row;
        memcpy(&row, hits[i].id, sizeof(row));
        to_stored(rows->vectors[row], stored);
        nearest_add(&found, cosine(asked, stored), row);
    }
    return found;
}

static void
report(const struct collection *c, const struct set *rows, const struct set *queries,
       const char *what)
{
    AUTO(free) struct nearest *truth = calloc(queries->n, sizeof(*truth));
    size_t found = 0, all = 0, candidates = 0;
    float lost = 0;

    if (!truth)
        abort();
    for (size_t from = 0; from < queries->n; from += TOGETHER)
        for (uint32_t row = 0; row < rows->n; row++)
            for (size_t q = from; q < from + TOGETHER && q < queries->n; q++)
                nearest_add(&truth[q], cosine(queries->vectors[q], rows->vectors[row]), row);
    for (size_t q = 0; q < queries->n; q++) {
        struct nearest got = answer(c, rows, queries->vectors[q], &candidates);
        size_t n = truth[q].n;
        float last = truth[q].cosine[n - 1], least = 1;
        all += n;
        if (got.n != n)
            abort();
        for (size_t i = 0; i < n; i++) {
            float value = cosine(queries->vectors[q], rows->vectors[got.row[i]]);
            found += value >= last - 1e-6f;
            least = value < least ? value : least;
        }
        lost = last - least > lost ? last - least : lost;
    }
    printf("search recall, %zu rows, %s\t%.4f\t@10\tlost %.5f, %.1f exact cosines a search\n",
           rows->n, what, (double)found / (double)all, (double)lost,
           (double)candidates / (double)queries->n);
    (void)fflush(stdout);
}

static void
put(struct collection *c, const struct set *rows, uint32_t row)
{
    const uint32_t id[4] = { row, row * 2654435761u };
    float stored[DIMS];
    const struct collection_row one = {
        .id = (const uint8_t *)id, .created_ns = row, .scope = "s", .source = "u", .vector = stored
    };

    to_stored(rows->vectors[row], stored);
    if (collection_put(c, &one, NULL) != RC_OK)
        abort();
}

/* --- sets against the margins ------------------------------------------------------------------- */

static float
gauss(uint64_t *state)
{
    double sum = 0;

    for (int i = 0; i < 12; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        sum += (double)(*state >> 11) / 9007199254740992.0;
    }
    return (float)(sum - 6);
}

static void
fill(struct set *set, size_t n, const float *centre, float spread, uint64_t *random)
{
    for (size_t i = 0; i < n; i++) {
        float *vector = set_add(set);
        for (size_t j = 0; j < DIMS; j++)
            vector[j] = centre[j] + spread * gauss(random);
    }
}

static void
made(const char *what, size_t n, float spread)
{
    AUTO(collection) struct collection *c = NULL;
    AUTO(set) struct set rows = { 0 }, queries = { 0 };
    uint64_t random = 88172645463325252u;
    float centre[DIMS];

    for (size_t j = 0; j < DIMS; j++)
        centre[j] = gauss(&random);
    fill(&rows, n, centre, spread, &random);
    fill(&queries, QUERIES, centre, spread, &random);
    if (collection_new(DIMS, &c, NULL) != RC_OK)
        abort();
    for (uint32_t row = 0; row < rows.n; row++)
        put(c, &rows, row);
    report(c, &rows, &queries, what);
}

/* A vector of this cosine with another one. */
static void
lean(float *vector, const float *to, float near, uint64_t *random)
{
    double dot = 0, square = 0, rest = 0;

    for (size_t i = 0; i < DIMS; i++) {
        vector[i] = gauss(random);
        dot += (double)(vector[i] * to[i]);
        square += (double)(to[i] * to[i]);
    }
    for (size_t i = 0; i < DIMS; i++) {
        vector[i] -= to[i] * (float)(dot / square);
        rest += (double)(vector[i] * vector[i]);
    }
    for (size_t i = 0; i < DIMS; i++)
        vector[i] = vector[i] * sqrtf(1 - near * near) / (float)sqrt(rest) +
                    to[i] * near / (float)sqrt(square);
}

/* The signs of vector_turn(). */
static void
flip(float *vector)
{
    for (size_t i = 0; i < DIMS; i++)
        if ((i / 64 + 1) * UINT64_C(0x9E3779B97F4A7C15) >> i % 64 & 1)
            vector[i] = -vector[i];
}

/* A row whose low nibbles all point to the query, by one who knows how vectors are turned. The others
 * are nearer than its high nibbles let it seem, and farther than it is. */
static void
crafted(void)
{
    AUTO(collection) struct collection *c = NULL;
    AUTO(set) struct set rows = { 0 }, queries = { 0 };
    uint64_t random = 88172645463325252u;
    float query[DIMS], evil[DIMS], turned[DIMS];

    for (size_t j = 0; j < DIMS; j++)
        query[j] = gauss(&random);
    memcpy(turned, query, sizeof(turned));
    vector_turn(turned, DIMS);
    for (size_t j = 0; j < DIMS; j++) /* the largest value sets the scale: 127 */
        evil[j] = j == 0 ? 127 : (float)(16 * (int)(gauss(&random) * 2)) + (turned[j] > 0 ? 15 : 0);
    flip(evil); /* turned back: without the signs first, and with them last */
    vector_turn(evil, DIMS);
    flip(evil);
    memcpy(set_add(&queries), query, sizeof(query));
    memcpy(set_add(&rows), evil, sizeof(evil));
    for (size_t n = 0; n < 1000; n++)
        lean(set_add(&rows), query, cosine(query, evil) * (.98f - 1e-4f * (float)n), &random);
    if (collection_new(DIMS, &c, NULL) != RC_OK)
        abort();
    for (uint32_t row = (uint32_t)rows.n; row-- > 0;)
        put(c, &rows, row);
    report(c, &rows, &queries, "one crafted against the scan");
}

/* ------------------------------------------------------------------------------------------------ */

static void
of_files(const char *sizes, char **names, int count)
{
    AUTO(collection) struct collection *c = NULL;
    AUTO(set) struct set all = { 0 };
    size_t most = 0;

    for (const char *at = sizes; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        most = strtoul(at, NULL, 10) > most ? strtoul(at, NULL, 10) : most;
    read_lines(names[0], most, &all);
    if (collection_new(DIMS, &c, NULL) != RC_OK)
        abort();
    for (const char *at = sizes; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        struct set part = all;
        part.n = strtoul(at, NULL, 10) < all.n ? strtoul(at, NULL, 10) : all.n;
        for (uint32_t row = (uint32_t)collection_rows(c); row < part.n; row++)
            put(c, &part, row);
        for (int i = 1; i < count; i++) {
            AUTO(set) struct set queries = { 0 };
            read_lines(names[i], QUERIES, &queries);
            report(c, &part, &queries, names[i]);
        }
    }
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--made") == 0) {
        made("all alike to 1e-3", 1000, .03f);
        made("all alike to 1e-4", 1000, .01f);
        made("all alike to 1e-6", 1000, .001f);
        crafted();
        return EXIT_OK;
    }
    if (argc < 4) {
        fprintf(stderr, "usage: search_recall ROWS,ROWS... TEXTS QUERIES... | --made\n");
        return EXIT_USAGE;
    }
    of_files(argv[1], argv + 2, argc - 2);
    return EXIT_OK;
}
