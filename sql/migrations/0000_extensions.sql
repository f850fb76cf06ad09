-- role: superuser
-- What only a superuser may do. Everything else is done by gantry_owner.
CREATE EXTENSION IF NOT EXISTS vector;
