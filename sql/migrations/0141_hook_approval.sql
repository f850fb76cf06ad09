-- An action that a hook asks for was asked for by whoever can sign as the service: those who made the hook or
-- changed its secret do not approve it, everybody else may.

ALTER TABLE hook ADD COLUMN known_to text[] NOT NULL DEFAULT '{}'; -- keys that have had a later secret of it

ALTER FUNCTION key_same(text, text) RENAME TO key_same_person;
REVOKE EXECUTE ON FUNCTION key_same_person FROM gantry_gateway;

-- As before, and p_a may be a hook's id. What is neither (the hook is deleted) counts as the same.
CREATE FUNCTION key_same(p_a text, p_b text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM public.hook h
                             WHERE h.workspace = current_setting('gantry.workspace') AND h.id = p_a)
        THEN coalesce((SELECT bool_or(public.key_same_person(one.key_id, p_b) IS NOT FALSE)
             FROM public.hook h, unnest(h.known_to || h.created_by) AS one(key_id)
             WHERE h.workspace = current_setting('gantry.workspace') AND h.id = p_a
               AND one.key_id <> 'operator'), false)
        ELSE coalesce(public.key_same_person(p_a, p_b), true) END
$$;
REVOKE ALL ON FUNCTION key_same FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_same TO gantry_gateway;
