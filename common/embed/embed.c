/* SPDX-License-Identifier: MIT */
/*
 * embed - the two providers behind one interface.
 *
 * A server is asked in requests of EMBED_BATCH_MAX texts. It may refuse a batch because of one text
 * (too many tokens): then each is asked alone, and a text that is refused alone is cut in half until it
 * is taken, so that no memory is lost to a tokenizer's limit. (A 500 counts as a refusal while the server
 * takes a short text.) What was refused and what was taken is
 * remembered for an hour: longer texts are cut at once. Both, because tokens per byte differ from text
 * to text, and one that is refused for another reason must not cut all others short for good.
 */
#include "embed.h"

#include <bsd/string.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "embed/embed_static.h"
#include "fetch/fetch.h"
#include "json/json.h"

#define REQUEST_MAX (4u * 1024 * 1024)  /* bytes */
#define ANSWER_MAX  (16u * 1024 * 1024) /* bytes */
#define SHORTEST    32 /* bytes; a server that refuses so few wants no text at all */
#define REMEMBER_MS 3600000
#define CONNECT_MS  2000
#define TRY_MS      8000
#define DEADLINE_MS 9000 /* below the runtime's keep-alive */
#define TRIES       4
#define URL_MAX     1024

struct embedder {
    const struct embed_conf *conf; /* borrowed */
    char model[EMBED_MODEL_MAX];
    size_t dim;
    struct fetch *fetch; /* owned; NULL for the builtin */
    struct embed_watch own, *watch;
    uint32_t patience_ms;
    size_t
        refused;  /* bytes of the shortest text that was refused and longer than taken; 0 = none */
    size_t taken; /* bytes of the longest text that was taken since */
    int64_t refused_ms; /* monotonic */
};

static const char *const PROVIDERS[] = { "builtin", "openai", NULL };

static const struct conf_item ITEMS[] = {
    { .name = "EMBED_PROVIDER",
      .type = CONF_CHOICE,
      .offset = offsetof(struct embed_conf, provider),
      .default_text = "builtin",
      .choices = PROVIDERS,
      .help = "Source of vectors: builtin, or any server with OpenAI's /v1/embeddings." },
    { .name = "EMBED_URL",
      .type = CONF_URL,
      .offset = offsetof(struct embed_conf, url),
      .default_text = "https://api.openai.com/v1",
      .help = "Base URL of the embedding server (openai)." },
    { .name = "EMBED_MODEL",
      .type = CONF_STRING,
      .offset = offsetof(struct embed_conf, model),
      .max = 128,
      .flags = CONF_OPTIONAL,
      .help = "Model of the embedding server (openai: required)." },
    { .name = "EMBED_API_KEY",
      .type = CONF_SECRET,
      .offset = offsetof(struct embed_conf, api_key),
      .flags = CONF_OPTIONAL,
      .help = "Key of the embedding server (openai)." },
    { .name = "EMBED_DIM",
      .type = CONF_INT,
      .offset = offsetof(struct embed_conf, dim),
      .default_text = "0",
      .min = 0,
      .max = EMBED_DIM_MAX,
      .help = "Dimension of the vectors (openai: required; builtin: 0 or 256)." },
};
const struct conf_table EMBED_CONF = { ITEMS, ARRAY_LEN(ITEMS), NULL };

static enum rc
new_remote(struct embedder *e, struct err *err)
{
    const struct embed_conf *conf = e->conf;
    char url[URL_MAX];
    if (!conf->model || !conf->model[0])
        return err_set(err, RC_CONFIG, "EMBED_MODEL must be set for EMBED_PROVIDER=openai");
    if (conf->dim <= 0)
        return err_set(err, RC_CONFIG, "EMBED_DIM must be set for EMBED_PROVIDER=openai");
    size_t len = strlen(conf->url);
    while (len > 0 && conf->url[len - 1] == '/')
        len--;
    if (snprintf(url, sizeof(url), "%.*s/embeddings", (int)len, conf->url) >= (int)sizeof(url))
        return err_set(err, RC_CONFIG, "EMBED_URL is too long");
    e->dim = (size_t)conf->dim;
    (void)snprintf(e->model, sizeof(e->model), "openai:%s:%zu", conf->model, e->dim);
    const struct fetch_options options = {
        .url = url,
        .bearer = conf->api_key && conf->api_key[0] ? conf->api_key : NULL,
        .connect_ms = CONNECT_MS,
        .total_ms = TRY_MS,
        .deadline_ms = DEADLINE_MS,
        .tries = TRIES,
    };
    return fetch_new(&options, &e->fetch, err);
}

