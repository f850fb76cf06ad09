-- Statements of gantry-connector, each within the workspace that the session has set. Times are
-- milliseconds since the epoch.

-- name: seal_version
-- out:  the number for the next box, or the next boxes of one transaction
SELECT connector_seal_version()

-- name: secret_put
-- in:   1 workspace, 2 name, 3 key, 4 sealed, 5 seal_version
-- out:  version, created, updated
INSERT INTO connector_secret (workspace, name, key, sealed, seal_version)
VALUES ($1, $2, $3, $4, $5::bigint)
ON CONFLICT (workspace, name) DO UPDATE
SET key = excluded.key, sealed = excluded.sealed, seal_version = excluded.seal_version,
    version = connector_secret.version + 1, updated_at = now(), token = NULL, token_expires_at = NULL,
    refreshing_until = NULL
RETURNING version, (extract(epoch FROM created_at) * 1000)::bigint,
          (extract(epoch FROM updated_at) * 1000)::bigint

-- name: secret_list
-- in:   1 workspace
-- out:  name, version, created, updated
SELECT name, version, (extract(epoch FROM created_at) * 1000)::bigint,
       (extract(epoch FROM updated_at) * 1000)::bigint
FROM connector_secret WHERE workspace = $1 AND position(':' IN name) = 0 ORDER BY name LIMIT 1000

-- name: secret_show
-- in:   1 workspace, 2 name
-- out:  name, version, created, updated; no row: there is none
SELECT name, version, (extract(epoch FROM created_at) * 1000)::bigint,
       (extract(epoch FROM updated_at) * 1000)::bigint
FROM connector_secret WHERE workspace = $1 AND name = $2

-- name: secret_delete
-- in:   1 workspace, 2 name
-- out:  no row: there was none
DELETE FROM connector_secret WHERE workspace = $1 AND name = $2 RETURNING name

-- name: secret_use
-- in:   1 workspace, 2 name
-- out:  version, key, sealed, token (null: none that is valid for another half minute), the row as it is,
--       seal_version, which both boxes are bound to
SELECT version, key, sealed,
       CASE WHEN token_expires_at > now() + interval '30 seconds' THEN token END, xmin::text, seal_version
FROM connector_secret WHERE workspace = $1 AND name = $2

-- name: token_lease
-- in:   1 workspace, 2 name, 3 seconds
-- out:  a row: the caller refreshes; none: somebody else does, or has
UPDATE connector_secret SET refreshing_until = now() + make_interval(secs => $3::integer)
WHERE workspace = $1 AND name = $2
  AND (refreshing_until IS NULL OR refreshing_until < now())
  AND (token IS NULL OR token_expires_at <= now() + interval '30 seconds')
RETURNING version

-- name: token_put
-- in:   1 workspace, 2 name, 3 version of the secret, 4 token sealed, 5 seconds it is valid, 6 the secret
--       sealed anew (null: as it is), 7 the key that sealed both, 8 seal_version of both
-- The columns key and seal_version are of both: a token that was sealed for another box than the secret's is not
-- kept.
UPDATE connector_secret
SET token = CASE WHEN $6::bytea IS NOT NULL OR (key = $7 AND seal_version = $8::bigint) THEN $4::bytea END,
    token_expires_at = now() + make_interval(secs => $5::integer), refreshing_until = NULL,
    sealed = coalesce($6::bytea, sealed), key = CASE WHEN $6::bytea IS NULL THEN key ELSE $7 END,
    seal_version = CASE WHEN $6::bytea IS NULL THEN seal_version ELSE $8::bigint END
WHERE workspace = $1 AND name = $2 AND version = $3::bigint
RETURNING version

-- name: token_drop
-- in:   1 workspace, 2 name, 3 the token as it was (null: only the lease is given back)
UPDATE connector_secret
SET token = CASE WHEN token = $3 THEN NULL ELSE token END, refreshing_until = NULL
WHERE workspace = $1 AND name = $2
RETURNING version

-- name: stale
-- in:   1 key, 2 rows at most
-- out:  workspace, name of what another key has sealed, or this one without a version
SELECT workspace, name FROM connector_stale($1, $2::integer)

-- name: reseal
-- in:   1 workspace, 2 name, 3 version, 4 key, 5 sealed, 6 the row as it was read, 7 seal_version
-- out:  no row: it was changed meanwhile; also by token_put, which keeps the version and may have put a refresh
--       token there that nobody has a second copy of
UPDATE connector_secret SET key = $4, sealed = $5, seal_version = $7::bigint, token = NULL,
    token_expires_at = NULL
WHERE workspace = $1 AND name = $2 AND version = $3::bigint AND xmin::text = $6
RETURNING version

-- Webhooks (sql/migrations/0120_webhooks.sql).

