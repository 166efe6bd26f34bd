"""What Alembic runs: the steps that are missing, within the transaction that ``Store.open`` has begun."""

from alembic import context

from middleplatform.store.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
