"""The exact origin of a request, port included: cookies ignore ports, so nothing else tells two local apps apart."""

from collections.abc import Mapping

from flask import Request

from config.errors import NotAllowedError

UNTRUSTED_HOST = "This app is not known by that host name. If it is meant to be, name it in ALLOWED_HOSTS."

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_same_origin(origin: str | None, environ: Mapping[str, object]) -> bool:
    """Tell whether ``Origin`` names the very address the request was sent to."""
    return origin == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"


def require_same_origin(request: Request) -> None:
    """Check the origin of a request that changes state.

    Raises
    ------
    NotAllowedError
        When ``Origin`` is missing or foreign.
    """
    if request.method not in _SAFE_METHODS and not is_same_origin(request.headers.get("Origin"), request.environ):
        raise NotAllowedError("The request came from another address than the page's own.")
