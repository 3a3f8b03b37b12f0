"""What a disk may hold after a loss of power: whatever was synced, and of the rest anything.

The model is the weakest one of Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014): a change is on disk
for sure once the file or folder that it changes was synced after it; until then it may be there or not, whatever became
of the others. A name belongs to its folder: syncing a file does not put its name on disk, nor does syncing a folder put
there the folder's own name. A write may be there in part, in sectors of 512 bytes. A change of names within one folder,
a rename too, is there wholly or not at all; bytes outside of what was written keep their values.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SECTOR: Final = 512
UNTORN: Final = 0.5
GROWN: Final = 0.3
TORN: Final = 0.5


@dataclass(frozen=True)
class Node:
    """A file or a folder, whatever its names are."""

    number: int
    is_folder: bool = False


@dataclass(frozen=True)
class Write:
    """Bytes of a file that were changed."""

    node: Node
    offset: int
    data: bytes


@dataclass(frozen=True)
class Resize:
    """A file's new length in bytes."""

    node: Node
    size: int


@dataclass(frozen=True)
class Rename:
    """Names of a folder, and what each stands for from now on; ``None`` for nothing."""

    node: Node
    names: tuple[tuple[str, Node | None], ...]


@dataclass(frozen=True)
class Sync:
    """A file's or folder's changes among the first ``covers`` ones are on disk; without a node, everybody's."""

    node: Node | None
    covers: int


Change = Write | Resize | Rename
Event = Change | Sync
Tree = Mapping[str, bytes | None]
"""Contents by path; ``None`` for a folder."""

ROOT: Final = Node(0, is_folder=True)


class Contents:
    """What files hold and what folders name."""

    def __init__(self) -> None:
        self._files: dict[Node, bytes] = {}
        self._folders: dict[Node, dict[str, Node]] = {}

    def __copy__(self) -> "Contents":
        other = Contents()
        other._files = self._files.copy()
        other._folders = {node: names.copy() for node, names in self._folders.items()}
        return other

    def apply(self, change: Change) -> None:
        match change:
            case Write(node, offset, data):
                before = self._files.get(node, b"").ljust(offset, b"\0")
                self._files[node] = before[:offset] + data + before[offset + len(data) :]
            case Resize(node, size):
                self._files[node] = self._files.get(node, b"")[:size].ljust(size, b"\0")
            case Rename(node, names):
                self._rename(self._folders.setdefault(node, {}), names)

    def size(self, node: Node) -> int:
        return len(self._files.get(node, b""))

    def find(self, path: Sequence[str]) -> Node | None:
        """Return what stands at a path, ``None`` if nothing does."""
        node = ROOT
        for name in path:
            found = self._folders.get(node, {}).get(name)
            if found is None:
                return None
            node = found
        return node

    def tree(self, node: Node = ROOT, path: str = "") -> dict[str, bytes | None]:
        """Return everything that has a name, by its path."""
        found: dict[str, bytes | None] = {}
        for name, child in sorted(self._folders.get(node, {}).items()):
            if child.is_folder:
                found[path + name] = None
                found |= self.tree(child, f"{path}{name}/")
            else:
                found[path + name] = self._files.get(child, b"")
        return found

    @staticmethod
    def _rename(folder: dict[str, Node], names: Iterable[tuple[str, Node | None]]) -> None:
        for name, node in names:
            if node is None:
                folder.pop(name, None)
            else:
                folder[name] = node


@dataclass(frozen=True)
class Outcome:
    """Which unsynced changes got to the disk, and in words which did not."""

    kept: Sequence[Change]
    lost: str


class Disk:
    """A disk in use: what is on it for sure, and the changes that may be."""

    def __init__(self, contents: Contents) -> None:
        self._sure = contents
        self._pending: list[tuple[int, Change]] = []
        self._count = 0

    @property
    def pending(self) -> list[Change]:
        return [change for _, change in self._pending]

    def take(self, event: Event) -> None:
        """Take the next event of a recording."""
        if isinstance(event, Sync):
            self._settle(event)
        else:
            self._pending.append((self._count, event))
        self._count += 1

    def __copy__(self) -> "Disk":
        other = Disk(copy(self._sure))
        other._pending, other._count = self._pending.copy(), self._count
        return other

    @property
    def systematic(self) -> int:
        """How many outcomes there are by rule."""
        return 2 + 3 * len(self._pending)

    def outcome(self, number: int) -> Outcome:
        """Return an outcome by rule: of the unsynced changes none, all, all but one, a beginning, or one is left."""
        pending = self.pending
        if number == 0:
            return Outcome([], "every unsynced change")
        if number == 1:
            return Outcome(pending, "nothing")
        at, rule = divmod(number - 2, 3)
        change = described(pending[at])
        return [
            Outcome(pending[:at] + pending[at + 1 :], f"only {change}"),
            Outcome(pending[: at + 1], f"every unsynced change after {change}"),
            Outcome([pending[at]], f"every unsynced change but {change}"),
        ][rule]

    def at_random(self, chance: random.Random) -> Outcome:
        """Return an outcome in which some changes got there, some in part, and some files grew without the bytes."""
        share = chance.random()
        kept: list[Change] = []
        words: list[str] = []
        for change in self.pending:
            if chance.random() < share:
                kept.append(change)
                continue
            parts = self._parts(change, chance)
            kept += parts
            words.append(f"{'part of ' if parts else ''}{described(change)}")
        return Outcome(kept, "; ".join(words) or "nothing")

    def tree(self, outcome: Outcome) -> Tree:
        """Return what stands on the disk then."""
        contents = copy(self._sure)
        for change in outcome.kept:
            contents.apply(change)
        return contents.tree()

    def _parts(self, change: Change, chance: random.Random) -> list[Change]:
        """Return what is left of a change that did not get there: mostly nothing, of a write some of its sectors.

        A file may also have grown by a write without its bytes; zeros or noise stand there then.
        """
        if not isinstance(change, Write) or chance.random() < UNTORN:
            return []
        if change.offset >= self._sure.size(change.node) and chance.random() < GROWN:
            length = len(change.data)
            return [Write(change.node, change.offset, chance.choice([bytes(length), chance.randbytes(length)]))]
        return [sector for sector in _sectors(change) if chance.random() < TORN]

    def _settle(self, sync: Sync) -> None:
        left = []
        for at, change in self._pending:
            if at < sync.covers and sync.node in {None, change.node}:
                self._sure.apply(change)
            else:
                left.append((at, change))
        self._pending = left


def described(change: Change) -> str:
    """Say what a change is, without what it holds."""
    match change:
        case Write(node, offset, data):
            return f"the write of {len(data)} bytes at {offset} to file {node.number}"
        case Resize(node, size):
            return f"the length {size} of file {node.number}"
        case Rename(node, names):
            said = ", ".join(f"{'no ' if named is None else ''}{name}" for name, named in names)
            return f"in folder {node.number}: {said}"


def _sectors(write: Write) -> Iterator[Write]:
    """Cut a write where sectors of the disk begin."""
    start, end = write.offset, write.offset + len(write.data)
    cuts = [start, *range((start // SECTOR + 1) * SECTOR, end, SECTOR), end]
    for begin, following in pairwise(cuts):
        yield Write(write.node, begin, write.data[begin - start : following - start])
