"""The outbox on real SQLite files."""

import logging
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from client.outbox import Outbox
from common.errors import InvalidRecordError, RequestIdReusedError, StoreUnavailableError
from common.messages import Changes, EntryErased, HistoryEntry, WireError
from config.secrets import PROJECT_ROOT, ConfigurationError
from tests.support.made_requests import LLAMA_TEXT, NOON, explained, made, prediction, record, request, submission

OpenOutbox = Callable[[], Outbox]

FOR_GOOD = WireError.of(InvalidRecordError(fields={"age": ["is required"]}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client-1" / "client.sqlite"


@pytest.fixture
def reopen(path: Path) -> Iterator[OpenOutbox]:
    opened: list[Outbox] = []

    def again() -> Outbox:
        opened.append(Outbox(path))
        return opened[-1]

    yield again
    for outbox in opened:
        outbox.close()


@pytest.fixture
def outbox(reopen: OpenOutbox) -> Outbox:
    return reopen()


def put(outbox: Outbox, *numbers: int) -> list[HistoryEntry]:
    return [outbox.put(submission(number), request(number).entered_at) for number in numbers]


def waiting(outbox: Outbox, after: int = 0, limit: int = 100) -> list[str]:
    return [found.request_id for found in outbox.waiting(after=after, limit=limit)]


def changes(*entries: object, next_after: int) -> Changes:
    return Changes.check(
        {"after": 0, "next_after": next_after, "has_more": False, "entries": [vars(entry) for entry in entries]}
    )


def test_requests_get_running_numbers_and_wait_in_that_order(outbox: Outbox) -> None:
    assert [entry.outbox_number for entry in put(outbox, 7, 3, 5)] == [1, 2, 3]
    assert waiting(outbox) == ["request-7", "request-3", "request-5"]
    assert waiting(outbox, after=1, limit=1) == ["request-3"]
    assert {found.waiting for found in outbox.waiting(after=0, limit=2)} == {3}


def test_a_request_names_the_one_before_it_that_still_waits(outbox: Outbox) -> None:
    put(outbox, 1, 2, 3, 4, 5)
    outbox.answer(prediction(request(1)))
    outbox.refuse("request-3", FOR_GOOD)
    assert [(found.outbox_number, found.follows) for found in outbox.waiting(after=0, limit=2)] == [(2, 0), (4, 2)]
    assert [(found.outbox_number, found.follows) for found in outbox.waiting(after=4, limit=2)] == [(5, 4)]


def test_what_is_sent_is_what_was_entered(outbox: Outbox) -> None:
    outbox.put(submission(4, reference="bed 12"), NOON)
    (sent,) = outbox.waiting(after=0, limit=1)
    assert (sent.record, sent.patient_reference, sent.entered_at) == (record(4), "bed 12", NOON)


def test_a_request_is_on_disk_before_put_returns(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from client.outbox import Outbox;"
        "from tests.support.made_requests import NOON, submission;"
        "Outbox(Path(sys.argv[1])).put(submission(1), NOON); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT_ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    with closing(Outbox(path)) as outbox:
        assert waiting(outbox) == ["request-1"]


def test_the_same_request_again_is_the_entry_already_there(outbox: Outbox) -> None:
    (first,) = put(outbox, 1)
    assert outbox.put(submission(1), NOON) == first
    assert waiting(outbox) == ["request-1"]


@pytest.mark.parametrize("changed", [{"record": record(2)}, {"patient_reference": "bed 12"}])
def test_a_request_id_with_other_content_is_refused(outbox: Outbox, changed: dict[str, object]) -> None:
    put(outbox, 1)
    with pytest.raises(RequestIdReusedError):
        outbox.put(submission(1).model_copy(update=changed), NOON)
    assert outbox.count_waiting() == 1


def test_an_answered_request_no_longer_waits_and_is_kept_over_a_restart(outbox: Outbox, reopen: OpenOutbox) -> None:
    put(outbox, 1, 2)
    entry = outbox.answer(prediction(request(1)))
    assert isinstance(entry, HistoryEntry)
    assert (entry.state, entry.prediction) == ("answered", prediction(request(1)))
    assert waiting(outbox) == ["request-2"]
    outbox.close()
    again = reopen()
    assert waiting(again) == ["request-2"]
    assert again.history(before=None, limit=10)[1] == entry


def test_an_answer_that_comes_again_changes_nothing(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.answer(prediction(request(1)))
    outbox.explain(prediction(request(1)).prediction_id, LLAMA_TEXT)
    assert outbox.answer(prediction(request(1))) is None
    (entry,) = outbox.history(before=None, limit=10)
    assert entry.explanation == LLAMA_TEXT


def test_an_answer_to_an_unknown_request_is_kept_and_numbers_go_on_after_it(outbox: Outbox) -> None:
    refilled = outbox.answer(prediction(request(41)))
    assert isinstance(refilled, HistoryEntry)
    assert (refilled.outbox_number, refilled.record) == (41, record(41))
    assert put(outbox, 1)[0].outbox_number == 42
    assert outbox.count_waiting() == 1


def test_a_refused_request_no_longer_waits_and_says_why(outbox: Outbox, reopen: OpenOutbox) -> None:
    put(outbox, 1)
    entry = outbox.refuse("request-1", FOR_GOOD)
    assert isinstance(entry, HistoryEntry)
    assert (entry.state, entry.error) == ("refused", FOR_GOOD)
    assert outbox.refuse("request-1", FOR_GOOD) is None
    assert waiting(reopen()) == []


def test_only_what_waits_can_be_refused(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.answer(prediction(request(1)))
    assert outbox.refuse("request-1", FOR_GOOD) is None
    assert outbox.refuse("never heard of", FOR_GOOD) is None
    assert outbox.history(before=None, limit=1)[0].state == "answered"


def test_an_answer_counts_although_the_request_was_refused_before(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.refuse("request-1", FOR_GOOD)
    entry = outbox.answer(prediction(request(1)))
    assert isinstance(entry, HistoryEntry)
    assert (entry.state, entry.error) == ("answered", None)


def test_the_latest_explanation_stands_beside_the_predictions_own(outbox: Outbox) -> None:
    answer = prediction(request(1))
    outbox.answer(answer)
    entry = outbox.explain(answer.prediction_id, LLAMA_TEXT)
    assert entry
    assert entry.explanation == LLAMA_TEXT
    assert entry.prediction == answer
    assert outbox.explain(answer.prediction_id, LLAMA_TEXT) is None
    assert outbox.explain("never heard of", LLAMA_TEXT) is None


def test_missed_entries_and_how_far_they_reach_are_kept_together(outbox: Outbox, reopen: OpenOutbox) -> None:
    assert outbox.caught_up_to() == 0
    put(outbox, 1)
    known, unknown = prediction(request(1)), prediction(request(30))
    missed = changes(made(4, known), made(6, unknown), explained(9, known), next_after=9)
    assert [entry.request_id for entry in outbox.take(missed)] == ["request-1", "request-30", "request-1"]
    assert outbox.take(missed) == []
    again = reopen()
    assert again.caught_up_to() == 9
    assert [entry.outbox_number for entry in again.history(before=None, limit=10)] == [30, 1]


def test_history_is_read_in_pages_newest_first(outbox: Outbox) -> None:
    put(outbox, *range(1, 8))
    newest = outbox.history(before=None, limit=3)
    older = outbox.history(before=newest[-1].outbox_number, limit=3)
    oldest = outbox.history(before=older[-1].outbox_number, limit=3)
    assert [entry.outbox_number for page in (newest, older, oldest) for entry in page] == [7, 6, 5, 4, 3, 2, 1]
    assert outbox.history(before=1, limit=3) == []


def test_no_page_loses_one_of_two_requests_with_the_same_number(outbox: Outbox) -> None:
    put(outbox, 1, 2)  # by a client app that lost its file, before the server could tell it how far it had been
    outbox.take(
        changes(
            *(made(n, prediction(request(n + 100)).model_copy(update={"outbox_number": n})) for n in (1, 2)),
            next_after=2,
        )
    )
    seen, before = [], None
    while page := outbox.history(before=before, limit=1):
        seen += [entry.request_id for entry in page]
        before = page[-1].outbox_number
    assert sorted(seen) == ["request-1", "request-101", "request-102", "request-2"]


def test_threads_that_put_at_once_get_numbers_without_gap_or_double(outbox: Outbox) -> None:
    numbers: list[int] = []
    start = threading.Barrier(4)

    def enter(first: int) -> None:
        start.wait(5)
        numbers.extend(entry.outbox_number for entry in put(outbox, *range(first, first + 10)))

    threads = [threading.Thread(target=enter, args=(first,)) for first in (100, 200, 300, 400)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(numbers) == list(range(1, 41))
    assert outbox.count_waiting() == 40


def test_file_and_folder_are_for_their_owner_alone(outbox: Outbox, path: Path) -> None:
    put(outbox, 1)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_every_commit_is_synced_and_no_write_ahead_log_is_used(outbox: Outbox, path: Path) -> None:
    put(outbox, 1)
    with outbox._transaction() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["truncate", 2]
    assert not path.with_name(f"{path.name}-wal").exists()


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
    assert waiting(outbox) == ["request-1"]
    outbox.check_writable()
    assert outbox.put(told, NOON).outbox_number == 2


def test_a_file_taken_away_is_noticed(outbox: Outbox, path: Path) -> None:
    outbox.check_writable()
    shutil.rmtree(path.parent)
    with pytest.raises(StoreUnavailableError):
        outbox.check_writable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_of_somebody_else_is_refused_with_a_sentence(path: Path) -> None:
    with closing(Outbox(path)):
        pass
    for folder in (path.parent, *path.parent.parents[:3]):
        folder.chmod(0o755)
    path.chmod(0o644)
    code = (
        "import os, sys; from pathlib import Path; from client.outbox import Outbox;"
        "from common.errors import StoreUnavailableError; os.setuid(65534)\n"
        "try: Outbox(Path(sys.argv[1]))\n"
        "except StoreUnavailableError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=PROJECT_ROOT, check=True, capture_output=True, text=True
    )
    assert said.stdout.startswith(f"The outbox {path} cannot be used: ")


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is a note, not a database\n" * 100)
    with pytest.raises(StoreUnavailableError):
        Outbox(path)


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 7", "CREATE TABLE others (name TEXT)"])
def test_a_file_of_another_version_is_refused_with_a_sentence(path: Path, statement: str) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    with pytest.raises(ConfigurationError, match="another version"):
        Outbox(path)


SCHEMA_1 = """
CREATE TABLE requests (
    request_id VARCHAR NOT NULL, outbox_number INTEGER NOT NULL, patient_reference VARCHAR, entered_at VARCHAR NOT NULL,
    state VARCHAR NOT NULL, record TEXT NOT NULL, prediction_id VARCHAR, prediction TEXT, explanation TEXT, error TEXT,
    PRIMARY KEY (request_id), UNIQUE (prediction_id)
);
CREATE INDEX ix_requests_outbox_number ON requests (outbox_number);
CREATE INDEX waiting_requests ON requests (outbox_number) WHERE state = 'queued';
CREATE TABLE marks (name VARCHAR NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name));
PRAGMA user_version = 1;
"""
"""What the first version of this program made."""


def of_the_first_version(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(SCHEMA_1)
        row = ("request-1", 5, "bed 12", NOON.isoformat(), "queued", record(1).model_dump_json())
        old.execute(
            "INSERT INTO requests (request_id, outbox_number, patient_reference, entered_at, state, record) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
        old.execute("INSERT INTO marks VALUES ('caught_up_to', 7)")
        old.commit()


def test_an_outbox_of_an_earlier_version_is_copied_and_goes_on(path: Path, reopen: OpenOutbox) -> None:
    of_the_first_version(path)
    outbox = reopen()
    assert waiting(outbox) == ["request-1"]
    assert (outbox.caught_up_to(), outbox.has_settled_numbers(), outbox.erasures()) == (7, True, 0)
    assert put(outbox, 2)[0].outbox_number == 6
    outbox.erase("never there")
    (copy,) = path.parent.glob("client-before-migration-1-*.sqlite")
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        assert old.execute("SELECT request_id, patient_reference FROM requests").fetchall() == [("request-1", "bed 12")]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    outbox.close()
    reopen()
    assert len(list(path.parent.glob("client-before-migration-*"))) == 1


def test_an_outbox_brought_up_to_date_is_like_a_new_one(path: Path, tmp_path: Path) -> None:
    def schema(file: Path) -> set[tuple[str, ...]]:
        with closing(Outbox(file)), closing(sqlite3.connect(file)) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = {
                (table, *map(str, column[1:4]))
                for table in tables
                for column in connection.execute(f"PRAGMA table_info({table})")
            }
            return columns | set(connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'"))

    of_the_first_version(path)
    assert schema(path) == schema(tmp_path / "new" / "client.sqlite")


def test_a_migration_that_finds_no_room_leaves_the_outbox_as_it_was(path: Path, reopen: OpenOutbox) -> None:
    of_the_first_version(path)
    before = path.read_bytes()
    with full_disk(path.stat().st_size // 2), pytest.raises(StoreUnavailableError, match=r"full|I/O"):
        Outbox(path)
    assert path.read_bytes() == before
    assert list(path.parent.glob("client-before-migration-*")) == []
    assert waiting(reopen()) == ["request-1"]


def test_a_damaged_outbox_is_left_as_it_is_and_the_sentence_says_what_to_do(outbox: Outbox, path: Path) -> None:
    put(outbox, *range(1, 60))
    outbox.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 3 * 4096 + 600] = b"\xff" * 600
    path.write_bytes(content)
    with pytest.raises(StoreUnavailableError, match=r"the file is damaged .* move it away and start again"):
        Outbox(path)
    assert path.read_bytes() == bytes(content)


def test_an_outbox_in_write_ahead_mode_is_taken_out_of_it(path: Path, reopen: OpenOutbox) -> None:
    of_the_first_version(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode=WAL")
    outbox = reopen()
    assert waiting(outbox) == ["request-1"]
    assert path.read_bytes()[18:20] == b"\1\1"


@pytest.mark.parametrize("was_refused", [False, True])
def test_an_answer_that_comes_after_its_erasure_settles_the_request_and_leaves_nothing(
    outbox: Outbox, was_refused: bool
) -> None:
    put(outbox, 1, 2)
    if was_refused:
        outbox.refuse("request-1", FOR_GOOD)
    answer = prediction(request(1))
    assert outbox.erase(answer.prediction_id) is None
    assert outbox.answer(answer) == EntryErased(request_id="request-1")
    assert outbox.answer(answer) is None
    assert [entry.request_id for entry in outbox.history(before=None, limit=10)] == ["request-2"]
    assert waiting(outbox) == ["request-2"]
    assert outbox.erasures() == 1
    assert put(outbox, 3)[0].outbox_number == 3


def test_the_change_log_settles_a_request_that_was_erased_before_its_answer_was_read(outbox: Outbox) -> None:
    put(outbox, 1)
    answer = prediction(request(1))
    outbox.erase(answer.prediction_id)
    read = Changes(after=0, next_after=1, has_more=False, entries=[made(1, answer)])
    assert outbox.take(read) == [EntryErased(request_id="request-1")]
    assert outbox.count_waiting() == 0
