"""Every run, kept: SQLite in a file, or a team's PostgreSQL.

    from mobiledeploy.device_tests.history import Filter, open_history

    with open_history() as history:
        for row in history.find(Filter(model="mobilenet_v2", last=5)):
            print(row.time, row.median_ns)

Importing this loads no SQL library; ``open_history`` does.
"""

from __future__ import annotations

from mobiledeploy.device_tests.history.documents import Record
from mobiledeploy.device_tests.history.errors import HistoryUnavailableError
from mobiledeploy.device_tests.history.rows import Filter, Row
from mobiledeploy.device_tests.history.store import History, open_history

__all__ = ["Filter", "History", "HistoryUnavailableError", "Record", "Row", "open_history"]
