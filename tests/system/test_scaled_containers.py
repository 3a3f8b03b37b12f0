"""Four servers on PostgreSQL behind nginx in Docker, as ``compose.scale.yml`` starts them."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dotenv import dotenv_values

import launcher
from tests.support.project_copy import copy_project
from tests.support.system_parts import Clinician, Visitor, stored_requests
from tests.system.test_containers import Containers, composed

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not launcher.has_docker(), reason="no Docker engine with Compose v2 answers"),
]

SERVERS = 4
PATIENTS_OF_A_DESK = 334
FILES = "docker-compose.yml:compose.scale.yml:docker-compose.override.yml"


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    folder = copy_project(tmp_path_factory.mktemp("compose") / "project")
    subprocess.run([sys.executable, "launcher.py", "secrets"], cwd=folder, check=True)
    environment = {"COMPOSE_PROJECT_NAME": "hads-test-scale", "COMPOSE_FILE": FILES}
    with composed(folder, "model", "--scale", f"server={SERVERS}", **environment) as containers:
        yield containers


def test_four_servers_answer_a_thousand_patients_while_one_is_stopped(containers: Containers) -> None:
    secrets = dotenv_values(containers.folder / ".env")
    running = containers.run("compose", "ps", "--format", "{{.Service}} {{.Health}}").splitlines()
    others = ["client-1", "client-2", "client-3", "nginx", "postgres"]
    assert sorted(running) == sorted(f"{name} healthy" for name in [*others, *["server"] * SERVERS])

    def enter(number: int) -> list[str]:
        url = f"http://127.0.0.1:{containers.environment[f'CLIENT_{number}_PORT']}"
        with Clinician(f"{url}/sign-in#token={secrets[f'CLIENT_{number}_CLINICIAN_TOKEN']}") as clinician:
            entered = [clinician.submit() for _ in range(PATIENTS_OF_A_DESK)]
            clinician.answers(entered, seconds=300)
        return entered

    with ThreadPoolExecutor(4) as pool:
        entered = [pool.submit(enter, number) for number in (1, 2, 3)]
        victim, *_ = containers.run("compose", "ps", "-q", "server").split()
        containers.run("stop", victim)
        containers.run("start", victim)
        by_desk = [one.result() for one in entered]
    operator = operator_of(containers, str(secrets["OPERATOR_TOKEN"]))
    for number, request_ids in enumerate(by_desk, start=1):
        assert sorted(stored_requests(operator, f"Client-{number}")) == sorted(request_ids)


def operator_of(containers: Containers, token: str) -> Visitor:
    """Sign in through nginx, whose self-signed certificate is trusted for this."""
    trust = ssl.create_default_context(cadata=containers.run_in("nginx", "cat", "/etc/nginx/tls/fullchain.pem"))
    link = f"https://127.0.0.1:{containers.environment['SERVER_PORT']}/sign-in#token={token}"
    return Visitor(link, tls=trust)
