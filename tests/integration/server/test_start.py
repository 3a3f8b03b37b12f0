"""A server that cannot start says why in one sentence, and its exit code tells a setting from the rest."""

import socket

from config.secrets import PROJECT_ROOT
from tests.support.processes import Process, run

SMALL = ("-m", "tests.support.small_server")
"""Started as the server is, and in a third of the time."""


def test_without_a_model_the_server_says_what_to_run(processes: list[Process], environment: dict[str, str]) -> None:
    process = run(processes, environment | {"MODEL_DIR": "/nothing"})
    assert process.wait() == 1
    assert "There is no trained model in" in process.written[-1]
    assert "python train_model.py" in process.written[-1]
    assert "Traceback" not in process.text


def test_every_setting_that_cannot_be_used_is_named(processes: list[Process], environment: dict[str, str]) -> None:
    wrong = {"PORT": "70000", "LOG_LEVEL": "loud", "CLIENT_IDS": "Client-1,../etc", "BATCH_SIZE": "1.5"}
    process = run(processes, environment | wrong, str(PROJECT_ROOT), program=SMALL)
    assert process.wait() == 2
    assert process.written[-1].startswith("The settings cannot be used: ")
    assert all(name in process.written[-1] for name in wrong)
    assert "../etc" not in process.text
    assert "Traceback" not in process.text


def test_a_port_in_use_is_one_sentence(processes: list[Process], environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["PORT"]))):
        process = run(processes, environment, str(PROJECT_ROOT), program=SMALL)
        assert process.wait() == 1
    assert process.written[-1].startswith(f"Port {environment['PORT']} on 127.0.0.1 cannot be used")
    assert "choose another port" in process.written[-1]
