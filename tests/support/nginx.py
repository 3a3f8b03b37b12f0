"""A real nginx with the shipped configuration: only ports, names and paths are others."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from config.secrets import PROJECT_ROOT
from tests.support.processes import free_ports
from tests.support.waiting import wait_until

SHIPPED = (PROJECT_ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

Edits = dict[str, str]


# The cases in which people put an app behind nginx; with no edit at all it is as it should be.
NO_PORT: Edits = {"Host $http_host;": "Host $host;"}
UPGRADE = ("proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $connection_upgrade;")
NO_UPGRADE: Edits = dict.fromkeys(UPGRADE, "")


@dataclass(frozen=True)
class Front:
    """What an nginx can be reached at, and who vouches for it."""

    url: str
    plain_url: str
    trust: ssl.SSLContext


@contextmanager
def nginx(folder: Path, upstream: str, edits: Edits) -> Iterator[Front]:
    """Put nginx before an app; where it is not installed, the test is skipped."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    secure, plain = free_ports(2)
    of_this_machine = {
        "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "hads.example": "localhost",
        "http://127.0.0.1:5000": upstream,
        "https://$host$": f"https://$host:{secure}$",
        "/etc/nginx/tls/fullchain.pem": f"{folder}/chain.pem",
        "/etc/nginx/tls/privkey.pem": f"{folder}/key.pem",
        "worker_rlimit_nofile 16384;": "",  # only root may raise it
        "http {": "http {" + "".join(f" {name}_temp_path {folder}/{name};" for name in TEMPORARY),
    }
    configuration = SHIPPED
    for old, new in (edits | of_this_machine).items():
        assert old in configuration, f"deploy/nginx.conf no longer says: {old}"
        configuration = configuration.replace(old, new)
    (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
    own = f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;"
    trust = vouched_for(folder)
    with subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf", "-g", own]) as process:
        try:
            wait_until(lambda: listens(secure))
            yield Front(f"https://localhost:{secure}", f"http://localhost:{plain}", trust)
        finally:
            process.terminate()


def vouched_for(folder: Path) -> ssl.SSLContext:
    """Write a certificate for this machine into a folder, and return what trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "client-1.localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return trust


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
