"""The outbox on real SQLite files."""

import logging
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from client.outbox import Outbox
from common.errors import ErasedError, InvalidRecordError, NotFoundError, RequestIdReusedError, StoreUnavailableError
from common.followers import ALL
from common.messages import Change, Changes, HistoryEntry, WireError, Withdrawal
from config.secrets import PROJECT_ROOT
from tests.support import version_3
from tests.support.made_requests import (
    LLAMA_TEXT,
    NOON,
    erased,
    explained,
    id_of,
    made,
    prediction,
    record,
    refused,
    request,
    submission,
    superseded,
    withdrawn,
)
from tests.support.pages import changes_in, history, states_of

OpenOutbox = Callable[[], Outbox]

FOR_GOOD = WireError.of(InvalidRecordError(fields={"age": ["is required"]}))
FIRST, SECOND, THIRD = id_of(1), id_of(2), id_of(3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client-1" / "client.sqlite"


@pytest.fixture
def reopen(path: Path) -> Iterator[OpenOutbox]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(Outbox(path)))


@pytest.fixture
def outbox(reopen: OpenOutbox) -> Outbox:
    return reopen()


def put(outbox: Outbox, *numbers: int) -> list[HistoryEntry]:
    receipts = [outbox.put(submission(number), request(number).entered_at) for number in numbers]
    return [receipt.entry for receipt in receipts if receipt.entry]


def waiting(outbox: Outbox, limit: int = 100) -> list[str]:
    return [found.request_id for found in outbox.waiting(limit)]


def apply(outbox: Outbox, *entries: Change, log: str = "a-log.0", has_more: bool = False) -> set[str]:
    """Apply what follows the outbox's place in a log, or begin another one."""
    after = outbox.place.server_after if log == outbox.place.server_log else 0
    run = Changes(log=log, after=after, next_after=entries[-1].sequence, has_more=has_more, entries=list(entries))
    return outbox.apply(run)