static bool
builtin_is_whole(void)
{
    struct static_model model;
    size_t len;
    const uint8_t *file = static_model_builtin(&len);
    return static_model_view(file, len, &model) && model.dim == EMBED_BUILTIN_DIM &&
           static_model_check(&model);
}

enum rc
embed_new(const struct embed_conf *conf, struct embedder **out, struct err *err)
{
    AUTO(embedder) struct embedder *e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, RC_TEMP, "no memory for an embedder");
    e->conf = conf;
    e->watch = &e->own;
    e->patience_ms = DEADLINE_MS;
    enum rc rc = RC_OK;
    if (conf->provider == EMBED_OPENAI) {
        rc = new_remote(e, err);
    } else if (conf->dim != 0 && conf->dim != EMBED_BUILTIN_DIM) {
        rc = err_set(err, RC_CONFIG, "EMBED_DIM of the builtin provider is %d", EMBED_BUILTIN_DIM);
    } else if (!builtin_is_whole()) {
        rc = err_set(err, RC_BUG, "the builtin model in this program is damaged");
    } else {
        e->dim = EMBED_BUILTIN_DIM;
        (void)strlcpy(e->model, EMBED_BUILTIN_MODEL, sizeof(e->model));
    }
    if (rc == RC_OK)
        *out = TAKE(e);
    return rc;
}

void
embed_free(struct embedder *e)
{
    if (!e)
        return;
    fetch_free(e->fetch);
    free(e);
}

void
embedder_cleanup(struct embedder **e)
{
    embed_free(*e);
}

const char *
embed_model(const struct embedder *e)
{
    return e->model;
}

size_t
embed_dim(const struct embedder *e)
{
    return e->dim;
}

bool
embed_is_remote(const struct embedder *e)
{
    return e->fetch != NULL;
}

float
embed_unknown(const struct embedder *e, const char *text, size_t len)
{
    return e->fetch ? 0 : embed_builtin_unknown(text, len);
}

/* The length of text cut to max bytes, at the start of a character. */
static size_t
cut(const struct embed_text *text, size_t max)
{
    size_t len = text->len;
    if (len <= max)
        return len;
    len = max;
    while (len > 0 && ((unsigned char)text->text[len] & 0xC0) == 0x80)
        len--;
    return len;
}

/* The bytes of a text of that length that are sent at first. */
static size_t
start_length(struct embedder *e, size_t len)
{
    if (e->refused && clock_mono_ms() - e->refused_ms >= REMEMBER_MS)
        e->refused = 0;
    if (e->refused && len >= e->refused)
        return e->taken;
    return len < EMBED_TEXT_MAX ? len : EMBED_TEXT_MAX;
}

/* max: 0 = what start_length() says of each. */
static enum rc
write_request(struct embedder *e, const struct embed_text *texts, size_t count, size_t max,
              struct buf *out)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "model", e->conf->model);
    json_array(&w, "input");
    for (size_t i = 0; i < count; i++) {
        size_t len = cut(&texts[i], max ? max : start_length(e, texts[i].len));
        if (len == 0)
            json_put_string(&w, NULL, " "); /* servers refuse an empty text */
        else
            json_put_bytes(&w, NULL, texts[i].text, len);
    }
    json_close(&w);
    json_put_string(&w, "encoding_format", "float");
    /* Only the third generation knows the member; others answer 400. */
    if (strstr(e->conf->model, "text-embedding-3"))
        json_put_int(&w, "dimensions", (int64_t)e->dim);
    json_close(&w);
    return json_end(&w);
}

