"""The exact origin of a request, port included: cookies ignore ports, so nothing else tells two local apps apart."""

from collections.abc import Mapping

from flask import Request, current_app

from common.errors import NotAllowedError
from common.web.proxy_advice import ProxyAdvisor

UNTRUSTED_HOST = "This app is not known by that host name. If it is meant to be, name it in ALLOWED_HOSTS."

FOREIGN_ORIGIN = "The request came from another address than the page's own."

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_same_origin(origin: str | None, environ: Mapping[str, object]) -> bool:
    """Tell whether ``Origin`` names the very address the request was sent to."""
    return origin == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"


def require_own_page(environ: Mapping[str, object]) -> None:
    """Check that a page of this app made a Socket.IO handshake that proves itself with a cookie.

    An ``Origin`` that came is checked before; a browser leaves it out of no websocket, and of no request to another
    origin that it lets scripts read, but of a mere image's. What such a page is, ``Sec-Fetch-Site`` says.

    Raises
    ------
    NotAllowedError
        When none did.
    """
    is_websocket = str(environ.get("HTTP_UPGRADE", "")).lower() == "websocket"
    site = environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
    if (is_websocket and "HTTP_ORIGIN" not in environ) or site not in {"same-origin", "none"}:
        raise NotAllowedError(FOREIGN_ORIGIN)


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
