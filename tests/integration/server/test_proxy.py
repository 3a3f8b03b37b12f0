"""Behind a proxy with TLS: what counts is what people see, and only where the proxy is trusted."""

from contextlib import closing
from pathlib import Path

import pytest

from common.web.origin import FOREIGN_ORIGIN
from tests.integration.server.conftest import Join, RunningServer, StartServer
from tests.support.made_requests import request
from tests.support.nginx import nginx
from tests.support.speaking import Browser, Dashboard

FORWARDED: dict[str, str | None] = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "198.51.100.1, 192.0.2.7"}
"""More addresses than proxies: the first is the visitor's invention."""


@pytest.fixture
def trusting(start_server: StartServer) -> RunningServer:
    """A server that was told of its proxy, but not by which address people reach it."""
    return start_server(trusted_proxies=1)


def test_cookies_origin_and_address_are_those_that_people_see(trusting: RunningServer) -> None:
    browser = Browser(trusting.url)
    page = browser.get("/sign-in", **FORWARDED)
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    (cookie,) = page.headers.get_all("Set-Cookie") or []
    assert cookie.startswith("__Host-hads_server=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    token = page.body.partition(b'csrf-token" content="')[2].partition(b'"')[0].decode()
    credentials, given = {"token": trusting.operator_token}, {**FORWARDED, "X_CSRFToken": token}
    dropped = browser.post("/sign-in", credentials, Origin=trusting.url, **given)  # as by a proxy that drops the port
    assert (dropped.status, dropped.error["message"]) == (403, FOREIGN_ORIGIN)
    assert "docs/proxy.md" in FOREIGN_ORIGIN
    assert browser.post("/sign-in", credentials, Origin=trusting.url.replace("http", "https"), **given).status == 204
    assert browser.get("/api/predictions", **FORWARDED).status == 200
    assert [session.address for session in trusting.sessions.all()] == ["192.0.2.7"]
    assert browser.get("/", X_Forwarded_Host="evil.example").status == 400


def test_a_cookie_that_was_planted_over_plain_http_counts_for_nothing(trusting: RunningServer) -> None:
    plain = trusting.signed_in()
    assert plain.get("/api/predictions").status == 200
    assert Browser(trusting.url).get("/api/predictions", Cookie=plain.cookie, **FORWARDED).status == 401


def test_nothing_forwarded_counts_without_a_trusted_proxy(running: RunningServer) -> None:
    claims: dict[str, str | None] = {"X_Forwarded_Host": "evil.example", "Forwarded": "for=192.0.2.7;proto=https"}
    answer = Browser(running.url).get("/sign-in", **FORWARDED, **claims)
    assert answer.status == 200
    assert "Strict-Transport-Security" not in answer.headers
    assert [cookie.partition("=")[0] for cookie in answer.headers.get_all("Set-Cookie") or []] == ["hads_server"]


def test_what_was_forwarded_and_is_no_address_is_kept_nowhere(trusting: RunningServer) -> None:
    browser = Browser(trusting.url)
    forwarded = ["<script>alert(1)</script>", "fe80::1%" + "x" * 6000, "192.0.2.7\x1b[2J", "%s%n", "-", ""]
    for claimed, right in zip(forwarded, [trusting.administrator_token, "wrong"] * 3, strict=True):
        browser.post("/sign-in", {"token": right}, X_CSRFToken=browser.csrf_token(), X_Forwarded_For=claimed)
    assert {session.address for session in trusting.sessions.all()} == {"127.0.0.1"}
    assert {entry.address for entry in trusting.server.real_time.access.trail.newest(9)} == {"127.0.0.1"}


def test_through_the_shipped_configuration_a_person_signs_in_and_sees_a_prediction(
    trusting: RunningServer, tmp_path: Path, join: Join
) -> None:
    with nginx(tmp_path, trusting.url) as front:
        plain = Browser(front.plain_url).get("/sign-in?a=b")
        assert (plain.status, plain.headers["Location"]) == (301, f"{front.url}/sign-in?a=b")
        browser = Browser(front.url, tls=front.trust)
        claims = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Prefix": "/x", "X_Forwarded_Proto": "http"}
        page = browser.get("/sign-in", X_Forwarded_For="192.0.2.7", **claims)  # a visitor's, which do not get through
        assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert browser.get("/ui/base.css").headers.get_content_type() == "text/css"
        assert browser.sign_in(trusting.operator_token).status == 204
        assert browser.cookie.startswith("__Host-hads_server=")
        assert [session.address for session in trusting.sessions.all()] == ["127.0.0.1"]
        with closing(Dashboard(front.url, browser.cookie, tls=front.trust)) as dashboard:
            join(to=trusting).predict(request(1).to_wire())
            assert dashboard.entry()["request_id"] == "request-1"
