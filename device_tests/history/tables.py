"""The one table of runs, gates and diagnoses.  A change here needs a migration beside the others."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Double, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

RUNS = "mobiledeploy_runs"


class Moment(TypeDecorator[datetime]):
    """UTC: SQLite knows no zones and would hand back the digits alone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """With its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Tables of the history."""


class StoredRun(Base):
    """A run: its columns as in ``rows.Row``, and the whole of it as compressed JSON."""

    __tablename__ = RUNS
    __table_args__ = (
        Index("ix_mobiledeploy_runs_kind_time", "kind", "time"),
        Index("ix_mobiledeploy_runs_device", "device"),
        Index("ix_mobiledeploy_runs_device_name", "device_name"),
        Index("ix_mobiledeploy_runs_model_name", "model_name"),
        Index("ix_mobiledeploy_runs_model_sha256", "model_sha256"),
        Index("ix_mobiledeploy_runs_label", "label"),
        Index("ix_mobiledeploy_runs_git_commit", "git_commit"),
        Index("ix_mobiledeploy_runs_time", "time"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    time: Mapped[datetime] = mapped_column(Moment())
    device: Mapped[str | None] = mapped_column(Text)
    device_name: Mapped[str | None] = mapped_column(Text)
    soc: Mapped[str | None] = mapped_column(Text)
    build: Mapped[str | None] = mapped_column(Text)
    device_kind: Mapped[str | None] = mapped_column(Text)
    emulated: Mapped[bool | None]
    clock: Mapped[str | None] = mapped_column(Text)
    model_name: Mapped[str] = mapped_column(Text)
    model_sha256: Mapped[str] = mapped_column(Text)
    model_size: Mapped[int | None] = mapped_column(BigInteger)
    target: Mapped[str | None] = mapped_column(Text)
    arithmetic: Mapped[str | None] = mapped_column(Text)
    engine: Mapped[str] = mapped_column(Text)
    engine_version: Mapped[str | None] = mapped_column(Text)
    threads: Mapped[int | None] = mapped_column(BigInteger)
    affinity: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str | None] = mapped_column(Text)
    complete: Mapped[bool]
    samples: Mapped[int | None] = mapped_column(BigInteger)
    median_ns: Mapped[float | None] = mapped_column(Double)
    low_ns: Mapped[float | None] = mapped_column(Double)
    high_ns: Mapped[float | None] = mapped_column(Double)
    p90_ns: Mapped[float | None] = mapped_column(Double)
    p99_ns: Mapped[float | None] = mapped_column(Double)
    init_ns: Mapped[int | None] = mapped_column(BigInteger)
    memory_peak: Mapped[int | None] = mapped_column(BigInteger)
    images: Mapped[int | None] = mapped_column(BigInteger)
    top1: Mapped[float | None] = mapped_column(Double)
    top5: Mapped[float | None] = mapped_column(Double)
    outcome: Mapped[str | None] = mapped_column(Text)
    harness: Mapped[str] = mapped_column(Text)
    git_commit: Mapped[str | None] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Text)
    metric: Mapped[str | None] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(Double)
    document: Mapped[bytes] = mapped_column(LargeBinary)
