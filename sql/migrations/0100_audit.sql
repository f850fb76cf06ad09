-- The audit log: one RFC 6962 tree over canonical events, and what may be done to it.
--
-- A leaf is a row of audit_log: the canonical bytes, their leaf hash, and columns to search by,
-- which repeat what the event says (`gantry audit verify` compares them). Full tiles of hashes and
-- one signed checkpoint for each batch are written in the batch's own transaction. Nothing is ever
-- changed, but for pruning: once a covered `prune` leaf says so, old events (and with them the
-- columns) become NULL, while the leaf hash stays.

CREATE TABLE audit_log (
    leaf_index  bigint PRIMARY KEY CHECK (leaf_index >= 0),
    leaf_hash   bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    event       bytea,
    kind        text COLLATE "C" CHECK (kind IN ('request', 'event', 'prune')),
    workspace   text COLLATE "C",
    event_id    uuid,
    time        timestamptz,
    recorded_at timestamptz,
    actor       text,
    action      text,
    status      text,
    CHECK ((event IS NULL) = (kind IS NULL) AND (event IS NULL) = (workspace IS NULL)
       AND (event IS NULL) = (event_id IS NULL) AND (event IS NULL) = (time IS NULL)
       AND (event IS NULL) = (recorded_at IS NULL))
);
-- Events are short and already compact: keep them in the row, uncompressed while they fit.
ALTER TABLE audit_log ALTER COLUMN event SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX audit_log_once ON audit_log (workspace, event_id, kind);
CREATE INDEX audit_log_newest ON audit_log (workspace, leaf_index);
CREATE INDEX audit_log_prune ON audit_log (leaf_index) WHERE kind = 'prune';

CREATE TABLE audit_tile (
    level      smallint NOT NULL CHECK (level >= 0),
    tile_index bigint NOT NULL CHECK (tile_index >= 0),
    hashes     bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    root       bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (level, tile_index)
);
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE audit_checkpoint (
    tree_size bigint PRIMARY KEY CHECK (tree_size > 0),
    root_hash bytea NOT NULL CHECK (octet_length(root_hash) = 32),
    note      text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now()
);

-- Rows are only ever added: vacuum for the visibility map, not for dead rows.
ALTER TABLE audit_log SET (autovacuum_vacuum_insert_scale_factor = 0.05, fillfactor = 100);

-- --- who sees what ------------------------------------------------------------------------------

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_log_owner ON audit_log TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY audit_log_append ON audit_log FOR INSERT TO gantry_audit WITH CHECK (true);
CREATE POLICY audit_log_read ON audit_log FOR SELECT TO gantry_audit
    USING (workspace = current_setting('gantry.workspace', true));

GRANT SELECT, INSERT ON audit_log, audit_tile, audit_checkpoint TO gantry_audit;

