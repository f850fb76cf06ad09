-- A sequencer that appended the last batch itself needs no look at the log before the next one, only the
-- certainty that it still ends there. It takes the lock, calls this, and sends its leaves, without
-- waiting for an answer in between: an error here undoes them.

-- in:   size and note of the last checkpoint, recording time of the leaves that follow
CREATE FUNCTION audit_continue(p_size bigint, p_note text, p_recorded_ms bigint) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    last_size bigint;
    last_note text;
    last_leaf bigint;
    last_ms   bigint;
BEGIN
    SELECT c.tree_size, c.note INTO last_size, last_note
      FROM audit_checkpoint c ORDER BY c.tree_size DESC LIMIT 1;
    SELECT l.leaf_index, (extract(epoch FROM l.recorded_at) * 1000)::bigint INTO last_leaf, last_ms
      FROM audit_log l ORDER BY l.leaf_index DESC LIMIT 1;
    IF last_size IS DISTINCT FROM p_size OR last_note IS DISTINCT FROM p_note
       OR last_leaf IS DISTINCT FROM p_size - 1 OR last_ms > p_recorded_ms THEN
        RAISE EXCEPTION 'the log does not end at % leaves as they were signed', p_size
            USING ERRCODE = 'no_data_found';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION audit_continue(bigint, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_continue(bigint, text, bigint) TO gantry_audit;