def test_a_request_is_on_disk_before_put_returns(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from client.outbox import Outbox;"
        "from tests.support.made_requests import NOON, submission;"
        "Outbox(Path(sys.argv[1])).put(submission(1), NOON); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT_ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    with closing(Outbox(path)) as outbox:
        assert waiting(outbox) == [FIRST]


def test_a_request_is_kept_once_and_its_id_is_good_for_no_other_content(outbox: Outbox) -> None:
    (first,) = put(outbox, 1)
    assert outbox.put(submission(1), NOON).entry == first
    for changed in ({"record": record(2)}, {"patient_reference": "bed 12"}):
        with pytest.raises(RequestIdReusedError):
            outbox.put(submission(1).model_copy(update=changed), NOON)
    assert (waiting(outbox), outbox.newest) == ([FIRST], 1)


NEXT_DAY = timedelta(hours=23, minutes=59)


@pytest.mark.parametrize(
    ("again", "later", "is_duplicate"),
    [
        ({"record": record(1)}, NEXT_DAY, True),
        ({"record": record(1), "patient_reference": "bed 7"}, NEXT_DAY, True),
        ({"patient_reference": "bed 1"}, NEXT_DAY, True),
        ({"record": record(1), "patient_reference": "bed 1"}, timedelta(hours=24), False),
        ({"record": record(1), "is_new": True}, NEXT_DAY, False),
        ({"record": record(1), "corrects": FIRST}, NEXT_DAY, False),
        ({"patient_reference": "bed 7"}, NEXT_DAY, False),
    ],
)
@pytest.mark.parametrize("is_answered", [False, True])
def test_the_same_values_or_reference_within_a_day_save_nothing_and_name_the_earlier_entry(
    outbox: Outbox, again: dict[str, Any], later: timedelta, is_duplicate: bool, is_answered: bool
) -> None:
    earlier = submission(1, reference="bed 1")
    outbox.put(earlier, NOON)
    if is_answered:
        asked = request(1).model_copy(update={"patient_reference": "bed 1", "entered_at": NOON})
        apply(outbox, made(1, prediction(asked)))
    receipt = outbox.put(submission(2, is_new=False).model_copy(update=again), NOON + later)
    assert receipt.status == ("duplicate" if is_duplicate else "saved")
    assert receipt.entry == history(outbox)[-1 if is_duplicate else 0]
    assert len(history(outbox)) == (1 if is_duplicate else 2)
    assert outbox.put(earlier.model_copy(update={"is_new": False}), NOON).status == "saved"  # it comes again


def test_patients_without_a_reference_are_not_the_same_nor_is_what_is_gone_or_corrected(outbox: Outbox) -> None:
    put(outbox, 1, 2, 3, 4)
    outbox.withdraw(FIRST)
    answers = {number: prediction(request(number)) for number in (2, 3)}
    apply(outbox, made(1, answers[2]), erased(2, answers[2]), made(3, answers[3]), superseded(4, answers[3], by="x"))
    outbox.refuse(id_of(4), FOR_GOOD)
    for number in (1, 2, 3, 4):
        again = submission(number + 20, is_new=False).model_copy(update={"record": record(number)})
        assert outbox.put(again, NOON).status == "saved"


def test_a_second_correction_of_the_same_entry_names_the_first(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.put(submission(2, corrects=FIRST), NOON)
    receipt = outbox.put(submission(3, corrects=FIRST, is_new=False), NOON)
    assert (receipt.status, receipt.entry and receipt.entry.request_id) == ("duplicate", SECOND)


def test_a_correction_is_sent_after_what_it_corrects_has_ended(outbox: Outbox) -> None:
    put(outbox, 2)
    outbox.put(submission(1, corrects=SECOND), NOON)  # made by a page whose clock is behind
    assert (waiting(outbox), outbox.place.waiting) == ([SECOND], 2)
    outbox.withdraw(SECOND)
    assert waiting(outbox) == [SECOND]
    apply(outbox, withdrawn(1, SECOND))
    assert waiting(outbox) == [FIRST]


def test_what_is_withdrawn_is_never_sent_again_and_goes_or_is_answered(outbox: Outbox, reopen: OpenOutbox) -> None:
    put(outbox, 1, 2, 3)
    assert [outbox.withdraw(one).state for one in (FIRST, SECOND, THIRD, THIRD)] == ["withdrawing"] * 4
    outbox.close()
    outbox = reopen()
    assert outbox.waiting(9) == [Withdrawal(request_id=one) for one in (FIRST, SECOND, THIRD)]
    apply(outbox, withdrawn(1, FIRST), made(2, prediction(request(2))), refused(3, request(3), FOR_GOOD))
    assert states_of(outbox) == {THIRD: "refused", SECOND: "answered"}
    assert (outbox.withdraw(SECOND).state, outbox.place.waiting) == ("answered", 0)
    with pytest.raises(ErasedError):
        outbox.withdraw(FIRST)
    with pytest.raises(NotFoundError):
        outbox.withdraw("never there")


def test_a_run_that_cannot_be_kept_leaves_the_place_as_it_was(outbox: Outbox, path: Path) -> None:
    put(outbox, 1)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER full BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(StoreUnavailableError):
        apply(outbox, made(1, prediction(request(2))), made(2, prediction(request(1))))
    assert (outbox.place.server_after, states_of(outbox)) == (0, {FIRST: "queued"})


def test_a_log_read_again_from_its_beginning_changes_nothing(outbox: Outbox) -> None:
    put(outbox, 1, 2, 3)
    entries = [
        made(1, prediction(request(1))),
        explained(2, prediction(request(1))),
        refused(3, request(2), FOR_GOOD),
        made(4, prediction(request(3))).model_copy(update={"prediction": None}),
        erased(5, prediction(request(3))),
        superseded(6, prediction(request(1)), by=SECOND),
    ]
    assert apply(outbox, *entries) == {FIRST, SECOND, THIRD}
    before = (history(outbox), outbox.newest)
    assert (before[0][-1].superseded_by, before[0][-1].prediction) == (SECOND, prediction(request(1)))
    for another in ("a-log.1", "another-log.0"):
        assert apply(outbox, *entries, log=another) == set()
        assert (history(outbox), outbox.newest) == before
        assert outbox.place.server_log == another


@pytest.mark.parametrize(("log", "lacks"), [("a-log.1", {SECOND, THIRD}), ("another-log.0", set())])
def test_answers_that_the_servers_record_lost_are_asked_for_again_once_it_was_read_whole(
    outbox: Outbox, reopen: OpenOutbox, log: str, lacks: set[str]
) -> None:
    answers = [made(number, prediction(request(number))) for number in (1, 2, 3)]
    put(outbox, 1, 2, 3)
    apply(outbox, *answers)
    assert apply(outbox, answers[0], log=log, has_more=True) == set()
    outbox.close()
    again = reopen()
    assert apply(again, made(4, prediction(request(20))), log=log) == {id_of(20)} | lacks
    assert set(waiting(again)) == lacks
    assert {entry.prediction for entry in history(again) if entry.request_id in lacks} <= {None}
    more = [made(5, prediction(request(2))), made(6, prediction(request(3)))]
    assert apply(again, *more, log=log) == lacks
    assert waiting(again) == []
    assert apply(again, made(7, prediction(request(21))), log=log) == {id_of(21)}


def test_patients_of_another_servers_record_stay_here_also_when_this_one_is_restored(outbox: Outbox) -> None:
    put(outbox, 1)
    apply(outbox, made(1, prediction(request(1))))
    put(outbox, 2, 3)
    apply(outbox, made(1, prediction(request(2))), made(2, prediction(request(3))), log="another-log.0")
    assert apply(outbox, made(1, prediction(request(2))), log="another-log.1") == {THIRD}
    assert waiting(outbox) == [THIRD]


def test_a_correction_that_the_record_lost_no_longer_counts_until_the_log_says_so_again(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.put(submission(2, corrects=FIRST), NOON)
    original = prediction(request(1))
    correction = prediction(request(2).model_copy(update={"corrects": FIRST}))
    apply(outbox, made(1, original), made(2, correction), superseded(3, original, by=SECOND))
    assert apply(outbox, made(1, original), log="a-log.1") == {FIRST, SECOND}
    assert [(one.state, one.superseded_by) for one in history(outbox)] == [("queued", None), ("answered", None)]
    apply(outbox, made(2, correction), superseded(3, original, by=SECOND), log="a-log.1")
    assert [(one.state, one.superseded_by) for one in history(outbox)] == [("answered", None), ("answered", SECOND)]


@pytest.mark.parametrize("is_in_log", [True, False])
def test_what_is_sent_again_and_refused_has_the_answer_it_had(outbox: Outbox, is_in_log: bool) -> None:
    put(outbox, 1, 2)
    kept, lost = prediction(request(1)), prediction(request(2))
    apply(outbox, made(1, kept), made(2, lost), explained(3, lost))
    apply(outbox, made(1, kept), log="a-log.1")
    waits = history(outbox)[0]
    assert (waits.state, waits.prediction, waits.explanation) == ("queued", None, None)
    if is_in_log:
        assert apply(outbox, refused(2, request(2), FOR_GOOD), log="a-log.1") == {SECOND}
    else:
        outbox.refuse(SECOND, FOR_GOOD)
    now = history(outbox)[0]
    assert (now.state, now.prediction, now.explanation, now.error) == ("answered", lost, LLAMA_TEXT, None)
    apply(outbox, made(3, prediction(request(3))), log="a-log.1")
    assert waiting(outbox) == []  # not again, before the next restore


def test_an_empty_end_of_a_log_says_nothing_about_what_it_lacks(outbox: Outbox) -> None:
    put(outbox, 1)
    apply(outbox, made(1, prediction(request(1))))
    assert outbox.apply(Changes(log="a-log.1", after=0, next_after=0, has_more=False, entries=[])) == set()
    assert apply(outbox, made(1, prediction(request(1))), log="a-log.1") == set()
    assert states_of(outbox) == {FIRST: "answered"}


def test_many_answers_that_were_lost_are_asked_for_again_some_at_a_time_and_no_unreadable_one(
    outbox: Outbox, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("client.outbox.SENT_AGAIN_AT_ONCE", 2)
    apply(outbox, *(made(number, prediction(request(number))) for number in range(1, 7)))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE requests SET record = ? WHERE request_id = ?", ('{"age": 12345}', FIRST))
    new = [made(number, prediction(request(number))) for number in (6, 7, 8, 9)]
    assert apply(outbox, new[0], log="a-log.1") == {SECOND}
    assert apply(outbox, new[1], log="a-log.1") == {THIRD, id_of(4), id_of(7)}
    assert apply(outbox, new[2], log="a-log.1") == {id_of(5), id_of(8)}
    assert apply(outbox, new[3], log="a-log.1") == {id_of(9)}
    assert waiting(outbox) == [id_of(number) for number in (2, 3, 4, 5)]
    assert "12345" not in caplog.text


def test_what_was_refused_no_longer_waits_says_why_and_gives_way_to_an_answer(outbox: Outbox) -> None:
    put(outbox, 1, 2, 3)
    outbox.refuse(FIRST, FOR_GOOD)
    apply(outbox, refused(1, request(2), FOR_GOOD))
    outbox.refuse(THIRD, WireError.of(ErasedError()))
    assert [(entry.state, entry.error) for entry in history(outbox)] == [("refused", FOR_GOOD)] * 2
    assert waiting(outbox) == []
    apply(outbox, made(2, prediction(request(1))))
    assert [(entry.state, entry.error) for entry in history(outbox)] == [("refused", FOR_GOOD), ("answered", None)]
    outbox.refuse(FIRST, FOR_GOOD)
    outbox.refuse("never-heard-of", FOR_GOOD)
    assert apply(outbox, refused(3, request(1), FOR_GOOD)) == set()
    assert states_of(outbox) == {SECOND: "refused", FIRST: "answered"}


def test_of_an_erased_patient_the_ids_are_all_that_is_kept_and_nothing_comes_back(outbox: Outbox, path: Path) -> None:
    answer = prediction(request(1))
    outbox.put(submission(1, reference="Mrs. Example"), NOON)
    apply(outbox, made(1, answer), explained(2, answer))
    generation = outbox.generation
    assert apply(outbox, erased(3, answer)) == {FIRST}
    assert outbox.generation != generation
    assert changes_in(outbox.read(0, ALL))[0].entry is None
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert (b"Example" in content, b'"age"' in content) == (False, False)
    assert apply(outbox, made(1, answer), log="a-log.1") == set()
    with pytest.raises(ErasedError):
        put(outbox, 1)
    assert (history(outbox), waiting(outbox)) == ([], [])


def test_its_own_log_holds_the_last_change_of_each_request(outbox: Outbox, reopen: OpenOutbox) -> None:
    put(outbox, 1, 2)
    first = outbox.read(0, ALL)
    assert (first.after, first.next_after, first.has_more) == (0, 2, False)
    apply(outbox, made(1, prediction(request(1))))
    run = outbox.read(0, ALL)
    assert [(change.sequence, change.request_id) for change in changes_in(run)] == [(2, SECOND), (3, FIRST)]
    assert changes_in(run)[1].entry == history(outbox)[1]
    assert changes_in(outbox.read(3, ALL)) == []
    again = reopen()
    assert (again.name, again.newest) == (outbox.name, 3)


def test_threads_that_put_at_once_lose_and_double_nothing(outbox: Outbox) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda first: put(outbox, *range(first, first + 10)), (100, 200, 300, 400)))
    assert (outbox.place.waiting, outbox.newest) == (40, 40)
    assert sorted(change.sequence for change in changes_in(outbox.read(0, ALL))) == list(range(1, 41))


@contextmanager
def full_disk(at_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_saves_nothing_tells_nothing_about_the_patient_and_passes(
    outbox: Outbox, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(outbox, 1)
    told = submission(2, reference="Mrs. Example")
    with caplog.at_level(logging.DEBUG), full_disk(path.stat().st_size // 2):
        with pytest.raises(StoreUnavailableError) as refused:
            outbox.put(told, NOON)
        with pytest.raises(StoreUnavailableError):
            outbox.check_writable()
    assert "Example" not in caplog.text + str(refused.value) + str(refused.value.__cause__)
    assert waiting(outbox) == [FIRST]
    outbox.check_writable()
    assert outbox.put(told, NOON).status == "saved"


def test_a_file_taken_away_is_noticed(outbox: Outbox, path: Path) -> None:
    shutil.rmtree(path.parent)
    with pytest.raises(StoreUnavailableError):
        outbox.check_writable()


@pytest.fixture(params=["client-1", "client-2", "client-3"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The outbox of a client app of version 3; the third is of schema 1."""
    version_3.restore(tmp_path)
    return tmp_path / ".local" / str(request.param) / "client.sqlite"


def gone(message: dict[str, object] | None, *fields: str) -> None:
    for field in fields:
        (message or {}).pop(field, None)


def test_an_outbox_of_version_3_keeps_all_its_requests(old: Path) -> None:
    with closing(sqlite3.connect(old)) as before:
        (schema,) = before.execute("PRAGMA user_version").fetchone()
    told = {entry["request_id"]: entry for entry in version_3.expected()["desks"][old.parent.name]["entries"]}
    for entry in told.values():
        gone(entry, "outbox_number")
        gone(entry["prediction"], "outbox_number")
        for explanation in (entry["explanation"], (entry["prediction"] or {}).get("explanation")):
            gone(explanation, "first_sentence_ms", "measures")
    with closing(Outbox(old)) as outbox:
        kept = {entry.request_id: entry.model_dump(mode="json", exclude_unset=True) for entry in history(outbox)}
        assert {name: {key: entry[key] for key in told[name]} for name, entry in kept.items()} == told
        assert waiting(outbox) == sorted(entry["request_id"] for entry in told.values() if entry["state"] == "queued")
        assert (outbox.place.server_log, outbox.place.server_after) == (None, 0)
        assert outbox.newest == len(told) == len(changes_in(outbox.read(0, ALL)))
    (copy,) = old.parent.glob(f"client-before-migration-{schema}-*.sqlite")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    Outbox(old).close()
    assert len(list(old.parent.glob("client-before-migration-*"))) == 1


def test_an_outbox_brought_up_to_date_is_like_a_new_one(old: Path, path: Path) -> None:
    def schema(file: Path) -> set[tuple[str, ...]]:
        with closing(Outbox(file)), closing(sqlite3.connect(file)) as connection:
            return set(connection.execute("SELECT type, name, sql FROM sqlite_master"))

    assert schema(old) == schema(path)


def test_a_migration_that_finds_no_room_leaves_the_outbox_as_it_was(old: Path) -> None:
    before = old.read_bytes()
    with full_disk(old.stat().st_size // 2), pytest.raises(StoreUnavailableError, match=r"full|I/O"):
        Outbox(old)
    assert old.read_bytes() == before
    assert list(old.parent.glob("client-before-migration-*")) == []


def test_a_damaged_outbox_is_left_as_it_is_and_the_sentence_says_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(note := "this is a note, not a database\n" * 100)
    with pytest.raises(StoreUnavailableError, match=r"the file is damaged .* move it away and start again"):
        Outbox(path)
    assert path.read_text() == note


def test_of_an_outbox_of_schema_4_only_what_this_log_holds_can_be_sent_again(path: Path) -> None:
    with closing(Outbox(path)) as outbox:
        apply(outbox, *(made(number, prediction(request(number))) for number in (1, 2)))
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, column in (("place", "reading"), ("place", "compared"), ("requests", "reading")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 4")
    with closing(Outbox(path)) as outbox:
        assert (outbox.place.server_log, outbox.place.server_after) == ("a-log.0", 0)
        assert apply(outbox, made(1, prediction(request(2)))) == set()
        assert apply(outbox, made(1, prediction(request(3))), log="a-log.1") == {SECOND, THIRD}
        assert waiting(outbox) == [SECOND]
