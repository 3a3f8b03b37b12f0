"""What each side saw during one schedule, as plain JSON: all that the checker looks at."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Wire = dict[str, Any]
"""A message or a row as JSON gives it."""


def canonical(value: object) -> str:
    """Return the one text of a JSON value; two values with the same text are the same to the last digit."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@dataclass
class PageRecord:
    """What one clinician did at the page of a client app, and what the page was told."""

    name: str
    client_id: str
    submitted: dict[str, Wire] = field(default_factory=dict)
    """Record and patient reference by request id, in the order they were entered."""
    invalid: list[str] = field(default_factory=list)
    """Request ids of the records that must be refused."""
    queued: dict[str, int] = field(default_factory=dict)
    """Acknowledged outbox numbers by request id, in the order they were acknowledged."""
    refused: dict[str, Wire] = field(default_factory=dict)
    """Errors of the submissions that were refused for good, by request id."""
    seen: dict[str, list[Wire]] = field(default_factory=dict)
    """Every different state that updates and histories showed, by request id."""
    histories: list[list[str]] = field(default_factory=list)
    """Request ids of each page of the history that was read."""

    def see(self, entry: Wire) -> None:
        states = self.seen.setdefault(entry["request_id"], [])
        if not states or canonical(states[-1]) != canonical(entry):
            states.append(entry)

    def awaits(self) -> set[str]:
        """Return the acknowledged requests whose answer was not seen."""
        answered = {
            request_id for request_id, states in list(self.seen.items()) if any(one["prediction"] for one in states)
        }
        return set(self.queued) - answered


@dataclass
class DashboardRecord:
    """What one dashboard took from live messages and from the change log, without what it knew already."""

    name: str
    after: int
    """The sequence it began behind."""
    taken: list[Wire] = field(default_factory=list)
    restarts: int = 0
    """How often the server's log ended before what the dashboard had read."""
    totals: Wire | None = None


@dataclass
class ServerRecord:
    """What is on the server's disk behind a sequence."""

    after: int
    last: int
    """The value of the counter that numbers the log."""
    predictions: list[Wire]
    """``sequence``, ``client_id``, ``request_id`` and the parsed ``body``, ascending."""
    changes: list[Wire]
    """``sequence``, ``kind``, ``prediction_id``, ``client_id`` and the parsed ``explanation``, ascending."""
    totals: dict[str, int]
    """Predictions of each client app over the whole database."""


@dataclass
class ClientRecord:
    """What is on a client app's disk behind an outbox number, with all that is JSON parsed."""

    client_id: str
    requests: list[Wire]


@dataclass
class Records:
    """Everything one schedule left behind."""

    pages: list[PageRecord]
    dashboards: list[DashboardRecord]
    server: ServerRecord
    clients: list[ClientRecord]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))

    @classmethod
    def load(cls, path: Path) -> "Records":
        saved = json.loads(path.read_text())
        return cls(
            pages=[PageRecord(**page) for page in saved["pages"]],
            dashboards=[DashboardRecord(**dashboard) for dashboard in saved["dashboards"]],
            server=ServerRecord(**saved["server"]),
            clients=[ClientRecord(**client) for client in saved["clients"]],
        )
