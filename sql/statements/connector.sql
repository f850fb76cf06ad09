-- Statements of gantry-connector, each within the workspace that the session has set. Times are
-- milliseconds since the epoch.

-- name: secret_put
-- in:   1 workspace, 2 name, 3 key, 4 sealed
-- out:  version, created, updated
INSERT INTO connector_secret (workspace, name, key, sealed) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace, name) DO UPDATE
SET key = excluded.key, sealed = excluded.sealed, version = connector_secret.version + 1,
    updated_at = now(), token = NULL, token_expires_at = NULL, refreshing_until = NULL
RETURNING version, (extract(epoch FROM created_at) * 1000)::bigint,
          (extract(epoch FROM updated_at) * 1000)::bigint

-- name: secret_list
-- in:   1 workspace
-- out:  name, version, created, updated
SELECT name, version, (extract(epoch FROM created_at) * 1000)::bigint,
       (extract(epoch FROM updated_at) * 1000)::bigint
FROM connector_secret WHERE workspace = $1 ORDER BY name LIMIT 1000

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
-- out:  version, key, sealed, token (null: none that is valid for another half minute)
SELECT version, key, sealed,
       CASE WHEN token_expires_at > now() + interval '30 seconds' THEN token END
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
--       sealed anew (null: as it is), 7 the key that sealed both
-- The column key is of both: a token that another key sealed than the secret's is not kept.
UPDATE connector_secret
SET token = CASE WHEN $6::bytea IS NOT NULL OR key = $7 THEN $4::bytea END,
    token_expires_at = now() + make_interval(secs => $5::integer), refreshing_until = NULL,
    sealed = coalesce($6::bytea, sealed), key = CASE WHEN $6::bytea IS NULL THEN key ELSE $7 END
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
-- out:  workspace, name of what another key has sealed
SELECT workspace, name FROM connector_stale($1, $2::integer)

-- name: reseal
-- in:   1 workspace, 2 name, 3 version, 4 key, 5 sealed
-- out:  no row: it was changed meanwhile
UPDATE connector_secret SET key = $4, sealed = $5, token = NULL, token_expires_at = NULL
WHERE workspace = $1 AND name = $2 AND version = $3::bigint AND key <> $4
RETURNING version
