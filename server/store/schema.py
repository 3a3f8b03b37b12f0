"""The tables of the prediction store, for SQLite and PostgreSQL alike."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

# SQLite's integers have 8 bytes by any name, but a primary key is its row's own number under this one alone.
_Number = BigInteger().with_variant(Integer(), "sqlite")

WITHOUT_PREDICTION = text("kind IN ('prediction_erased', 'request_refused')")
"""What became of requests that have no prediction (any more); SQLite uses their index for these very words alone."""

CHANNEL: Final = "changes"
"""Where PostgreSQL tells of every commit to the log, with the number of its newest entry."""

TIMELINE: Final = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
"""PostgreSQL's timeline now; that of ``pg_control_checkpoint`` is the earlier one until the first checkpoint after."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", String(64), primary_key=True),
    Column("sequence", _Number, nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("risk_level", String(16), nullable=False),
    Column("anomaly_score", Float, nullable=False),
    Column("awaits_explanation", Boolean, nullable=False),
    Column("superseded_by", String(64)),
    Column("body", Text, nullable=False),
    UniqueConstraint("client_id", "request_id"),
    Index(None, "client_id", "sequence"),
    Index(None, "risk_level", "sequence"),
)

REPEATED = ("prediction_id", "client_id", "request_id", "risk_level", "anomaly_score", "awaits_explanation")
"""Columns of predictions that repeat what stands in their bodies, to be found by."""

# No foreign key to predictions: of one that was erased the entries stay.
changes = Table(
    "changes",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("prediction_id", String(64)),
    Column("client_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("at", String(40), nullable=False),
    Column("explanation", Text),
    Column("error", Text),
    Column("superseded_by", String(64)),
    Index(None, "client_id", "sequence"),
    Index(None, "prediction_id", "kind"),
    Index(
        "uq_changes_without_prediction",
        "client_id",
        "request_id",
        "kind",
        unique=True,
        sqlite_where=WITHOUT_PREDICTION,
        postgresql_where=WITHOUT_PREDICTION,
    ),
)

change_counter = Table(
    "change_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", _Number, nullable=False),
    Column("erased_up_to", _Number, nullable=False),
    Column("refused_up_to", _Number, nullable=False),
    Column("began_after", _Number, nullable=False),
    Column("log_id", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("timeline", String(8), nullable=False),
)
"""One row: the newest entry, which log this is, ``erased_up_to`` and ``refused_up_to``.

The latter are the newest entry by which predictions are no longer counted, because they were erased or superseded, and
that by which a request was refused. A restore makes another epoch of the log; so does a failover, which shows as
another ``timeline`` of PostgreSQL. Entries up to ``began_after`` are from earlier epochs.
"""

counts = Table(
    "counts",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("risk_level", String(16), primary_key=True),
    Column("predictions", _Number, nullable=False),
)

awaiting_explanations = Table(
    "awaiting_explanations",
    metadata,
    Column("prediction_id", String(64), primary_key=True),
    Column("since", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("lease", String(36)),
    Column("leased_until", Float, nullable=False),
)
"""Predictions without a final explanation: since when, how often it was tried, who writes it, and until when."""

sequence_gaps = Table(
    "sequence_gaps",
    metadata,
    Column("after", _Number, primary_key=True, autoincrement=False),
    Column("up_to", _Number, nullable=False),
    Column("at", String(40), nullable=False),
)
"""Numbers that earlier versions left out of the log where they restored a backup."""


class CurrentTimeline(FunctionElement[str]):
    """PostgreSQL's timeline, which every failover changes; SQLite has none."""

    type = String()
    inherit_cache = True


class Told(FunctionElement[Any]):
    """Tell other servers, when the transaction commits, that the log has an entry of this number."""

    inherit_cache = True


_ON_POSTGRESQL: Final = {
    CurrentTimeline: TIMELINE,
    Told: f"pg_notify('{CHANNEL}', change_counter.value::text)",
}


@compiles(CurrentTimeline)
@compiles(Told)
def _only_on_postgresql(element: FunctionElement[Any], compiler: SQLCompiler, **_: object) -> str:
    return _ON_POSTGRESQL[type(element)] if compiler.dialect.name == "postgresql" else "''"
