"""From a process's calls to what happened to its disk, and to what it promised meanwhile."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from itertools import count
from os.path import normpath
from pathlib import Path, PurePosixPath
from typing import Final

from tests.power_loss.model import ROOT, Change, Contents, Event, Node, Rename, Resize, Sync, Write
from tests.power_loss.sent import Said, SentText
from tests.power_loss.tracing import SENDING, Call, Descriptor, RecordingError, calls

_DELETED: Final = " (deleted)"
_FIRST_NEW: Final = 1000
"""Numbers of files that were made during the recording begin here."""


@dataclass(frozen=True)
class Promise:
    """What a process told somebody, when ``after`` of the recorded events had happened."""

    after: int
    said: Said


@dataclass
class Recording:
    """What stood on a disk at first, everything that happened to it, and everything that was said meanwhile."""

    initial: Contents
    events: list[Event] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)


def record(trace: Path, folder: Path, initial: Contents) -> Recording:
    """Read a trace; ``folder`` is where the disk is, ``initial`` what stood there when the process started.

    Raises
    ------
    RecordingError
        When the trace does not account for everything that stands in the folder now.
    """
    reader = _Reader(folder, initial)
    for call in calls(trace):
        reader.take(call)
    if reader.contents.tree() != tree_of(folder):
        raise RecordingError("The folder holds something else than what was recorded.")
    return reader.recording


def tree_of(folder: Path) -> dict[str, bytes | None]:
    """Return what stands in a folder, by path."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def contents_of(folder: Path) -> Contents:
    """Return what stands in a folder as the contents of a disk."""
    contents, nodes = Contents(), {PurePosixPath(): ROOT}
    for number, path in enumerate(sorted(folder.rglob("*")), start=1):
        name = PurePosixPath(path.relative_to(folder))
        node = nodes[name] = Node(number, path.is_dir())
        contents.apply(Rename(nodes[name.parent], ((name.name, node),)))
        if not node.is_folder:
            contents.apply(Write(node, 0, path.read_bytes()))
    return contents


