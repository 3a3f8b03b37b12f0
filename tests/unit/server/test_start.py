"""A server that cannot start says why in one sentence, and its exit code tells a setting from the rest."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import TOKENS, Process, end_all, environment_of, run


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    end_all(started)


@pytest.fixture
def environment(tmp_path: Path, detector_dir: Path) -> dict[str, str]:
    return environment_of(tmp_path, detector_dir, "threading")


def refused_start(processes: list[Process], environment: dict[str, str], code: int) -> str:
    """Start a server in vain; return the last line it wrote."""
    process = run(processes, environment)
    assert process.wait() == code, process.text
    assert "Traceback" not in process.text
    return process.written[-1]


def test_a_port_in_use_is_one_sentence(processes: list[Process], environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["PORT"]))):
        said = refused_start(processes, environment, 1)
    assert said.startswith(f"Port {environment['PORT']} on 127.0.0.1 cannot be used")
    assert "choose another port" in said


def test_no_model_is_one_sentence(processes: list[Process], environment: dict[str, str], tmp_path: Path) -> None:
    said = refused_start(processes, environment | {"MODEL_DIR": str(tmp_path / "nothing")}, 1)
    assert said.startswith("There is no trained model in")
    assert "python train_model.py" in said


def test_a_model_that_is_not_signed_is_one_sentence_where_there_is_a_key(
    processes: list[Process], environment: dict[str, str]
) -> None:
    said = refused_start(processes, environment | {"MODEL_SIGNING_KEY": "a key that signed no model at all"}, 1)
    assert "is not signed with MODEL_SIGNING_KEY" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL is no database address"),
        ({"CLIENT_2_TOKEN": TOKENS["CLIENT_1_TOKEN"]}, "are the same"),
    ],
)
def test_a_server_that_cannot_work_says_why(
    processes: list[Process], environment: dict[str, str], changes: dict[str, str], said: str
) -> None:
    assert said in refused_start(processes, environment | changes, 1)


def test_bad_settings_are_one_sentence_that_names_them_all(
    processes: list[Process], environment: dict[str, str]
) -> None:
    bad = {"PORT": "70000", "LOG_LEVEL": "loud", "CLIENT_IDS": "Client-1,../etc", "BATCH_SIZE": "1.5"}
    said = refused_start(processes, environment | bad, 2)
    assert said.startswith("The settings cannot be used: ")
    assert [name for name in bad if name in said] == list(bad)
    assert "../etc" not in said
