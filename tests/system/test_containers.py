"""The whole system in Docker, from ``docker compose up --build`` without any ``.env``."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import launcher
from config.secrets import PROJECT_ROOT
from tests.support.system_parts import Clinician, Visitor, free_ports, stored_requests
from tests.system.conftest import APPS

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not launcher.has_docker(), reason="no Docker engine with Compose v2 answers"),
]

PROJECT_NAME = "hads-test"
SMALL_MODEL = {"MODEL_N_ESTIMATORS": "50", "MODEL_CALIBRATION_FOLDS": "2", "MODEL_EVALUATION_FOLDS": "2"}
PATIENTS_A_STAGE = 10


class Containers:
    """The four containers of one Compose project with an empty ``.env``."""

    def __init__(self, env_file: Path) -> None:
        names = ("SERVER_PORT", "CLIENT_1_PORT", "CLIENT_2_PORT", "CLIENT_3_PORT")
        ports = {name: str(port) for name, port in zip(names, free_ports(4), strict=True)}
        self._environment = os.environ | ports | SMALL_MODEL
        self._compose = ["docker", "compose", "-p", PROJECT_NAME, "--env-file", str(env_file)]

    def compose(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [*self._compose, *arguments]
        done = subprocess.run(
            command, cwd=PROJECT_ROOT, env=self._environment, capture_output=True, text=True, timeout=800, check=False
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def run_in(self, name: str, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.compose("exec", "-T", name, *command, check=check)

    def link(self, name: str) -> str:
        """Return the latest link the app printed to its log."""
        log = self.compose("logs", "--no-log-prefix", "--no-color", name).stdout
        return str(re.findall(r"http://\S+/sign-in#token=\S+", log)[-1])

    def inspect(self, name: str) -> dict[str, Any]:
        container = self.compose("ps", "-q", name).stdout.strip()
        done = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
        (found,) = json.loads(done.stdout)
        return dict(found)


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    env_file = tmp_path_factory.mktemp("compose") / "empty.env"
    env_file.touch()
    containers = Containers(env_file)
    containers.compose("down", "--volumes")
    try:
        containers.compose("up", "--build", "--detach", "--wait", "--wait-timeout", "600")
        yield containers
    finally:
        containers.compose("down", "--volumes")


def test_there_are_exactly_four_containers_and_all_are_healthy(containers: Containers) -> None:
    lines = containers.compose("ps", "--all", "--format", "{{.Service}} {{.Health}}").stdout.splitlines()
    assert sorted(lines) == sorted(f"{name} healthy" for name in APPS)


@pytest.mark.parametrize(("bind_address", "host"), [("", "127.0.0.1"), ("192.168.1.5", "192.168.1.5")])
def test_the_link_in_the_log_leads_to_where_the_port_is_opened(bind_address: str, host: str) -> None:
    command = ["docker", "compose", "-p", PROJECT_NAME, "--env-file", os.devnull, "config", "--format", "json"]
    environment = os.environ | {"BIND_ADDRESS": bind_address}
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=True)
    services = json.loads(done.stdout)["services"]
    urls = [services[name]["environment"]["PUBLIC_URL"] for name in APPS]
    assert urls == [f"http://{host}:{port}" for port in (5000, 5001, 5002, 5003)]


@pytest.mark.parametrize("name", APPS)
def test_a_container_has_no_rights_it_does_not_need(containers: Containers, name: str) -> None:
    found = containers.inspect(name)
    host = found["HostConfig"]
    assert found["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert not host["Privileged"]
    assert 0 < host["PidsLimit"] <= 4096
    assert 0 < host["Memory"] <= 3 * 1024**3
    assert {mount["Type"] for mount in found["Mounts"]} == {"volume"}
    assert {binding["HostIp"] for ports in host["PortBindings"].values() for binding in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("name", APPS)
def test_the_process_that_serves_has_no_capability_and_gains_none(containers: Containers, name: str) -> None:
    lines = containers.run_in(name, "cat", "/proc/1/status").stdout.splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert {status[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("name", APPS)
def test_what_an_app_keeps_is_in_folders_of_its_user_alone(containers: Containers, name: str) -> None:
    folders = [mount["Destination"] for mount in containers.inspect(name)["Mounts"]]
    modes = containers.run_in(name, "stat", "-c", "%a %u:%g", *folders).stdout.splitlines()
    assert modes == ["700 10001:10001"] * len(folders)
    assert len(folders) >= 2


@pytest.mark.parametrize("name", APPS)
def test_the_root_file_system_cannot_be_written(containers: Containers, name: str) -> None:
    done = containers.run_in(name, "touch", "/app/file", check=False)
    assert "Read-only file system" in done.stderr


def test_the_client_image_has_no_scientific_stack(containers: Containers) -> None:
    names = ["sklearn", "shap", "numpy", "pandas", "scipy", "server"]
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert containers.run_in("client-1", "python", "-c", code).stdout == "[]\n"


def test_a_client_container_holds_its_own_secrets_alone(containers: Containers) -> None:
    names = containers.run_in("client-2", "find", "/secrets", "-type", "f").stdout.split()
    own = ["CLIENT_2_CLINICIAN_TOKEN", "CLIENT_2_SECRET_KEY", "CLIENT_2_TOKEN"]
    assert sorted(names) == [f"/secrets/client-2/{name}" for name in own]
    assert "TOKEN=" not in containers.run_in("client-2", "env").stdout


def test_a_patient_from_each_desk_reaches_the_server(containers: Containers) -> None:
    operator = Visitor(containers.link("server"))
    for number in (1, 2, 3):
        with Clinician(containers.link(f"client-{number}")) as clinician:
            request_id = clinician.submit()
            prediction = clinician.answers([request_id])[request_id]
        stored = operator.api(f"predictions/{prediction['prediction_id']}")["prediction"]
        assert stored == prediction
        assert stored["client_id"] == f"Client-{number}"


def test_restarting_the_server_while_a_desk_submits_loses_nothing(containers: Containers) -> None:
    before = stored_requests(Visitor(containers.link("server")), "Client-3")
    with Clinician(containers.link("client-3")) as clinician:
        submitted = [clinician.submit() for _ in range(PATIENTS_A_STAGE)]
        restart = threading.Thread(target=containers.compose, args=("restart", "server"))
        restart.start()
        while restart.is_alive() or len(submitted) < 2 * PATIENTS_A_STAGE:
            submitted.append(clinician.submit())
        restart.join()
        clinician.answers(submitted)
    after = stored_requests(Visitor(containers.link("server")), "Client-3")
    assert sorted(after) == sorted(before + submitted)
