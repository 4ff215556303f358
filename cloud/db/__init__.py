"""Access to the database: settings, pool, migrations, named queries."""
