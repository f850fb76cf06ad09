/* SPDX-License-Identifier: MIT */
/*
 * migrate - the database's schema and roles from the files that the program carries.
 *
 * Order: sql/roles.sql and sql/bootstrap.sql as superuser, then every file of sql/migrations by
 * name that is not recorded in gantry_migration, each with its record in one transaction. A file
 * that begins with "-- role: superuser" runs as that, every other as gantry_owner. A recorded file
 * whose SHA-256 is another now is an error, before anything is changed. One migration at a time.
 */
#ifndef GANTRY_CLI_MIGRATE_H
#define GANTRY_CLI_MIGRATE_H

struct cli;

int cmd_migrate(struct cli *cli);

#endif
