"""Opening the disks that a loss of power may leave at every point of a recording, and judging each."""

import logging
import multiprocessing
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.power_loss.judging import Claim, Judge, Reading
from tests.power_loss.model import Disk, Outcome, Sync, Tree
from tests.power_loss.recording import Recording

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only where it is made; the folder in it is private


@dataclass(frozen=True)
class Violation:
    """What is wrong with one disk: when the power went, what was lost with it, and what that broke."""

    point: int
    lost: str
    broken: tuple[str, ...]

    def __str__(self) -> str:
        return f"power lost after event {self.point}, and with it {self.lost}: {'; '.join(self.broken)}"


@dataclass
class Result:
    """``judged`` outcomes were ``opened`` different disks; the first violation came with the ``caught_after``th."""

    name: str
    points: int
    promises: int
    judged: int = 0
    opened: int = 0
    caught_after: int | None = None
    violations: list[Violation] = field(default_factory=list)


@dataclass(frozen=True)
class _Point:
    """A moment at which the power may go."""

    number: int
    disk: Disk
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Case:
    """A recorded disk, and who judges what is left of it."""

    name: str
    recording: Recording
    judge: Judge


def explore_all(cases: Sequence[Case], *, states: int, seed: int) -> list[Result]:
    """Explore each case, so many at once as there are processors."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_be_quiet) as pool:
        return list(pool.map(partial(explore, states=states, seed=seed), cases))


def _be_quiet() -> None:
    """Leave out what the product logs of each disk that it opens."""
    logging.disable()


def explore(case: Case, *, states: int, seed: int) -> Result:
    """Open up to so many different disks: both extremes of every point, then others by rule and at random in turn."""
    points = list(_points(case))
    result = Result(case.name, len(points), len({claim for point in points for claim in point.claims}))
    readings: dict[bytes, Reading] = {}
    for point, outcome in _outcomes(points, random.Random(seed)):
        tree = point.disk.tree(outcome)
        key = _digest(tree)
        if key not in readings:
            if len(readings) == states:
                break
            readings[key] = _open(tree, case.judge)
        result.judged += 1
        result.opened = len(readings)
        _hold(result, point, outcome, readings[key])
    return result


def _hold(result: Result, point: _Point, outcome: Outcome, reading: Reading) -> None:
    broken = [said for claim in point.claims if (said := claim.broken_by(reading.facts))]
    if broken or reading.faults:
        result.violations.append(Violation(point.number, outcome.lost, (*reading.faults, *broken)))
        result.caught_after = result.caught_after or result.opened


def _points(case: Case) -> Iterator[_Point]:
    """Yield the moments before every sync, after every promise, and at the end."""
    promised: dict[int, list[Claim]] = {}
    for promise in case.recording.promises:
        promised.setdefault(promise.after, []).extend(case.judge.claims(promise.said))
    disk = Disk(case.recording.initial)
    claims: dict[Claim, None] = {}
    for number, event in enumerate([*case.recording.events, None]):
        new = promised.get(number, [])
        claims |= dict.fromkeys(new)
        if new or event is None or isinstance(event, Sync):
            yield _Point(number, copy(disk), tuple(claims))
        if event is not None:
            disk.take(event)


def _outcomes(points: list[_Point], chance: random.Random) -> Iterator[tuple[_Point, Outcome]]:
    extremes = [(point, number) for point in points for number in (0, 1)]
    chance.shuffle(extremes)
    yield from ((point, point.disk.outcome(number)) for point, number in extremes)
    by_rule = [(point, number) for point in points for number in range(2, point.disk.systematic)]
    chance.shuffle(by_rule)
    for point, number in by_rule:
        yield point, point.disk.outcome(number)
        other = chance.choice(points)
        yield other, other.disk.at_random(chance)


def _open(tree: Tree, judge: Judge) -> Reading:
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as name:
        for path, content in tree.items():
            if content is None:
                (Path(name) / path).mkdir()
            else:
                (Path(name) / path).write_bytes(content)
        return judge.reading(Path(name))


def _digest(tree: Tree) -> bytes:
    digest = sha256()
    for path, content in sorted(tree.items()):
        digest.update(f"{path}\0{-1 if content is None else len(content)}\0".encode())
        digest.update(content or b"")
    return digest.digest()
