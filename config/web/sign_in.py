"""Sign-in with a token from a one-click link, kept in a signed cookie of this app alone."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, render_template, request, session
from flask.typing import ResponseReturnValue

from config.errors import InvalidMessageError, NotSignedInError
from config.web.sessions import Session, Sessions
from config.web.tokens import tokens_equal


def sign_in_blueprint(*, audience: str, title: str, token: str, sessions: Sessions) -> Blueprint:
    """Make the routes ``/sign-in`` and ``/sign-out``; a session is good while ``token`` is the valid one."""
    blueprint = Blueprint("sign_in", __name__)
    proof = _proof(token, audience)

    @blueprint.get("/sign-in")
    def page() -> ResponseReturnValue:
        return render_template("sign_in.html", title=title)

    @blueprint.post("/sign-in")
    def sign_in() -> ResponseReturnValue:
        body = request.get_json(silent=True)
        if not isinstance(body, dict) or not isinstance(body.get("token"), str):
            raise InvalidMessageError(fields={"token": ["must be text"]})
        if not tokens_equal(body["token"], token):
            raise NotSignedInError("This link or token is not valid. Use the one printed when the system started.")
        session.clear()
        session.permanent = True
        begun = sessions.begin()
        session.update(proof=proof, id=begun.id, ends_at=begun.ends_at)
        return "", 204

    @blueprint.post("/sign-out")
    def sign_out() -> ResponseReturnValue:
        sessions.end(current_session())
        session.clear()
        return "", 204

    @blueprint.record_once
    def keep(state: Any) -> None:
        state.app.config.update(SIGN_IN_PROOF=proof, SIGN_IN_SESSIONS=sessions)

    return blueprint


def require_sign_in(config: Mapping[str, Any]) -> None:
    """Check the session of the current request, over HTTP or in a Socket.IO handshake.

    Raises
    ------
    NotSignedInError
        If there is none, it has ended, or it was made with a token that is no longer the valid one.
    """
    if not is_signed_in(config):
        raise NotSignedInError


def is_signed_in(config: Mapping[str, Any]) -> bool:
    sessions: Sessions = config["SIGN_IN_SESSIONS"]
    return tokens_equal(str(session.get("proof", "")), config["SIGN_IN_PROOF"]) and sessions.is_open(current_session())


def current_session() -> Session:
    """Return the session of the current request; without a sign-in it is one that has ended."""
    return Session(str(session.get("id", "")), float(session.get("ends_at", 0)))


def _proof(token: str, audience: str) -> str:
    return hmac.new(token.encode(), audience.encode(), hashlib.sha256).hexdigest()
