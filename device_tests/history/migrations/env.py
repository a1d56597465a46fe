"""Run by Alembic: migrates on the connection and in the transaction that it was given."""

from __future__ import annotations

from alembic import context

from mobiledeploy.device_tests.history.schema import VERSION_TABLE
from mobiledeploy.device_tests.history.tables import Base


def migrate() -> None:
    """Run the scripts that the database lacks."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


migrate()
