"""Versions of the model that come and go under a running server while client apps send: nothing lost, nothing mixed."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.messages import Prediction
from config.secrets import PROJECT_ROOT
from server.anomaly.detector import Detector
from server.registry.artifact import CALIBRATION_FILE, FOREST_FILE, MANIFEST_FILE, PREPROCESSOR_FILE, load_detector
from tests.support.made_requests import request
from tests.support.model_versions import activate, flip_a_byte, replace_files, swap, truncate
from tests.support.processes import TOKENS, Process, end_all, environment_of, run
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import WAIT_SECONDS, Browser, ClientApp, Dashboard

ACTIVATIONS = 8
BUNCH = 8
FILES = (FOREST_FILE, PREPROCESSOR_FILE, CALIBRATION_FILE, MANIFEST_FILE)

Damage = Callable[[Path, Path], object]
"""What is done with another version's folder to the model's."""


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    end_all(started)


@pytest.fixture
def process(processes: list[Process], tmp_path: Path, model_folder: Path) -> Process:
    environment = environment_of(tmp_path, model_folder, ASYNC_MODE) | {"MODEL_WATCH_SECONDS": "0.1"}
    process = run(processes, environment)
    process.wait_until_started()
    return process


@pytest.fixture
def operator(process: Process) -> Browser:
    browser = Browser(process.url)
    assert browser.sign_in(TOKENS["OPERATOR_TOKEN"]).status == 204
    return browser


@pytest.fixture
def dashboard(process: Process, operator: Browser) -> Iterator[Dashboard]:
    dashboard = Dashboard(process.url, operator.cookie)
    yield dashboard
    dashboard.close()


class Desk:
    """A client app that sends patients, a few at a time, until it is told to end."""

    def __init__(self, url: str, number: int, ending: threading.Event) -> None:
        self._url = url
        self._token = TOKENS[f"CLIENT_{number}_TOKEN"]
        self._ending = ending
        self._sent = 0

    def send(self) -> list[Prediction]:
        """Return the answers: one for each request that was accepted, in their order, and no other."""
        client = ClientApp(self._url, self._token)
        answers: list[Prediction] = []
        while not self._ending.is_set():
            sent = [self._send_one(client) for _ in range(BUNCH)]
            answers += [client.answered(request_id) for request_id in sent]
        client.close()
        return answers

    def _send_one(self, client: ClientApp) -> str:
        self._sent += 1
        message = request(self._sent)
        assert client.predict(message.to_wire()) == {"status": "accepted", "error": None}
        return message.request_id


@pytest.fixture
def desks(process: Process) -> Iterator[Callable[[], Sequence[Prediction]]]:
    """Three desks that send from now on; what is returned ends them and gives all their answers."""
    ending = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        sending: list[Future[list[Prediction]]] = [
            pool.submit(Desk(process.url, number, ending).send) for number in (1, 2, 3)
        ]

        def end() -> Sequence[Prediction]:
            ending.set()
            return [answer for desk in sending for answer in desk.result(WAIT_SECONDS)]

        yield end
        ending.set()


def assert_reproducible(answers: Sequence[Prediction], versions: Mapping[str, Detector]) -> None:
    """Score every patient again with the version that the answer names: all that it says is of that one."""
    for answer in answers:
        version = versions[answer.model_version]
        (said,) = version.assess([answer.record])
        contributions = {part.field: part.contribution for part in answer.contributions}
        assert contributions == pytest.approx(said.contributions, abs=1e-12)
        assert (answer.raw_score, answer.anomaly_score, answer.base_value) == pytest.approx(
            (said.raw_score, said.anomaly_score, said.base_value), abs=1e-12
        )
        assert answer.risk_level == said.risk_level
        assert answer.thresholds == version.thresholds
        assert {part.field: part.typical for part in answer.contributions} == version.typical


def stored(process: Process, client_number: int) -> list[Any]:
    """Return the predictions that the change log holds for one client app."""
    reader, after, found = Browser(process.url), 0, []
    while True:
        headers = {"Authorization": f"Bearer {TOKENS[f'CLIENT_{client_number}_TOKEN']}"}
        page = reader.get(f"/api/changes?limit=500&after={after}", **headers).json
        found += [entry["prediction"] for entry in page["entries"]]
        after = page["next_after"]
        if not page["has_more"]:
            return found


def test_versions_change_again_and_again_under_three_desks_that_send(
    process: Process,
    model_folder: Path,
    detector_dir: Path,
    other_detector_dir: Path,
    *,
    dashboard: Dashboard,
    desks: Callable[[], Sequence[Prediction]],
) -> None:
    versions = {detector.model_version: detector for detector in map(load_detector, (detector_dir, other_detector_dir))}
    first, second = versions
    for _ in range(ACTIVATIONS // 2):
        for directory, version in ((other_detector_dir, second), (detector_dir, first)):
            activate(directory, model_folder)
            model_of(dashboard, partial(is_taken, version))
    answers = desks()
    assert {answer.model_version for answer in answers} == set(versions)
    assert_reproducible(answers, versions)
    kept = [prediction for number in (1, 2, 3) for prediction in stored(process, number)]
    assert kept == [answer.to_wire() for answer in answers]
    assert process.end() == 0
    assert "Traceback" not in process.text
    assert process.text.count("scores from now on") == ACTIVATIONS


def to_each_file(damage: Callable[[Path], object]) -> list[Damage]:
    def damage_one(name: str, _: Path, folder: Path) -> None:
        damage(folder / name)

    return [partial(damage_one, name) for name in FILES]


DAMAGES: list[Damage] = [
    *to_each_file(flip_a_byte),
    *to_each_file(truncate),
    *to_each_file(Path.unlink),
    *(partial(swap, name) for name in FILES),
    replace_files,
]


def model_of(dashboard: Dashboard, wanted: Callable[[Any], bool]) -> Any:
    """Follow until the model's status is such."""
    return dashboard.status_with(lambda status: wanted(status["model"]))["model"]


