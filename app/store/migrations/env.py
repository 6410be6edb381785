"""Alembic's entry: runs on the connection, and inside the transaction, that `app.store.migrate` hands over."""

from alembic import context

from app.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, Alembic assumes it can't
    transaction_per_migration=False,
)
context.run_migrations()
