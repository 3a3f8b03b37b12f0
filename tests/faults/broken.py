"""The server or a client app with one part broken on purpose: ``python -m tests.faults.broken CONTROL``."""

import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any, Final

from common.web.concurrency import async_mode_of_environment, patch_standard_library

patch_standard_library(async_mode_of_environment())

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Engine, event, inspect

from client.factory import Client
from client.factory import create_app as create_client
from client.outbox import Outbox
from client.samples import SampleDeck
from common.errors import StoreUnavailableError
from common.messages import Change, ChangeKind, Changes, Prediction
from common.web.serve import RunningApp, run_app
from config.settings import ClientSettings, ServerSettings
from server.explanation.llama import explanation_source
from server.factory import create_app as create_server
from server.factory import current_model
from server.store import Entry, NewPrediction, PredictionStore, Refusal
from server.store.database import database_url, open_database
from server.store.record import Appended
from tests.faults.controls import CONTROLS

LATE_SECONDS: Final = 0.1
_UNIQUE: Final = "uq_predictions_client_id_request_id"


class EarlyStore(PredictionStore):
    """Says that predictions are stored, so that they are told to followers, a moment before they are."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._late: Queue[Callable[[], object]] = Queue()
        threading.Thread(target=self._write, daemon=True).start()

    def append(self, made: Sequence[NewPrediction], refused: Sequence[Refusal], at: datetime) -> Appended:
        end = self.end()
        entries = [_entry(sequence, new, at) for sequence, new in enumerate(made, end.after + 1)]
        self._late.put(partial(super().append, made, refused, at))
        page = replace(end, next_after=end.after + len(entries), entries=entries)
        return Appended(page, made, {})

    def _write(self) -> None:
        while True:
            write = self._late.get()
            time.sleep(LATE_SECONDS)
            with suppress(StoreUnavailableError):
                write()


class ForgetfulStore(PredictionStore):
    """Stores a request that it knows once more."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        if any(one["name"] == _UNIQUE for one in inspect(engine).get_unique_constraints("predictions")):
            with engine.begin() as connection:
                operations = Operations(MigrationContext.configure(connection))
                with operations.batch_alter_table("predictions") as table:
                    table.drop_constraint(_UNIQUE, type_="unique")
        event.listen(engine, "before_cursor_execute", _find_nothing, retval=True)

    def append(self, made: Sequence[NewPrediction], refused: Sequence[Refusal], at: datetime) -> Appended:
        return replace(super().append(made, refused, at), known={})


def _find_nothing(_: object, __: object, statement: str, parameters: Any, *___: object) -> tuple[str, Any]:
    is_look_up = statement.startswith("SELECT") and "request_digest" in statement and "UNION" in statement
    return statement + " LIMIT 0" if is_look_up else statement, parameters


def _entry(sequence: int, new: NewPrediction, at: datetime) -> Entry:
    prediction = Prediction.model_validate_json(new.body)
    change = Change(
        sequence=sequence,
        kind=ChangeKind.PREDICTION_MADE,
        client_id=new.client_id,
        request_id=new.request_id,
        prediction_id=new.prediction_id,
        at=at,
        prediction=prediction,
    )
    return Entry(sequence, change.kind, new.client_id, change.model_dump_json().encode())


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
        time.sleep(4 * LATE_SECONDS)  # most of its time, so that a kill falls into it
        return super().apply(changes.model_copy(update={"entries": new}))


STORES: Final[Mapping[str, type[PredictionStore]]] = {
    "answers-before-commit": EarlyStore,
    "no-deduplication": ForgetfulStore,
}
OUTBOXES: Final[Mapping[str, type[Outbox]]] = {
    "outbox-in-memory": MemoryOutbox,
    "no-catch-up-of-clients": LiveOutbox,
    "offset-before-entries": HastyOutbox,
}


def _start_server(store: type[PredictionStore], settings: ServerSettings) -> RunningApp:
    clock = partial(datetime.now, UTC)
    server = create_server(
        settings,
        model=current_model(settings, clock),
        store=store(open_database(database_url(settings), busy_seconds=0.5)),
        explanations=explanation_source(settings),
        clock=clock,
    )
    server.start()
    return RunningApp(server.app, server.real_time, server.stop)


def _start_client(outbox: type[Outbox], settings: ClientSettings) -> RunningApp:
    client: Client = create_client(
        settings,
        outbox=outbox(settings.data_dir / settings.client_id.lower() / "client.sqlite"),
        samples=SampleDeck.of_file(settings.sample_data, random.SystemRandom()),
        clock=partial(datetime.now, UTC),
    )
    client.relay.start()
    return RunningApp(client.app, client.real_time, client.stop)


if __name__ == "__main__":
    control = sys.argv[1]
    if CONTROLS[control].role == "server":
        run_app(ServerSettings, partial(_start_server, STORES[control]))
    else:
        run_app(ClientSettings, partial(_start_client, OUTBOXES[control]))
