-- Approvals that end otherwise than decided: what was changed after it was approved fails, and what was cancelled
-- after it was approved, before it was sent, has ended.

ALTER TABLE approval DROP CONSTRAINT approval_state_check;
ALTER TABLE approval ADD CONSTRAINT approval_state_check
    CHECK (state IN ('waiting', 'approved', 'denied', 'expired', 'cancelled', 'failed'));

-- What was approved cannot be carried out, whoever tries: its job fails instead.
CREATE FUNCTION approval_fail(p_id uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.approval a SET state = 'failed', due_at = now()
    WHERE a.workspace = current_setting('gantry.workspace') AND a.id = p_id AND a.state = 'approved'
      AND NOT a.carried_out;
$$;

-- How many wait, by workspace: those with most first, the others together under ''.
CREATE FUNCTION approval_counts(p_most integer) RETURNS TABLE (workspace text, waiting bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH counted AS (
        SELECT a.workspace, count(*) AS n, row_number() OVER (ORDER BY count(*) DESC, a.workspace) AS place
        FROM public.approval a WHERE a.state = 'waiting' GROUP BY a.workspace
    )
    SELECT CASE WHEN c.place <= p_most THEN c.workspace ELSE '' END, sum(c.n)::bigint
    FROM counted c GROUP BY 1 ORDER BY 2 DESC, 1;
$$;

REVOKE ALL ON FUNCTION approval_fail, approval_counts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION approval_fail, approval_counts TO gantry_gateway;

-- As before, and the end of a job that was cancelled between its approval and its publishing, which the gateway
-- writes in its program's stead.
CREATE OR REPLACE FUNCTION webhook_types(p_kind text, p_event jsonb)
    RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_remove(ARRAY[
        CASE WHEN p_kind IN ('request', 'event', 'correction') AND p_event ->> 'action' <> ''
             THEN 'audit.' || (p_event ->> 'action') END,
        CASE WHEN p_kind IN ('request', 'correction') AND p_event ->> 'status' <> 'unknown'
                  AND p_event ->> 'action' IN ('executor.run', 'connector.run')
                  AND (p_event ->> 'program' IN ('executor', 'connector')
                       OR (p_event ->> 'program' = 'gateway' AND p_event ->> 'error_reason' = 'cancelled'))
             THEN 'job.ended' END,
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
