-- Webhooks: exactly one approval.asked for each action that waits, a job.ended for each job that was not
-- approved, and nothing that stops the deliveries of others.

-- The event of a leaf; NULL: it is not JSON that PostgreSQL can hold. Such a leaf is passed over, since it would
-- be as unreadable the next time.
CREATE FUNCTION webhook_event(p_leaf bigint, p_event bytea) RETURNS jsonb
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN convert_from(p_event, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RAISE WARNING 'the event of leaf % cannot be read for webhooks: passed over', p_leaf;
    RETURN NULL;
END
$$;

-- The events of approvals are the gateway's, made once for each action that waits. A request's own event says
-- requires_approval, too, and so do those of previews.
CREATE OR REPLACE FUNCTION webhook_types(p_kind text, p_event jsonb)
    RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_remove(ARRAY[
        CASE WHEN p_kind IN ('request', 'event', 'correction') AND p_event ->> 'action' <> ''
             THEN 'audit.' || (p_event ->> 'action') END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' <> 'unknown'
                  AND p_event ->> 'action' IN ('executor.run', 'connector.run')
                  AND p_event ->> 'program' IN ('executor', 'connector') THEN 'job.ended' END,
        CASE WHEN p_kind = 'request' AND p_event ->> 'action' = 'approval.decided'
                  AND p_event ->> 'program' = 'gateway' AND p_event ->> 'decision' = 'denied'
             THEN 'job.ended' END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' = 'success'
                  AND p_event ->> 'action' IN ('memory.ingest', 'memory.patch')
                  AND p_event ->> 'program' = 'ingest' THEN 'memory.stored' END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' = 'success'
                  AND p_event ->> 'action' IN ('memory.delete', 'memory.forget')
                  AND p_event ->> 'program' = 'ingest' THEN 'memory.forgotten' END,
        CASE WHEN p_kind = 'request' AND p_event ->> 'action' = 'approval.asked'
                  AND p_event ->> 'program' = 'gateway' THEN 'approval.asked' END], NULL)
$$;

-- As before; the job of an approval is the event's target.
CREATE OR REPLACE FUNCTION webhook_body(p_type text, p_leaf bigint, p_event jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object('type', p_type, 'timestamp', p_event ->> 'time', 'data',
        jsonb_strip_nulls(jsonb_build_object(
            'workspace', p_event -> 'workspace_id', 'event_id', p_event -> 'event_id', 'leaf_index', p_leaf,
            'action', CASE WHEN p_type = 'job.ended' AND p_event ->> 'action' <> 'approval.decided'
                           THEN coalesce(p_event -> 'target', p_event -> 'action')
                           ELSE p_event -> 'action' END,
            'status', p_event -> 'status', 'duration_ms', p_event -> 'duration_ms',
            'key_id', p_event -> 'key_id', 'request_id', p_event -> 'request_id')
        || CASE WHEN p_type = 'job.ended' THEN jsonb_build_object(
                    'job_id', p_event -> CASE WHEN p_event ->> 'action' = 'approval.decided' THEN 'target'
                                              ELSE 'event_id' END,
                    'outcome', coalesce(p_event ->> 'error_reason', 'ok'))
                ELSE jsonb_build_object('target', p_event -> 'target', 'actor', p_event -> 'actor',
                    'decision', p_event -> 'decision', 'http_status', p_event -> 'http_status',
                    'error_reason', p_event -> 'error_reason',
                    'job_id', CASE WHEN p_type = 'approval.asked' THEN p_event -> 'target' END) END))::text
$$;

-- What one webhook makes of the log behind its cursor.
CREATE FUNCTION webhook_collect_one(p_workspace text, p_id uuid, p_events text[], p_cursor bigint, p_head bigint,
                                    p_leaves integer) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    page_end record;
    made bigint;
BEGIN
    SELECT count(*) AS n, max(page.leaf_index) AS last INTO page_end FROM (
        SELECT l.leaf_index FROM public.audit_log l
         WHERE l.workspace = p_workspace AND l.leaf_index > p_cursor AND l.leaf_index <= p_head
         ORDER BY l.leaf_index LIMIT p_leaves) AS page;
    -- A workspace in which nothing happens is not written to each second.
    IF page_end.n = 0 AND p_head - p_cursor < 10000 THEN
        RETURN 0;
    END IF;
    INSERT INTO public.webhook_delivery (workspace, webhook, leaf, type, body)
    SELECT p_workspace, p_id, e.leaf_index, t.type, public.webhook_body(t.type, e.leaf_index, e.event)
      FROM (SELECT l.leaf_index, l.kind, public.webhook_event(l.leaf_index, l.event) AS event
              FROM public.audit_log l
             WHERE l.workspace = p_workspace AND l.leaf_index > p_cursor AND l.leaf_index <= page_end.last
             ORDER BY l.leaf_index) AS e,
           unnest(public.webhook_types(e.kind, e.event)) AS t(type)
     WHERE public.webhook_wants(p_events, t.type)
     ORDER BY e.leaf_index, t.type;
    GET DIAGNOSTICS made = ROW_COUNT;
    UPDATE public.webhook w SET cursor = CASE WHEN page_end.n < p_leaves THEN p_head ELSE page_end.last END
     WHERE w.workspace = p_workspace AND w.id = p_id;
    RETURN made;
END
$$;

-- As before; one that fails stays where it is, and the others go on.
CREATE OR REPLACE FUNCTION webhook_collect(p_leaves integer, p_pending integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    head bigint;
    s record;
    made bigint := 0;
BEGIN
    SELECT max(l.leaf_index) INTO head FROM public.audit_log l;
    FOR s IN
        SELECT w.workspace, w.id, w.events, w.cursor FROM public.webhook w
         WHERE w.enabled AND w.cursor < head AND p_pending >
               (SELECT count(*) FROM (SELECT FROM public.webhook_delivery d WHERE d.workspace = w.workspace
                    AND d.webhook = w.id AND d.state = 'pending' LIMIT p_pending) AS waiting)
         ORDER BY w.cursor FOR UPDATE OF w SKIP LOCKED
    LOOP
        BEGIN
            made := made + public.webhook_collect_one(s.workspace, s.id, s.events, s.cursor, head, p_leaves);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'no deliveries can be made for webhook % of workspace %: %', s.id, s.workspace, SQLERRM;
        END;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION webhook_event, webhook_collect_one FROM PUBLIC;
