"""The audit trail: what is added stays, and any change to what was added is found."""

import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.access.audit import __main__ as command
from common.access.audit.trail import Action, Actor, AuditTrail, Head, Verdict, verify
from common.errors import AuditUnavailableError

KEY = "k" * 43
OPERATOR = Actor("a1", "Ada", "operator", "127.0.0.1")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENTRIES = 6


def trail_in(folder: Path) -> AuditTrail:
    return AuditTrail(folder / "server" / "audit.jsonl", KEY, clock=lambda: NOW)


def file_in(folder: Path) -> Path:
    return folder / "server" / "audit.jsonl"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Head]:
    folder = tmp_path_factory.mktemp("written")
    trail = trail_in(folder)
    for number in range(ENTRIES):
        head = trail.record(OPERATOR, Action.READ_PREDICTION, f"prediction-{number}")
    return file_in(folder).read_bytes(), head


def check(tmp_path: Path, content: bytes, expected: Head | None = None) -> Verdict:
    path = tmp_path / "changed.jsonl"
    path.write_bytes(content)
    return verify(path, KEY, expected=expected)


def test_entries_are_kept_in_order_by_their_owner_alone(tmp_path: Path) -> None:
    trail = trail_in(tmp_path)
    assert trail.newest(10) == []
    trail.record(OPERATOR, Action.SIGNED_IN)
    head = trail.record(OPERATOR, Action.READ_PREDICTION, "p1")
    assert [(e.number, e.action, e.target, e.name) for e in trail.newest(10)] == [
        (2, "read_prediction", "p1", "Ada"),
        (1, "signed_in", "", "Ada"),
    ]
    assert [entry.number for entry in trail.newest(1, before=2)] == [1]
    assert verify(file_in(tmp_path), KEY, expected=head) == Verdict(head, ())
    assert stat.S_IMODE(file_in(tmp_path).stat().st_mode) == 0o600


def test_a_long_trail_is_read_from_its_end(tmp_path: Path) -> None:
    trail = trail_in(tmp_path)
    for number in range(700):
        trail.record(OPERATOR, Action.READ_PREDICTION, f"prediction-{number:050}")
    assert file_in(tmp_path).stat().st_size > 2 * 65_536
    assert [entry.number for entry in trail.newest(1000)] == list(range(700, 0, -1))