static bool
read_vector(const cJSON *values, size_t dim, float *out)
{
    double sum = 0;
    size_t n = 0;
    const cJSON *value;
    cJSON_ArrayForEach (value, values) {
        if (n == dim || !cJSON_IsNumber(value))
            return false;
        out[n++] = (float)value->valuedouble;
        sum += value->valuedouble * value->valuedouble;
    }
    if (n != dim || !isfinite(sum))
        return false;
    for (size_t i = 0; i < n && sum > 0; i++)
        out[i] = (float)((double)out[i] / sqrt(sum));
    return true;
}

static enum rc
read_answer(const struct embedder *e, const struct buf *answer, size_t count, float *out,
            struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    if (json_read(buf_text(answer), answer->len, &doc, NULL) != RC_OK)
        return err_set_of(err, SERVER_EMBEDDING, RC_CONFIG,
                          "the embedding server's answer is not JSON (see EMBED_URL)");
    const cJSON *data = json_member(doc, "data");
    if (!cJSON_IsArray(data) || (size_t)cJSON_GetArraySize(data) != count)
        return err_set_of(err, SERVER_EMBEDDING, RC_CONFIG,
                          "the embedding server returned the wrong number of vectors");
    AUTO(free) bool *seen = calloc(count, sizeof(*seen));
    if (!seen)
        return err_set(err, RC_TEMP, "no memory for vectors");
    size_t place = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, data) {
        size_t index = (size_t)json_int(item, "index", (int64_t)place++);
        if (index >= count || seen[index])
            return err_set_of(err, SERVER_EMBEDDING, RC_CONFIG,
                              "the embedding server returned a wrong index");
        seen[index] = true;
        if (!read_vector(json_member(item, "embedding"), e->dim, out + index * e->dim))
            return err_set_of(err, SERVER_EMBEDDING, RC_CONFIG,
                              "the embedding server's vectors are not of dimension %zu", e->dim);
    }
    return RC_OK;
}

/* fetch speaks of "the server": which one, and what to look at. */
static enum rc
name_server(enum rc rc, struct err *err)
{
    char text[sizeof(err->text)];
    if (!err)
        return rc;
    (void)strlcpy(text, err->text, sizeof(text));
    bool own = strncmp(text, "the server ", 11) == 0;
    const char *hint = strstr(text, "answers 401") || strstr(text, "answers 403")
                           ? " (see EMBED_API_KEY)"
                       : strstr(text, "answers 404") ? " (see EMBED_URL and EMBED_MODEL)"
                                                     : "";
    return err_set_of(err, SERVER_EMBEDDING, rc, "the embedding server%s %.150s%s", own ? "" : ":",
                      own ? text + 11 : text, hint);
}

static enum rc
ask(struct embedder *e, const struct embed_text *texts, size_t count, size_t max, float *out,
    struct err *err)
{
    AUTO(buf) struct buf request = { 0 }, answer = { 0 };
    buf_init(&request, REQUEST_MAX);
    buf_init(&answer, ANSWER_MAX);
    enum rc rc = write_request(e, texts, count, max, &request);
    if (rc != RC_OK)
        return err_set(err, rc, "embedding request is too large");
    rc = fetch_post(e->fetch, request.data, request.len, &answer, err);
    if (rc == RC_LIMIT)
        return err_set_of(err, SERVER_EMBEDDING, RC_CONFIG,
                          "the embedding server's answer is too large");
    if (rc != RC_OK)
        return name_server(rc, err);
    return read_answer(e, &answer, count, out, err);
}

static void
remember(struct embedder *e, size_t refused, size_t taken)
{
    e->taken = taken;
    e->refused = refused;
    e->refused_ms = clock_mono_ms();
}

/* Some servers answer 500 to a text that is too long for them (by_500). */
static bool
is_refusal(enum rc rc, const struct err *err, bool by_500)
{
    return rc == RC_INVALID || (by_500 && rc == RC_TEMP && err && strstr(err->text, "answers 500"));
}

