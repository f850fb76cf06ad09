-- Sets the password of the role that the transaction names (statement name_role of migrate.sql),
-- from a verifier: neither the password nor the verifier is part of a statement's text.
DO $$
BEGIN
    EXECUTE format('ALTER ROLE %I PASSWORD %L', current_setting('gantry.role_name'),
                   current_setting('gantry.role_verifier'));
END
$$;