-- name: webhook_create
-- in:   1 workspace, 2 id, 3 url, 4 description, 5 events text[], 6 ordered, 7 signature, 8 public key,
--       9 at most
-- out:  no row: there is one with this id, or there are that many
INSERT INTO webhook (workspace, id, url, description, events, ordered, signature, public_key, cursor)
SELECT $1, $2::uuid, $3, $4, $5::text[], $6::boolean, $7, $8, webhook_start()
WHERE (SELECT count(*) FROM webhook WHERE workspace = $1) < $9::integer
ON CONFLICT DO NOTHING
RETURNING id

-- name: webhook_list
-- in:   1 workspace, 2 id (null: all)
-- out:  id, url, description, events as JSON, ordered, signature, public key, previous_until, enabled,
--       reason, delivered_at, created, updated, deliveries that wait, rotated_by
SELECT id, url, description, to_json(events), ordered, signature, public_key,
       (extract(epoch FROM CASE WHEN previous_until > now() THEN previous_until END) * 1000)::bigint,
       enabled, disabled_reason, (extract(epoch FROM delivered_at) * 1000)::bigint,
       (extract(epoch FROM created_at) * 1000)::bigint, (extract(epoch FROM updated_at) * 1000)::bigint,
       (SELECT count(*) FROM webhook_delivery d
         WHERE d.workspace = webhook.workspace AND d.webhook = webhook.id AND d.state = 'pending'),
       rotated_by
FROM webhook WHERE workspace = $1 AND ($2::uuid IS NULL OR id = $2::uuid) ORDER BY created_at, id

-- name: webhook_change
-- in:   1 workspace, 2 id, 3 url, 4 description, 5 events, 6 ordered, 7 enabled; null: as it is
-- out:  no row: there is none
UPDATE webhook SET url = coalesce($3, url), description = coalesce($4, description),
    events = coalesce($5::text[], events), ordered = coalesce($6::boolean, ordered),
    enabled = coalesce($7::boolean, enabled),
    disabled_reason = CASE WHEN $7::boolean THEN NULL
                           WHEN NOT $7::boolean AND enabled THEN 'by_hand' ELSE disabled_reason END,
    updated_at = now()
WHERE workspace = $1 AND id = $2::uuid
RETURNING id

-- name: webhook_keyed
-- in:   1 workspace, 2 id, 3 public key, 4 seconds for which the secret before signs too, 5 by which request
UPDATE webhook SET public_key = $3, previous_until = now() + make_interval(secs => $4::integer),
    rotated_by = $5::uuid, updated_at = now()
WHERE workspace = $1 AND id = $2::uuid
RETURNING id

-- name: webhook_delete
-- in:   1 workspace, 2 id
-- out:  no row: there was none
WITH gone AS (DELETE FROM webhook WHERE workspace = $1 AND id = $2::uuid RETURNING id),
     secrets AS (DELETE FROM connector_secret WHERE workspace = $1
                 AND name IN ('webhook:' || $2, 'webhook:' || $2 || ':before'))
SELECT id FROM gone

-- name: webhook_test
-- in:   1 workspace, 2 webhook, 3 the delivery's id, 4 body
-- out:  no row: there is no such webhook
INSERT INTO webhook_delivery (workspace, webhook, id, type, body)
SELECT $1, id, $3::uuid, 'webhook.test', $4 FROM webhook WHERE workspace = $1 AND id = $2::uuid
ON CONFLICT (workspace, id) DO UPDATE SET id = excluded.id
RETURNING id

-- name: webhook_deliveries
-- in:   1 workspace, 2 webhook, 3 state (null: all), 4 only below this number (null: from the newest), 5 limit
-- out:  number, id, type, state, attempts, http status, error, created, next, ended, body
SELECT number, id, type, state, attempts, http_status, error,
       (extract(epoch FROM created_at) * 1000)::bigint,
       (extract(epoch FROM CASE WHEN state = 'pending' THEN next_at END) * 1000)::bigint,
       (extract(epoch FROM ended_at) * 1000)::bigint, body
FROM webhook_delivery
WHERE workspace = $1 AND webhook = $2::uuid AND ($3::text IS NULL OR state = $3)
  AND ($4::bigint IS NULL OR number < $4::bigint)
ORDER BY number DESC LIMIT $5::integer

-- name: webhook_replay
-- in:   1 workspace, 2 webhook, 3 delivery
-- out:  no row: there is none. One that is being sent stays so, and is sent again when that has ended;
--       what a sending without a lease has yet to say settles nothing any more
UPDATE webhook_delivery
SET replay = state = 'pending' AND coalesce(leased_until > now(), false),
    attempts = CASE WHEN state = 'pending' AND leased_until > now() THEN attempts ELSE 0 END,
    next_at = CASE WHEN state = 'pending' AND leased_until > now() THEN next_at ELSE now() END,
    leased_until = CASE WHEN state = 'pending' AND leased_until > now() THEN leased_until END,
    claim = claim + CASE WHEN state = 'pending' AND leased_until > now() THEN 0 ELSE 1 END,
    state = 'pending', ended_at = NULL
WHERE workspace = $1 AND webhook = $2::uuid AND id = $3::uuid
RETURNING id

