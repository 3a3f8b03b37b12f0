"""The exact origin of a request, port included: cookies ignore ports, so nothing else tells two local apps apart."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from flask import Request, current_app
from werkzeug.exceptions import BadRequest
from werkzeug.wsgi import get_host

from common.errors import NotAllowedError
from common.web.proxy_advice import ProxyAdvisor

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

UNTRUSTED_HOST = "This app is not known by that host name. If it is meant to be, name it in ALLOWED_HOSTS."

FOREIGN_ORIGIN = "The request came from another address than the page's own."

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_known_host(environ: "WSGIEnvironment", allowed: Collection[str]) -> bool:
    """Tell whether a request is addressed to one of these names; one with a dot in front allows all below it.

    Werkzeug's ``trusted_hosts`` cuts IPv6 addresses at their first colon and so refuses them all.
    """
    host = re.sub(r":\d+$", "", get_host(environ).lower())
    return host in allowed or any(f".{host}".endswith(name) for name in allowed if name.startswith("."))


def require_known_host(request: Request, allowed: Collection[str]) -> None:
    """Check the host that a request is addressed to.

    Raises
    ------
    BadRequest
        When it is not one of these.
    """
    if not is_known_host(request.environ, allowed):
        advisor: ProxyAdvisor = current_app.config["PROXY_ADVISOR"]
        raise BadRequest(advisor.explained(UNTRUSTED_HOST, request.environ, "Host"))


def is_same_origin(origin: str | None, environ: "WSGIEnvironment") -> bool:
    """Tell whether ``Origin`` names the very address the request was sent to."""
    return origin == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"


def is_of_own_page(environ: "WSGIEnvironment") -> bool:
    """Tell whether a page of this app made a request to Socket.IO that proves itself with a cookie.

    A browser leaves ``Origin`` out of no websocket and no POST, but out of a GET to the page's own app, and of a mere
    image's: what such a page is, ``Sec-Fetch-Site`` says.
    """
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
    may_have_none = environ["REQUEST_METHOD"] == "GET" and str(environ.get("HTTP_UPGRADE", "")).lower() != "websocket"
    is_own = may_have_none if origin is None else is_same_origin(str(origin), environ)
    return is_own and site in {"same-origin", "none"}


def require_same_origin(request: Request) -> None:
    """Check the origin of a request that changes state.

    Raises
    ------
    NotAllowedError
        When ``Origin`` is missing or foreign.
    """
    if request.method not in _SAFE_METHODS and not is_same_origin(request.headers.get("Origin"), request.environ):
        advisor: ProxyAdvisor = current_app.config["PROXY_ADVISOR"]
        raise NotAllowedError(advisor.explained(FOREIGN_ORIGIN, request.environ, "Origin"))
