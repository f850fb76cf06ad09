/* SPDX-License-Identifier: MIT */
#include "audit_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "protocol/audit_event.h"

void
audit_check_init(struct audit_check *check)
{
    memset(check, 0, sizeof(*check));
}

void
audit_check_fini(struct audit_check *check)
{
    free(check->gaps);
    free(check->prunes);
}

__attribute__((format(printf, 4, 5))) static enum rc
wrong(struct audit_check *check, uint64_t index, struct err *err, const char *format, ...)
{
    va_list args;

    check->wrong = index;
    va_start(args, format);
    (void)err_setv(err, RC_DENIED, format, args);
    va_end(args);
    return err_wrap(err, "leaf %" PRIu64, index);
}

/* The items with room for one more of size bytes; NULL without memory, and items is as before. */
static void *
grow(void *items, size_t *cap, size_t count, size_t size)
{
    if (items && count < *cap)
        return items;
    size_t more = *cap ? 2 * *cap : 16;
    void *grown = reallocarray(items, more, size);
    if (grown)
        *cap = more;
    return grown;
}

static enum rc
pruned_leaf(struct audit_check *check, const struct audit_leaf *leaf, struct err *err)
{
    struct audit_gap *last = check->gap_count ? &check->gaps[check->gap_count - 1] : NULL;

    for (int i = 0; leaf->has_columns && i < COLUMN_COUNT; i++)
        if (leaf->columns[i])
            return wrong(check, leaf->index, err, "the event is missing, but not its columns");
    check->pruned++;
    if (last && last->to == leaf->index) {
        last->to++;
        return RC_OK;
    }
    if (check->gap_count == AUDIT_GAPS_MAX)
        return wrong(check, leaf->index, err, "too many events are missing here and there");
    struct audit_gap *gaps =
        grow(check->gaps, &check->gap_cap, check->gap_count, sizeof(*check->gaps));
    if (!gaps)
        return err_set(err, RC_TEMP, "no memory");
    check->gaps = gaps;
    check->gaps[check->gap_count++] =
        (struct audit_gap){ leaf->index, leaf->index + 1, check->last_ms };
    return RC_OK;
}

static bool
same(const char *column, const char *value)
{
    return column == value || (column && value && strcmp(column, value) == 0);
}

static bool
same_time(const char *column, const char *value)
{
    int64_t ms;
    char text[24];

    if (!column || !value || clock_parse(value, &ms) != RC_OK)
        return false;
    snprintf(text, sizeof(text), "%" PRId64, ms);
    return strcmp(column, text) == 0;
}

/* The columns repeat what the event says; NULL names the one that does not. */
static const char *
wrong_column(const struct audit_leaf *leaf, const cJSON *doc, const char *type)
{
    const char *workspace = json_string(doc, "workspace_id");
    const char *actor = json_string(doc, "actor"), *status = json_string(doc, "status");
    const char *const *columns = leaf->columns;

    if (strcmp(type, "event") == 0) {
        status = json_string(doc, "decision");
    } else if (strcmp(type, "prune") == 0) {
        actor = "audit";
        status = "success";
    } else {
        actor = json_string(doc, "actor_id");
        actor = actor ? actor : json_string(doc, "actor_type");
    }
    if (!same(columns[COLUMN_KIND], type))
        return "kind";
    if (!same(columns[COLUMN_WORKSPACE], workspace ? workspace : AUDIT_NO_WORKSPACE))
        return "workspace";
    if (!same(columns[COLUMN_EVENT_ID], json_string(doc, "event_id")))
        return "event_id";
    if (!same_time(columns[COLUMN_TIME], json_string(doc, "time")))
        return "time";
    if (!same_time(columns[COLUMN_RECORDED], json_string(doc, "recorded_at")))
        return "recorded_at";
    if (!same(columns[COLUMN_ACTOR], actor))
        return "actor";
    if (!same(columns[COLUMN_ACTION], json_string(doc, "action")))
        return "action";
    return same(columns[COLUMN_STATUS], status) ? NULL : "status";
}

