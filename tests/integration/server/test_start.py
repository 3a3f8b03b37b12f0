"""A server that cannot start says why in one sentence, and its exit code tells a setting from the rest."""

import socket

import pytest

from tests.support.processes import TOKENS, Process, run


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"MODEL_DIR": "/nothing"}, 1, ["There is no trained model in", "python train_model.py"]),
        ({"MODEL_SIGNING_KEY": "a key that signed no model at all"}, 1, ["is not signed with MODEL_SIGNING_KEY"]),
        ({"DATABASE_URL": "nonsense"}, 1, ["DATABASE_URL is no database address"]),
        ({"CLIENT_2_TOKEN": TOKENS["CLIENT_1_TOKEN"]}, 1, ["are the same"]),
        (
            {"PORT": "70000", "LOG_LEVEL": "loud", "CLIENT_IDS": "Client-1,../etc", "BATCH_SIZE": "1.5"},
            2,
            ["The settings cannot be used: ", "PORT", "LOG_LEVEL", "CLIENT_IDS", "BATCH_SIZE"],
        ),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_sentence(
    processes: list[Process], environment: dict[str, str], changes: dict[str, str], code: int, said: list[str]
) -> None:
    process = run(processes, environment | changes)
    assert process.wait() == code, process.text
    assert [one for one in said if one in process.written[-1]] == said
    assert "Traceback" not in process.text
    assert "../etc" not in process.text


def test_a_port_in_use_is_one_sentence(processes: list[Process], environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["PORT"]))):
        process = run(processes, environment)
        assert process.wait() == 1
    assert process.written[-1].startswith(f"Port {environment['PORT']} on 127.0.0.1 cannot be used")
    assert "choose another port" in process.written[-1]
