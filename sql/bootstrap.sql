-- What `gantry migrate` needs before it can record anything. Run as superuser after roles.sql.
-- Two at once would both find no table and both make it; the lock ends with this script's transaction.
SELECT pg_advisory_xact_lock(7163845004);
CREATE TABLE IF NOT EXISTS gantry_migration (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
