-- Actions that wait until somebody has approved them, and whose keys are whose.

-- The person or service that a key belongs to, as whoever made it says. Keys of one owner do not approve
-- each other's actions.
ALTER TABLE api_key ADD COLUMN owner text CHECK (octet_length(owner) BETWEEN 1 AND 256);

CREATE FUNCTION key_own(p_key_id text, p_owner text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.api_key SET owner = p_owner
    WHERE key_id = p_key_id AND workspace = current_setting('gantry.workspace') AND owner IS NULL
      AND created_at > now() - interval '1 minute';
$$;

-- As before, and the owner goes with the key.
CREATE OR REPLACE FUNCTION key_rotate(p_key_id text, p_new_key_id text, p_hash text, p_overlap interval)
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
        INSERT INTO api_key (key_id, workspace, role, scopes, name, hash, expires_at, owner)
        SELECT p_new_key_id, o.workspace, o.role, o.scopes, o.name, p_hash,
               -- the same length of life as the old key had
               now() + (o.expires_at - o.created_at), o.owner
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

-- sealed: what will be published, under DATA_KEY for this workspace and id; it is removed once nothing is left
-- to be done. due_at: when a gateway looks at the row next. told: the audit log has the event of that id.
CREATE TABLE approval (
    workspace      text COLLATE "C" NOT NULL REFERENCES workspace (name),
    id             uuid        NOT NULL, -- the job's
    state          text        NOT NULL DEFAULT 'waiting'
                   CHECK (state IN ('waiting', 'approved', 'denied', 'expired', 'cancelled')),
    action         text        NOT NULL,
    command        text        NOT NULL CHECK (command IN ('executor.run', 'connector.run')),
    key_id         text        NOT NULL,
    role           text        NOT NULL,
    accepted_ms    bigint      NOT NULL,
    request_id     text        NOT NULL,
    idem_hash      text        NOT NULL,
    policy_version bigint      NOT NULL,
    decision       text        NOT NULL, -- JSON: what the policy said
    hash           text        NOT NULL, -- of workspace, id, command, policy version and payload
    sealed         bytea,
    asked_at       timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    decided_at     timestamptz,
    decided_by     text,
    comment        text CHECK (octet_length(comment) <= 2048),
    asked_event    uuid        NOT NULL DEFAULT gen_random_uuid(),
    decided_event  uuid        NOT NULL DEFAULT gen_random_uuid(),
    asked_told     boolean     NOT NULL DEFAULT false,
    carried_out    boolean     NOT NULL DEFAULT false, -- published, or its job ended
    decided_told   boolean     NOT NULL DEFAULT false,
    due_at         timestamptz DEFAULT now(),
    PRIMARY KEY (workspace, id)
);
CREATE INDEX approval_due ON approval (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX approval_list ON approval (workspace, asked_at DESC, id DESC);
CREATE INDEX approval_waiting ON approval (workspace) WHERE state = 'waiting';
ALTER TABLE approval ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON approval
    USING (workspace = current_setting('gantry.workspace', true))
    WITH CHECK (workspace = current_setting('gantry.workspace', true));
CREATE POLICY housekeeping ON approval TO gantry_owner USING (true);
GRANT SELECT ON approval TO gantry_gateway;

-- 'waiting', or what became of it if it was asked for before; 'full': too many wait.
CREATE FUNCTION approval_ask(p_id uuid, p_action text, p_command text, p_key_id text, p_role text,
                             p_accepted_ms bigint, p_request_id text, p_idem_hash text,
                             p_policy_version bigint, p_decision text, p_hash text, p_sealed bytea,
                             p_expires_s bigint, p_most bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    own   text := current_setting('gantry.workspace');
    found_state text;
BEGIN
    SELECT a.state INTO found_state FROM public.approval a WHERE a.workspace = own AND a.id = p_id;
    IF found_state IS NOT NULL THEN
        RETURN found_state;
    END IF;
    IF (SELECT count(*) FROM public.approval a WHERE a.workspace = own AND a.state = 'waiting') >= p_most THEN
        RETURN 'full';
    END IF;
    INSERT INTO public.approval (workspace, id, action, command, key_id, role, accepted_ms, request_id,
                                 idem_hash, policy_version, decision, hash, sealed, expires_at)
    VALUES (own, p_id, p_action, p_command, p_key_id, p_role, p_accepted_ms, p_request_id, p_idem_hash,
            p_policy_version, p_decision, p_hash, p_sealed, now() + p_expires_s * interval '1 second')
    ON CONFLICT DO NOTHING;
    RETURN 'waiting';
END
$$;

-- The last of the keys that one became by rotation: two keys are one key's if it is the same.
CREATE FUNCTION key_latest(p_workspace text, p_key_id text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH RECURSIVE line AS (
        SELECT k.key_id, k.rotated_to, 1 AS n FROM public.api_key k
        WHERE k.workspace = p_workspace AND k.key_id = p_key_id
        UNION ALL
        SELECT k.key_id, k.rotated_to, line.n + 1 FROM public.api_key k
        JOIN line ON k.key_id = line.rotated_to AND k.workspace = p_workspace AND line.n < 10000
    )
    SELECT key_id FROM line ORDER BY n DESC LIMIT 1
$$;

-- Whether the two keys are the same person's, as far as is known.
CREATE FUNCTION key_same(p_a text, p_b text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT p_a = p_b
        OR public.key_latest(current_setting('gantry.workspace'), p_a)
           = public.key_latest(current_setting('gantry.workspace'), p_b)
        OR EXISTS (SELECT FROM public.api_key a JOIN public.api_key b ON a.owner = b.owner
                   WHERE a.workspace = current_setting('gantry.workspace')
                     AND b.workspace = current_setting('gantry.workspace')
                     AND a.key_id = p_a AND b.key_id = p_b)
$$;

-- One decision: whoever comes second waits for the row and finds it decided.
-- 'ok'; 'missing'; 'decided'; 'expired'; 'changed' (p_hash is another one); 'self'.
CREATE FUNCTION approval_decide(p_id uuid, p_approve boolean, p_key_id text, p_comment text, p_hash text)
    RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    own text := current_setting('gantry.workspace');
    one public.approval;
BEGIN
    SELECT * INTO one FROM public.approval a WHERE a.workspace = own AND a.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'missing';
    ELSIF one.state = 'expired' OR (one.state = 'waiting' AND one.expires_at <= now()) THEN
        RETURN 'expired';
    ELSIF one.state <> 'waiting' THEN
        RETURN 'decided';
    ELSIF public.key_same(one.key_id, p_key_id) IS NOT FALSE THEN
        RETURN 'self';
    ELSIF p_hash IS NOT NULL AND p_hash <> one.hash THEN
        RETURN 'changed';
    END IF;
    UPDATE public.approval a
    SET state = CASE WHEN p_approve THEN 'approved' ELSE 'denied' END, decided_at = now(),
        decided_by = p_key_id, comment = p_comment, due_at = now()
    WHERE a.workspace = own AND a.id = p_id;
    RETURN 'ok';
END
$$;

CREATE FUNCTION approval_cancel(p_id uuid, p_key_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.approval a
    SET state = 'cancelled', decided_at = now(), decided_by = p_key_id, due_at = now()
    WHERE a.workspace = current_setting('gantry.workspace') AND a.id = p_id AND a.state = 'waiting';
$$;

-- What has something to be done, of all workspaces, for one gateway: another one takes it over after
-- p_lease_s. What ran out becomes 'expired'; what was over for p_keep_s is deleted.
CREATE FUNCTION approval_take(p_limit integer, p_lease_s bigint, p_keep_s bigint)
    RETURNS SETOF approval
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    DELETE FROM public.approval a WHERE a.due_at <= now() AND a.carried_out AND a.decided_told
        AND a.decided_at < now() - p_keep_s * interval '1 second';
    RETURN QUERY
    UPDATE public.approval a
    SET due_at = now() + p_lease_s * interval '1 second',
        decided_at = CASE WHEN a.state = 'waiting' AND a.expires_at <= now() THEN now() ELSE a.decided_at END,
        state = CASE WHEN a.state = 'waiting' AND a.expires_at <= now() THEN 'expired' ELSE a.state END
    FROM (SELECT d.workspace, d.id FROM public.approval d WHERE d.due_at <= now()
          ORDER BY d.due_at LIMIT p_limit FOR UPDATE SKIP LOCKED) taken
    WHERE a.workspace = taken.workspace AND a.id = taken.id
    RETURNING a.*;
END
$$;

-- What of it is done. It is looked at again when it runs out; when all is done, to be deleted.
CREATE FUNCTION approval_settle(p_id uuid, p_asked boolean, p_carried_out boolean, p_decided boolean,
                                p_keep_s bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.approval a
    SET asked_told = a.asked_told OR p_asked,
        carried_out = a.carried_out OR p_carried_out,
        decided_told = a.decided_told OR p_decided,
        sealed = CASE WHEN a.carried_out OR p_carried_out THEN NULL ELSE a.sealed END,
        due_at = CASE WHEN a.state = 'waiting' AND (a.asked_told OR p_asked) THEN a.expires_at
                      WHEN (a.carried_out OR p_carried_out) AND (a.decided_told OR p_decided)
                      THEN a.decided_at + p_keep_s * interval '1 second' + interval '1 second'
                      ELSE a.due_at END
    WHERE a.workspace = current_setting('gantry.workspace') AND a.id = p_id;
$$;

REVOKE ALL ON FUNCTION key_own, key_latest, key_same, approval_ask, approval_decide, approval_cancel,
    approval_take, approval_settle FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_own, key_same, approval_ask, approval_decide, approval_cancel, approval_take,
    approval_settle TO gantry_gateway;
