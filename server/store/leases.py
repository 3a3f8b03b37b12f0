"""Leases of predictions that await an explanation: a worker writes one for a while, and nobody else does meanwhile."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from server.store.schema import awaiting_explanations as awaiting
from server.store.schema import predictions

_WAITING: Final = select(func.count()).where(awaiting.c.leased_until <= bindparam("now"))
_OLD_THEN_NEWEST: Final = (
    select(predictions, awaiting.c.since, awaiting.c.tries)
    .join(awaiting, awaiting.c.prediction_id == predictions.c.prediction_id)
    .where(awaiting.c.leased_until <= bindparam("now"))
    .order_by((awaiting.c.since < bindparam("old")).desc(), awaiting.c.since.desc())
    .limit(bindparam("most"))
)
_LEASE: Final = (
    update(awaiting)
    .where(awaiting.c.prediction_id == bindparam("of"))
    .values(lease=bindparam("token"), leased_until=bindparam("until"), tries=awaiting.c.tries + 1)
)


@dataclass(frozen=True)
class Lease:
    """A prediction as it is stored, whose explanation the holder of ``token`` writes, at which try."""

    prediction_id: str
    client_id: str
    request_id: str
    body: str
    since: datetime
    tries: int
    token: str | None


def begin(connection: Connection, made: Mapping[str, datetime]) -> None:
    """Have predictions await their explanations from now on, by id; ``made`` says when each was made."""
    unleased = {"tries": 0, "lease": None, "leased_until": 0}
    rows = [{"prediction_id": name, "since": at.timestamp(), **unleased} for name, at in made.items()]
    if rows:
        connection.execute(insert(awaiting), rows)


def waiting(connection: Connection, now: datetime) -> int:
    """Return how many explanations await a worker."""
    return int(connection.execute(_WAITING, {"now": now.timestamp()}).scalar_one())


def take(connection: Connection, most: int, *, now: datetime, until: datetime, old: datetime) -> list[Lease]:
    """Lease what nobody has leased, or no longer: first what is from before ``old``, then the newest.

    The newest patient is the one who is being looked at. No two workers may do this at a time.
    """
    asked = {"now": now.timestamp(), "old": old.timestamp(), "most": most}
    leased = [
        Lease(
            prediction_id=row.prediction_id,
            client_id=row.client_id,
            request_id=row.request_id,
            body=row.body,
            since=datetime.fromtimestamp(row.since, UTC),
            tries=row.tries + 1,
            token=str(uuid.uuid4()),
        )
        for row in connection.execute(_OLD_THEN_NEWEST, asked)
    ]
    rows = [{"of": one.prediction_id, "token": one.token, "until": until.timestamp()} for one in leased]
    if rows:
        connection.execute(_LEASE, rows)
    return leased


def renew(connection: Connection, leased: Sequence[Lease], *, until: datetime) -> None:
    """Have leases last until a later time, but for those that another worker has taken over."""
    held = awaiting.c.lease.in_([one.token for one in leased])
    connection.execute(update(awaiting).where(held).values(leased_until=until.timestamp()))


def give_back(connection: Connection, leased: Sequence[Lease]) -> None:
    """End leases as if they had never been taken; one that another worker has by now stays."""
    held = awaiting.c.lease.in_([one.token for one in leased])
    connection.execute(update(awaiting).where(held).values(lease=None, leased_until=0, tries=awaiting.c.tries - 1))


def end(connection: Connection, lease: Lease) -> bool:
    """Have a prediction await nothing any longer; return false if it does not, or if another worker has it by now."""
    held = (awaiting.c.prediction_id == lease.prediction_id) & (awaiting.c.lease == lease.token)
    return connection.execute(delete(awaiting).where(held)).rowcount == 1


def forget(connection: Connection, prediction_ids: Sequence[str]) -> None:
    """Have predictions await nothing any longer that are erased."""
    connection.execute(delete(awaiting).where(awaiting.c.prediction_id.in_(prediction_ids)))
