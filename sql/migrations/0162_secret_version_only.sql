-- takes away
-- Boxes without a version: a connector of the release before can neither store nor open secrets from here on.

CREATE OR REPLACE FUNCTION connector_seal_version() RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT nextval('public.connector_seal_number')
$$;

-- What was sealed before, and what another key has sealed: to be sealed anew.
CREATE OR REPLACE FUNCTION connector_stale(p_key bytea, p_limit integer)
    RETURNS TABLE (workspace text, name text)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT s.workspace, s.name FROM public.connector_secret s WHERE s.key <> p_key OR s.seal_version = 0
    ORDER BY s.workspace, s.name LIMIT p_limit
$$;

-- The box alone says for which version it was sealed. The row says it, too, and whoever could write both could
-- put an older box back together with its number, or in the form that had none. So a box is taken only under the
-- number that this session has taken last: numbers do not come twice, and nobody but the owner sets them back.
CREATE FUNCTION connector_secret_sealed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.workspace, NEW.name, NEW.key, NEW.sealed, NEW.seal_version)
                            = (OLD.workspace, OLD.name, OLD.key, OLD.sealed, OLD.seal_version) THEN
        RETURN NEW;
    END IF;
    IF NEW.seal_version = currval('public.connector_seal_number') THEN
        RETURN NEW;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'a secret is stored under the number of its sealing';
EXCEPTION WHEN object_not_in_prerequisite_state THEN -- the session has taken none: it may have connected anew
    RAISE serialization_failure USING MESSAGE = 'a secret is stored under the number of its sealing';
END
$$;
REVOKE ALL ON FUNCTION connector_secret_sealed() FROM PUBLIC;
CREATE TRIGGER sealed BEFORE INSERT OR UPDATE ON connector_secret
    FOR EACH ROW EXECUTE FUNCTION connector_secret_sealed();