-- name: webhook_collect
-- in:   1 leaves, 2 pending
SELECT webhook_collect($1::integer, $2::integer)

-- name: webhook_claim
-- in:   1 limit, 2 a workspace's share, 3 seconds of the lease
-- out:  as the function says
SELECT workspace, webhook, id, attempt, url, type, body, signature, two_secrets, egress, claim
FROM webhook_claim($1::integer, $2::integer, $3::integer)

-- name: webhook_settle
-- in:   1 workspace, 2 delivery, 3 claim, 4 state, 5 http status, 6 error, 7 seconds until the next
--       attempt, 8 why the webhook is to be disabled: 'gone', 'failing' (if nothing has succeeded since the
--       delivery was made, and nobody has asked for another sending meanwhile), or null
-- out:  no row: somebody else has it by now; whether the webhook was disabled
WITH settled AS (
    UPDATE webhook_delivery
       SET state = CASE WHEN replay THEN 'pending' ELSE $4 END, http_status = $5::integer, error = $6,
           leased_until = NULL, attempts = CASE WHEN replay THEN 0 ELSE attempts END, replay = false,
           next_at = CASE WHEN replay THEN now()
                          ELSE now() + make_interval(secs => $7::double precision) END,
           ended_at = CASE WHEN $4 <> 'pending' AND NOT replay THEN now() END
     WHERE workspace = $1 AND id = $2::uuid AND claim = $3::bigint AND state = 'pending'
    RETURNING webhook, created_at, attempts = 0 AS again),
off AS (
    UPDATE webhook w SET enabled = false, disabled_reason = $8, untold = gen_random_uuid(), updated_at = now()
      FROM settled WHERE w.workspace = $1 AND w.id = settled.webhook AND w.enabled AND $8::text IS NOT NULL
       AND ($8 = 'gone' OR (NOT settled.again
                            AND (w.delivered_at IS NULL OR w.delivered_at < settled.created_at)))
    RETURNING w.id),
good AS (
    UPDATE webhook w SET delivered_at = now()
      FROM settled WHERE w.workspace = $1 AND w.id = settled.webhook AND $4 = 'delivered')
SELECT EXISTS (SELECT FROM off) FROM settled

-- name: webhook_hosts
SELECT to_json(webhook_hosts())

-- name: webhook_untold
-- in:   1 limit
SELECT workspace, id, event_id, reason FROM webhook_untold($1::integer)

-- name: webhook_told
-- in:   1 workspace, 2 id, 3 event id
UPDATE webhook SET untold = NULL WHERE workspace = $1 AND id = $2::uuid AND untold = $3::uuid
RETURNING id

-- name: webhook_sweep
-- in:   1 ended deliveries that a webhook keeps, 2 days
SELECT webhook_sweep($1::integer, $2::integer)

-- name: webhook_counts
SELECT webhooks, disabled, pending FROM webhook_counts()

-- Hooks (sql/migrations/0121_hooks.sql).

-- name: hook_create
-- in:   1 workspace, 2 id, 3 scheme, 4 command, 5 definition, 6 description, 7 key id, 8 at most
-- out:  no row: there is one with this id, or there are that many
INSERT INTO hook (workspace, id, scheme, command, definition, description, created_by)
SELECT $1, $2, $3, $4, $5::jsonb, $6, $7
WHERE (SELECT count(*) FROM hook WHERE workspace = $1) < $8::integer
ON CONFLICT DO NOTHING
RETURNING id

-- name: hook_list
-- in:   1 workspace, 2 id (null: all)
-- out:  id, scheme, command, definition, description, created_by, previous_until, created, rotated_by
SELECT id, scheme, command, definition, description, created_by,
       (extract(epoch FROM CASE WHEN previous_until > now() THEN previous_until END) * 1000)::bigint,
       (extract(epoch FROM created_at) * 1000)::bigint, rotated_by
FROM hook WHERE workspace = $1 AND ($2::text IS NULL OR id = $2) ORDER BY created_at, id

-- name: hook_keyed
-- in:   1 workspace, 2 id, 3 seconds for which the secret before is taken too, 4 by which request, 5 key id
UPDATE hook SET previous_until = now() + make_interval(secs => $3::integer), rotated_by = $4::uuid,
    known_to = array_remove(known_to, $5::text) || $5::text
WHERE workspace = $1 AND id = $2
RETURNING id

-- name: hook_delete
-- in:   1 workspace, 2 id
-- out:  no row: there was none
WITH gone AS (DELETE FROM hook WHERE workspace = $1 AND id = $2 RETURNING id),
     secrets AS (DELETE FROM connector_secret WHERE workspace = $1
                 AND name IN ('hook:' || $2, 'hook:' || $2 || ':before'))
SELECT id FROM gone

-- name: hook_find
-- in:   1 id
-- out:  workspace, scheme, command, definition, whether two secrets are taken
SELECT workspace, scheme, command, definition, two_secrets FROM hook_find($1)
