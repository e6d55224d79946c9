"""PostgreSQL: roles, migrations, the pool."""
