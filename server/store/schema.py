"""The tables of the prediction store, for SQLite and PostgreSQL alike."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

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
    Column("sequence", Integer, nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("risk_level", String(16), nullable=False),
    Column("anomaly_score", Float, nullable=False),
    Column("awaits_explanation", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("client_id", "request_id"),
    Index(None, "client_id", "sequence"),
    Index(None, "risk_level", "sequence"),
)

changes = Table(
    "changes",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("prediction_id", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("at", String(40), nullable=False),
    Column("explanation", Text),
    Index(None, "client_id", "sequence"),
    Index(None, "prediction_id", "kind"),
)

change_counter = Table(
    "change_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)

counts = Table(
    "counts",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("risk_level", String(16), primary_key=True),
    Column("predictions", Integer, nullable=False),
)

erasures = Table(
    "erasures",
    metadata,
    Column("sequence", Integer, ForeignKey("changes.sequence"), primary_key=True, autoincrement=False),
    Column("prediction_id", String(64), nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    UniqueConstraint("client_id", "request_id"),
)
"""Predictions that were erased, without anything of a patient; ``sequence`` is that of the tombstone."""

sequence_gaps = Table(
    "sequence_gaps",
    metadata,
    Column("after", Integer, primary_key=True, autoincrement=False),
    Column("up_to", Integer, nullable=False),
    Column("at", String(40), nullable=False),
)
"""Numbers that the log left out when an older backup took its place, so that no reader takes new entries for old."""
