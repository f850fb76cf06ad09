-- Requests that were announced before they changed something, and whose end is not known yet.
--
-- A row comes with the announcement and goes in the transaction that records the end. What is left
-- when the stream has nothing older any more (workers/audit/announced.c) is recorded as unknown; an
-- end that comes later still is a leaf of kind 'correction'. The announced event is sealed: it holds
-- plain digests, which the log keeps under a key only.

CREATE TABLE audit_announced (
    workspace text COLLATE "C" NOT NULL,
    event_id  uuid NOT NULL,
    announced timestamptz NOT NULL,
    program   text NOT NULL,
    sealed    bytea NOT NULL,
    PRIMARY KEY (workspace, event_id)
);
CREATE INDEX audit_announced_oldest ON audit_announced (announced);
-- Every row is deleted again: vacuum by number, not by share.
ALTER TABLE audit_announced SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE audit_announced ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_announced FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_announced_owner ON audit_announced TO CURRENT_USER USING (true) WITH CHECK (true);

ALTER TABLE audit_log DROP CONSTRAINT audit_log_kind_check;
ALTER TABLE audit_log ADD CONSTRAINT audit_log_kind_check
    CHECK (kind IN ('request', 'event', 'prune', 'correction')) NOT VALID;

-- Keep announcements whose end is not in the log; returns how many are new.
CREATE FUNCTION audit_announce(workspaces text[], ids uuid[], times timestamptz[], programs text[],
                               sealed bytea[]) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH new AS (
        INSERT INTO audit_announced (workspace, event_id, announced, program, sealed)
        SELECT q.workspace, q.id, q.time, q.program, q.sealed
          FROM unnest(workspaces, ids, times, programs, sealed)
               AS q(workspace, id, time, program, sealed)
         WHERE NOT EXISTS (SELECT FROM audit_log l WHERE l.workspace = q.workspace
                              AND l.event_id = q.id AND l.kind = 'request')
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM new
$$;

-- These have ended; returns how many were announced.
CREATE FUNCTION audit_ended(workspaces text[], ids uuid[]) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM audit_announced a USING unnest(workspaces, ids) AS q(workspace, id)
         WHERE a.workspace = q.workspace AND a.event_id = q.id
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

-- The oldest announcements before a time.
CREATE FUNCTION audit_overdue(before timestamptz, at_most integer)
    RETURNS TABLE (workspace text, event_id uuid, announced_ms bigint, program text, sealed bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.workspace, a.event_id, (extract(epoch FROM a.announced) * 1000)::bigint, a.program,
           a.sealed
      FROM audit_announced a WHERE a.announced < before
     ORDER BY a.announced LIMIT at_most
$$;

-- Which of these are in the log as unknown, and were not corrected; n counts from 1.
CREATE FUNCTION audit_unknown(workspaces text[], ids uuid[])
    RETURNS TABLE (n bigint, leaf_index bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT q.n, l.leaf_index
      FROM unnest(workspaces, ids) WITH ORDINALITY AS q(workspace, id, n)
      JOIN audit_log l ON l.workspace = q.workspace AND l.event_id = q.id AND l.kind = 'request'
     WHERE l.status = 'unknown'
       AND NOT EXISTS (SELECT FROM audit_log c WHERE c.workspace = q.workspace
                          AND c.event_id = q.id AND c.kind = 'correction')
$$;

REVOKE ALL ON FUNCTION audit_announce(text[], uuid[], timestamptz[], text[], bytea[]),
    audit_ended(text[], uuid[]), audit_overdue(timestamptz, integer),
    audit_unknown(text[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_announce(text[], uuid[], timestamptz[], text[], bytea[]),
    audit_ended(text[], uuid[]), audit_overdue(timestamptz, integer),
    audit_unknown(text[], uuid[]) TO gantry_audit;

CREATE OR REPLACE VIEW action_audit WITH (security_invoker = true) AS
SELECT e.leaf_index, e.workspace_id, e.time, e.actor, e.key_id, e.request_id, e.target AS action,
       e.decision, e.status, e.http_status, e.error_reason, e.duration_ms,
       e.event ->> 'params_hash' AS params_hash, e.event ->> 'params_prefix64' AS params_prefix64,
       e.event ->> 'idempotency_key_hash' AS idempotency_key_hash, e.event ->> 'region' AS region,
       e.event_id
  FROM audit_events e
 WHERE e.kind IN ('request', 'correction')
   AND (e.action = 'executor.run' OR e.event ->> 'params_prefix64' IS NOT NULL);
