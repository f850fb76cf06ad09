-- Policies of workspaces: which allowed actions run, which do not, and which wait for an approval.
-- Every version is kept; nobody but the owner can change or remove one.

CREATE TABLE policy (
    workspace  text COLLATE "C" NOT NULL REFERENCES workspace (name),
    version    bigint      NOT NULL CHECK (version > 0),
    document   text        NOT NULL CHECK (octet_length(document) <= 65536),
    key_id     text,       -- of the key that set it; NULL = the operator
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, version)
);
ALTER TABLE policy ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON policy
    USING (workspace = current_setting('gantry.workspace', true))
    WITH CHECK (workspace = current_setting('gantry.workspace', true));
GRANT SELECT ON policy TO gantry_gateway;

-- The next version. No row: the latest one is not the expected one (NULL = whichever it is; 0 = none).
-- Two at once: one waits for the other on the workspace's row, and then sees what it did.
CREATE FUNCTION policy_put(p_document text, p_expected bigint, p_key_id text)
    RETURNS TABLE (version bigint, created_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    own    text := current_setting('gantry.workspace');
    latest bigint;
BEGIN
    PERFORM FROM public.workspace w WHERE w.name = own FOR NO KEY UPDATE;
    SELECT coalesce(max(p.version), 0) INTO latest FROM public.policy p WHERE p.workspace = own;
    IF p_expected IS NULL OR p_expected = latest THEN
        RETURN QUERY INSERT INTO public.policy AS p (workspace, version, document, key_id)
            VALUES (own, latest + 1, p_document, p_key_id)
            RETURNING p.version, p.created_at;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION policy_put FROM PUBLIC;
GRANT EXECUTE ON FUNCTION policy_put TO gantry_gateway;
