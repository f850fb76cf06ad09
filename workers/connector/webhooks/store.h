/* SPDX-License-Identifier: MIT */
/*
 * store - what webhooks and hooks have in common: rows of a workspace, each with a secret and, after a rotation,
 * the one before.
 *
 * A row and its secrets are written in one transaction. An id is made from that of the request, so a request that
 * is repeated finds what it made, and gets the same answer.
 *
 * Errors:  RC_NOTFOUND there is no such row · RC_LIMIT the workspace has as many as it may have · RC_TEMP PostgreSQL
 *          is unavailable
 * Threads: the loop's
 */
#ifndef GANTRY_CONNECTOR_WEBHOOKS_STORE_H
#define GANTRY_CONNECTOR_WEBHOOKS_STORE_H

#include "db/db.h"
#include "jobs/connector.h"

#define STORE_OVERLAP_S 86400 /* for which the secret before is good, too */

struct store_kind {
    const char *noun;                      /* "webhook": it names its secrets, too */
    unsigned list, create, keyed, removed; /* statements */
    int most;                              /* of a workspace */
    /* The members of the open object. secret: to be shown, or NULL. */
    void (*put_row)(struct json_writer *w, const PGresult *rows, int row, const char *secret);
};

/* The end of every request: the answer in out, or the problem that rc stands for. */
void store_settle(struct worker *w, struct call *call, const char *noun, enum rc rc,
                  const struct err *err, int status, const struct buf *out);
/* The id that the request names, which is what the audit log calls its target. */
const char *store_id(struct call *call);
/* "NOUN:ID", with ":before" the secret before. */
void store_secret_name(const char *noun, const char *id, bool before, char name[SECRET_NAME_MAX]);

/* One row, or all with id NULL. RC_OK with no rows: there is none. */
enum rc store_read(struct connector *c, const struct store_kind *kind, const char *workspace,
                   const char *id, PGresult **rows, struct err *err);
/* The same of one that must be there. */
enum rc store_find(struct connector *c, const struct store_kind *kind, const char *workspace,
                   const char *id, PGresult **rows, struct err *err);
/* The answer about one: an object. */
enum rc store_write(struct connector *c, const struct store_kind *kind, const char *workspace,
                    const char *id, bool with_secret, struct buf *out, struct err *err);
void store_list_start(struct worker *w, struct call *call, const struct store_kind *kind);
void store_delete_start(struct worker *w, struct call *call, const struct store_kind *kind);

struct store_change {
    const char *workspace, *id;
    const struct db_params *row; /* of kind->create or kind->keyed */
    const char *secret;          /* the new one */
    const char *before; /* the one of now, which becomes the one before; NULL: there is none */
};
enum rc store_create(struct connector *c, const struct store_kind *kind,
                     const struct store_change *change, struct err *err);
enum rc store_rotate(struct connector *c, const struct store_kind *kind,
                     const struct store_change *change, struct err *err);

/* A column, or null. */
void store_put_time(struct json_writer *w, const char *name, const PGresult *rows, int row,
                    int column);
void store_put_text(struct json_writer *w, const char *name, const PGresult *rows, int row,
                    int column);

#endif
