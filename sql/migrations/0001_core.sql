-- The deployment, workspaces with their allowlists, and API keys.
--
-- Row-level security is forced on every tenant table: a session sees the workspace that it has set
-- with set_config('gantry.workspace', …, true) and no other, the owner included. The two registers
-- that a program must read before it knows a workspace (workspace, api_key) have a second policy for
-- the gateway; no other program has a grant on them.

CREATE TABLE deployment (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(), -- names the audit log's origin
    created_at  timestamptz NOT NULL DEFAULT now(),
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO deployment DEFAULT VALUES;
GRANT SELECT ON deployment TO gantry_gateway, gantry_ingest, gantry_search, gantry_audit;

CREATE TABLE workspace (
    name       text        PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    actions    text[],     -- the allowlist; NULL = ALLOW_ACTIONS_DEFAULT applies
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON workspace TO gantry_gateway;

CREATE TABLE api_key (
    key_id       text        PRIMARY KEY CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    workspace    text        NOT NULL REFERENCES workspace (name),
    role         text        NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
    scopes       text[]      NOT NULL,
    name         text        NOT NULL DEFAULT '' CHECK (octet_length(name) <= 256),
    hash         text        NOT NULL CHECK (hash LIKE '$argon2id$%'),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    rotated_to   text        REFERENCES api_key (key_id),
    -- Set by whatever changes what a cached verification relies on, never by key_touch(). The
    -- gateway polls the keys changed in the last half minute and drops what it had cached before.
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX api_key_changed ON api_key (changed_at, key_id);
CREATE INDEX api_key_workspace ON api_key (workspace, created_at);

ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;
CREATE POLICY api_key_workspace ON api_key
    USING (workspace = current_setting('gantry.workspace', true));
CREATE POLICY api_key_gateway ON api_key FOR SELECT TO gantry_gateway USING (true);
GRANT SELECT ON api_key TO gantry_gateway;

-- What the gateway may change about keys: these four, each confined to the workspace that its
-- session has set, because they run as the owner, whom the policy above confines too.

CREATE FUNCTION key_create(p_key_id text, p_role text, p_scopes text[], p_name text, p_hash text,
                           p_expires_at timestamptz) RETURNS timestamptz
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO api_key (key_id, workspace, role, scopes, name, hash, expires_at)
    VALUES (p_key_id, current_setting('gantry.workspace'), p_role, p_scopes, p_name, p_hash,
            p_expires_at)
    RETURNING created_at;
$$;

-- A new key with the old one's role, scopes and name; the old one stays valid for p_overlap. No row:
-- there is no such key, or it is revoked, expired or already rotated.
CREATE FUNCTION key_rotate(p_key_id text, p_new_key_id text, p_hash text, p_overlap interval)
    RETURNS TABLE (role text, name text, expires_at timestamptz, previous_valid_until timestamptz)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH old AS (
        SELECT k.* FROM api_key k
        WHERE k.key_id = p_key_id AND k.workspace = current_setting('gantry.workspace')
          AND k.revoked_at IS NULL AND k.rotated_to IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > now())
        FOR UPDATE
    ), fresh AS (
        INSERT INTO api_key (key_id, workspace, role, scopes, name, hash, expires_at)
        SELECT p_new_key_id, o.workspace, o.role, o.scopes, o.name, p_hash,
               -- the same length of life as the old key had
               now() + (o.expires_at - o.created_at)
        FROM old o
        RETURNING api_key.role, api_key.name, api_key.expires_at
    ), ended AS (
        UPDATE api_key k
        SET rotated_to = p_new_key_id, changed_at = clock_timestamp(),
            expires_at = least(k.expires_at, now() + p_overlap)
        FROM old o, fresh
        WHERE k.key_id = o.key_id
        RETURNING k.expires_at AS valid_until
    )
    SELECT fresh.role, fresh.name, fresh.expires_at, ended.valid_until FROM fresh, ended;
$$;

-- True when the key exists in this workspace; revoking twice keeps the first time.
CREATE FUNCTION key_revoke(p_key_id text) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH revoked AS (
        UPDATE api_key
        SET revoked_at = coalesce(revoked_at, now()), changed_at = clock_timestamp()
        WHERE key_id = p_key_id AND workspace = current_setting('gantry.workspace')
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM revoked);
$$;

CREATE FUNCTION key_touch(p_key_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE api_key SET last_used_at = now()
    WHERE key_id = p_key_id AND workspace = current_setting('gantry.workspace');
$$;

REVOKE ALL ON FUNCTION key_create, key_rotate, key_revoke, key_touch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_create, key_rotate, key_revoke, key_touch TO gantry_gateway;