class _Reader:
    """Follows the calls; ``contents`` is what the process itself sees."""

    def __init__(self, folder: Path, initial: Contents) -> None:
        self.recording = Recording(copy(initial))
        self.contents = copy(initial)
        self._folder = PurePosixPath(folder.resolve())
        self._sent = SentText()
        self._nodes = count(_FIRST_NEW)
        self._events_before = [0]
        """How many events there had been when so many calls had ended."""
        self._offsets: dict[Descriptor, int | None] = {}
        """Where the next ``write`` to an opened file goes; ``None`` for its end."""

    def take(self, call: Call) -> None:
        events = self.recording.events
        self._events_before += [len(events)] * (call.ended - len(self._events_before))
        handler = _HANDLERS.get(call.name)
        if handler is not None:
            handler(self, call)
        elif any(self._is_inside(descriptor.path) for descriptor in call.descriptors):
            raise RecordingError(f"It is not known what {call.name} does to a disk.")
        self._events_before.append(len(events))

    def open(self, call: Call) -> None:
        if call.opened is None or not self._is_inside(call.opened.path):
            return
        node = self._node(call.opened.path)
        if node is None:
            node = self._new_name(call.opened.path, is_folder=False)
        elif "O_TRUNC" in call.arguments and self.contents.size(node):
            self._note(Resize(node, 0))
        self._offsets[call.opened] = None if "O_APPEND" in call.arguments else 0

    def seek(self, call: Call) -> None:
        self._offsets[call.descriptors[0]] = call.result

    def write(self, call: Call) -> None:
        target, data = call.descriptors[0], b"".join(call.strings)[: call.result]
        if not self._is_inside(target.path):
            self._say(call, target, data)
        elif (node := self._opened_node(target)) is not None:
            offset = self._offsets[target]
            at = self.contents.size(node) if offset is None else offset
            self._note(Write(node, at, data))
            self._offsets[target] = None if offset is None else at + len(data)

    def write_at(self, call: Call) -> None:
        target = call.descriptors[0]
        if self._is_inside(target.path) and (node := self._opened_node(target)) is not None:
            self._note(Write(node, call.last_number, b"".join(call.strings)[: call.result]))

    def send(self, call: Call) -> None:
        self._say(call, call.descriptors[0], b"".join(call.strings)[: call.result])

    def resize(self, call: Call) -> None:
        path = call.paths[0] if call.name == "truncate" else call.descriptors[0].path
        if self._is_inside(path) and (node := self._node(path)) is not None:
            self._note(Resize(node, call.last_number))

    def sync(self, call: Call) -> None:
        path = call.descriptors[0].path
        if self._is_inside(path) and (node := self._node(path)) is not None:
            self.recording.events.append(Sync(node, self._before(call)))

    def sync_all(self, call: Call) -> None:
        self.recording.events.append(Sync(None, self._before(call)))

    def make_folder(self, call: Call) -> None:
        (path,) = call.paths
        if self._is_inside(path):
            self._new_name(path, is_folder=True)

    def remove(self, call: Call) -> None:
        (path,) = call.paths
        if self._is_inside(path):
            folder, name = self._place(path)
            self._note(Rename(folder, ((name, None),)))

    def link(self, call: Call) -> None:
        old, new = call.paths
        if self._is_inside(new):
            folder, name = self._place(new)
            self._note(Rename(folder, ((name, self._known(old)),)))

    def move(self, call: Call) -> None:
        old, new = call.paths
        if not self._is_inside(old) and not self._is_inside(new):
            return
        node = self._known(old)
        (from_, before), (to, after) = self._place(old), self._place(new)
        if from_ == to:
            self._note(Rename(to, ((before, None), (after, node))))
        else:
            self._note(Rename(to, ((after, node),)))
            self._note(Rename(from_, ((before, None),)))

    def _say(self, call: Call, target: Descriptor, data: bytes) -> None:
        after = self._before(call)
        self.recording.promises += [Promise(after, said) for said in self._sent.take(target.path, data)]

    def _before(self, call: Call) -> int:
        """Return how many events there had been when a call began."""
        return self._events_before[call.began]

    def _note(self, change: Change) -> None:
        self.recording.events.append(change)
        self.contents.apply(change)

    def _new_name(self, path: str, *, is_folder: bool) -> Node:
        folder, name = self._place(path)
        node = Node(next(self._nodes), is_folder)
        self._note(Rename(folder, ((name, node),)))
        return node

    def _is_inside(self, path: str) -> bool:
        return PurePosixPath(normpath(path)).is_relative_to(self._folder)

    def _node(self, path: str) -> Node | None:
        parts = PurePosixPath(normpath(path)).relative_to(self._folder).parts
        return self.contents.find(parts)

    def _opened_node(self, target: Descriptor) -> Node | None:
        """Return the file behind a descriptor, ``None`` if it has no name any more."""
        return None if target.path.endswith(_DELETED) else self._known(target.path)

    def _known(self, path: str) -> Node:
        node = self._node(path)
        if node is None:
            raise RecordingError(f"{path} came from somewhere that was not recorded.")
        return node

    def _place(self, path: str) -> tuple[Node, str]:
        whole = PurePosixPath(normpath(path))
        return self._known(str(whole.parent)), whole.name


_HANDLERS: Final[Mapping[str, Callable[[_Reader, Call], None]]] = {
    **dict.fromkeys(("open", "openat", "creat"), _Reader.open),
    "lseek": _Reader.seek,
    **dict.fromkeys(("write", "writev"), _Reader.write),
    "pwrite64": _Reader.write_at,
    **dict.fromkeys(SENDING, _Reader.send),
    **dict.fromkeys(("truncate", "ftruncate"), _Reader.resize),
    **dict.fromkeys(("fsync", "fdatasync"), _Reader.sync),
    **dict.fromkeys(("sync", "syncfs"), _Reader.sync_all),
    **dict.fromkeys(("mkdir", "mkdirat"), _Reader.make_folder),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), _Reader.remove),
    **dict.fromkeys(("link", "linkat"), _Reader.link),
    **dict.fromkeys(("rename", "renameat", "renameat2"), _Reader.move),
}
