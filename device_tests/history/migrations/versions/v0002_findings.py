"""Reports of gates and diagnoses beside runs: what came out of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs -> runs with an outcome, which those of 0001 have not."""
    op.add_column("mobiledeploy_runs", sa.Column("outcome", sa.Text()))
