"""The model of a disk that loses power, and the reading of traces, on ones written by hand."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.power_loss.exploring import Case, explore
from tests.power_loss.judging import Claim, Judge, Reading
from tests.power_loss.model import ROOT, Change, Contents, Disk, Event, Node, Rename, Resize, Sync, Tree, Write
from tests.power_loss.recording import Promise, Recording, contents_of, record, tree_of
from tests.power_loss.sent import ACKNOWLEDGED, PRINTED, Said, SentText
from tests.power_loss.tracing import RecordingError

FILE = Node(1)
OTHER = Node(2)
FOLDER = Node(3, is_folder=True)
NAMED = Rename(ROOT, (("a", FILE),))


def disk_after(*events: Event) -> Disk:
    disk = Disk(Contents())
    for event in events:
        disk.take(event)
    return disk


def by_rule(disk: Disk) -> list[Tree]:
    return [disk.tree(disk.outcome(number)) for number in range(disk.systematic)]


def at_random(disk: Disk, times: int = 400) -> list[Tree]:
    chance = random.Random(5)
    return [disk.tree(disk.at_random(chance)) for _ in range(times)]


def all_trees(disk: Disk) -> list[Tree]:
    return by_rule(disk) + at_random(disk)


def test_what_was_synced_is_there_in_every_outcome() -> None:
    disk = disk_after(NAMED, Write(FILE, 0, b"kept"), Sync(FILE, 2), Sync(ROOT, 3))
    assert disk.pending == []
    assert all(tree == {"a": b"kept"} for tree in all_trees(disk))


def test_what_was_not_synced_may_be_there_or_not() -> None:
    trees = by_rule(disk_after(NAMED, Sync(ROOT, 1), Write(FILE, 0, b"maybe")))
    assert {"a": b""} in trees
    assert {"a": b"maybe"} in trees


def test_syncing_a_file_does_not_put_its_name_on_disk() -> None:
    assert {} in by_rule(disk_after(NAMED, Write(FILE, 0, b"whole"), Sync(FILE, 2)))


def test_syncing_a_folder_puts_neither_its_own_name_nor_its_files_contents_on_disk() -> None:
    inside = Rename(FOLDER, (("a", FILE),))
    trees = by_rule(disk_after(Rename(ROOT, (("f", FOLDER),)), inside, Write(FILE, 0, b"lost"), Sync(FOLDER, 3)))
    assert {} in trees
    assert {"f": None, "f/a": b""} in trees
    assert {"f": None} not in trees


def test_a_sync_covers_nothing_that_had_not_ended_when_it_began() -> None:
    disk = disk_after(NAMED, Sync(ROOT, 1), Write(FILE, 0, b"late"), Sync(FILE, 2))
    assert disk.pending == [Write(FILE, 0, b"late")]


def test_a_sync_of_everything_leaves_nothing_pending() -> None:
    assert disk_after(NAMED, Write(FILE, 0, b"x"), Sync(None, 2)).pending == []


def test_a_file_that_is_renamed_is_under_one_of_both_names_and_never_under_none() -> None:
    renamed = Rename(ROOT, (("a", None), ("b", FILE)))
    trees = all_trees(disk_after(NAMED, Write(FILE, 0, b"x"), Sync(None, 2), renamed))
    assert {*map(tuple, trees)} == {("a",), ("b",)}


def test_a_replaced_file_is_the_old_or_the_new_one_and_an_unsynced_new_one_may_be_empty() -> None:
    setup: list[Event] = [NAMED, Write(FILE, 0, b"old"), Sync(None, 2)]
    named, moved = Rename(ROOT, (("new", OTHER),)), Rename(ROOT, (("new", None), ("a", OTHER)))
    replacing: list[Event] = [named, Write(OTHER, 0, b"new"), moved]
    trees = by_rule(disk_after(*setup, *replacing))
    assert {tree["a"] for tree in trees if "a" in tree} == {b"old", b"new", b""}


def test_a_removed_file_may_come_back() -> None:
    trees = by_rule(disk_after(NAMED, Write(FILE, 0, b"x"), Sync(None, 2), Rename(ROOT, (("a", None),))))
    assert trees.count({"a": b"x"}) >= 1
    assert {} in trees


def test_a_shortened_file_may_have_its_old_length() -> None:
    trees = by_rule(disk_after(NAMED, Write(FILE, 0, b"journal"), Sync(None, 2), Resize(FILE, 0)))
    assert {"a": b""} in trees
    assert {"a": b"journal"} in trees


def test_writes_get_there_in_any_order() -> None:
    writes = [Write(FILE, 0, b"1"), Write(FILE, 1, b"2"), Write(FILE, 2, b"3")]
    left = {tree["a"] for tree in by_rule(disk_after(NAMED, Sync(ROOT, 1), *writes))}
    assert left == {b"", b"1", b"12", b"123", b"\x0023", b"1\x003", b"\x002", b"\0\x003"}


def test_a_write_is_torn_only_where_sectors_begin() -> None:
    written, before = b"n" * 2048, b"o" * 2048
    disk = disk_after(NAMED, Write(FILE, 0, before), Sync(None, 2), Write(FILE, 100, written[:1000]))
    left = {bytes(tree["a"] or b"") for tree in at_random(disk)}
    assert any(b"on" in content[512:1100] or b"no" in content[101:1100] for content in left)
    for content in left:
        assert content[:100] == before[:100]
        assert content[1100:] == before[1100:]
        assert len({*content[100:512]}) == len({*content[512:1024]}) == len({*content[1024:1100]}) == 1


def test_a_file_may_have_grown_by_zeros_or_noise_but_what_stood_there_is_never_noise() -> None:
    grown = disk_after(NAMED, Sync(ROOT, 1), Write(FILE, 0, b"data" * 128))
    left = {tree["a"] for tree in at_random(grown)}
    assert bytes(512) in left
    assert left - {b"", bytes(512), b"data" * 128}
    overwritten = disk_after(NAMED, Write(FILE, 0, b"old!" * 128), Sync(None, 2), Write(FILE, 0, b"data" * 128))
    assert {tree["a"] for tree in at_random(overwritten)} == {b"old!" * 128, b"data" * 128}


def written_trace(folder: Path, *lines: str) -> Path:
    trace = folder / "trace.txt"
    trace.write_text("".join(f"{line.replace('DISK', str(folder / 'disk'))}\n" for line in lines))
    return trace


def recorded(folder: Path, *lines: str) -> Recording:
    """Record a trace of a process that left the file ``a``, holding ``new``."""
    (folder / "disk").mkdir()
    (folder / "disk" / "a").write_bytes(b"new")
    return record(written_trace(folder, *lines), folder / "disk", Contents())


OPENED = '7 1.0 openat(AT_FDCWD</x>, "DISK/a", O_RDWR|O_CREAT, 0600) = 3<DISK/a>'


def test_a_trace_is_read_with_its_offsets_lengths_and_syncs(tmp_path: Path) -> None:
    events = recorded(
        tmp_path,
        OPENED,
        '7 1.1 write(3<DISK/a>, "n\\145?", 3) = 3',
        '7 1.2 pwrite64(3<DISK/a>, "w", 1, 2) = 1',
        '7 1.3 openat(AT_FDCWD</x>, "DISK/missing", O_RDONLY) = -1 ENOENT (No such file or directory)',
        "7 1.4 fdatasync(3<DISK/a>) = 0",
        "7 1.5 +++ exited with 0 +++",
    ).events
    (named, first, second, sync) = events
    assert isinstance(named, Rename)
    file = named.names[0][1]
    assert (first, second) == (Write(Node(1000), 0, b"ne?"), Write(Node(1000), 2, b"w"))
    assert (file, sync) == (Node(1000), Sync(Node(1000), 3))


def test_a_sync_that_another_threads_write_outran_does_not_cover_it(tmp_path: Path) -> None:
    events = recorded(
        tmp_path,
        OPENED,
        "7 1.1 fsync(3<DISK/a> <unfinished ...>",
        '8 1.2 pwrite64(3<DISK/a>, "new", 3, 0) = 3',
        "7 1.3 <... fsync resumed>) = 0",
    ).events
    assert events[1:] == [Write(Node(1000), 0, b"new"), Sync(Node(1000), 1)]


def test_a_trace_that_does_not_account_for_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        recorded(tmp_path, OPENED, '7 1.1 write(3<DISK/a>, "old", 3) = 3')


def test_a_call_of_unknown_effect_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        recorded(tmp_path, OPENED, "7 1.1 fallocate(3<DISK/a>, 0, 0, 3) = 0")


def test_a_string_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        recorded(tmp_path, OPENED, '7 1.1 write(3<DISK/a>, "new"..., 300) = 300')


def test_a_message_counts_as_said_from_the_moment_its_sending_began(tmp_path: Path) -> None:
    head = "HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n"
    recording = recorded(
        tmp_path,
        OPENED,
        f'7 1.1 sendto(5<socket:[9]>, "{head}", 36, 0, NULL, 0) = 36',
        '7 1.2 sendto(5<socket:[9]>, "\\201\\t42[\\"e\\",1]", 11, 0, NULL, 0 <unfinished ...>',
        '8 1.3 write(3<DISK/a>, "new", 3) = 3',
        "7 1.4 <... sendto resumed>) = 11",
    )
    assert recording.promises == [Promise(1, Said("e", 1))]


def frame(text: str) -> bytes:
    return bytes([0x81, len(text)]) + text.encode()


def test_messages_are_heard_whole_however_they_were_cut() -> None:
    sent = SentText()
    assert sent.take("socket:[1]", b"HTTP/1.1 101 Switching\r\n\r\n") == []
    messages = frame('42/n,["result",{"a":1}]') + frame("2") + frame('431[{"b":2}]')
    heard = [said for byte in messages for said in sent.take("socket:[1]", bytes([byte]))]
    assert heard == [Said("result", {"a": 1}), Said(ACKNOWLEDGED, {"b": 2})]


def test_what_goes_to_others_than_socketio_is_no_message() -> None:
    sent = SentText()
    assert sent.take("socket:[1]", b'HTTP/1.1 200 OK\r\n\r\n42["e",1]') == []
    assert sent.take("pipe:[2]", b"Open http\n") == [Said(PRINTED, "Open http")]


def test_contents_of_a_folder_are_what_stands_in_it(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").write_bytes(b"x")
    assert contents_of(tmp_path).tree() == tree_of(tmp_path) == {"f": None, "f/a": b"x"}


def read_a(disk: Path) -> Reading:
    path = disk / "a"
    return Reading({"a": path.read_text()} if path.exists() else {})


def says_what_a_holds(said: Said) -> Iterable[Claim]:
    return [Claim.of("a", said.data)]


@pytest.mark.parametrize(
    ("syncs", "said"),
    [([Sync(FILE, 2), Sync(ROOT, 3)], set()), ([Sync(FILE, 2)], {"lost: a"}), ([Sync(ROOT, 2)], {"altered: a"})],
)
def test_a_promise_holds_only_once_content_and_name_are_synced(syncs: list[Event], said: set[str]) -> None:
    events: list[Event] = [NAMED, Write(FILE, 0, b"kept"), *syncs]
    promised: Any = Promise(len(events), Said("stored", "kept"))
    recording = Recording(Contents(), events, [promised])
    result = explore(Case("a", recording, Judge(read_a, says_what_a_holds)), states=50, seed=1)
    assert {broken for violation in result.violations for broken in violation.broken} == said


def test_no_promise_is_held_against_a_moment_before_it() -> None:
    changes: list[Change] = [NAMED, Write(FILE, 0, b"kept")]
    recording = Recording(Contents(), [*changes, Sync(None, 2)], [Promise(3, Said("stored", "kept"))])
    assert explore(Case("a", recording, Judge(read_a, says_what_a_holds)), states=50, seed=1).violations == []
