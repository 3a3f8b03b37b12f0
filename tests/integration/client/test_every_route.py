"""What holds for every route of a client app, whoever adds one."""

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from client.outbox import Outbox
from common.web.headers import HEADERS
from tests.integration.client.conftest import MakeSettings
from tests.support.desk import ORIGIN, Desk
from tests.support.routes import FILES, OPEN, Route, changing, readable, routes_of


@pytest.fixture
def desk(make_settings: MakeSettings, outbox: Outbox) -> Desk:
    return Desk(make_settings(), outbox)


def ask(browser: FlaskClient, route: Route, **headers: str) -> TestResponse:
    path = route.path.replace("dashboard.css", "client.css")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body: dict[str, str] | None = None if route.method == "GET" else {}
    return browser.open(path, method=route.method, headers=sent, json=body, buffered=True)


def csrf_token(browser: FlaskClient) -> str:
    page = browser.get("/sign-in").get_data(as_text=True)
    return page.partition('name="csrf-token" content="')[2].partition('"')[0]


def test_nothing_can_be_read_without_a_sign_in(desk: Desk) -> None:
    found = readable(desk.client.app)
    assert "/api/history" in {route.path for route in found}
    for route in found:
        answer = ask(desk.visitor(), route, Accept="application/json")
        assert answer.status_code in ({200, 500} if route.endpoint in OPEN else {302, 401}), route


def test_nothing_can_be_changed_without_a_sign_in_a_csrf_token_and_the_pages_origin(desk: Desk) -> None:
    visitor, clinician = desk.visitor(), desk.clinician()
    token = csrf_token(clinician)
    for route in changing(desk.client.app):
        answer = ask(visitor, route, X_CSRFToken=csrf_token(visitor), Origin=ORIGIN)
        assert answer.status_code in {"sign_in.begin": {422}, "sign_in.end": {204}}.get(route.endpoint, {401}), route
        assert ask(clinician, route, Origin=ORIGIN).status_code == 400, route
        assert ask(clinician, route, X_CSRFToken=csrf_token(visitor), Origin=ORIGIN).status_code == 400, route
        for origin in ("null", "http://evil.example", f"{ORIGIN}:5000"):
            assert ask(clinician, route, X_CSRFToken=token, Origin=origin).status_code == 403, route
        assert ask(clinician, route, X_CSRFToken=token).status_code == 403, route
    assert clinician.get("/api/history").status_code == 200


def test_every_answer_is_guarded_and_nothing_but_files_is_kept(desk: Desk) -> None:
    clinician = desk.clinician()
    for route in routes_of(desk.client.app):
        for browser in (desk.visitor(), clinician):
            answer = ask(browser, route)
            assert {name: answer.headers.getlist(name) for name in HEADERS} == {
                name: [value] for name, value in HEADERS.items()
            }
            is_file = route.endpoint in FILES and route.method != "OPTIONS"
            assert answer.headers.getlist("Cache-Control") == (["no-cache"] if is_file else ["no-store"]), route


def test_a_clinician_has_no_administrators_pages(desk: Desk) -> None:
    clinician = desk.clinician()
    assert [clinician.get(path).status_code for path in ("/sessions", "/api/sessions")] == [404, 404]
    assert "Sessions" not in clinician.get("/").get_data(as_text=True)
