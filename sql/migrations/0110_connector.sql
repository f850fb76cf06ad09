-- What connector actions need: the hosts that a workspace may reach, and its secrets.

-- Empty: nothing leaves.
ALTER TABLE workspace ADD COLUMN egress text[] NOT NULL DEFAULT '{}';

-- Values are sealed by gantry-connector, under a key that only it holds, for their workspace and name:
-- a row that is moved cannot be opened. key names the key that sealed them (a hash, not the key). token is
-- the access token that was had for the secret, sealed too; who refreshes it holds it until refreshing_until.
CREATE TABLE connector_secret (
    workspace        text COLLATE "C" NOT NULL,
    name             text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    version          bigint NOT NULL DEFAULT 1,
    key              bytea NOT NULL,
    sealed           bytea NOT NULL,
    token            bytea,
    token_expires_at timestamptz,
    refreshing_until timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, name)
);
ALTER TABLE connector_secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON connector_secret
    USING (workspace = current_setting('gantry.workspace', true))
    WITH CHECK (workspace = current_setting('gantry.workspace', true));
CREATE POLICY housekeeping ON connector_secret FOR SELECT TO gantry_owner USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON connector_secret TO gantry_connector;

-- Names only: where a rotation of the key has something to do.
CREATE FUNCTION connector_stale(p_key bytea, p_limit integer)
    RETURNS TABLE (workspace text, name text)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT s.workspace, s.name FROM public.connector_secret s WHERE s.key <> p_key
    ORDER BY s.workspace, s.name LIMIT p_limit
$$;
REVOKE ALL ON FUNCTION connector_stale FROM PUBLIC;
GRANT EXECUTE ON FUNCTION connector_stale TO gantry_connector;
