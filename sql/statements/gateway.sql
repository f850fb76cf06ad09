-- The gateway: keys and allowlists. Times are milliseconds since the epoch.

-- name: key_lookup
-- in:   1 key id
-- out:  0 or 1 row; expiry and revocation are decided by the caller's clock and the columns
SELECT workspace, role, hash,
       floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
       revoked_at IS NOT NULL AS revoked,
       floor(extract(epoch FROM changed_at) * 1000000)::bigint AS changed_us
FROM api_key WHERE key_id = $1;

-- name: keys_changed
-- in:   1 bigint microseconds: changes after this; 2 key id: beyond this one if at that very time
-- out:  keys in the order of their changes; a full page = ask again. The caller asks again for the
--       last half minute each time, because changes become visible out of order (0001_core.sql)
SELECT key_id, workspace, hash, role, array_to_string(scopes, ' '),
       floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
       revoked_at IS NOT NULL AS revoked,
       floor(extract(epoch FROM changed_at) * 1000000)::bigint AS changed_us
FROM api_key
WHERE (changed_at, key_id) > (to_timestamp(0) + $1::bigint * interval '1 microsecond', $2)
ORDER BY changed_at, key_id
LIMIT 2000;

-- name: key_list
-- in:   1 workspace
SELECT key_id, role, name,
       floor(extract(epoch FROM created_at) * 1000)::bigint AS created_ms,
       floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
       floor(extract(epoch FROM revoked_at) * 1000)::bigint AS revoked_ms,
       floor(extract(epoch FROM last_used_at) * 1000)::bigint AS last_used_ms,
       rotated_to
FROM api_key WHERE workspace = $1 ORDER BY created_at DESC, key_id LIMIT 1000;

-- name: key_create
-- in:   1 key id, 2 role, 3 scopes text[], 4 name, 5 hash, 6 expiry in ms or null
-- set:  gantry.workspace
SELECT floor(extract(epoch FROM key_create($1, $2, $3::text[], $4, $5,
    to_timestamp($6::bigint / 1000.0))) * 1000)::bigint AS created_ms;

-- name: key_rotate
-- in:   1 old key id, 2 new key id, 3 hash, 4 overlap in seconds
-- set:  gantry.workspace
-- out:  0 rows: no such key in this workspace, or it is not valid any more
SELECT role, name,
       floor(extract(epoch FROM expires_at) * 1000)::bigint AS expires_ms,
       floor(extract(epoch FROM previous_valid_until) * 1000)::bigint AS previous_valid_until_ms
FROM key_rotate($1, $2, $3, make_interval(secs => $4::double precision));

-- name: key_revoke
-- in:   1 key id
-- set:  gantry.workspace
SELECT key_revoke($1);

-- name: key_touch
-- in:   1 key id
-- set:  gantry.workspace
SELECT key_touch($1);

-- name: workspace_actions
-- in:   1 workspace
-- set:  gantry.workspace
-- out:  0 rows: no such workspace; actions null: ALLOW_ACTIONS_DEFAULT applies; hosts for connector actions;
--       the latest policy: version and document, null if none was set
SELECT to_json(w.actions) AS actions, to_json(w.egress) AS egress, p.version, p.document
FROM workspace w
LEFT JOIN LATERAL (SELECT version, document FROM policy WHERE workspace = w.name
                   ORDER BY version DESC LIMIT 1) p ON true
WHERE w.name = $1;

-- name: policy_get
-- in:   1 version, null = the latest
-- set:  gantry.workspace
SELECT version, document, key_id, floor(extract(epoch FROM created_at) * 1000)::bigint AS created_ms
FROM policy
WHERE workspace = current_setting('gantry.workspace') AND version = coalesce($1::bigint, version)
ORDER BY version DESC LIMIT 1;

-- name: policy_versions
-- in:   1 before this version, null = from the latest on; 2 how many
-- set:  gantry.workspace
SELECT version, octet_length(document), key_id,
       floor(extract(epoch FROM created_at) * 1000)::bigint AS created_ms
FROM policy
WHERE workspace = current_setting('gantry.workspace')
  AND version < coalesce($1::bigint, 9223372036854775807)
ORDER BY version DESC LIMIT $2::integer;

-- name: policy_put
-- in:   1 document, 2 the latest version as the caller knows it or null, 3 key id
-- set:  gantry.workspace
-- out:  0 rows: the latest version is another one
SELECT version, floor(extract(epoch FROM created_at) * 1000)::bigint AS created_ms
FROM policy_put($1, $2::bigint, $3);
