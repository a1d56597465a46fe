"""The table of runs.

Written out, not taken from ``tables.py``: a script makes what it made when it was written.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing -> runs and their indexes."""
    op.create_table(
        "mobiledeploy_runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("device", sa.Text()),
        sa.Column("device_name", sa.Text()),
        sa.Column("soc", sa.Text()),
        sa.Column("build", sa.Text()),
        sa.Column("device_kind", sa.Text()),
        sa.Column("emulated", sa.Boolean()),
        sa.Column("clock", sa.Text()),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("model_size", sa.BigInteger()),
        sa.Column("target", sa.Text()),
        sa.Column("arithmetic", sa.Text()),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("engine_version", sa.Text()),
        sa.Column("threads", sa.BigInteger()),
        sa.Column("affinity", sa.Text()),
        sa.Column("mode", sa.Text()),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("samples", sa.BigInteger()),
        sa.Column("median_ns", sa.Double()),
        sa.Column("low_ns", sa.Double()),
        sa.Column("high_ns", sa.Double()),
        sa.Column("p90_ns", sa.Double()),
        sa.Column("p99_ns", sa.Double()),
        sa.Column("init_ns", sa.BigInteger()),
        sa.Column("memory_peak", sa.BigInteger()),
        sa.Column("images", sa.BigInteger()),
        sa.Column("top1", sa.Double()),
        sa.Column("top5", sa.Double()),
        sa.Column("harness", sa.Text(), nullable=False),
        sa.Column("git_commit", sa.Text()),
        sa.Column("label", sa.Text()),
        sa.Column("document", sa.LargeBinary(), nullable=False),
    )
    for name in ("device", "device_name", "model_name", "model_sha256", "label", "git_commit", "time"):
        op.create_index(f"ix_mobiledeploy_runs_{name}", "mobiledeploy_runs", [name])
    op.create_index("ix_mobiledeploy_runs_kind_time", "mobiledeploy_runs", ["kind", "time"])
