-- Webhooks in: what services may have done here that cannot send a key of ours.

CREATE TABLE hook (
    workspace      text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL UNIQUE CHECK (id ~ '^[0-9A-Za-z]{12}$'),
    scheme         text NOT NULL CHECK (scheme IN ('standard', 'github', 'stripe', 'slack', 'hmac')),
    command        text NOT NULL CHECK (command IN ('memory.ingest', 'audit.append', 'executor.run')),
    definition     jsonb NOT NULL, -- template, only, header and the like, as they were given
    description    text NOT NULL DEFAULT '',
    created_by     text NOT NULL,
    previous_until timestamptz,
    rotated_by     uuid,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, id)
);
ALTER TABLE hook ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON hook
    USING (workspace = current_setting('gantry.workspace', true))
    WITH CHECK (workspace = current_setting('gantry.workspace', true));
CREATE POLICY owner ON hook TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON hook TO gantry_connector;

-- Whose hook this is: a request to it names no workspace.
CREATE FUNCTION hook_find(p_id text)
    RETURNS TABLE (workspace text, scheme text, command text, definition text, two_secrets boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT h.workspace, h.scheme, h.command, h.definition::text, coalesce(h.previous_until > now(), false)
      FROM public.hook h WHERE h.id = p_id
$$;
REVOKE ALL ON FUNCTION hook_find(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hook_find(text) TO gantry_connector;
