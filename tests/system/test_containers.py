"""The whole system in Docker, from ``docker compose up --build`` without any ``.env``."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import launcher
from config.secrets import CLIENT_IDS, secret_names
from tests.support.project_copy import copy_project
from tests.support.system_parts import Clinician, Visitor, stored_requests
from tests.system.conftest import APPS, ports, run_launcher

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not launcher.has_docker(), reason="no Docker engine with Compose v2 answers"),
]

SMALL_MODEL = {"MODEL_N_ESTIMATORS": "50", "MODEL_CALIBRATION_FOLDS": "2", "MODEL_EVALUATION_FOLDS": "2"}
PATIENTS = 20


class Containers:
    """The containers of a copy of the project."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = ports() | environment

    def run(self, *arguments: str, check: bool = True) -> str:
        environment, command = os.environ | self.environment, ["docker", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=800, check=False
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run_in(self, name: str, *command: str, check: bool = True) -> str:
        return self.run("compose", "exec", "-T", name, *command, check=check)

    def link(self, name: str) -> str:
        """Return the latest link the app printed to its log."""
        log = self.run("compose", "logs", "--no-log-prefix", "--no-color", name)
        return str(re.findall(r"http://\S+/sign-in#token=\S+", log)[-1])

    def services(self, **settings: str) -> dict[str, Any]:
        """Return what the compose file says of each with these settings in the ``.env``, which is there for this."""
        file = self.folder / ".env"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        try:
            return dict(json.loads(self.run("compose", "config", "--format", "json"))["services"])
        finally:
            file.unlink()

    def inspect(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.run("inspect", self.run("compose", "ps", "-q", name).strip()))
        return dict(found)


@contextmanager
def composed(folder: Path, trains: str, *options: str, **environment: str) -> Iterator[Containers]:
    """Run what compose starts of a copy of the project, in which one service trains a small model."""
    small = {"services": {trains: {"environment": SMALL_MODEL}}}
    (folder / "docker-compose.override.yml").write_text(json.dumps(small))
    containers = Containers(folder, **environment)
    containers.run("compose", "down", "--volumes")
    try:
        containers.run("compose", "up", "--build", "--detach", "--wait", "--wait-timeout", "600", *options)
        yield containers
    finally:
        containers.run("compose", "down", "--volumes")


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    folder = copy_project(tmp_path_factory.mktemp("compose") / "project")
    with composed(folder, "server", COMPOSE_PROJECT_NAME="hads-test") as containers:
        yield containers


def healthy(containers: Containers) -> list[str]:
    lines = containers.run("compose", "ps", "--all", "--format", "{{.Service}} {{.Health}}").splitlines()
    return sorted(line.removesuffix(" healthy") for line in lines)


def test_there_are_exactly_four_containers_that_another_copy_leaves_alone(
    containers: Containers, tmp_path: Path
) -> None:
    assert healthy(containers) == sorted(APPS)
    copy = copy_project(tmp_path / "copy")
    for command in ("stop", "start"):
        done = run_launcher(copy, command, **containers.environment | ports())
        assert f"The containers of another copy of this project, in {containers.folder}" in done.stderr
    assert healthy(containers) == sorted(APPS)


@pytest.mark.parametrize("address", ["192.168.1.5", "[::1]"])
def test_the_link_leads_to_where_the_port_is_opened(containers: Containers, address: str) -> None:
    services = containers.services(BIND_ADDRESS=address)
    for name in APPS:
        (port,) = services[name]["ports"]
        assert port["host_ip"] == address.strip("[]")
        assert services[name]["environment"]["PUBLIC_URL"] == f"http://{address}:{port['published']}"


@pytest.mark.parametrize("name", APPS)
def test_a_container_has_no_rights_it_does_not_need(containers: Containers, name: str) -> None:
    found = containers.inspect(name)
    host = found["HostConfig"]
    assert found["Config"]["User"] == "10001:10001"
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert 0 < host["PidsLimit"] <= 4096
    assert 0 < host["Memory"] <= 3 * 1024**3
    assert {mount["Type"] for mount in found["Mounts"]} == {"volume"}
    assert {binding["HostIp"] for ports in host["PortBindings"].values() for binding in ports} == {"127.0.0.1"}
    lines = containers.run_in(name, "cat", "/proc/1/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert {status[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    folders = [mount["Destination"] for mount in found["Mounts"]]
    assert set(containers.run_in(name, "stat", "-c", "%a %u:%g", *folders).splitlines()) == {"700 10001:10001"}
    assert "Read-only file system" in containers.run_in(name, "touch", "/app/file", check=False)


def test_a_client_container_has_its_own_secrets_and_no_scientific_stack(containers: Containers) -> None:
    names = ["sklearn", "shap", "numpy", "pandas", "scipy", "server"]
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert containers.run_in("client-1", "python", "-c", code) == "[]\n"
    own = ["CLIENT_2_CLINICIAN_TOKEN", "CLIENT_2_SECRET_KEY", "CLIENT_2_TOKEN"]
    found = containers.run_in("client-2", "find", "/secrets", "-type", "f").split()
    assert sorted(found) == [f"/secrets/client-2/{name}" for name in own]
    services = containers.services(**{name: f"of-{name}" for name in [*secret_names(CLIENT_IDS), "LLM_API_KEY"]})
    told = {name: {value for value in one["environment"].values() if value} for name, one in services.items()}
    assert {value for value in told["client-2"] if value.startswith("of-")} == {f"of-{name}" for name in own}
    assert {value for value in told["server"] if value.startswith("of-CLIENT")} == {
        f"of-CLIENT_{number}_TOKEN" for number in (1, 2, 3)
    }


def test_every_desks_patients_reach_the_server_though_it_is_restarted_meanwhile(containers: Containers) -> None:
    restart = threading.Thread(target=containers.run, args=("compose", "restart", "server"))
    submitted: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for number, entered in submitted.items():
        with Clinician(containers.link(f"client-{number}")) as clinician:
            entered.append(clinician.submit())
            clinician.answers(entered)
            if number == 3:
                restart.start()
                while restart.is_alive() or len(entered) < PATIENTS:
                    entered.append(clinician.submit())
                clinician.answers(entered[1:])
    operator = Visitor(containers.link("server"))
    for number, entered in submitted.items():
        assert sorted(stored_requests(operator, f"Client-{number}")) == sorted(entered)
