"""Cookies and tokens that an attacker made or took, and got nothing by."""

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from tests.integration.server.conftest import RunningServer
from tests.support.speaking import Browser


def forged(key: str, content: object) -> str:
    app = Flask("attacker")
    app.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    made: str = serializer.dumps(content)
    return made


def test_no_cookie_but_the_one_that_was_given_is_good(running: RunningServer, signed_in: Browser) -> None:
    """Not one edited, signed with another key, or, by somebody who has the key, for a session nobody began."""
    given = signed_in.cookies["hads_server"]
    content, moment, signature = given.rsplit(".", 2)
    key = running.settings.secrets.secret_key
    made_up: list[object] = ["", "x", None, 1, [], {"a": 1}, "x" * 3000]
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
