"""Alembic's entry: runs on the connection, and in the transaction, that `vidrec.adapters.sql.migrate` opened."""

from alembic import context

from vidrec.adapters.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
