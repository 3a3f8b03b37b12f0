"""What PostgreSQL tells of commits: a hint that may come late or never, on a connection of its own."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final, cast

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from server.store.schema import CHANNEL

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 1.0
"""Between two attempts to connect, and between two looks at whether to stop."""


class CommitNotices:
    """Calls ``tell`` with the number of the log's newest entry after each commit, whoever committed it.

    It connects again whenever its connection has ended; nothing is told of commits in between.
    """

    def __init__(self, engine: Engine, tell: Callable[[int], object]) -> None:
        self._engine = engine
        self._tell = tell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commit notices", daemon=True)

    def start(self) -> None:
        # SQLite has nobody who tells: there is one server.
        if self._engine.dialect.name == "postgresql":
            self._thread.start()

    def stop(self) -> None:
        """Have it end within a second; returns at once."""
        self._stopping.set()

    def _run(self) -> None:
        has_failed = False
        while not self._stopping.is_set():
            try:
                self._listen()
            except (SQLAlchemyError, psycopg.Error):  # who reads and writes says why
                self._stopping.wait(WAIT_SECONDS)
            except Exception as error:  # noqa: BLE001 - such as somebody else's notice, of whatever content
                if not has_failed:
                    log.error("a notice of a commit could not be read: %s", type(error).__name__)  # noqa: TRY400
                has_failed = True
                self._stopping.wait(WAIT_SECONDS)

    def _listen(self) -> None:
        pooled = self._engine.raw_connection()
        with closing(cast("psycopg.Connection", pooled.driver_connection)) as connection:
            pooled.detach()  # from now on it counts for no limit of the pool
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}".encode())
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=WAIT_SECONDS):
                    self._tell(int(notice.payload))
