"""How much one person, one client app and one address may ask for, over HTTP; counted in memory."""

import math
import time

from flask import Flask, current_app, request
from flask_limiter import ApplicationLimit, Limiter
from flask_limiter.util import get_remote_address

from common.access.tokens import bearer_token
from common.web.sign_in import current_session
from config.settings import ClientSettings, ServerSettings


def make_limiter(app: Flask, settings: ServerSettings | ClientSettings) -> Limiter:
    """Limit every route of the app by who asks and by their address; a route's own limits come on top.

    Who asks is the client app or the session that a request has proved; without either it is the address, so that no
    header that is made up gives a count of its own. The way in is counted apart, by address alone: no flood of other
    requests closes it.
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
    if endpoint in {"sign_in.page", "sign_in.begin"}:
        return "sign-in"
    return "files" if endpoint in {"static", "shared.ui", "shared.vendor"} else "address"


def _route() -> str:
    """Name what was asked for, so that it is counted: the library lets pass what has no name, or that of ``static``."""
    if request.endpoint == "static":
        return "file"
    return request.endpoint or "unknown"


def _who() -> str:
    token = bearer_token(request.headers.get("Authorization"))
    if token and (client_id := current_app.extensions["client_of_token"](token)):
        return str(client_id)
    here = current_session()
    return here.id if here else get_remote_address()
