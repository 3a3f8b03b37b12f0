"""A real nginx with a shipped configuration: only ports, names and paths are others."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from config.secrets import PROJECT_ROOT
from tests.support.processes import free_ports
from tests.support.waiting import wait_until

SHIPPED = PROJECT_ROOT / "deploy" / "nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

Edits = dict[str, str]


# The cases in which people put an app behind nginx; with no edit at all it is as it should be.
NO_PORT: Edits = {"Host $http_host;": "Host $host;"}
UPGRADE = ("proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $connection_upgrade;")
NO_UPGRADE: Edits = dict.fromkeys(UPGRADE, "")
NO_TLS: Edits = {"listen 443 ssl;": "listen 443;"}


@dataclass(frozen=True)
class Front:
    """What an nginx can be reached at, and who vouches for it."""

    url: str
    plain_url: str
    trust: ssl.SSLContext


@contextmanager
def nginx(folder: Path, upstream: str, edits: Edits) -> Iterator[Front]:
    """Put nginx before an app; where it is not installed, the test is skipped."""
    names = {"hads.example": "localhost", "http://127.0.0.1:5000": upstream}
    with _nginx(folder, "one-server.conf", edits | names) as front:
        yield front


@contextmanager
def balancer(folder: Path, ports: Sequence[int], edits: Edits | None = None) -> Iterator[Front]:
    """Put nginx before servers at these ports of this machine; where it is not installed, the test is skipped."""
    folder.mkdir()
    named = "server server:5000 max_fails=0;"
    servers = "".join(named.replace("server:5000", f"127.0.0.1:{port}") for port in ports)
    with _nginx(folder, "many-servers.conf", (edits or {}) | {named: servers}) as front:
        yield front


@contextmanager
def _nginx(folder: Path, shipped: str, edits: Edits) -> Iterator[Front]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    secure, plain = free_ports(2)
    of_this_machine = {
        "listen 443": f"listen 127.0.0.1:{secure}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "https://$host$": f"https://$host:{secure}$",
        "/etc/nginx/tls/fullchain.pem": f"{folder}/chain.pem",
        "/etc/nginx/tls/privkey.pem": f"{folder}/key.pem",
        "worker_rlimit_nofile 16384;": "",  # only root may raise it
        "http {": "http {" + "".join(f" {name}_temp_path {folder}/{name};" for name in TEMPORARY),
    }
    configuration = (SHIPPED / shipped).read_text(encoding="utf-8")
    common = (SHIPPED / "common.conf").read_text(encoding="utf-8")
    for old, new in ({"include common.conf;": common} | edits | of_this_machine).items():
        assert old in configuration, f"deploy/nginx/{shipped} no longer says: {old}"
        configuration = configuration.replace(old, new)
    (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
    own = f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;"
    trust = vouched_for(folder)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", own]
    with (folder / "nginx.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until(lambda: listens(secure))
            scheme = "https" if "ssl;" in configuration else "http"
            yield Front(f"{scheme}://localhost:{secure}", f"http://localhost:{plain}", trust)
        finally:
            process.terminate()


def vouched_for(folder: Path) -> ssl.SSLContext:
    """Write a certificate for this machine into a folder, and who vouches for it; return what trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "client-1.localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return trust


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
