"""Four servers on PostgreSQL behind nginx in Docker, as ``compose.scale.yml`` starts them."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from dotenv import dotenv_values

import launcher
from tests.support.project_copy import copy_project
from tests.support.system_parts import Clinician, Visitor, stored_requests
from tests.support.waiting import wait_until
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
    # nginx's self-signed certificate is trusted for this
    trust = ssl.create_default_context(cadata=containers.run_in("nginx", "cat", "/etc/nginx/tls/fullchain.pem"))
    operator = operator_of(containers, trust)
    for number, request_ids in enumerate(by_desk, start=1):
        assert sorted(stored_requests(operator, f"Client-{number}")) == sorted(request_ids)


def test_browsers_and_client_apps_trust_a_certificate_of_ones_own(containers: Containers, tmp_path: Path) -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    issued = authority.issue_cert("hads.example", "127.0.0.1")
    containers.environment |= {"TLS_DIR": str(tmp_path), "TLS_HOST": "hads.example"}
    assert "There is no fullchain.pem" in start_certificate(containers)
    issued.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(tmp_path / "fullchain.pem", append=True)
    containers.environment["TLS_HOST"] = "other.example"
    assert "is not for TLS_HOST, other.example" in start_certificate(containers)
    containers.environment["TLS_HOST"] = "hads.example"
    containers.run("compose", "up", "--detach", "--wait", "--wait-timeout", "300", "--scale", f"server={SERVERS}")
    operator = operator_of(containers, trust)
    wait_until(lambda: all(client["connected"] for client in operator.api("status")["clients"]))


def start_certificate(containers: Containers) -> str:
    """Return why there is no certificate."""
    return containers.run("compose", "run", "--rm", "--no-deps", "certificate", check=False)


def operator_of(containers: Containers, trust: ssl.SSLContext) -> Visitor:
    """Sign in through nginx."""
    token = dotenv_values(containers.folder / ".env")["OPERATOR_TOKEN"]
    return Visitor(f"https://127.0.0.1:{containers.environment['SERVER_PORT']}/sign-in#token={token}", tls=trust)
