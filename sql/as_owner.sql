-- Around each migration that is not the superuser's own: what it makes belongs to gantry_owner.
SET LOCAL ROLE gantry_owner;
