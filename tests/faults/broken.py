"""The server or a client app with one part broken on purpose: ``python -m tests.faults.broken CONTROL``."""

import sqlite3
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from common.web.concurrency import async_mode_of_environment, patch_standard_library

patch_standard_library(async_mode_of_environment())

from sqlalchemy import URL, event

from client.factory import create_app as create_client
from client.outbox import Outbox
from common.messages import Changes, WireError
from common.sqlite import copy_database
from common.web.serve import RunningApp, run_app
from config.settings import ClientSettings, ServerSettings
from server.explanation.llama import explanation_source
from server.factory import create_app as create_server
from server.factory import current_model
from server.store import NewPrediction, PredictionStore, RequestKey
from server.store.database import database_url, open_database
from server.store.record import Appended
from server.store.schema import predictions

NOW: Final = partial(datetime.now, UTC)
LATE_SECONDS: Final = 1.0
_UNIQUE: Final = "uq_predictions_client_id_request_id"
_IS_KNOWN: Final = "AND NOT EXISTS (SELECT 1 FROM predictions JOIN given USING (client_id, request_id))"


def early_store(url: URL) -> PredictionStore:
    """Say that predictions are stored a moment before they are: they are written to a copy, and the record follows."""
    if url.get_backend_name() == "postgresql":  # which itself commits late then
        return PredictionStore(open_database(url))
    record = Path(url.database or "")
    copy = record.with_name("early.sqlite")
    copy.unlink(missing_ok=True)
    if record.exists():
        copy_database(record, copy)
    store = PredictionStore(open_database(f"sqlite:///{copy}", busy_seconds=0.5))

    def write() -> None:
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as told, closing(sqlite3.connect(record)) as kept:
            told.backup(kept)

    def write_on() -> None:
        while True:
            time.sleep(LATE_SECONDS)
            write()

    write()
    threading.Thread(target=write_on, daemon=True).start()
    return store


class ForgetfulStore(PredictionStore):
    """Stores a request that it knows once more, in tables made so that they allow it."""

    def __init__(self, url: URL) -> None:
        predictions.constraints -= {one for one in predictions.constraints if one.name == _UNIQUE}
        engine = open_database(url, busy_seconds=0.5)
        super().__init__(engine)
        event.listen(engine, "before_cursor_execute", _find_nothing, retval=True)

    def append(self, made: Sequence[NewPrediction], refused: Mapping[RequestKey, WireError], at: datetime) -> Appended:
        return replace(super().append(made, refused, at), known={})


def _find_nothing(_: object, __: object, statement: str, parameters: Any, *___: object) -> tuple[str, Any]:
    is_look_up = statement.startswith("SELECT") and "request_digest" in statement and "UNION" in statement
    return statement + " LIMIT 0" if is_look_up else statement.replace(_IS_KNOWN, ""), parameters


class MemoryOutbox(Outbox):
    """Ends with its process, as memory does, and can be read from outside all the same."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(path)


class LiveOutbox(Outbox):
    """Takes what happens now, and nothing of what happened while there was no connection."""

    def apply(self, changes: Changes) -> set[str]:
        since = datetime.now(UTC) - timedelta(seconds=1)
        return super().apply(changes.model_copy(update={"entries": [one for one in changes.entries if one.at > since]}))


class HastyOutbox(Outbox):
    """Moves its offset in the server's log before it has applied the entries, and believes it when it reads again."""

    def apply(self, changes: Changes) -> set[str]:
        new = [change for change in changes.entries if change.sequence > self.place.server_after]
        super().apply(changes.model_copy(update={"entries": []}))
        time.sleep(LATE_SECONDS / 2)  # most of its time, so that a kill falls into it
        return super().apply(changes.model_copy(update={"entries": new, "after": changes.next_after}))


STORES: Final = {"answers-before-commit": early_store, "no-deduplication": ForgetfulStore}
OUTBOXES: Final[dict[str, type[Outbox]]] = {
    "outbox-in-memory": MemoryOutbox,
    "no-catch-up-of-clients": LiveOutbox,
    "offset-before-entries": HastyOutbox,
}


def _start_server(settings: ServerSettings) -> RunningApp:
    server = create_server(
        settings,
        model=current_model(settings, NOW),
        store=STORES[sys.argv[1]](database_url(settings)),
        explanations=explanation_source(settings),
        clock=NOW,
    )
    server.service.start()
    return RunningApp(server.app, server.real_time, server.service.stop)


def _start_client(settings: ClientSettings) -> RunningApp:
    client = create_client(
        settings,
        outbox=OUTBOXES[sys.argv[1]](settings.data_dir / settings.client_id.lower() / "client.sqlite"),
        clock=NOW,
    )
    client.relay.start()
    return RunningApp(client.app, client.real_time, client.stop)


if __name__ == "__main__":
    if sys.argv[1] in STORES:
        run_app(ServerSettings, _start_server)
    else:
        run_app(ClientSettings, _start_client)
