"""HTTP: nothing readable without a sign-in, no state changed by a foreign page, one shape of error."""

import re
from urllib.parse import urlsplit

import pytest

from common.messages import WireError
from common.web.headers import HEADERS
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.speaking import Answer, Browser

API = ("/api/changes", "/api/predictions", "/api/predictions/some-id", "/api/model", "/api/drift")
PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def browser(running: RunningServer) -> Browser:
    return Browser(running.url)


def assert_guarded(answer: Answer) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get_all(name) == [value], name


@pytest.mark.parametrize("path", API)
def test_the_api_tells_nothing_without_a_sign_in(browser: Browser, path: str) -> None:
    for accept in ("*/*", PAGE, "application/json"):
        answer = browser.get(path, Accept=accept)
        assert (answer.status, answer.error["code"]) == (401, "not_signed_in")
        assert WireError.check(answer.error).fields == {}


def test_a_person_without_a_sign_in_is_led_to_it(browser: Browser) -> None:
    answer = browser.get("/", Accept=PAGE)
    assert (answer.status, answer.headers["Location"]) == (302, "/sign-in")
    assert browser.get("/sign-in", Accept=PAGE).status == 200


def test_a_person_who_signed_in_gets_the_dashboard(signed_in: Browser) -> None:
    page = signed_in.get("/", Accept=PAGE)
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    for path in API:
        assert signed_in.get(path).status == (404 if "some-id" in path else 200)


def test_every_file_that_the_pages_name_is_there(signed_in: Browser) -> None:
    for path in ("/", "/sign-in"):
        named = re.findall(rb'(?:src|href)="(/(?:ui|static|vendor)/[^"]+)"', signed_in.get(path, Accept=PAGE).body)
        assert named
        for name in named:
            assert signed_in.get(name.decode()).status == 200, name


def test_a_wrong_token_is_refused(browser: Browser, running: RunningServer) -> None:
    for token in ("", "wrong", running.operator_token + "x", running.token()):
        answer = browser.sign_in(token)
        assert (answer.status, answer.error["code"]) == (401, "not_signed_in")
    assert browser.get("/api/model").status == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b'{"token": 7}', b'{"token": "\\ud800"}', b"\xff"])
def test_a_sign_in_of_another_form_is_refused(browser: Browser, body: bytes) -> None:
    answer = browser.request("POST", "/sign-in", headers={"X-CSRFToken": browser.csrf_token()}, body=body)
    assert (answer.status, answer.error["code"]) == (422, "invalid_message")


def test_a_sign_in_without_the_pages_csrf_token_is_refused(browser: Browser, running: RunningServer) -> None:
    browser.get("/sign-in")
    for token in (None, "", "wrong"):
        answer = browser.post("/sign-in", {"token": running.operator_token}, X_CSRFToken=token)
        assert (answer.status, answer.error["code"]) == (400, "not_allowed")
    assert browser.get("/api/model").status == 401


@pytest.mark.parametrize("origin", [None, "", "null", "http://evil.example", "http://127.0.0.1:1", "http://127.0.0.1"])
def test_a_sign_in_from_another_origin_is_refused(browser: Browser, running: RunningServer, origin: str | None) -> None:
    answer = browser.post("/sign-in", {"token": running.operator_token}, Origin=origin)
    assert (answer.status, answer.error["code"]) == (403, "not_allowed")
    assert browser.get("/api/model").status == 401


def test_signing_out_ends_the_session(signed_in: Browser) -> None:
    assert signed_in.get("/api/model").status == 200
    assert signed_in.post("/sign-out", {}).status == 204
    assert signed_in.get("/api/model").status == 401


