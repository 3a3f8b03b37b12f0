"""How much one person, one client app and one address may ask for, over HTTP and by events; counted in memory."""

import hashlib
import math
import time
from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, request
from flask_limiter import ApplicationLimit, Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.strategies import RateLimiter

from common.errors import RateLimitedError
from config.settings import ClientSettings, ServerSettings


def make_limiter(app: Flask, settings: ServerSettings | ClientSettings) -> Limiter:
    """Limit every route of the app by who asks and by their address; a route's own limits come on top.

    Who asks is the bearer token or the cookie, valid or not: one that is made up has its own count, and the address
    counts it all the same. The way in is counted apart, by address alone: no flood of other requests closes it.
    """
    return Limiter(
        _who,
        app=app,
        application_limits=[
            ApplicationLimit(f"{settings.requests_per_minute} per minute", scope="one", exempt_when=_is_way_in),
            ApplicationLimit(
                f"{settings.address_requests_per_minute} per minute",
                key_function=get_remote_address,
                scope=_address_scope,
            ),
        ],
        request_identifier=_route,
        storage_uri="memory://",
        strategy="fixed-window",
        fail_on_first_breach=True,
    )


def seconds_to_next_window(limiter: Limiter) -> int:
    """Return the seconds until the limit that the current request has hit counts from nothing again."""
    reached = limiter.current_limit
    return max(1, math.ceil(reached.window.reset_time - time.time())) if reached else 1


def _is_way_in() -> bool:
    return _address_scope(request.endpoint or "") != "address"


def _address_scope(endpoint: str) -> str:
    """Return what a request of an address is counted with: the sign-in, the files that its page needs, or the rest."""
    if endpoint.startswith("sign_in."):
        return "sign-in"
    return "files" if endpoint in {"static", "shared.ui", "shared.vendor"} else "address"


def _route() -> str:
    """Name what was asked for, so that it is counted: the library lets pass what has no name, or that of ``static``."""
    if request.endpoint == "static":
        return "file"
    return request.endpoint or "unknown"


def _who() -> str:
    cookie = current_app.session_interface.get_cookie_name(current_app)
    credential = request.headers.get("Authorization") or request.cookies.get(cookie)
    return hashlib.sha256(credential.encode()).hexdigest() if credential else get_remote_address()


class SocketLimits:
    """The limits of Socket.IO, whose requests and events do not pass through Flask; counted beside the app's own."""

    def __init__(self, limiter: Limiter, settings: ServerSettings | ClientSettings) -> None:
        self._counts: RateLimiter = limiter.limiter
        self._one = RateLimitItemPerSecond(settings.events_per_second)
        self._address = RateLimitItemPerSecond(settings.address_events_per_second)
        self._requests = RateLimitItemPerMinute(settings.address_requests_per_minute)

    def require_request(self, environ: Mapping[str, Any]) -> None:
        """Count a request of Socket.IO's own, a handshake for one.

        Raises
        ------
        RateLimitedError
            When its address has sent too many.
        """
        if not self._counts.hit(self._requests, "socket requests", address_of(environ)):
            raise RateLimitedError

    def require_event(self, sid: str, address: str) -> None:
        """Count an event of a connection and of its address; raises as ``require_request`` does."""
        one = self._counts.hit(self._one, "events", sid)
        if not one or not self._counts.hit(self._address, "events of address", address):
            raise RateLimitedError


def address_of(environ: Mapping[str, Any]) -> str:
    """Return the address a request came from, as far as the trusted proxies tell it."""
    return str(environ.get("REMOTE_ADDR", ""))
