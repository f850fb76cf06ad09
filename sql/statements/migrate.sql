-- Statements of `gantry migrate`, as superuser, after sql/bootstrap.sql.

-- name: lock
-- One migration at a time; released with the session.
SELECT pg_advisory_lock(7163845003)

-- name: applied
-- out: name, sha256
SELECT name, sha256 FROM gantry_migration ORDER BY name

-- name: record
-- in:  1 name, 2 sha256
INSERT INTO gantry_migration (name, sha256) VALUES ($1, $2)

-- name: name_role
-- in:  1 role, 2 SCRAM verifier; for sql/password.sql, until the transaction ends
SELECT set_config('gantry.role_name', $1, true), set_config('gantry.role_verifier', $2, true)
