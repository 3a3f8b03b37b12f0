"""Versions of the model that come and go under a running server while client apps send: nothing lost, nothing mixed."""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import train_model
from common.messages import Prediction
from server.anomaly.detector import Detector
from server.registry.artifact import ACTIVE_FILE, FOREST_FILE, MANIFEST_FILE, active_folder, load_detector
from tests.integration.server.test_change_log import bearer, pages
from tests.support.made_requests import request
from tests.support.model_versions import activate, flip_a_byte
from tests.support.processes import TOKENS, Process, run
from tests.support.speaking import Browser, ClientApp, Dashboard
from tests.support.waiting import WAIT_SECONDS

BUNCH = 8


@pytest.fixture
def process(processes: list[Process], environment: dict[str, str], model_folder: Path) -> Process:
    process = run(processes, environment | {"MODEL_DIR": str(model_folder), "MODEL_WATCH_SECONDS": "0.1"})
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


def send(url: str, number: int, ending: threading.Event) -> list[Prediction]:
    """Send patients as a client app, a few at a time, until told to end; return one answer for each, in their order."""
    client = ClientApp(url, TOKENS[f"CLIENT_{number}_TOKEN"])
    answers: list[Prediction] = []
    while not ending.is_set():
        bunch = [request(len(answers) + place) for place in range(BUNCH)]
        for message in bunch:
            assert client.predict(message.to_wire()) == {"status": "accepted", "error": None}
        answers += [client.answered(message.request_id) for message in bunch]
        ending.wait(BUNCH / 100)  # a connection may send 300 events a second
    client.close()
    return answers


@pytest.fixture
def desks(process: Process) -> Iterator[Callable[[], Sequence[Prediction]]]:
    """Three desks that send from now on; what is returned ends them and gives all their answers."""
    ending = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        sending = [pool.submit(send, process.url, number, ending) for number in (1, 2, 3)]

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
        assert {part.field: part.contribution for part in answer.contributions} == pytest.approx(said.contributions)
        assert {part.field: part.typical for part in answer.contributions} == version.typical
        assert (answer.raw_score, answer.anomaly_score) == pytest.approx((said.raw_score, said.anomaly_score))
        assert (answer.risk_level, answer.thresholds) == (said.risk_level, version.thresholds)


def model_of(dashboard: Dashboard, wanted: Callable[[Any], bool]) -> Any:
    """Follow until the model's status is such."""
    return dashboard.status_with(lambda status: wanted(status["model"]))["model"]


def taken(dashboard: Dashboard, version: str) -> Any:
    """Follow until a version scores, and return the model's status."""
    return model_of(dashboard, lambda status: status["version"] == version and status["refused"] is None)


def await_next_entry(dashboard: Dashboard, *, after: int) -> None:
    dashboard.entry(lambda entry: bool(entry["sequence"] > after))


DAMAGES: tuple[Callable[[Path], object], ...] = (
    lambda folder: flip_a_byte(active_folder(folder) / FOREST_FILE),
    lambda folder: (active_folder(folder) / MANIFEST_FILE).unlink(),
    lambda folder: (folder / ACTIVE_FILE).write_text("../elsewhere"),
)


def test_versions_come_and_go_and_are_damaged_under_three_desks_that_send(
    process: Process,
    model_folder: Path,
    detector_dir: Path,
    other_detector_dir: Path,
    *,
    operator: Browser,
    dashboard: Dashboard,
    desks: Callable[[], Sequence[Prediction]],
) -> None:
    versions = {detector.model_version: detector for detector in map(load_detector, (detector_dir, other_detector_dir))}
    directories = dict(zip(versions, (detector_dir, other_detector_dir), strict=True))
    first, second = versions
    for version, damage in zip((second, first, second), DAMAGES, strict=True):
        activate(directories[version], model_folder)
        since = taken(dashboard, version)["since"]
        damage(model_folder)
        status = model_of(dashboard, lambda status: status["refused"])
        assert (status["version"], status["since"]) == (version, since)
        assert str(model_folder) in status["refused"]
        assert operator.get("/readyz").status == 200
        await_next_entry(dashboard, after=operator.get("/api/status").json["cursor"])
        shutil.copytree(directories[version], model_folder, dirs_exist_ok=True)  # repaired
        taken(dashboard, version)
    answers = desks()
    assert {answer.model_version for answer in answers} == set(versions)
    assert_reproducible(answers, versions)
    for number in (1, 2, 3):
        read = pages(Browser(process.url), "", **bearer(TOKENS[f"CLIENT_{number}_TOKEN"]))
        kept = [entry.prediction for page in read for entry in page.entries]
        assert kept == [answer for answer in answers if answer.client_id == f"Client-{number}"]
    assert process.end() == 0
    assert "Traceback" not in process.text
    assert process.text.count("scores from now on") == len(DAMAGES)


def test_a_version_activated_from_the_command_line_is_taken_and_one_under_way_delays_no_stop(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    process: Process,
    *,
    dashboard: Dashboard,
    model_folder: Path,
    detector_dir: Path,
    other_detector_dir: Path,
) -> None:
    version = load_detector(other_detector_dir).model_version
    monkeypatch.setenv("MODEL_SIGNING_KEY", "")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert train_model.main(["--activate", version, "--out", str(model_folder)]) == 0
    taken(dashboard, version)
    activate(detector_dir, model_folder)
    assert process.end() == 0
    assert "Traceback" not in process.text
