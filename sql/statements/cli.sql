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
-- out:  workspace, created ms, allowlist as JSON (null: ALLOW_ACTIONS_DEFAULT applies)
SELECT name, (extract(epoch FROM created_at) * 1000)::bigint, to_json(actions)
FROM workspace ORDER BY name

-- name: workspace_allow
-- in:   1 workspace, 2 actions as JSON
-- out:  0 rows: no such workspace; 1 row: the workspace
UPDATE workspace SET changed_at = now(), actions =
    ARRAY(SELECT DISTINCT action FROM json_array_elements_text($2::json) action ORDER BY action)
WHERE name = $1 RETURNING name

-- name: key_create
-- in:   1 key id, 2 role, 3 scopes as JSON, 4 name, 5 hash, 6 expiry ms or null
-- set:  gantry.workspace
-- out:  created ms
SELECT (extract(epoch FROM key_create($1, $2, ARRAY(SELECT json_array_elements_text($3::json)),
                                      $4, $5, to_timestamp($6::bigint / 1000.0))) * 1000)::bigint

-- name: key_list
-- in:   1 workspace
-- set:  gantry.workspace
-- out:  key id, role, name, created, expires, revoked, last used (ms or null), rotated to
SELECT key_id, role, name, (extract(epoch FROM created_at) * 1000)::bigint,
       (extract(epoch FROM expires_at) * 1000)::bigint,
       (extract(epoch FROM revoked_at) * 1000)::bigint,
       (extract(epoch FROM last_used_at) * 1000)::bigint, rotated_to
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
