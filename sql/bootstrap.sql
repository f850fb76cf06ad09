-- What `gantry migrate` needs before it can record anything. Run as superuser after roles.sql.
CREATE TABLE IF NOT EXISTS gantry_migration (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
