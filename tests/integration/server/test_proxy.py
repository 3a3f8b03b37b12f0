"""Behind a proxy with TLS: what counts is what people see, and only where the proxy is trusted."""

import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
import trustme
import websocket

from common.access.audit.trail import trail_file, verify
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.processes import free_port
from tests.support.speaking import WAIT_SECONDS, Answer, Browser

FORWARDED: dict[str, str | None] = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.7"}


@pytest.fixture
def trusting(start_server: StartServer) -> RunningServer:
    """A server that was told of its proxy, but not by which address people reach it."""
    return start_server(trusted_proxies=1)


def cookies(answer: Answer) -> list[str]:
    return answer.headers.get_all("Set-Cookie") or []


def https(server: RunningServer) -> str:
    return server.url.replace("http", "https", 1)


def test_cookies_and_pages_are_for_tls_alone(trusting: RunningServer) -> None:
    answer = Browser(trusting.url).get("/sign-in", **FORWARDED)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    (cookie,) = cookies(answer)
    assert cookie.startswith("__Host-hads_server=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_the_origin_is_the_one_that_people_see(trusting: RunningServer) -> None:
    browser = Browser(trusting.url)
    token = browser.get("/sign-in", **FORWARDED).body.partition(b'csrf-token" content="')[2].partition(b'"')[0].decode()
    credentials = {"token": trusting.operator_token}
    given = {**FORWARDED, "X_CSRFToken": token}
    assert browser.post("/sign-in", credentials, Origin=trusting.url, **given).status == 403
    assert browser.post("/sign-in", credentials, Origin=https(trusting), **given).status == 204
    assert browser.get("/api/status", **FORWARDED).status == 200
    (session,) = trusting.sessions.all()
    assert session.address == "192.0.2.7"


def test_a_cookie_that_was_planted_over_plain_http_counts_for_nothing(trusting: RunningServer) -> None:
    plain = Browser(trusting.url)
    assert plain.sign_in(trusting.operator_token).status == 204
    assert plain.get("/api/status").status == 200
    assert Browser(trusting.url).get("/api/status", Cookie=plain.cookie, **FORWARDED).status == 401


@pytest.mark.parametrize("name", ["X_Forwarded_Proto", "X_Forwarded_Host", "X_Forwarded_For", "Forwarded"])
def test_nothing_forwarded_counts_without_a_trusted_proxy(running: RunningServer, name: str) -> None:
    value = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "evil.example"}.get(name, "for=192.0.2.7;proto=https")
    answer = Browser(running.url).get("/sign-in", **{name: value})
    assert answer.status == 200
    assert "Strict-Transport-Security" not in answer.headers
    assert [cookie.partition("=")[0] for cookie in cookies(answer)] == ["hads_server"]


@pytest.mark.parametrize(
    "forwarded", ["<script>alert(1)</script>", "x" * 6000, "fe80::1%" + "x" * 6000, "192.0.2.7\x1b[2J", "%s%n", "-", ""]
)
def test_what_was_forwarded_and_is_no_address_is_kept_nowhere(trusting: RunningServer, forwarded: str) -> None:
    browser = Browser(trusting.url)
    token = browser.csrf_token()
    for right in (trusting.administrator_token, "wrong", trusting.administrator_token):
        browser.post("/sign-in", {"token": right}, X_CSRFToken=token, X_Forwarded_For=forwarded)
        token = browser.csrf_token()
    assert [session.address for session in trusting.sessions.all()] == ["127.0.0.1"]
    trail = trail_file(trusting.settings.data_dir, "server")
    assert verify(trail, (trusting.settings.secrets_dir / "server" / "AUDIT_KEY").read_text().strip()).problems == ()
    assert {entry["address"] for entry in map(json.loads, trail.read_text().splitlines())} == {"127.0.0.1"}


def test_a_forwarded_host_is_checked_like_any_other(trusting: RunningServer) -> None:
    assert Browser(trusting.url).get("/", X_Forwarded_Host="evil.example").status == 400


def test_more_addresses_than_proxies_are_the_visitors_invention(trusting: RunningServer) -> None:
    browser = Browser(trusting.url)
    forwarded = "198.51.100.1, 192.0.2.7"
    credentials = {"token": trusting.operator_token}
    assert browser.post("/sign-in", credentials, X_Forwarded_For=forwarded).status == 204
    assert trusting.sessions.all()[0].address == "192.0.2.7"


def test_over_tls_too_requests_are_counted_by_session(start_server: StartServer) -> None:
    """And not by the address that a whole clinic shares."""
    server = start_server(trusted_proxies=1, requests_per_minute=10)
    busy, other = ({"Cookie": f"__Host-hads_server={name}", **FORWARDED} for name in ("busy", "other"))
    assert 429 in [Browser(server.url).get("/api/status", **busy).status for _ in range(22)]  # two minutes at most
    assert Browser(server.url).get("/api/status", **other).status == 401


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass {url};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


@pytest.fixture
def secure_url(trusting: RunningServer, tmp_path: Path) -> Iterator[str]:
    """The server behind a real nginx with TLS; where nginx is not installed, the test is skipped."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    certificate = trustme.CA()
    certificate.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = certificate.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(tmp_path / "chain.pem", append=True)
    port = free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, url=trusting.url))
    with subprocess.Popen([program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]) as nginx:
        wait_for(port)
        yield f"https://localhost:{port}"
        nginx.terminate()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise TimeoutError


def test_a_person_signs_in_and_listens_through_a_real_proxy(
    trusting: RunningServer, secure_url: str, tmp_path: Path
) -> None:
    jar, context = CookieJar(), ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPCookieProcessor(jar),
    )
    with opener.open(f"{secure_url}/sign-in") as answer:
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        token = answer.read().partition(b'csrf-token" content="')[2].partition(b'"')[0].decode()
    body = f'{{"token": "{trusting.operator_token}"}}'.encode()
    headers = {"Origin": secure_url, "X-CSRFToken": token, "Content-Type": "application/json"}
    with opener.open(urllib.request.Request(f"{secure_url}/sign-in", body, headers)) as answer:
        assert answer.status == 204
    (cookie,) = [cookie for cookie in jar if not cookie.name.endswith("_device")]
    assert (cookie.name, cookie.secure) == ("__Host-hads_server", True)
    peer = websocket.create_connection(
        secure_url.replace("https", "wss", 1) + "/socket.io/?EIO=4&transport=websocket",
        timeout=WAIT_SECONDS,
        origin=secure_url,
        cookie=f"{cookie.name}={cookie.value}",
        sslopt={"context": context},
    )
    assert str(peer.recv()).startswith("0")
    peer.send("40/operators,")
    assert str(peer.recv()).startswith("40/operators,")
    peer.shutdown()  # type: ignore[no-untyped-call]
