-- Statements of gantry, the operator's command line, as gantry_owner. Keys are seen only in the
-- workspace that the session has set.

-- name: deployment
-- out:  id of this deployment
SELECT id FROM deployment

-- name: workspace_create
-- in:   1 workspace
-- out:  0 rows: it is there already; 1 row: created ms
INSERT INTO workspace (name) VALUES ($1) ON CONFLICT DO NOTHING
RETURNING (extract(epoch FROM created_at) * 1000)::bigint

-- name: workspace_list
-- out:  workspace, created ms, allowlist as JSON (null: ALLOW_ACTIONS_DEFAULT applies), hosts as JSON
SELECT name, (extract(epoch FROM created_at) * 1000)::bigint, to_json(actions), to_json(egress)
FROM workspace ORDER BY name

-- name: webhook_counts
-- out:  webhooks, those that are disabled, deliveries that wait; of all workspaces
SELECT webhooks, disabled, pending FROM webhook_counts()

-- name: approvals_waiting
-- out:  actions that wait for an approval; of all workspaces
SELECT coalesce(sum(waiting), 0)::bigint FROM approval_counts(0)

-- name: workspace_allow
-- in:   1 workspace, 2 actions as JSON
-- out:  0 rows: no such workspace; 1 row: the workspace
UPDATE workspace SET changed_at = now(), actions =
    ARRAY(SELECT DISTINCT action FROM json_array_elements_text($2::json) action ORDER BY action)
WHERE name = $1 RETURNING name

-- name: workspace_egress
-- in:   1 workspace, 2 hosts as JSON
-- out:  0 rows: no such workspace; 1 row: the workspace
UPDATE workspace SET changed_at = now(), egress =
    ARRAY(SELECT DISTINCT host FROM json_array_elements_text($2::json) host ORDER BY host)
WHERE name = $1 RETURNING name

-- name: key_create
-- in:   1 key id, 2 role, 3 scopes as JSON, 4 name, 5 hash, 6 expiry ms or null
-- set:  gantry.workspace
-- out:  created ms
SELECT (extract(epoch FROM key_create($1, $2, ARRAY(SELECT json_array_elements_text($3::json)),
                                      $4, $5, to_timestamp($6::bigint / 1000.0))) * 1000)::bigint

-- name: key_own
-- in:   1 key id, made a moment ago; 2 owner
-- set:  gantry.workspace
SELECT key_own($1, $2)

-- name: key_list
-- in:   1 workspace
-- set:  gantry.workspace
-- out:  key id, role, name, created, expires, revoked, last used (ms or null), rotated to, owner or null
SELECT key_id, role, name, (extract(epoch FROM created_at) * 1000)::bigint,
       (extract(epoch FROM expires_at) * 1000)::bigint,
       (extract(epoch FROM revoked_at) * 1000)::bigint,
       (extract(epoch FROM last_used_at) * 1000)::bigint, rotated_to, owner
FROM api_key WHERE workspace = $1 ORDER BY created_at, key_id

-- name: key_rotate
-- in:   1 old key id, 2 new key id, 3 hash, 4 overlap in seconds
-- set:  gantry.workspace
-- out:  0 rows: no such living key; 1 row: role, name, expires ms or null, old key's end ms
SELECT role, name, (extract(epoch FROM expires_at) * 1000)::bigint,
       (extract(epoch FROM previous_valid_until) * 1000)::bigint
FROM key_rotate($1, $2, $3, make_interval(secs => $4::double precision))

-- name: key_revoke
-- in:   1 key id
-- set:  gantry.workspace
-- out:  whether there is such a key
SELECT key_revoke($1)

-- name: reindex_begin
-- All memories are looked at again; a pass that is under way goes on.
UPDATE memory_reindex r
SET workspace = '', id = '00000000-0000-0000-0000-000000000000', rows_seen = 0, rows_changed = 0,
    rows_total = (SELECT count(*) FROM memory), started_at = now(), finished_at = NULL,
    worker = NULL, worker_until = '-infinity'
WHERE (r.analyser, r.model) = (SELECT analyser, model FROM memory_reindex
                               ORDER BY started_at DESC, model DESC LIMIT 1)
  AND r.finished_at IS NOT NULL

-- name: reindex_state
-- out:  0 rows: no gantry-ingest has run yet; 1 row: of the newest pass: analyser, model, rows in all,
--       looked at, changed, whether it is over, whether a worker is at it
SELECT r.analyser, m.name, r.rows_total, r.rows_seen, r.rows_changed, r.finished_at IS NOT NULL,
       r.worker_until > now()
FROM memory_reindex r JOIN memory_model m USING (model)
ORDER BY r.started_at DESC, r.model DESC LIMIT 1

-- name: policy_get
-- in:   1 version, null = the latest
-- set:  gantry.workspace
-- out:  0 rows: there is none; version, document, key id or null, set ms
SELECT version, document, key_id, (extract(epoch FROM created_at) * 1000)::bigint FROM policy
WHERE workspace = current_setting('gantry.workspace') AND version = coalesce($1::bigint, version)
ORDER BY version DESC LIMIT 1

-- name: policy_versions
-- set:  gantry.workspace
-- out:  version, bytes, key id or null, set ms
SELECT version, octet_length(document), key_id, (extract(epoch FROM created_at) * 1000)::bigint FROM policy
WHERE workspace = current_setting('gantry.workspace') ORDER BY version DESC

-- name: policy_put
-- in:   1 workspace, 2 document
-- set:  gantry.workspace
-- out:  0 rows: there is no such workspace; version
SELECT p.version FROM workspace w, LATERAL policy_put($2, NULL, NULL) p WHERE w.name = $1
