"""Seeded schedules: which process or link breaks, how, when and for how long."""

import random
from dataclasses import dataclass
from typing import Final

LOAD_SECONDS: Final = 4.0
PROCESSES: Final = ("server", "client-1", "client-2", "client-3")
CLIENT_LINKS: Final = ("client-1", "client-2", "client-3")
DASHBOARD_LINKS: Final = ("dashboard-1", "dashboard-2")

PROCESS_FAULTS: Final = ("kill", "kill", "pause", "full disk", "full disk", "restart")
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


def make_schedule(seed: int) -> list[Fault]:
    """Return the faults of a seed in the order they begin: one to three of processes, one to four of links.

    A process or link has one fault at a time; at most one kill or restart is the server's, which takes long to start.
    """
    chance = random.Random(seed)
    processes = chance.sample(PROCESSES, k=chance.randint(1, 3))
    links = chance.sample(CLIENT_LINKS + DASHBOARD_LINKS, k=chance.randint(1, 4))
    faults = [_fault(chance, chance.choice(PROCESS_FAULTS), target) for target in processes]
    faults += [_fault(chance, chance.choice(LINK_FAULTS), target) for target in links]
    return sorted(faults, key=lambda fault: fault.at)


def _fault(chance: random.Random, kind: str, target: str) -> Fault:
    return Fault(kind, target, at=chance.uniform(0.3, LOAD_SECONDS - 1), seconds=chance.uniform(0.2, 2))