/* One text, cut in half until it is taken. */
static enum rc
ask_one(struct embedder *e, const struct embed_text *text, bool by_500, float *out, struct err *err)
{
    size_t first = start_length(e, text->len), len = first;
    enum rc rc = ask(e, text, 1, len ? len : 1, out, err);
    while (is_refusal(rc, err, by_500) && len > SHORTEST) {
        len /= 2;
        rc = ask(e, text, 1, len, out, err);
    }
    if (rc == RC_INVALID)
        return err_set_of(err, SERVER_EMBEDDING, RC_CONFIG,
                          "the embedding server refuses a text of %zu bytes", len);
    if (rc == RC_OK && len < first && (!e->refused || first >= e->taken))
        remember(e, len * 2, len);
    else if (rc == RC_OK && e->refused && len > e->taken && len < e->refused)
        e->taken = len;
    return rc;
}

/* A refused batch, text by text. */
static enum rc
ask_each(struct embedder *e, const struct embed_text *texts, size_t count, bool by_500, float *out,
         struct err *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; i < count && rc == RC_OK; i++)
        rc = ask_one(e, &texts[i], by_500, out + i * e->dim, err);
    return rc;
}

/* --- is the server there? ----------------------------------------------------------------------- */

void
embed_share(struct embedder *e, struct embed_watch *watch)
{
    e->watch = watch;
}

void
embed_patience(struct embedder *e, uint32_t ms)
{
    e->patience_ms = ms;
    if (e->fetch)
        fetch_patience(e->fetch, ms);
}

bool
embed_failing(const struct embedder *e)
{
    return e->fetch && e->watch->failing;
}

/* A refused text is no failure of the server: it answered. */
static void
learn(struct embedder *e, enum rc rc, bool refused)
{
    e->watch->ask_again_ms = clock_mono_ms() + EMBED_REST_MS;
    e->watch->failing = rc != RC_OK && !refused;
}

static const struct embed_text PROBE = { "probe", 5 }; /* any server that works takes it */

static enum rc
ask_server(struct embedder *e, const struct embed_text *texts, size_t count, float *out,
           struct err *err)
{
    for (size_t at = 0, n; at < count; at += n) {
        n = count - at < EMBED_BATCH_MAX ? count - at : EMBED_BATCH_MAX;
        enum rc rc = ask(e, texts + at, n, 0, out + at * e->dim, err);
        bool by_500 = is_refusal(rc, err, true) && rc == RC_TEMP &&
                      ask(e, &PROBE, 1, 0, out + at * e->dim, NULL) == RC_OK;
        bool refused = rc == RC_INVALID || by_500;
        if (refused)
            rc = ask_each(e, texts + at, n, by_500, out + at * e->dim, err);
        learn(e, rc, refused);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* Of several that could, one does. */
void
embed_probe(struct embedder *e)
{
    AUTO(free) float *vector = NULL;
    int64_t now_ms = clock_mono_ms(), at_ms = e->watch->ask_again_ms;
    if (!embed_failing(e) || now_ms < at_ms ||
        !atomic_compare_exchange_strong(&e->watch->ask_again_ms, &at_ms,
                                        now_ms + EMBED_PROBE_MS + EMBED_REST_MS))
        return;
    vector = calloc(e->dim, sizeof(*vector));
    if (!vector)
        return;
    fetch_patience(e->fetch, EMBED_PROBE_MS);
    (void)ask_server(e, &PROBE, 1, vector, NULL);
    fetch_patience(e->fetch, e->patience_ms);
}

enum rc
embed_batch(struct embedder *e, const struct embed_text *texts, size_t count, float *out,
            struct err *err)
{
    if (embed_failing(e))
        return err_set_of(err, SERVER_EMBEDDING, RC_TEMP,
                          EMBED_SERVER " failed when it was asked last");
    if (e->fetch)
        return ask_server(e, texts, count, out, err);
    for (size_t i = 0; i < count; i++)
        embed_builtin(texts[i].text, texts[i].len, out + i * e->dim);
    return RC_OK;
}
