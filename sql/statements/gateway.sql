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
       rotated_to, owner
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

-- name: key_own
-- in:   1 key id, made a moment ago; 2 owner
-- set:  gantry.workspace
SELECT key_own($1, $2);

-- name: approval_ask
-- in:   1 id, 2 action, 3 command, 4 key id, 5 role, 6 accepted ms, 7 request id, 8 idempotency hash,
--       9 policy's version, 10 decision (JSON), 11 hash, 12 sealed payload, 13 seconds until it expires,
--       14 how many may wait
-- set:  gantry.workspace
-- out:  its state, or 'full'
SELECT approval_ask($1::uuid, $2, $3, $4, $5, $6::bigint, $7, $8, $9::bigint, $10, $11, $12::bytea,
                    $13::bigint, $14::bigint);

-- name: approval_get
-- in:   1 id, 2 key id of whoever reads
-- set:  gantry.workspace
SELECT id::text, state, action, command, key_id, role, policy_version, decision, hash,
       floor(extract(epoch FROM asked_at) * 1000)::bigint,
       floor(extract(epoch FROM expires_at) * 1000)::bigint,
       floor(extract(epoch FROM decided_at) * 1000)::bigint, decided_by, comment,
       key_same(key_id, $2), sealed
FROM approval WHERE workspace = current_setting('gantry.workspace') AND id = $1::uuid;

-- name: approval_list
-- in:   1 state or null, 2 asked at or before this (microseconds, null = now), 3 and before this id, 4 how many,
--       5 key id of whoever reads
-- set:  gantry.workspace
-- out:  as approval_get without the payload; microseconds for the cursor
SELECT id::text, state, action, command, key_id, role, policy_version, decision, hash,
       floor(extract(epoch FROM asked_at) * 1000)::bigint,
       floor(extract(epoch FROM expires_at) * 1000)::bigint,
       floor(extract(epoch FROM decided_at) * 1000)::bigint, decided_by, comment,
       key_same(key_id, $5), (extract(epoch FROM asked_at) * 1000000)::bigint
FROM approval
WHERE workspace = current_setting('gantry.workspace') AND ($1::text IS NULL OR state = $1)
  AND ($2::bigint IS NULL OR (asked_at, id)
       < (to_timestamp(0) + $2::bigint * interval '1 microsecond', $3::uuid))
ORDER BY asked_at DESC, id DESC LIMIT $4::integer;

-- name: approval_decide
-- in:   1 id, 2 approve, 3 key id, 4 comment or null, 5 hash or null
-- set:  gantry.workspace
SELECT approval_decide($1::uuid, $2::boolean, $3, $4, $5);

-- name: approval_cancel
-- in:   1 id, 2 key id
-- set:  gantry.workspace
SELECT approval_cancel($1::uuid, $2);

-- name: approval_fail
--- in:   1 id
--- set:  gantry.workspace
SELECT approval_fail($1::uuid);

-- name: approval_counts
--- in:   1 of how many workspaces by name; the others together under ''
SELECT workspace, waiting FROM approval_counts($1::integer);

-- name: approval_take
-- in:   1 how many, 2 seconds until another may, 3 seconds for which what is over is kept
SELECT workspace, id::text, state, action, command, key_id, role, accepted_ms, request_id, idem_hash,
       policy_version, decision, hash, sealed, asked_event::text, decided_event::text, asked_told,
       carried_out, decided_told, coalesce(decided_by, ''),
       floor(extract(epoch FROM expires_at) * 1000)::bigint
FROM approval_take($1::integer, $2::bigint, $3::bigint);

-- name: approval_settle
-- in:   1 id, 2 asked was told, 3 it was carried out, 4 the decision was told, 5 seconds as above
-- set:  gantry.workspace
SELECT approval_settle($1::uuid, $2::boolean, $3::boolean, $4::boolean, $5::bigint);
