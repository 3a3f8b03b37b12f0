"""Seeded schedules: which process or link breaks, how, when and for how long."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from config.secrets import CLIENT_IDS

LOAD_SECONDS: Final = 4.0
SERVERS: Final = ("server-1", "server-2")
CLIENT_LINKS: Final = tuple(client_id.lower() for client_id in CLIENT_IDS)
PROCESSES: Final = ("server", *CLIENT_LINKS)
SCALED_PROCESSES: Final = (*SERVERS, "postgres", *CLIENT_LINKS)
"""With two servers behind nginx, which share PostgreSQL."""
DASHBOARD_LINKS: Final = ("dashboard-1", "dashboard-2")
DATABASE_LINKS: Final = ("server-1 and PostgreSQL", "server-2 and PostgreSQL")
LINKS: Final = CLIENT_LINKS + DASHBOARD_LINKS
SCALED_LINKS: Final = LINKS + DATABASE_LINKS

PROCESS_FAULTS: Final = ("kill", "kill", "pause", "full disk", "full disk", "restart")
WITHOUT_DISK: Final = {"postgres": ("kill", "restart"), **dict.fromkeys(SERVERS, ("kill", "pause", "restart"))}
"""Faults of processes of which no disk is filled."""

LINK_FAULTS: Final = ("reset", "close", "half-open", "stall", "slow", "duplicate")


@dataclass(frozen=True)
class Fault:
    """One fault of a process or of the link of that name, ``at`` and for ``seconds`` from the begin of the load."""

    kind: str
    target: str
    at: float
    seconds: float

    @property
    def of_link(self) -> bool:
        return self.kind in LINK_FAULTS

    def __str__(self) -> str:
        place = f"link of {self.target}" if self.of_link else self.target
        return f"{self.at:.1f} s: {self.kind}, {place}, for {self.seconds:.1f} s"


def make_schedule(seed: int, processes: Sequence[str] = PROCESSES, links: Sequence[str] = LINKS) -> list[Fault]:
    """Return the faults of a seed in the order they begin: one to three of processes, one to four of links.

    A process or link has one fault at a time; at most one kill or restart is the server's, which takes long to start.
    """
    chance = random.Random(seed)
    targets = chance.sample(processes, k=chance.randint(1, 3))
    broken = chance.sample(links, k=chance.randint(1, 4))
    chosen = [(WITHOUT_DISK.get(target, PROCESS_FAULTS), target) for target in targets]
    faults = [
        Fault(chance.choice(kinds), target, at=chance.uniform(0.3, LOAD_SECONDS - 1), seconds=chance.uniform(0.2, 2))
        for kinds, target in [*chosen, *((LINK_FAULTS, target) for target in broken)]
    ]
    return sorted(faults, key=lambda fault: fault.at)
