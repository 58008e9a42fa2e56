"""How alembic runs a migration: in the transaction of whoever opens the queue."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
