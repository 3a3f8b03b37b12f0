"""PostgreSQL under the concurrency that the server runs on."""

from sqlalchemy import text

from server.store.database import open_database
from tests.support.postgres import Postgres
from tests.support.stalls import LoopWatch


def test_a_slow_query_holds_nobody_up(postgres_server: Postgres) -> None:
    engine = open_database(postgres_server.new_database("template"))
    with engine.connect() as connection, LoopWatch() as watch:
        connection.execute(text("SELECT pg_sleep(0.5)"))
    engine.dispose()
    assert watch.longest < 0.05
