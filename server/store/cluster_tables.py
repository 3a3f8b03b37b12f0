"""The tables in which servers on one PostgreSQL tell each other of themselves and of their client apps."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Engine, MetaData, String, Table

from server.store.database import make_tables

SCHEMA: Final = "cluster"

# Unlogged: what a crash takes, every server says again half a second later, and a heartbeat costs no disk.
_metadata = MetaData(schema=SCHEMA)
servers = Table(
    "servers",
    _metadata,
    Column("id", String, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("heartbeat", DateTime(timezone=True), nullable=False),
    Column("model", String, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("protocol", "connections", "behind")),
    Column("leads", Boolean, nullable=False),
    prefixes=["UNLOGGED"],
)
client_apps = Table(
    "client_apps",
    _metadata,
    Column("client_id", String, primary_key=True),
    Column("server", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("connected", Boolean, nullable=False),
    Column("last_seen", DateTime(timezone=True)),
    Column("waiting", BigInteger),
    Column("waiting_at", DateTime(timezone=True)),
    prefixes=["UNLOGGED"],
)


def make_cluster_tables(engine: Engine) -> None:
    """Make what is missing of them."""
    make_tables(engine, SCHEMA, _metadata)
