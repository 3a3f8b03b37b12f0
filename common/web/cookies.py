"""The cookies of one app: its session's, and the one that tells a browser from which somebody signed in before."""

import secrets
from datetime import UTC, datetime
from typing import Final

from flask import Flask, Response, current_app, has_request_context, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeTimedSerializer

KEY, ENDS_AT = "key", "ends_at"
"""What the session's cookie holds: the key of the session at the app, and when the cookie is thrown away."""

SECURE_PREFIX: Final = "__Host-"
"""Browsers take a cookie of such a name over TLS alone, and from the very host."""

DEVICE_SECONDS: Final = 90 * 24 * 3600


class AppSessions(SecureCookieSessionInterface):
    """A cookie that browsers send back over TLS alone where there is TLS, and bind to the very host then."""

    def get_cookie_name(self, app: Flask) -> str:
        name = str(app.config["SESSION_COOKIE_NAME"])
        return f"{SECURE_PREFIX}{name}" if self.get_cookie_secure(app) else name

    def get_cookie_secure(self, app: Flask) -> bool:
        return bool(app.config["SESSION_COOKIE_SECURE"]) or (has_request_context() and request.is_secure)

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        return datetime.fromtimestamp(session[ENDS_AT], UTC) if ENDS_AT in session else None


def known_device(account_id: str) -> str | None:
    """Return which browser this is, if somebody signed in from it as this account before."""
    try:
        known = _serializer().loads(request.cookies.get(_device_cookie(), ""), max_age=DEVICE_SECONDS)
    except BadSignature:
        return None
    return str(known[1]) if known[0] == account_id else None


def remember_device(response: Response, account_id: str) -> None:
    """Let the browser prove later that somebody signed in from it as this account."""
    response.set_cookie(
        _device_cookie(),
        _serializer().dumps([account_id, secrets.token_hex(8)]),
        max_age=DEVICE_SECONDS,
        path="/sign-in",
        secure=current_app.session_interface.get_cookie_secure(current_app),
        httponly=True,
        samesite="Strict",
    )


def _device_cookie() -> str:
    return f"{current_app.config['SESSION_COOKIE_NAME']}_device"


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt=_device_cookie())
