"""People at the server: links and passwords, roles, sessions that end, and attempts that are counted."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from common.access.accounts import Account, People
from common.access.file import AccessFile, access_file
from common.access.passwords import password_hash
from common.access.roles import Role
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.clock import StoppedClock
from tests.support.speaking import Answer, Browser, Connection, Dashboard

ADA, PASSWORD = "Ada <img src=x onerror=alert(1)>", "correct horse battery staple"
TOKEN = "a-token-of-at-least-thirty-two-characters"
WRONG = "wrong-but-of-thirty-two-characters-or-more"


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(time.time())


@pytest.fixture
def running(start_server: StartServer, clock: StoppedClock) -> RunningServer:
    """A server whose clock the test moves."""
    return start_server(clock=lambda: datetime.fromtimestamp(clock.now, UTC))


@pytest.fixture
def people(running: RunningServer) -> People:
    """What the command opens beside the running server."""
    return People(AccessFile(access_file(running.settings.data_dir, "server")))


@pytest.fixture
def ada(people: People) -> Account:
    account = people.add(ADA, Role.OPERATOR, TOKEN, 0)
    people.set_password(account, password_hash(PASSWORD, "Ada"))
    return account


def by_password(browser: Browser, name: str, password: str, **headers: str | None) -> Answer:
    return browser.post("/sign-in", {"name": name, "password": password}, **headers)


@pytest.mark.usefixtures("ada")
def test_a_wrong_name_and_a_wrong_password_are_told_alike(running: RunningServer) -> None:
    browser = Browser(running.url)
    answers = [
        by_password(browser, ADA, "wrong"),
        by_password(browser, "nobody", PASSWORD),
        by_password(browser, "Operator", running.operator_token),
        by_password(browser, "", ""),
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({json.dumps(answer.error) for answer in answers}) == 1
    assert browser.get("/api/model").status == 401


def test_operators_and_displays_may_not_what_administrators_may(running: RunningServer, people: People) -> None:
    people.add("Wall", Role.DISPLAY, TOKEN, 0)
    for token, status in ((running.administrator_token, 200), (running.operator_token, 403), (TOKEN, 403)):
        browser = running.signed_in(token)
        assert browser.get("/api/model").status == 200
        assert {browser.get(path).status for path in ("/sessions", "/api/sessions", "/api/audit")} == {status}
        end = browser.post("/api/sessions/anything/end", {})
        assert (end.status == 403) == ("for administrators only" in end.error["message"]) == (status == 403)


@pytest.mark.parametrize(("change", "to"), [("revoke", 0), ("give_link", "another"), ("set_password", "another")])
def test_a_running_server_follows_the_command(
    running: RunningServer, people: People, ada: Account, connections: list[Connection], *, change: str, to: object
) -> None:
    """Open dashboards are closed though nothing is sent."""
    operator, other = running.signed_in(TOKEN), running.signed_in()
    dashboard = Dashboard(running.url, operator.cookie)
    connections.append(dashboard)
    getattr(people, change)(ada, to)
    assert dashboard.has_ended()
    assert operator.get("/api/model").status == 401
    assert other.get("/api/model").status == 200
    assert Browser(running.url).sign_in(TOKEN).status == (204 if change == "set_password" else 401)


def test_a_session_cannot_be_fixed_before_the_sign_in(running: RunningServer) -> None:
    """Who plants a cookie in a browser does not share the session that begins there."""
    attacker = running.signed_in()
    anonymous = Browser(running.url)
    anonymous.get("/sign-in")
    for planted in (attacker.cookies, anonymous.cookies):
        victim = Browser(running.url)
        victim.cookies = dict(planted)
        assert victim.sign_in(running.administrator_token).status == 204
        assert victim.cookies["hads_server"] != planted["hads_server"]
        old = Browser(running.url).get("/api/model", Cookie=f"hads_server={planted['hads_server']}")
        assert old.status == 401


def test_only_what_a_person_does_keeps_a_session(running: RunningServer, clock: StoppedClock) -> None:
    idle = running.settings.session_idle_minutes * 60
    polled, used, seen, foreign = (running.signed_in() for _ in range(4))
    token = foreign.csrf_token()
    clock.now += idle - 1
    assert foreign.post("/activity", {}, Origin="http://evil.example", X_CSRFToken=token).status == 403
    for path in ("/api/model", "/api/changes", "/ui/base.css", "/static/dashboard.js", "/livez"):
        assert polled.get(path).status == 200
    assert used.post("/activity", {}).status == 204
    assert seen.get("/").status == 200
    clock.now += 2
    assert polled.get("/api/model").status == foreign.get("/api/model").status == 401
    assert used.get("/api/model").status == 200
    assert seen.get("/api/model").status == 200


@pytest.mark.usefixtures("ada")
def test_a_password_can_be_guessed_at_a_few_times_only_and_the_answer_says_how_long(running: RunningServer) -> None:
    """Those who hold a link are not kept out by it, those with a password are; a right one sets the count back."""
    browser = Browser(running.url)
    by_password(browser, ADA, "wrong")
    assert by_password(browser, f" {ADA.upper()} ", PASSWORD).status == 204
    answers = [by_password(browser, ADA, "wrong") for _ in range(11)]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    assert answers[-1].error["code"] == "too_many_attempts"
    seconds = int(answers[-1].headers["Retry-After"])
    assert 200 < seconds <= 300
    assert f"Try again in {seconds} seconds" in answers[-1].error["message"]
    assert by_password(Browser(running.url), ADA, PASSWORD).status == 429
    assert by_password(browser, "somebody else", "wrong").status == 401
    assert Browser(running.url).sign_in(TOKEN).status == 204


@pytest.mark.usefixtures("ada")
def test_guessing_all_at_once_is_not_faster(running: RunningServer) -> None:
    browsers = [Browser(running.url) for _ in range(14)]
    tokens = [browser.csrf_token() for browser in browsers]
    with ThreadPoolExecutor(len(browsers)) as pool:
        guesses = [
            pool.submit(by_password, browser, ADA, "wrong", X_CSRFToken=token)
            for browser, token in zip(browsers, tokens, strict=True)
        ]
        statuses = sorted(guess.result(60).status for guess in guesses)
    assert statuses == [401] * 10 + [429] * 4


def test_a_token_chosen_by_hand_is_slow_to_guess(start_server: StartServer, running: RunningServer) -> None:
    (running.settings.secrets_dir / "server" / "OPERATOR_TOKEN").write_text("easy\n")
    server = start_server()
    attacker = Browser(server.url)
    assert [attacker.sign_in(f"wrong-{number}").status for number in range(11)] == [401] * 10 + [429]
    assert attacker.sign_in("easy").status == 429


def forged(key: str, content: object) -> str:
    app = Flask("attacker")
    app.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    made: str = serializer.dumps(content)
    return made


def test_no_cookie_but_the_one_that_was_given_is_good(running: RunningServer) -> None:
    """Not one edited, signed with another key, or, by somebody who has the key, for a session nobody began."""
    given = running.signed_in().cookies["hads_server"]
    content, moment, signature = given.rsplit(".", 2)
    key = running.settings.secrets.secret_key
    made_up: list[object] = ["", "x", None, [], "x" * 3000]
    tried = [
        f"{content}.{moment}.{'A' * len(signature)}",
        f"{content}.AAAAAA.{signature}",
        content,
        f"{content}..",
        forged("an older key", {"key": "x"}),
        *(forged(key, {"key": one}) for one in made_up),
    ]
    stranger = Browser(running.url)
    assert {stranger.get("/api/predictions", Cookie=f"hads_server={cookie}").status for cookie in tried} == {401}
    assert stranger.get("/api/predictions", Cookie=f"hads_server={given}").status == 200
