"""What holds for every route of the server, whoever adds one."""

from urllib.parse import urlsplit

from common.web.headers import CONTENT_SECURITY_POLICY
from tests.integration.server.conftest import RunningServer
from tests.integration.server.test_http import PAGE, assert_guarded
from tests.support.routes import FILES, OPEN, Route, changing, readable, routes_of
from tests.support.speaking import Answer, Browser


def ask(browser: Browser, route: Route, **headers: str | None) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.request(route.method, route.path, headers=sent, body=None if route.method == "GET" else b"{}")


def test_there_are_routes_to_test(running: RunningServer) -> None:
    app = running.server.app
    assert {"/sign-in", "/sign-out", "/activity", "/api/sessions/1/end"} <= {route.path for route in changing(app)}
    assert {"/api/changes", "/model/1", "/sessions"} <= {route.path for route in readable(app)}


def test_nothing_can_be_read_without_a_sign_in(running: RunningServer) -> None:
    for route in readable(running.server.app):
        for accept in ("application/json", PAGE):
            answer = ask(Browser(running.url), route, Accept=accept)
            expected = {200} if route.endpoint in OPEN else {302, 401}
            assert answer.status in expected, route
            if answer.status == 302:
                assert answer.headers["Location"] == "/sign-in"


def test_nothing_can_be_changed_without_a_sign_in(running: RunningServer) -> None:
    for route in changing(running.server.app):
        browser = Browser(running.url)
        answer = ask(browser, route, X_CSRFToken=browser.csrf_token(), Origin=running.url)
        assert answer.status in {"sign_in.begin": {422}, "sign_in.end": {204}}.get(route.endpoint, {401}), route


def test_nothing_can_be_changed_without_the_pages_csrf_token_or_from_another_origin(
    running: RunningServer, administrator: Browser
) -> None:
    token, another = administrator.csrf_token(), Browser(running.url).csrf_token()
    other_port = f"http://127.0.0.1:{int(running.url.rpartition(':')[2]) + 1}"
    origins = (None, "null", "http://evil.example", other_port, running.url.replace("http", "https"))
    wrong = [(400, given, running.url) for given in (None, "", "wrong", another)]
    for route in changing(running.server.app):
        for status, given, origin in [*wrong, *((403, token, origin) for origin in origins)]:
            answer = ask(administrator, route, X_CSRFToken=given, Origin=origin)
            assert (answer.status, answer.error["code"]) == (status, "not_allowed"), (route, given, origin)
    assert administrator.get("/api/status").status == 200


def test_errors_and_polling_are_guarded_and_not_kept(running: RunningServer) -> None:
    files = ("/static/no-such-file", "/vendor/uuid/no-such-file", "/nowhere")
    for path in (*files, "/socket.io/", "/socket.io/?EIO=4&transport=polling&sid=wrong"):
        answer = Browser(running.url).get(path)
        assert answer.status == (401 if "socket.io" in path else 404)
        assert_guarded(answer)
        assert answer.headers.get_all("Cache-Control") == ["no-store"]


def test_every_answer_is_guarded_and_nothing_but_files_is_kept(running: RunningServer, administrator: Browser) -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY
    for route in routes_of(running.server.app):
        if route.endpoint == "sign_in.end":
            continue
        for browser in (Browser(running.url), administrator):
            answer = ask(browser, route, Origin=running.url)
            assert_guarded(answer)
            is_file = route.endpoint in FILES and route.method != "OPTIONS"
            assert answer.headers.get_all("Cache-Control") == (["no-cache"] if is_file else ["no-store"]), route


TRAVERSALS = (
    *("..%2f..%2fSECRET", "../../SECRET", "%2e%2e%2f%2e%2e%2fSECRET", "..%5c..%5cSECRET", "%2fetc%2fpasswd", "%00"),
    *("templates/layout.html", "x/../templates/layout.html", "..%2f..%2f.env", "a" * 5000),
)


def test_no_version_or_id_leads_to_a_file(running: RunningServer, administrator: Browser) -> None:
    (running.settings.model_dir.parent / "SECRET").write_text("of nobody")
    for path in ("/model/", "/api/model/", "/api/predictions/", "/api/sessions/", "/static/", "/ui/", "/vendor/uuid/"):
        for traversal in TRAVERSALS:
            answer = administrator.get(path + traversal)
            if answer.status == 308:
                answer = administrator.get(urlsplit(answer.headers["Location"]).path)
            assert answer.status in {404, 405}, (path, traversal)
            assert b"of nobody" not in answer.body
