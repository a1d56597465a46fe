"""The figure that stands for an evaluation, of any task."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RUNS = "mobiledeploy_runs"


def upgrade() -> None:
    """Top-1 and top-5 -> also ``metric`` and ``value``; until now every evaluation was of a classifier."""
    op.add_column(_RUNS, sa.Column("metric", sa.Text()))
    op.add_column(_RUNS, sa.Column("value", sa.Double()))
    runs = sa.table(_RUNS, sa.column("metric"), sa.column("value"), sa.column("top1"))
    op.execute(sa.update(runs).where(runs.c.top1.is_not(None)).values(metric="top-1", value=runs.c.top1))