def is_after(sequence: int, entry: Any) -> bool:
    return bool(entry["sequence"] > sequence)


def is_refusal_since(since: str, status: Mapping[str, Any]) -> bool:
    return bool(status["since"] == since and status["refused"])


def is_taken(version: str, status: Mapping[str, Any]) -> bool:
    return bool(status["version"] == version and status["refused"] is None)


def test_files_that_cannot_be_believed_are_refused_while_the_version_in_use_goes_on(
    process: Process,
    model_folder: Path,
    detector_dir: Path,
    other_detector_dir: Path,
    *,
    operator: Browser,
    dashboard: Dashboard,
    desks: Callable[[], Sequence[Prediction]],
) -> None:
    directories = {
        load_detector(directory).model_version: directory for directory in (detector_dir, other_detector_dir)
    }
    serving, waiting = directories
    since = operator.get("/api/status").json["model"]["since"]
    for damage in DAMAGES:
        damage(directories[waiting], model_folder)
        status = model_of(dashboard, partial(is_refusal_since, since))
        assert status["version"] == serving
        assert str(model_folder) in status["refused"]
        told = operator.get("/api/status").json["model"]
        assert (told["version"], told["since"]) == (serving, since)
        assert told["refused"]
        assert operator.get("/readyz").status == 200
        newest = operator.get("/api/status").json["cursor"]
        dashboard.entry(partial(is_after, newest))
        activate(directories[waiting], model_folder)
        since = model_of(dashboard, partial(is_taken, waiting))["since"]
        serving, waiting = waiting, serving
    versions = {version: load_detector(directory) for version, directory in directories.items()}
    assert_reproducible(desks(), versions)
    assert process.text.count("goes on scoring") >= len(DAMAGES)  # more where a look fell amid an activation
    assert process.end() == 0
    assert "Traceback" not in process.text


def test_a_version_activated_from_the_command_line_is_taken(
    dashboard: Dashboard, model_folder: Path, other_detector_dir: Path
) -> None:
    version = load_detector(other_detector_dir).model_version
    command = [sys.executable, "train_model.py", "--activate", version]
    environment = os.environ | {"MODEL_DIR": str(model_folder), "MODEL_SIGNING_KEY": ""}
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    model_of(dashboard, partial(is_taken, version))


def test_a_server_that_is_stopped_while_it_takes_a_version_stops_cleanly(
    process: Process, model_folder: Path, other_detector_dir: Path
) -> None:
    activate(other_detector_dir, model_folder)
    assert process.end() == 0
    assert "Traceback" not in process.text