def test_signing_out_is_not_for_foreign_pages(signed_in: Browser) -> None:
    assert signed_in.post("/sign-out", {}, Origin="http://evil.example").status == 403
    assert signed_in.post("/sign-out", {}, X_CSRFToken=None).status == 400
    assert signed_in.get("/api/model").status == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Browser, running: RunningServer) -> None:
    (cookie,) = browser.sign_in(running.operator_token).headers.get_all("Set-Cookie") or []
    assert cookie.startswith("hads_server=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert running.operator_token not in cookie


def test_the_cookie_is_for_tls_alone_where_people_come_over_tls(start_server: StartServer) -> None:
    server = start_server(public_url="https://example.org")
    (cookie,) = Browser(server.url).get("/sign-in").headers.get_all("Set-Cookie") or []
    assert "Secure" in cookie


def test_every_answer_carries_the_security_headers(signed_in: Browser, running: RunningServer) -> None:
    stranger = Browser(running.url)
    answers = {
        200: signed_in.get("/api/status"),
        302: stranger.get("/", Accept=PAGE),
        401: stranger.get("/api/model"),
        404: signed_in.get("/nowhere", Accept=PAGE),
        405: signed_in.post("/api/status", {}),
        400: stranger.get("/", Host="evil.example"),
    }
    for status, answer in answers.items():
        assert answer.status == status
        assert_guarded(answer)
    for path in ("/ui/base.css", "/static/dashboard.js", "/livez", "/readyz"):
        assert_guarded(signed_in.get(path))
        assert signed_in.get(path).status == 200


def test_polling_carries_the_security_headers_too(signed_in: Browser) -> None:
    opened = signed_in.get("/socket.io/?EIO=4&transport=polling", Sec_Fetch_Site="same-origin")
    assert opened.status == 200
    assert_guarded(opened)
    refused = signed_in.get("/socket.io/?EIO=4&transport=polling", Origin="http://evil.example")
    assert refused.status == 403
    assert_guarded(refused)
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_tls_is_demanded_where_there_is_tls(start_server: StartServer) -> None:
    server = start_server(trusted_proxies=1)
    browser = Browser(server.url)
    assert "Strict-Transport-Security" in browser.get("/livez", X_Forwarded_Proto="https").headers
    assert "Strict-Transport-Security" not in browser.get("/livez").headers


def test_forwarded_headers_count_for_nothing_without_a_trusted_proxy(browser: Browser, running: RunningServer) -> None:
    assert "Strict-Transport-Security" not in browser.get("/livez", X_Forwarded_Proto="https").headers
    answer = browser.post(
        "/sign-in", {"token": running.operator_token}, Origin="http://evil.example", X_Forwarded_Host="evil.example"
    )
    assert answer.status == 403


def test_only_the_pages_own_files_may_be_kept(signed_in: Browser) -> None:
    for path in ("/", *API, "/sign-in", "/livez", "/readyz", "/nowhere"):
        assert signed_in.get(path).headers["Cache-Control"] == "no-store", path
    assert "no-store" not in signed_in.get("/ui/base.css").headers["Cache-Control"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil"])
def test_a_foreign_host_name_is_refused(browser: Browser, host: str) -> None:
    for path in ("/", "/api/status", "/livez", "/sign-in"):
        answer = browser.get(path, Host=host)
        assert answer.status == 400
        assert "ALLOWED_HOSTS" in answer.error["message"]


def test_a_person_at_a_foreign_host_name_gets_a_page(browser: Browser) -> None:
    answer = browser.get("/", Host="evil.example", Accept=PAGE)
    assert answer.status == 400
    assert b"ALLOWED_HOSTS" in answer.body
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/ui/templates/layout.html",
        "/ui/./templates/layout.html",
        "/ui/x/../templates/layout.html",
        "/ui/TEMPLATES/layout.html",
        "/ui//templates/layout.html",
        "/ui/../settings.py",
        "/ui/%2e%2e/settings.py",
        "/ui/..%2f..%2f.env",
        "/ui/../../.env",
        "/ui//etc/passwd",
        "/ui/%2fetc%2fpasswd",
        "/ui/",
        "/ui/templates",
        "/vendor/socket.io-client/../../pyproject.toml",
        "/vendor/socket.io-client/..%2f..%2fpackage.json",
        "/vendor/../package.json",
        "/vendor/%2e%2e/package.json",
        "/vendor/playwright/package.json",
        "/vendor/socket.io-client/%2fetc%2fpasswd",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
    ],
)
def test_no_path_leads_out_of_the_pages_files(signed_in: Browser, path: str) -> None:
    answer = signed_in.get(path)
    assert answer.status in {308, 404}
    if answer.status == 308:
        answer = signed_in.get(urlsplit(answer.headers["Location"]).path)
    assert (answer.status, answer.error["code"]) == (404, "not_found")


def test_a_person_gets_a_page_of_an_error_and_a_program_json(signed_in: Browser) -> None:
    page = signed_in.get("/nowhere", Accept=PAGE)
    assert page.status == 404
    assert page.headers["Content-Type"].startswith("text/html")
    assert b"Not found" in page.body
    program = signed_in.get("/nowhere")
    assert (program.status, program.error["code"]) == (404, "not_found")
    missing = signed_in.get("/api/predictions/no-such-id", Accept=PAGE)
    assert (missing.status, missing.error["message"]) == (404, "There is no prediction with this id.")


def test_every_error_has_one_shape(signed_in: Browser) -> None:
    answers = [
        signed_in.get("/nowhere"),
        signed_in.post("/api/status", {}),
        signed_in.post("/sign-in", {"token": "wrong"}),
        signed_in.post("/sign-in", []),
        signed_in.post("/sign-in", {}, Origin=None),
        signed_in.get("/api/changes?after=x"),
        signed_in.get("/api/predictions/x"),
        signed_in.request("DELETE", "/api/status"),
        signed_in.request("PUT", "/"),
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


def test_health_is_told_to_anybody(browser: Browser) -> None:
    assert browser.get("/livez").json == {"status": "alive"}
    assert browser.get("/readyz").json == {"status": "ready"}


def test_a_server_that_answers_nobody_is_not_ready(start_server: StartServer) -> None:
    server = start_server(answering=False)
    answer = Browser(server.url).get("/readyz")
    assert (answer.status, answer.error["code"]) == (500, "internal_error")


def test_anybody_may_ask_whether_the_server_is_ready_and_nothing_is_written(
    browser: Browser, signed_in: Browser, running: RunningServer
) -> None:
    before = running.database.stat().st_mtime_ns
    assert browser.get("/api/status").json == {"status": "ready", "ready": True}
    assert signed_in.get("/api/status").json["store"]["ok"]
    assert running.database.stat().st_mtime_ns == before


def test_a_store_that_cannot_be_read_is_told_and_not_counted(signed_in: Browser, running: RunningServer) -> None:
    assert signed_in.get("/api/status").json["store"] == {"backend": "sqlite", "ok": True, "reason": None}
    running.engine.dispose()
    running.database.write_bytes(b"something else, and no database at all" * 100)
    answer = signed_in.get("/api/status")
    assert answer.status == 200
    assert (answer.json["totals"], answer.json["cursor"]) == (None, None)
    assert answer.json["store"]["ok"] is False
    assert "file is not a database" in answer.json["store"]["reason"]
    assert answer.json["clients"]
