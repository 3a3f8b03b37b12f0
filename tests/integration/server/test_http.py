"""HTTP: nothing readable without a sign-in, no state changed by a foreign page, one shape of error."""

import pytest

from common.messages import WireError
from common.web.headers import HEADERS
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.speaking import Answer, Browser

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def browser(running: RunningServer) -> Browser:
    return Browser(running.url)


def assert_guarded(answer: Answer) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get_all(name) == [value], name


def test_a_sign_in_of_another_form_is_refused(browser: Browser) -> None:
    token = browser.csrf_token()
    for body in (b"{", b"[]", b'{"token": 7}', b'{"token": "\\ud800"}', b'{"password": "x"}', b"\xff"):
        answer = browser.request("POST", "/sign-in", headers={"X-CSRFToken": token}, body=body)
        assert (answer.status, answer.error["code"]) == (422, "invalid_message"), body


def test_a_page_is_told_whose_its_session_is_and_for_how_long(browser: Browser, running: RunningServer) -> None:
    assert browser.get("/api/session").json["account"] is None
    assert browser.sign_in(running.operator_token).status == 204
    told = browser.get("/api/session").json
    assert (told["account"], told["is_idle"]) == ("operator", True)
    assert 3590 < told["seconds_left"] <= running.settings.session_idle_minutes * 60


def test_the_cookie_is_out_of_reach_of_scripts_other_sites_and_where_there_is_tls_of_anything_else(
    start_server: StartServer, browser: Browser
) -> None:
    at_tls = Browser(start_server(public_url="https://example.org").url)
    for visitor, name, is_secure in ((browser, "hads_server", False), (at_tls, "__Host-hads_server", True)):
        (cookie,) = visitor.get("/sign-in").headers.get_all("Set-Cookie") or []
        assert cookie.startswith(f"{name}=")
        assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert ("Secure" in cookie) == is_secure


def test_a_foreign_host_name_is_refused(browser: Browser) -> None:
    for host in ("evil.example:5000", "127.0.0.1.evil.example", "localhost.evil"):
        for path in ("/", "/api/status", "/livez", "/sign-in"):
            answer = browser.get(path, Host=host)
            assert (answer.status, "ALLOWED_HOSTS" in answer.error["message"]) == (400, True), (host, path)
    assert b"ALLOWED_HOSTS" in browser.get("/", Host=host, Accept=PAGE).body


def test_a_person_gets_a_page_of_an_error_and_a_program_json(signed_in: Browser) -> None:
    page = signed_in.get("/nowhere", Accept=PAGE)
    assert page.status == 404
    assert page.headers["Content-Type"].startswith("text/html")
    assert b"Not found" in page.body
    program = signed_in.get("/nowhere")
    assert (program.status, program.error["code"]) == (404, "not_found")


def test_every_error_has_one_shape(signed_in: Browser) -> None:
    answers = [
        signed_in.get("/nowhere"),
        signed_in.post("/sign-in", {"token": "wrong"}),
        signed_in.post("/sign-in", []),
        signed_in.post("/sign-in", {}, Origin=None),
        signed_in.get("/api/changes?after=x"),
        signed_in.request("DELETE", "/api/status"),
    ]
    for answer in answers:
        assert answer.status >= 400
        assert answer.headers["Content-Type"] == "application/json"
        assert set(answer.error) == {"code", "message", "retryable", "fields"}
        WireError.check(answer.error)


def test_an_unexpected_failure_tells_nothing_of_itself(
    signed_in: Browser, running: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something nobody thought of")

    monkeypatch.setattr(running.server.service.store, "end", fail)
    answer = signed_in.get("/api/status")
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert b"nobody" not in answer.body
    assert "something nobody thought of" in caplog.text


def test_a_body_over_the_limit_is_refused(browser: Browser, running: RunningServer) -> None:
    token = browser.csrf_token()
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        body = b'{"token": "' + b"x" * running.settings.max_message_bytes + b'"}'
        headers = {"X-CSRFToken": token, "Content-Type": kind}
        assert browser.request("POST", "/sign-in", headers=headers, body=body).status == 413
    assert browser.sign_in("x" * (running.settings.max_message_bytes - 20)).status == 401


def test_anybody_may_ask_whether_the_server_is_ready_and_nothing_is_written(
    start_server: StartServer, browser: Browser, signed_in: Browser, running: RunningServer
) -> None:
    before = running.database.stat().st_mtime_ns
    assert browser.get("/livez").json == {"status": "alive"}
    assert browser.get("/api/status").json == {"status": "ready", "ready": True}
    assert signed_in.get("/api/status").json["store"]["ok"]
    assert running.database.stat().st_mtime_ns == before
    assert browser.get("/readyz").json == {"status": "ready"}
    answer = Browser(start_server(answering=False).url).get("/readyz")
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