static enum rc
prune_leaf(struct audit_check *check, const struct audit_leaf *leaf, const cJSON *doc,
           int64_t recorded_ms, struct err *err)
{
    struct audit_prune_leaf prune = { .index = leaf->index };
    int64_t up_to = json_int(doc, "up_to", -1), seconds = json_int(doc, "retention_seconds", -1);
    const char *before = json_string(doc, "before");

    if (up_to < 0 || (uint64_t)up_to > leaf->index || seconds < 0 || !before ||
        clock_parse(before, &prune.before_ms) != RC_OK ||
        prune.before_ms > recorded_ms - seconds * 1000 + 1000)
        return wrong(check, leaf->index, err, "a prune leaf that states no bound and retention");
    prune.up_to = (uint64_t)up_to;
    struct audit_prune_leaf *prunes =
        grow(check->prunes, &check->prune_cap, check->prune_count, sizeof(*check->prunes));
    if (!prunes)
        return err_set(err, RC_TEMP, "no memory");
    check->prunes = prunes;
    check->prunes[check->prune_count++] = prune;
    return RC_OK;
}

static enum rc
kept_leaf(struct audit_check *check, const struct audit_leaf *leaf, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    uint8_t hash[HASH_LEN];
    int64_t recorded_ms;

    merkle_leaf(leaf->event, leaf->len, hash);
    if (!hash_equal(hash, leaf->hash))
        return wrong(check, leaf->index, err, "the event does not fit its hash: it was changed");
    if (json_read_canonical(leaf->event, leaf->len, &doc, err) != RC_OK)
        return wrong(check, leaf->index, err, "the event is not JSON");
    const char *type = json_string(doc, "type"), *recorded = json_string(doc, "recorded_at");
    if (!type || !recorded || clock_parse(recorded, &recorded_ms) != RC_OK)
        return wrong(check, leaf->index, err, "the event has no type or no time of recording");
    if (recorded_ms < check->last_ms)
        return wrong(check, leaf->index, err, "it was recorded before a leaf that it follows");
    check->last_ms = recorded_ms;
    const char *column = leaf->has_columns ? wrong_column(leaf, doc, type) : NULL;
    if (column)
        return wrong(check, leaf->index, err,
                     "the column %s does not say what the event says: it "
                     "was changed",
                     column);
    return strcmp(type, "prune") == 0 ? prune_leaf(check, leaf, doc, recorded_ms, err) : RC_OK;
}

enum rc
audit_check_leaf(struct audit_check *check, const struct audit_leaf *leaf, struct err *err)
{
    enum rc rc;

    if (leaf->index > check->tree.size)
        return wrong(check, check->tree.size, err, "it is missing");
    if (leaf->index < check->tree.size)
        return wrong(check, leaf->index, err, "it is there twice");
    rc = leaf->event ? kept_leaf(check, leaf, err) : pruned_leaf(check, leaf, err);
    if (rc == RC_OK)
        merkle_append(&check->tree, leaf->hash, check->on_tile, check->tile_arg);
    return rc;
}

enum rc
audit_check_gaps(struct audit_check *check, uint64_t covered, struct err *err)
{
    const struct audit_prune_leaf *best = NULL;

    for (size_t i = 0; i < check->prune_count; i++)
        if (check->prunes[i].index < covered && (!best || check->prunes[i].up_to >= best->up_to))
            best = &check->prunes[i];
    for (size_t i = 0; i < check->gap_count; i++) {
        const struct audit_gap *gap = &check->gaps[i];
        if (!best || gap->from >= best->up_to)
            return wrong(check, gap->from, err,
                         "the event is missing, and no prune leaf covers it: it was removed");
        if (gap->to > best->up_to)
            return wrong(check, best->up_to, err,
                         "the event is missing, and no prune leaf covers it: it was removed");
        if (gap->before_ms >= best->before_ms)
            return wrong(check, gap->from, err,
                         "the event is missing, but younger than its prune leaf allows");
    }
    return RC_OK;
}