@given(data=st.data())
def test_every_changed_byte_is_found(
    written: tuple[bytes, Head], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(written[0])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    assert check(tmp_path_factory.getbasetemp(), bytes(content)).problems


@pytest.mark.parametrize("number", range(ENTRIES - 1))
def test_an_entry_that_is_removed_doubled_or_moved_is_found(
    written: tuple[bytes, Head], tmp_path: Path, number: int
) -> None:
    lines = written[0].splitlines(keepends=True)
    removed = [*lines[:number], *lines[number + 1 :]]
    doubled = [*lines[: number + 1], *lines[number:]]
    moved = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
    for changed in (removed, doubled, moved):
        assert check(tmp_path, b"".join(changed)).problems


@pytest.mark.parametrize("kept", range(ENTRIES))
def test_a_removed_tail_is_found_by_whoever_kept_the_head(
    written: tuple[bytes, Head], tmp_path: Path, kept: int
) -> None:
    shortened = b"".join(written[0].splitlines(keepends=True)[:kept])
    assert check(tmp_path, shortened).problems == ()
    (problem,) = check(tmp_path, shortened, written[1]).problems
    assert "later entries were removed" in problem


def test_a_head_that_was_kept_earlier_is_still_part_of_a_longer_trail(tmp_path: Path) -> None:
    trail = trail_in(tmp_path)
    earlier = trail.record(OPERATOR, Action.SIGNED_IN)
    trail.record(OPERATOR, Action.SIGNED_OUT)
    assert verify(file_in(tmp_path), KEY, expected=earlier).problems == ()
    assert verify(file_in(tmp_path), KEY, expected=Head(0, "0" * 64)).problems == ()  # kept before the first entry
    for forged in (Head(1, "0" * 64), Head(0, "f" * 64)):
        assert verify(file_in(tmp_path), KEY, expected=forged).problems


def test_without_the_key_nothing_can_be_forged(written: tuple[bytes, Head], tmp_path: Path) -> None:
    path = tmp_path / "server" / "audit.jsonl"
    path.parent.mkdir()
    path.write_bytes(written[0])
    AuditTrail(path, "another key", clock=lambda: NOW).record(OPERATOR, Action.SIGNED_OUT)
    assert verify(path, KEY).problems


def test_entries_that_vanish_while_the_app_runs_are_written_down(tmp_path: Path) -> None:
    trail, path = trail_in(tmp_path), file_in(tmp_path)
    trail.record(OPERATOR, Action.SIGNED_IN)
    whole = path.read_bytes()
    gone = trail.record(OPERATOR, Action.READ_PREDICTION, "p1")
    path.write_bytes(whole)
    trail.record(OPERATOR, Action.SIGNED_OUT)
    assert [entry.action for entry in trail.newest(2)] == ["signed_out", "trail_damaged"]
    (problem,) = verify(path, KEY).problems
    assert str(gone) in problem


def test_an_entry_that_a_crash_cut_off_is_removed_and_told(tmp_path: Path) -> None:
    trail, path = trail_in(tmp_path), file_in(tmp_path)
    trail.record(OPERATOR, Action.SIGNED_IN)
    with path.open("ab") as file:
        file.write(b'{"number":2,"at":"20')
    assert "20 bytes of one that was cut off" in verify(path, KEY).problems[0]
    trail_in(tmp_path).record(OPERATOR, Action.SIGNED_OUT)
    assert [entry.number for entry in trail.newest(9)] == [3, 2, 1]
    (problem,) = verify(path, KEY).problems
    assert "cut off after 20 bytes" in problem


@pytest.mark.parametrize("lost", [slice(0, 60), slice(40, 120), slice(100, -2)])
def test_an_entry_of_which_a_part_is_missing_is_removed_and_told(tmp_path: Path, lost: slice) -> None:
    """A disk writes its sectors in any order: the end of an entry may be there without what stands before it."""
    trail, path = trail_in(tmp_path), file_in(tmp_path)
    trail.record(OPERATOR, Action.SIGNED_IN)
    whole = path.read_bytes()
    trail.record(OPERATOR, Action.READ_PREDICTION, "p1")
    torn = bytearray(path.read_bytes()[len(whole) :])
    torn[lost] = bytes(len(torn[lost]))
    path.write_bytes(whole + torn)
    trail_in(tmp_path).record(OPERATOR, Action.SIGNED_OUT)
    assert [(entry.number, entry.action) for entry in trail.newest(9)] == [
        (3, "signed_out"),
        (2, "trail_damaged"),
        (1, "signed_in"),
    ]
    assert len(verify(path, KEY).problems) == 1


def test_more_damage_than_a_loss_of_power_does_is_left_for_the_check_to_find(tmp_path: Path) -> None:
    trail, path = trail_in(tmp_path), file_in(tmp_path)
    for number in range(40):
        trail.record(OPERATOR, Action.READ_PREDICTION, f"prediction-{number}")
    damaged = path.read_bytes().replace(b"prediction-1", b"prediction-2")
    path.write_bytes(damaged)
    trail_in(tmp_path).record(OPERATOR, Action.SIGNED_OUT)
    assert path.read_bytes().startswith(damaged)
    assert "Entry 2 is not what was written" in verify(path, KEY).problems[0]


def test_several_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    def write() -> None:
        trail = trail_in(tmp_path)
        for _ in range(20):
            trail.record(OPERATOR, Action.READ_HISTORY)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(file_in(tmp_path), KEY)
    assert (verdict.head.number, verdict.problems) == (80, ())


def test_a_trail_that_cannot_be_written_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "server").write_text("a file where a folder should be")
    trail = trail_in(tmp_path)
    with pytest.raises(AuditUnavailableError):
        trail.record(OPERATOR, Action.SIGNED_IN)
    with pytest.raises(AuditUnavailableError):
        trail.require_writable()


def test_the_command_checks_shows_and_keeps_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "secrets"))
    assert command.main(["server", "verify"]) == 1
    assert "There is no audit trail of server yet." in capsys.readouterr().err
    (tmp_path / "secrets" / "server" / "AUDIT_KEY").write_text(KEY)
    trail = trail_in(tmp_path)
    trail.record(OPERATOR, Action.SIGNED_IN)
    head = trail.record(OPERATOR, Action.READ_PREDICTION, "p1")
    assert command.main(["server", "head"]) == 0
    assert capsys.readouterr().out.strip() == str(head)
    assert command.main(["server", "verify", "--head", str(head)]) == 0
    assert "In order: 2 entries." in capsys.readouterr().out
    assert command.main(["server", "show"]) == 0
    assert "Ada (operator)  read_prediction  p1  127.0.0.1" in capsys.readouterr().out
    file_in(tmp_path).write_bytes(b"".join(file_in(tmp_path).read_bytes().splitlines(keepends=True)[:1]))
    assert command.main(["server", "verify"]) == 0
    assert command.main(["server", "verify", "--head", str(head)]) == 1
    assert "later entries were removed" in capsys.readouterr().out
