-- Back to the superuser, who alone may record the migration.
RESET ROLE;
