"""The server's disk: every answered prediction is there, the change log is whole, and printed links stay valid."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

from common.access.people import AccessStore, access_file
from common.messages import Changes, Event, Prediction
from config.secrets import load_or_create, server_secret_names
from server.store import PredictionStore
from server.store.database import open_database
from tests.power_loss.judging import Claim, Judge, Reading
from tests.power_loss.sent import PRINTED, Said
from tests.power_loss.workload import DATA, SECRETS

EVERYTHING: Final = 100_000
SERVER_NAME: Final = "server"
DATABASE: Final = f"{DATA}/server/predictions.sqlite"
_SIGN_IN: Final = "#token="


def _read(disk: Path) -> Reading:
    """Open everything that the server keeps as the server does."""
    facts = _secrets(disk)
    AccessStore(access_file(disk / DATA, SERVER_NAME)).sessions()
    with closing(PredictionStore(open_database(f"sqlite:///{disk / DATABASE}"))) as store:
        store.check()
        faults = [*_damage(disk / DATABASE), *_contradictions(store)]
        return Reading(facts | record_of(store), tuple(faults))


def _secrets(disk: Path) -> dict[str, str]:
    folder = disk / SECRETS / SERVER_NAME
    return {link(load_or_create(name, given={}, folder=folder)): "valid" for name in server_secret_names()}


def _damage(database: Path) -> Iterator[str]:
    with closing(sqlite3.connect(database)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchall()
        if said != [("ok",)] or connection.execute("PRAGMA foreign_key_check").fetchall():
            yield "the database is damaged"


def _contradictions(store: PredictionStore) -> Iterator[str]:
    entries = store.changes(0, EVERYTHING).entries
    stored = {found.sequence: found.prediction.prediction_id for found in store.recent(EVERYTHING)}
    if [entry.sequence for entry in entries] != list(range(1, store.cursor() + 1)):
        yield "the change log has a gap, or its counter is not at its end"
    if {entry.sequence: entry.prediction_id for entry in entries if entry.prediction} != stored:
        yield "a prediction is without its entry, or the other way round"
    if store.totals().predictions != len(stored):
        yield "the counts are not those of the predictions"


def record_of(store: PredictionStore) -> dict[str, str]:
    """Return what a store holds: each prediction as it was stored, and each entry of the change log."""
    predictions = [found.prediction for found in store.recent(EVERYTHING)]
    stored = {about(prediction): prediction.model_dump_json() for prediction in predictions}
    return stored | dict(_entries(store.changes(0, EVERYTHING)))


def _entries(log: Changes) -> Iterator[tuple[str, str]]:
    for entry in log.entries:
        yield f"entry {entry.sequence} of the change log", f"{entry.kind} {entry.prediction_id}"


def about(prediction: Prediction) -> str:
    """Name what is known about a prediction."""
    return f"the prediction for request {prediction.request_id}"


def link(token: str) -> str:
    """Name the link with a token, by a digest."""
    return f"the link of token {sha256(token.encode()).hexdigest()[:8]}"


def _claims(said: Said) -> Iterable[Claim]:
    if said.what == Event.PREDICTION_RESULT:
        prediction = Prediction.check(said.data)
        return [Claim.of(about(prediction), prediction.model_dump_json())]
    if said.what == Event.CHANGES:
        return [Claim.of(what, value) for what, value in _entries(Changes.check(said.data))]
    return printed_links(said)


def printed_links(said: Said) -> list[Claim]:
    """Return the promise that a printed link stays valid."""
    if said.what == PRINTED and _SIGN_IN in said.data:
        return [Claim.of(link(said.data.partition(_SIGN_IN)[2]), "valid")]
    return []


SERVER: Final = Judge(_read, _claims)