-- --- nothing is changed, not even by the owner --------------------------------------------------

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- What the newest prune leaf states: the events of leaves below up_to, recorded before `before`.
CREATE FUNCTION audit_prune_bound(OUT up_to bigint, OUT before timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT (convert_from(l.event, 'UTF8')::jsonb ->> 'up_to')::bigint,
           (convert_from(l.event, 'UTF8')::jsonb ->> 'before')::timestamptz
      FROM audit_log l
     WHERE l.kind = 'prune'
       AND EXISTS (SELECT FROM audit_checkpoint c WHERE c.tree_size > l.leaf_index)
     ORDER BY l.leaf_index DESC
     LIMIT 1
$$;

CREATE FUNCTION audit_only_prune() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bound record;
BEGIN
    SELECT up_to, before INTO bound FROM audit_prune_bound();
    IF bound.up_to IS NOT NULL AND OLD.event IS NOT NULL AND OLD.kind <> 'prune'
       AND OLD.leaf_index < bound.up_to AND OLD.recorded_at < bound.before
       AND NEW.leaf_index = OLD.leaf_index AND NEW.leaf_hash = OLD.leaf_hash
       AND NEW.event IS NULL AND NEW.kind IS NULL AND NEW.workspace IS NULL
       AND NEW.event_id IS NULL AND NEW.time IS NULL AND NEW.recorded_at IS NULL
       AND NEW.actor IS NULL AND NEW.action IS NULL AND NEW.status IS NULL THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: UPDATE of leaf % is refused', OLD.leaf_index
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_only_prune();
CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_log_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_tile_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoint_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_update;
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_delete;
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_truncate;
ALTER TABLE audit_tile ENABLE ALWAYS TRIGGER audit_tile_change;
ALTER TABLE audit_checkpoint ENABLE ALWAYS TRIGGER audit_checkpoint_change;

-- --- what the audit worker asks across workspaces -----------------------------------------------

-- Where the log ends: the last signed checkpoint, and the number of leaves, which must agree.
CREATE FUNCTION audit_head(OUT tree_size bigint, OUT note text, OUT leaves bigint,
                           OUT recorded_ms bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.tree_size, c.note, coalesce(l.leaf_index + 1, 0),
           (extract(epoch FROM l.recorded_at) * 1000)::bigint
      FROM (SELECT 1) one
      LEFT JOIN (SELECT k.tree_size, k.note FROM audit_checkpoint k
                  ORDER BY k.tree_size DESC LIMIT 1) c ON true
      LEFT JOIN (SELECT a.leaf_index, a.recorded_at FROM audit_log a
                  ORDER BY a.leaf_index DESC LIMIT 1) l ON true
$$;

-- Which of these events are in the log already; n counts from 1.
CREATE FUNCTION audit_known(workspaces text[], ids uuid[], kinds text[])
    RETURNS TABLE (n bigint, leaf_index bigint, leaf_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT q.n, l.leaf_index, l.leaf_hash
      FROM unnest(workspaces, ids, kinds) WITH ORDINALITY AS q(workspace, id, kind, n)
      JOIN audit_log l ON l.workspace = q.workspace AND l.event_id = q.id AND l.kind = q.kind
$$;

-- The hashes of tiles, full or not. Leaf hashes tell nothing about an event: each has a nonce.
CREATE FUNCTION audit_tile_hashes(levels smallint[], indexes bigint[])
    RETURNS TABLE (n bigint, hashes bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT q.n, coalesce(
        (SELECT t.hashes FROM audit_tile t
          WHERE t.level = q.level AND t.tile_index = q.tile_index),
        CASE q.level WHEN 0 THEN
            (SELECT string_agg(l.leaf_hash, ''::bytea ORDER BY l.leaf_index) FROM audit_log l
              WHERE l.leaf_index >= q.tile_index * 256 AND l.leaf_index < q.tile_index * 256 + 256)
        ELSE
            (SELECT string_agg(t.root, ''::bytea ORDER BY t.tile_index) FROM audit_tile t
              WHERE t.level = q.level - 1 AND t.tile_index >= q.tile_index * 256
                AND t.tile_index < q.tile_index * 256 + 256)
        END)
      FROM unnest(levels, indexes) WITH ORDINALITY AS q(level, tile_index, n)
$$;

-- The last leaf that was recorded before a time, with its event: the bound of a prune leaf. The
-- worker checks that it is in the signed tree before it believes the time.
CREATE FUNCTION audit_last_before(bound timestamptz)
    RETURNS TABLE (leaf_index bigint, event bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT l.leaf_index, l.event FROM audit_log l
     WHERE l.event IS NOT NULL AND l.kind <> 'prune' AND l.recorded_at < bound
     ORDER BY l.leaf_index DESC LIMIT 1
$$;

-- Set the events that the newest prune leaf covers to NULL, some at a time; returns how many.
CREATE FUNCTION audit_prune(at_most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH bound AS MATERIALIZED (SELECT b.up_to, b.before FROM audit_prune_bound() b),
    old AS (
        SELECT l.leaf_index FROM audit_log l, bound
         WHERE l.leaf_index < bound.up_to AND l.recorded_at < bound.before
           AND l.event IS NOT NULL AND l.kind <> 'prune'
         ORDER BY l.leaf_index LIMIT at_most
    ),
    done AS (
        UPDATE audit_log l
           SET event = NULL, kind = NULL, workspace = NULL, event_id = NULL, time = NULL,
               recorded_at = NULL, actor = NULL, action = NULL, status = NULL
          FROM old WHERE l.leaf_index = old.leaf_index
        RETURNING 1
    )
    SELECT count(*) FROM done
$$;

REVOKE ALL ON FUNCTION audit_head(), audit_known(text[], uuid[], text[]),
    audit_tile_hashes(smallint[], bigint[]), audit_last_before(timestamptz),
    audit_prune_bound(), audit_prune(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_head(), audit_known(text[], uuid[], text[]),
    audit_tile_hashes(smallint[], bigint[]), audit_last_before(timestamptz),
    audit_prune_bound() TO gantry_audit;
GRANT EXECUTE ON FUNCTION audit_prune(integer) TO gantry_pruner;

-- --- for people with psql -----------------------------------------------------------------------

CREATE VIEW audit_events WITH (security_invoker = true) AS
SELECT l.leaf_index, l.kind, l.workspace AS workspace_id, l.event_id, l.time, l.recorded_at,
       l.actor, j.event ->> 'actor_type' AS actor_type, j.event ->> 'key_id' AS key_id,
       l.action, j.event ->> 'target' AS target, j.event ->> 'decision' AS decision, l.status,
       (j.event ->> 'http_status')::int AS http_status, j.event ->> 'error_reason' AS error_reason,
       (j.event ->> 'duration_ms')::bigint AS duration_ms, j.event ->> 'request_id' AS request_id,
       j.event -> 'payload' AS payload, l.event IS NULL AS pruned, j.event,
       encode(l.leaf_hash, 'hex') AS leaf_hash
  FROM audit_log l
  CROSS JOIN LATERAL (SELECT convert_from(l.event, 'UTF8')::jsonb AS event) j;

CREATE VIEW action_audit WITH (security_invoker = true) AS
SELECT e.leaf_index, e.workspace_id, e.time, e.actor, e.key_id, e.request_id, e.target AS action,
       e.decision, e.status, e.http_status, e.error_reason, e.duration_ms,
       e.event ->> 'params_hash' AS params_hash, e.event ->> 'params_prefix64' AS params_prefix64,
       e.event ->> 'idempotency_key_hash' AS idempotency_key_hash, e.event ->> 'region' AS region,
       e.event_id
  FROM audit_events e
 WHERE e.kind = 'request'
   AND (e.action = 'executor.run' OR e.event ->> 'params_prefix64' IS NOT NULL);
