"""The history: add runs, find them, get them back whole."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.history.columns import to_row
from mobiledeploy.device_tests.history.commits import find_commit
from mobiledeploy.device_tests.history.documents import Record, Run, pack, read, unpack
from mobiledeploy.device_tests.history.engine import make_engine, reading, writing
from mobiledeploy.device_tests.history.places import Place, find_place
from mobiledeploy.device_tests.history.rows import Filter, Row
from mobiledeploy.device_tests.history.schema import bring_up_to_date
from mobiledeploy.device_tests.latency_run import LatencyRun
from mobiledeploy.errors import InputError, OutputError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine, Select

EVERYTHING = Filter()
_COLUMNS = tuple(item.name for item in fields(Row))
# Whole runs that are in memory at once.
_AT_ONCE = 50
_LISTED = 5


def open_history(url: str | Path | None = None, *, must_exist: bool = False) -> History:
    """Open a history; one that is new is made, one of an older mobiledeploy is upgraded.

    Args:
        url: a file, ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``; None: what
            ``MOBILEDEPLOY_HISTORY`` names, else ``~/.local/state/mobiledeploy/history.db``.
        must_exist: refuse a file that is not there, if it was named.

    Raises:
        InputError: not understood, not there, not ours, damaged, or of a newer mobiledeploy.
        OutputError: it cannot be written.
        HistoryUnavailableError: the server does not answer within 10 s, or refuses.
        EnvironmentProblem: the packages of ``mobiledeploy[history]`` or ``[postgres]`` are not installed.
    """
    place = find_place(url)
    engine = make_engine(place)
    if place.file is not None and not place.file.exists():
        if must_exist and not place.usual:
            raise InputError("no such history", where=place.shown, hint="Check --history")
        try:
            place.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the history cannot be made ({error.strerror})",
                where=place.shown,
                hint="Name another file with --history",
            ) from error
    bring_up_to_date(engine, place)
    return History(engine, place)


class History:
    """An open history.  It keeps no connection open between calls; threads may share it.

    Every method raises ``HistoryUnavailableError`` where the server has gone or another process keeps
    the file, ``OutputError`` where it cannot be written.
    """

    def __init__(self, engine: Engine, place: Place) -> None:
        self._engine, self._place = engine, place

    @property
    def where(self) -> str:
        """The file or the URL, without passwords."""
        return self._place.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    def add(self, run: Run, *, label: str | None = None, commit: str | None = None) -> str:
        """Store a run with all its samples; one of a lab that is there already stays as it is.

        Args:
            run: of latency or accuracy, or a finding.
            label: the user's own word.
            commit: of the user's project; None: as a build server's variable or git says here.

        Returns:
            Its id.

        Raises:
            InputError: it holds what JSON cannot express.
        """
        from sqlalchemy import insert, select

        from mobiledeploy.device_tests.history.tables import StoredRun

        record = _record(run, label, commit or find_commit())
        document = record.to_dict()
        values = {**asdict(to_row(record, document)), "document": pack(document)}
        with writing(self._engine, self._place) as connection:
            if not connection.scalar(select(StoredRun.id).where(StoredRun.id == record.id)):
                connection.execute(insert(StoredRun).values(values))
        return record.id

    def find(self, wanted: Filter = EVERYTHING) -> list[Row]:
        """Rows in order of time, the latest last."""
        with reading(self._engine, self._place) as connection:
            found = connection.execute(_select(_COLUMNS, wanted)).all()
        # Asked for from the end, as only so many may be wanted.
        return [Row(**row._mapping) for row in reversed(found)]

    def count(self) -> int:
        """All runs."""
        from sqlalchemy import func, select

        from mobiledeploy.device_tests.history.tables import StoredRun

        with reading(self._engine, self._place) as connection:
            return connection.scalar(select(func.count()).select_from(StoredRun)) or 0

    def load(self, identity: str) -> Run:
        """A run as it was measured.

        Args:
            identity: its id, or the beginning of it that no other has.

        Raises:
            InputError: there is none, or several; it is damaged, or of a newer mobiledeploy.
        """
        return self.record(identity).run

    def record(self, identity: str) -> Record:
        """A run, and what the history knows beside it; see ``load``."""
        document = self.document(identity)
        return read(document, self._name(document.get("id", identity)))

    def document(self, identity: str) -> dict[str, Any]:
        """The stored JSON of a run: ``Record.to_dict``; see ``load``."""
        (whole,) = self.identify([identity])
        (document,) = self._documents([whole])
        return document

    def documents(self, wanted: Filter = EVERYTHING) -> Iterator[dict[str, Any]]:
        """The stored JSON of runs, in order of time, a few in memory at once.

        Raises:
            InputError: one is damaged; names it.
        """
        identities = [row.id for row in self.find(wanted)]
        for start in range(0, len(identities), _AT_ONCE):
            yield from self._documents(identities[start : start + _AT_ONCE])

    def identify(self, identities: Sequence[str]) -> list[str]:
        """Whole ids from their beginnings.

        Raises:
            InputError: one begins no id, or several; lists them, or near misses.
        """
        from sqlalchemy import select

        from mobiledeploy.device_tests.history.tables import StoredRun

        found = []
        with reading(self._engine, self._place) as connection:
            for text in identities:
                start = text.strip().lower()
                matching = StoredRun.id.startswith(start, autoescape=True)
                several = list(
                    connection.scalars(select(StoredRun.id).where(matching).order_by(StoredRun.id))
                )
                if start and len(several) == 1:
                    found += several
                    continue
                every = several or list(connection.scalars(select(StoredRun.id)))
                raise self._refuse(text, several, every)
        return found

    def remove(self, identities: Sequence[str]) -> list[str]:
        """Delete runs, all or none.

        Args:
            identities: see ``identify``.

        Returns:
            Their whole ids.

        Raises:
            InputError: see ``identify``.
        """
        from sqlalchemy import delete

        from mobiledeploy.device_tests.history.tables import StoredRun

        whole = list(dict.fromkeys(self.identify(identities)))
        with writing(self._engine, self._place) as connection:
            for start in range(0, len(whole), _AT_ONCE):
                part = whole[start : start + _AT_ONCE]
                connection.execute(delete(StoredRun).where(StoredRun.id.in_(part)))
        return whole

    def prune(self, before: datetime, *, dry_run: bool = False) -> int:
        """Delete the runs that are older.

        Args:
            before: UTC.
            dry_run: delete nothing.

        Returns:
            How many are older.
        """
        from sqlalchemy import delete, func, select

        from mobiledeploy.device_tests.history.tables import StoredRun

        older = StoredRun.time < before
        with writing(self._engine, self._place) as connection:
            count = connection.scalar(select(func.count()).select_from(StoredRun).where(older)) or 0
            if not dry_run:
                connection.execute(delete(StoredRun).where(older))
        return count

    def _documents(self, identities: Sequence[str]) -> list[dict[str, Any]]:
        from sqlalchemy import select

        from mobiledeploy.device_tests.history.tables import StoredRun

        query = select(StoredRun.id, StoredRun.document).where(StoredRun.id.in_(identities))
        with reading(self._engine, self._place) as connection:
            packed = {row.id: row.document for row in connection.execute(query)}
        # One may have been removed meanwhile.
        return [unpack(packed[name], self._name(name)) for name in identities if name in packed]

    def _name(self, identity: object) -> str:
        return f"{self.where}: run {one_line(str(identity))}"

    def _refuse(self, text: str, several: Sequence[str], every: Sequence[str]) -> InputError:
        if several:
            listed = ", ".join(several[:_LISTED])
            more = f" and {len(several) - _LISTED} more" if len(several) > _LISTED else ""
            return InputError(
                f"{one_line(text)!r} begins {len(several)} ids",
                where=self.where,
                hint=f"Give more of it: {listed}{more}",
            )
        heads = {identity[: len(text)]: identity for identity in every}
        near = [heads[head] for head in difflib.get_close_matches(text, list(heads), 3, 0.6)]
        hint = f"Did you mean {' or '.join(near)}?" if near else "`mobiledeploy history list` shows the ids"
        return InputError(f"no run has the id {one_line(text)!r}", where=self.where, hint=hint)


def _record(run: Run, label: str | None, commit: str | None) -> Record:
    if isinstance(run, LatencyRun):
        time, harness = run.started, run.harness
    else:
        time, harness = datetime.now(UTC).isoformat(timespec="microseconds"), version("mobiledeploy")
    of_lab = run.lab.identity if isinstance(run, LatencyRun) and run.lab else ""
    return Record(of_lab or uuid.uuid4().hex, time, run.device, label or None, commit, harness, run)


def _select(columns: Sequence[str], wanted: Filter) -> Select[Any]:
    from sqlalchemy import select

    from mobiledeploy.device_tests.history.tables import StoredRun

    query = select(*(getattr(StoredRun, name) for name in columns)).where(*_conditions(wanted))
    # The id as well, so that runs of one moment always come in the same order.
    query = query.order_by(StoredRun.time.desc(), StoredRun.id.desc())
    return query if wanted.last is None else query.limit(wanted.last)


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    from sqlalchemy import false, or_

    from mobiledeploy.device_tests.history.tables import StoredRun

    def holds(column: Any, text: str) -> ColumnElement[bool]:
        # What was nothing but control characters is in no column.
        found: ColumnElement[bool] = column.icontains(text, autoescape=True) if text else false()
        return found

    # As columns hold them: without control characters, which a server would refuse.
    device, model, engine = map(one_line, (wanted.device, wanted.model, wanted.engine))
    if wanted.device:
        yield or_(holds(StoredRun.device, device), holds(StoredRun.device_name, device))
    if wanted.model:
        digest = StoredRun.model_sha256.startswith(model.lower() or "-", autoescape=True)
        yield or_(holds(StoredRun.model_name, model), digest)
    if wanted.engine:
        yield holds(StoredRun.engine, engine)
    if wanted.kind is not None:
        yield StoredRun.kind == wanted.kind
    if wanted.label is not None:
        yield StoredRun.label == one_line(wanted.label)
    if wanted.since is not None:
        yield StoredRun.time >= wanted.since
    if wanted.before is not None:
        yield StoredRun.time < wanted.before
    if wanted.complete is not None:
        yield StoredRun.complete.is_(wanted.complete)
