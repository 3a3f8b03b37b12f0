"""Versions of the model that come, go and are damaged under a running server, which scores with the last good one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from server.registry.artifact import ACTIVE_FILE, FOREST_FILE, MANIFEST_FILE, active_folder, load_detector
from tests.integration.server.conftest import Join, RunningServer, StartServer, Watch
from tests.support.made_requests import id_of, request
from tests.support.model_versions import activate, flip_a_byte
from tests.support.processes import Process, run
from tests.support.speaking import Browser

DAMAGES: tuple[Callable[[Path], object], ...] = (
    lambda folder: flip_a_byte(active_folder(folder) / FOREST_FILE),
    lambda folder: (active_folder(folder) / MANIFEST_FILE).unlink(),
    lambda folder: (folder / ACTIVE_FILE).write_text("../elsewhere"),
)


@pytest.fixture
def running(start_server: StartServer, model_folder: Path) -> RunningServer:
    return start_server(model_dir=model_folder, model_watch_seconds=0.05)


def test_a_server_takes_what_is_activated_and_goes_on_with_it_while_its_files_are_damaged(
    model_folder: Path, detector_dir: Path, other_detector_dir: Path, *, join: Join, watch: Watch, signed_in: Browser
) -> None:
    client, dashboard = join(), watch()
    for number, damage in enumerate(DAMAGES):
        directory = (other_detector_dir, detector_dir)[number % 2]
        version = load_detector(directory).model_version
        activate(directory, model_folder)
        taken = dashboard.status_with(lambda status: status["model"]["version"] == version)["model"]  # noqa: B023 - at once
        damage(model_folder)
        damaged = dashboard.status_with(lambda status: status["model"]["refused"])["model"]
        assert (damaged["version"], damaged["since"]) == (version, taken["since"])
        assert str(model_folder) in damaged["refused"]
        assert signed_in.get("/readyz").status == 200
        client.predict(request(number).to_wire())
        assert client.answered(id_of(number)).model_version == version
        shutil.copytree(directory, model_folder, dirs_exist_ok=True)  # repaired
        dashboard.status_with(lambda status: status["model"]["refused"] is None)


def test_a_stop_while_a_version_is_being_loaded_is_a_clean_one(
    processes: list[Process], environment: dict[str, str], model_folder: Path, other_detector_dir: Path
) -> None:
    process = run(processes, environment | {"MODEL_DIR": str(model_folder), "MODEL_WATCH_SECONDS": "0.1"})
    process.wait_until_started()
    activate(other_detector_dir, model_folder)
    assert process.end() == 0
    assert "Traceback" not in process.text
