-- Webhooks out: subscriptions of a workspace, and what is delivered to them.
--
-- The audit log is the source. It already holds every request and every job's end, durably and in order, so
-- a subscription is a cursor into it: webhook_collect() makes deliveries of the leaves behind the cursor and
-- moves it, in one transaction. Nothing can be lost between an effect and its delivery but the event itself,
-- and nothing is written where requests are served. gantry-connector never reads the log: it calls the
-- functions below, and reads what they made.

CREATE TABLE webhook (
    workspace       text COLLATE "C" NOT NULL,
    id              uuid NOT NULL,
    url             text NOT NULL,
    description     text NOT NULL DEFAULT '',
    events          text[] NOT NULL CHECK (cardinality(events) BETWEEN 1 AND 32),
    ordered         boolean NOT NULL DEFAULT false,
    signature       text NOT NULL CHECK (signature IN ('hmac', 'ed25519')),
    public_key      text,
    previous_until  timestamptz, -- until then the secret before signs as well
    rotated_by      uuid,        -- the request that made the secret of now: asked again, it gets the same
    enabled         boolean NOT NULL DEFAULT true,
    disabled_reason text CHECK (disabled_reason IN ('gone', 'failing', 'by_hand')),
    untold          uuid,        -- the id of the audit event that tells that it was disabled, until AUDIT has it
    cursor          bigint NOT NULL, -- leaves up to this one were looked at
    delivered_at    timestamptz, -- of the last delivery that succeeded
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace, id)
);
CREATE INDEX webhook_untold ON webhook (workspace) WHERE untold IS NOT NULL;

-- number gives the order of a subscription. leaf NULL: a test.
CREATE TABLE webhook_delivery (
    number      bigint GENERATED ALWAYS AS IDENTITY,
    workspace   text COLLATE "C" NOT NULL,
    webhook     uuid NOT NULL,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    leaf        bigint,
    type        text NOT NULL,
    body        text NOT NULL,
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts    integer NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz, -- somebody sends it; after that time somebody else may
    http_status integer,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    PRIMARY KEY (workspace, webhook, number),
    UNIQUE (workspace, id),
    UNIQUE (workspace, webhook, leaf, type),
    FOREIGN KEY (workspace, webhook) REFERENCES webhook (workspace, id) ON DELETE CASCADE
);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (workspace, webhook, number)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_at) WHERE state = 'pending';

ALTER TABLE webhook ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_delivery ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook
    USING (workspace = current_setting('gantry.workspace', true))
    WITH CHECK (workspace = current_setting('gantry.workspace', true));
CREATE POLICY tenant ON webhook_delivery
    USING (workspace = current_setting('gantry.workspace', true))
    WITH CHECK (workspace = current_setting('gantry.workspace', true));
CREATE POLICY owner ON webhook TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY owner ON webhook_delivery TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook, webhook_delivery TO gantry_connector;

-- Signing secrets are secrets like the others, under names that no request can give: "webhook:ID", and
-- "webhook:ID:before" after a rotation.
ALTER TABLE connector_secret DROP CONSTRAINT connector_secret_name_check;
ALTER TABLE connector_secret ADD CONSTRAINT connector_secret_name_check
    CHECK (name ~ '^[a-z][a-z0-9_.-]{0,62}$' OR name ~ '^(webhook|hook):[0-9A-Za-z-]{12,36}(:before)?$');

-- Where a new subscription begins: at the log's end.
CREATE FUNCTION webhook_start() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce(max(l.leaf_index), -1) FROM public.audit_log l
$$;

