"""The cookie of one app's sessions."""

from datetime import UTC, datetime
from typing import Final

from flask import Flask, has_request_context, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin

KEY, ENDS_AT = "key", "ends_at"
"""What the session's cookie holds: the key of the session at the app, and when the cookie expires."""

SECURE_PREFIX: Final = "__Host-"
"""Browsers accept a cookie with this prefix over TLS only, and from the very host."""


class AppSessions(SecureCookieSessionInterface):
    """A cookie that browsers send back over TLS alone where there is TLS, and bind to the very host then."""

    def get_cookie_name(self, app: Flask) -> str:
        name = str(app.config["SESSION_COOKIE_NAME"])
        return f"{SECURE_PREFIX}{name}" if self.get_cookie_secure(app) else name

    def get_cookie_secure(self, app: Flask) -> bool:
        # Asked for each request: behind a proxy an app with no PUBLIC_URL learns of TLS from X-Forwarded-Proto alone.
        return bool(app.config["SESSION_COOKIE_SECURE"]) or (has_request_context() and request.is_secure)

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        return datetime.fromtimestamp(session[ENDS_AT], UTC) if ENDS_AT in session else None
