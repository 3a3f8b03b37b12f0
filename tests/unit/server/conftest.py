"""The record of one test, on SQLite or PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from server.store import PredictionStore
from server.store.database import open_database
from tests.support.postgres import Postgres


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of an empty record; a test of one kind alone is parametrized with that."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('path')}"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.new_database("template")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> PredictionStore:
    return PredictionStore(engine)


@pytest.fixture
def elsewhere(engine: Engine, url: str) -> Iterator[PredictionStore]:
    """The same record as another process, or another server, has it."""
    with closing(PredictionStore(open_database(url))) as store:
        yield store
