# SPDX-License-Identifier: MIT
"""A table that cannot be written for a while."""
import contextlib


@contextlib.contextmanager
def unwritable(stack, table, state, when="true"):
    """Whoever writes a row of that table for which the SQL expression holds hears of an error with
    that SQLSTATE. Gives the number of those who did: a sequence counts what is rolled back, too."""
    with contextlib.closing(stack.database()) as database, database.cursor() as cursor:
        cursor.execute(
            "CREATE SEQUENCE unwritten; CREATE FUNCTION unwritable() RETURNS trigger"
            f" LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN IF {when} THEN"
            f" PERFORM nextval('public.unwritten'); RAISE 'x' USING ERRCODE = '{state}';"
            " END IF; RETURN coalesce(NEW, OLD); END $$;"
            f"CREATE TRIGGER unwritable BEFORE INSERT OR UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION unwritable()"
        )

        def tries():
            cursor.execute("SELECT last_value FROM unwritten WHERE is_called")
            return sum(row[0] for row in cursor.fetchall())

        try:
            yield tries
        finally:
            cursor.execute(
                f"DROP TRIGGER unwritable ON {table}; DROP FUNCTION unwritable();"
                "DROP SEQUENCE unwritten"
            )
