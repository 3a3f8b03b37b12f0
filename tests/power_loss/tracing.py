"""Reading what ``strace`` wrote down: every finished call of a process, with its arguments, result and order."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_STRING: Final = 4 * 1024 * 1024

CHANGING: Final = (
    *("open", "openat", "creat", "lseek", "write", "writev", "pwrite64", "pwritev", "pwritev2"),
    *("truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile", "splice"),
    *("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
)
SENDING: Final = ("sendto", "sendmsg")

_LINE = re.compile(r"(?P<pid>\d+) +[\d.]+ (?:<\.\.\. \w+ resumed>(?P<rest>.*)|(?P<name>\w+)\((?P<begin>.*))", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_SUCCESS = re.compile(r"\) += (\d+)(?:<([^>]*)>)?\Z")
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"(\.\.\.)?', re.DOTALL)
_DESCRIPTOR = re.compile(r"(\d+|AT_FDCWD)<([^>]*)>")


class RecordingError(Exception):
    """What a process did to its disk is not wholly known."""


@dataclass(frozen=True)
class Descriptor:
    """An opened file's or socket's number in a process, and its path or name."""

    number: str
    path: str


@dataclass(frozen=True)
class Call:
    """A call that succeeded, the one of this number to end; ``began`` is how many had ended when it began."""

    name: str
    arguments: str
    result: int
    opened: Descriptor | None
    began: int
    ended: int

    @property
    def strings(self) -> list[bytes]:
        """The strings among the arguments, whole."""
        found = list(_STRING.finditer(self.arguments))
        if any(match[2] for match in found):
            raise RecordingError(f"{self.name}: a string is longer than {LONGEST_STRING} bytes.")
        return [bytes(codecs.escape_decode(match[1])[0]) for match in found]

    @property
    def descriptors(self) -> list[Descriptor]:
        """The descriptors among the arguments."""
        return [_descriptor(match) for match in _DESCRIPTOR.finditer(_STRING.sub('""', self.arguments))]

    @property
    def paths(self) -> list[str]:
        """The paths among the arguments, absolute."""
        folders = [descriptor.path for descriptor in self.descriptors]
        given = [string.decode() for string in self.strings]
        return [str(Path(folder, path)) for folder, path in zip(folders or [""] * len(given), given, strict=True)]

    @property
    def last_number(self) -> int:
        """The last argument, a number."""
        return int(self.arguments.rpartition(", ")[2])


def command(trace: Path) -> list[str]:
    """Return what goes before a command so that its calls, and those of its threads, are written to a file."""
    calls = ",".join(CHANGING + SENDING)
    options = ["-f", "--seccomp-bpf", "-y", "-ttt", "-s", str(LONGEST_STRING), "-e", f"trace={calls}"]
    return ["strace", *options, "-e", "signal=none", "-o", str(trace), "--"]


def calls(trace: Path) -> Iterator[Call]:
    """Yield the calls that succeeded, in the order they ended."""
    began: dict[str, tuple[str, str, int]] = {}
    ended = 0
    with trace.open(encoding="ascii", newline="\n") as lines:
        for line in lines:
            found = _LINE.match(line.removesuffix("\n"))
            if found is None:
                continue
            name, text, at = _joined(found, began, ended)
            if text.endswith(_UNFINISHED):
                began[found["pid"]] = name, text.removesuffix(_UNFINISHED), at
                continue
            ended += 1
            if result := _SUCCESS.search(text):
                opened = None if result[2] is None else Descriptor(result[1], _unescaped(result[2]))
                yield Call(name, text[: result.start()], int(result[1]), opened, at, ended)


def _joined(found: re.Match[str], began: dict[str, tuple[str, str, int]], ended: int) -> tuple[str, str, int]:
    """Return name and text of a call with its first half, if that stood in an earlier line, and when it began."""
    if found["name"]:
        return found["name"], found["begin"], ended
    name, text, at = began.pop(found["pid"])
    return name, text + found["rest"], at


def _descriptor(found: re.Match[str]) -> Descriptor:
    return Descriptor(found[1], _unescaped(found[2]))


def _unescaped(text: str) -> str:
    return bytes(codecs.escape_decode(text)[0]).decode()
