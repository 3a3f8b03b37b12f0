"""A real nginx with a shipped configuration: only ports, names and paths are others."""

import shutil
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from config.secrets import PROJECT_ROOT
from tests.support.processes import free_ports
from tests.support.shipped import edited, program

SHIPPED = PROJECT_ROOT / "deploy" / "nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

Edits = dict[str, str]


NO_TLS: Edits = {"listen 443 ssl;": "listen 443;", "ssl_certificate ": "# ", "ssl_certificate_key ": "# "}


@dataclass(frozen=True)
class Front:
    """What an nginx with TLS can be reached at, and who vouches for it."""

    url: str
    plain_url: str
    trust: ssl.SSLContext


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[Front]:
    """Put nginx before an app; where it is not installed, the test is skipped."""
    trust = vouched_for(folder)
    here = {
        "hads.example": "localhost",
        "http://127.0.0.1:5000": upstream,
        "/etc/nginx/tls/fullchain.pem": f"{folder}/chain.pem",
        "/etc/nginx/tls/privkey.pem": f"{folder}/key.pem",
    }
    with _nginx(folder, "one-server.conf", here) as (secure, plain):
        yield Front(f"https://localhost:{secure}", f"http://localhost:{plain}", trust)


@contextmanager
def balancer(folder: Path, ports: Sequence[int]) -> Iterator[int]:
    """Put nginx, without TLS, before servers at these ports of this machine, and yield its own port.

    Where it is not installed, the test is skipped.
    """
    folder.mkdir()
    named = "server server:5000 max_fails=0;"
    servers = "".join(named.replace("server:5000", f"127.0.0.1:{port}") for port in ports)
    with _nginx(folder, "many-servers.conf", NO_TLS | {named: servers}) as (port, _):
        yield port


@contextmanager
def _nginx(folder: Path, shipped: str, edits: Edits) -> Iterator[tuple[int, int]]:
    path = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if path is None:
        raise SkipTest("nginx is not installed: apt-get install nginx-light")
    secure, plain = free_ports(2)
    of_this_machine = {
        "listen 443": f"listen 127.0.0.1:{secure}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "https://$host$": f"https://$host:{secure}$",
        "worker_rlimit_nofile 16384;": "",  # only root may raise it
        "http {": "http {" + "".join(f" {name}_temp_path {folder}/{name};" for name in TEMPORARY),
    }
    common = {"include common.conf;": (SHIPPED / "common.conf").read_text(encoding="utf-8")}
    configuration = edited(SHIPPED / shipped, common | edits | of_this_machine)
    (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
    own = f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;"
    with program([path, "-p", str(folder), "-c", f"{folder}/nginx.conf", "-g", own], secure, folder / "nginx.log"):
        yield secure, plain


def vouched_for(folder: Path) -> ssl.SSLContext:
    """Write a certificate for this machine into a folder, and who vouches for it; return what trusts it."""
    import trustme  # noqa: PLC0415 - benchmarks run without what only the tests need

    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return trust