-- The hosts that the session's workspace may reach.
CREATE FUNCTION webhook_hosts() RETURNS text[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT w.egress FROM public.workspace w WHERE w.name = current_setting('gantry.workspace', true)
$$;

-- What an event of the log is called in a delivery. `program` says who reported it: what the gateway
-- refused is no job, and no memory.
CREATE FUNCTION webhook_types(p_kind text, p_event jsonb)
    RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_remove(ARRAY[
        CASE WHEN p_kind IN ('request', 'event', 'correction') AND p_event ->> 'action' <> ''
             THEN 'audit.' || (p_event ->> 'action') END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' <> 'unknown'
                  AND p_event ->> 'action' IN ('executor.run', 'connector.run')
                  AND p_event ->> 'program' IN ('executor', 'connector') THEN 'job.ended' END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' = 'success'
                  AND p_event ->> 'action' IN ('memory.ingest', 'memory.patch')
                  AND p_event ->> 'program' = 'ingest' THEN 'memory.stored' END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' = 'success'
                  AND p_event ->> 'action' IN ('memory.delete', 'memory.forget')
                  AND p_event ->> 'program' = 'ingest' THEN 'memory.forgotten' END,
        CASE WHEN p_kind = 'request' AND p_event ->> 'decision' = 'requires_approval'
             THEN 'approval.asked' END], NULL)
$$;

CREATE FUNCTION webhook_wants(p_events text[], p_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM unnest(p_events) AS e
                   WHERE e = p_type OR (right(e, 1) = '*' AND starts_with(p_type, left(e, -1))))
$$;

-- The document that is sent. Nothing of an event that a client may have filled with text of its own, but
-- names: no payload, no parameters.
CREATE FUNCTION webhook_body(p_type text, p_leaf bigint, p_event jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object('type', p_type, 'timestamp', p_event ->> 'time', 'data',
        jsonb_strip_nulls(jsonb_build_object(
            'workspace', p_event -> 'workspace_id', 'event_id', p_event -> 'event_id', 'leaf_index', p_leaf,
            'action', CASE WHEN p_type = 'job.ended' THEN coalesce(p_event -> 'target', p_event -> 'action')
                           ELSE p_event -> 'action' END,
            'status', p_event -> 'status', 'duration_ms', p_event -> 'duration_ms',
            'key_id', p_event -> 'key_id', 'request_id', p_event -> 'request_id')
        || CASE WHEN p_type = 'job.ended' THEN jsonb_build_object('job_id', p_event -> 'event_id',
                    'outcome', coalesce(p_event ->> 'error_reason', 'ok'))
                ELSE jsonb_build_object('target', p_event -> 'target', 'actor', p_event -> 'actor',
                    'decision', p_event -> 'decision', 'http_status', p_event -> 'http_status',
                    'error_reason', p_event -> 'error_reason') END))::text
$$;

-- Deliveries of what is behind the cursors: at most p_leaves of the log for a subscription, none for one
-- that has p_pending waiting (the log keeps them). Returns how many were made.
CREATE FUNCTION webhook_collect(p_leaves integer, p_pending integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    head bigint;
    s record;
    page_end record;
    made bigint := 0;
    added bigint;
BEGIN
    SELECT max(l.leaf_index) INTO head FROM public.audit_log l;
    FOR s IN
        SELECT w.workspace, w.id, w.events, w.cursor FROM public.webhook w
         WHERE w.enabled AND w.cursor < head AND p_pending >
               (SELECT count(*) FROM (SELECT FROM public.webhook_delivery d WHERE d.workspace = w.workspace
                    AND d.webhook = w.id AND d.state = 'pending' LIMIT p_pending) AS waiting)
         ORDER BY w.cursor FOR UPDATE OF w SKIP LOCKED
    LOOP
        SELECT count(*) AS n, max(page.leaf_index) AS last INTO page_end FROM (
            SELECT l.leaf_index FROM public.audit_log l
             WHERE l.workspace = s.workspace AND l.leaf_index > s.cursor AND l.leaf_index <= head
             ORDER BY l.leaf_index LIMIT p_leaves) AS page;
        -- A workspace in which nothing happens is not written to each second.
        CONTINUE WHEN page_end.n = 0 AND head - s.cursor < 10000;
        INSERT INTO public.webhook_delivery (workspace, webhook, leaf, type, body)
        SELECT s.workspace, s.id, e.leaf_index, t.type, public.webhook_body(t.type, e.leaf_index, e.event)
          FROM (SELECT l.leaf_index, l.kind, convert_from(l.event, 'UTF8')::jsonb AS event
                  FROM public.audit_log l
                 WHERE l.workspace = s.workspace AND l.leaf_index > s.cursor AND l.leaf_index <= page_end.last
                 ORDER BY l.leaf_index) AS e,
               unnest(public.webhook_types(e.kind, e.event)) AS t(type)
         WHERE public.webhook_wants(s.events, t.type)
         ORDER BY e.leaf_index, t.type;
        GET DIAGNOSTICS added = ROW_COUNT;
        made := made + added;
        UPDATE public.webhook w SET cursor = CASE WHEN page_end.n < p_leaves THEN head ELSE page_end.last END
         WHERE w.workspace = s.workspace AND w.id = s.id;
    END LOOP;
    RETURN made;
END
$$;

-- Deliveries that are due, for the caller alone until the lease ends. Workspaces take turns, and none has
-- more than p_share under way; of an ordered subscription the oldest alone.
CREATE FUNCTION webhook_claim(p_limit integer, p_share integer, p_lease_s integer)
    RETURNS TABLE (workspace text, webhook uuid, id uuid, attempt integer, url text, type text, body text,
                   signature text, two_secrets boolean, egress text)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH flight AS (
        SELECT d.workspace, count(*) AS n FROM public.webhook_delivery d
         WHERE d.state = 'pending' AND d.leased_until > now() GROUP BY d.workspace),
    due AS (
        SELECT d.workspace, d.webhook, d.number, d.next_at, coalesce(f.n, 0)
               + row_number() OVER (PARTITION BY d.workspace ORDER BY d.next_at, d.number) AS turn
          FROM public.webhook_delivery d
          JOIN public.webhook w ON w.workspace = d.workspace AND w.id = d.webhook
          LEFT JOIN flight f ON f.workspace = d.workspace
         WHERE d.state = 'pending' AND d.next_at <= now() AND w.enabled
           AND (d.leased_until IS NULL OR d.leased_until <= now())
           AND (NOT w.ordered OR d.number = (SELECT min(e.number) FROM public.webhook_delivery e
                WHERE e.workspace = d.workspace AND e.webhook = d.webhook AND e.state = 'pending'))),
    pick AS (SELECT * FROM due WHERE turn <= p_share ORDER BY turn, next_at LIMIT p_limit),
    mine AS (
        UPDATE public.webhook_delivery d
           SET attempts = d.attempts + 1, leased_until = now() + make_interval(secs => p_lease_s)
          FROM pick WHERE d.workspace = pick.workspace AND d.webhook = pick.webhook
           AND d.number = pick.number AND d.state = 'pending'
           AND (d.leased_until IS NULL OR d.leased_until <= now())
        RETURNING d.workspace, d.webhook, d.id, d.attempts, d.type, d.body)
    SELECT m.workspace, m.webhook, m.id, m.attempts, w.url, m.type, m.body, w.signature,
           coalesce(w.previous_until > now(), false), coalesce(to_json(s.egress)::text, '[]')
      FROM mine m
      JOIN public.webhook w ON w.workspace = m.workspace AND w.id = m.webhook
      LEFT JOIN public.workspace s ON s.name = m.workspace
$$;

-- Subscriptions that were disabled, and the audit log does not know it yet.
CREATE FUNCTION webhook_untold(p_limit integer)
    RETURNS TABLE (workspace text, id uuid, event_id uuid, reason text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT w.workspace, w.id, w.untold, w.disabled_reason FROM public.webhook w
     WHERE w.untold IS NOT NULL LIMIT p_limit
$$;

-- Ended deliveries beyond p_keep of a subscription, or older than p_days.
CREATE FUNCTION webhook_sweep(p_keep integer, p_days integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM public.webhook_delivery d USING public.webhook w
         WHERE d.workspace = w.workspace AND d.webhook = w.id AND d.state <> 'pending'
           AND (d.ended_at < now() - make_interval(days => p_days) OR d.number <= (
                SELECT e.number FROM public.webhook_delivery e
                 WHERE e.workspace = w.workspace AND e.webhook = w.id AND e.state <> 'pending'
                 ORDER BY e.number DESC OFFSET p_keep LIMIT 1))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- For the metrics: subscriptions, those that were disabled, deliveries that wait.
CREATE FUNCTION webhook_counts(OUT webhooks bigint, OUT disabled bigint, OUT pending bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT count(*), count(*) FILTER (WHERE NOT w.enabled),
           (SELECT count(*) FROM public.webhook_delivery d WHERE d.state = 'pending')
      FROM public.webhook w
$$;

REVOKE ALL ON FUNCTION webhook_start(), webhook_hosts(), webhook_types(text, jsonb),
    webhook_wants(text[], text), webhook_body(text, bigint, jsonb), webhook_collect(integer, integer),
    webhook_claim(integer, integer, integer), webhook_untold(integer), webhook_sweep(integer, integer),
    webhook_counts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhook_start(), webhook_hosts(), webhook_collect(integer, integer),
    webhook_claim(integer, integer, integer), webhook_untold(integer), webhook_sweep(integer, integer),
    webhook_counts() TO gantry_connector;
