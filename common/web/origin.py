"""The exact origin of a request, port included: cookies ignore ports, so nothing else tells two local apps apart."""

import re
from collections.abc import Collection
from typing import Final
from wsgiref.types import WSGIEnvironment

from werkzeug.wsgi import get_host

UNTRUSTED_HOST: Final = (
    "This app is not known by that host name. If the name is right, add it to ALLOWED_HOSTS; behind a reverse proxy, "
    "see docs/proxy.md."
)
FOREIGN_ORIGIN: Final = (
    "The request came from a page at another address. Behind a reverse proxy, the proxy must pass on Host "
    "(with the port) and X-Forwarded-Proto, and TRUSTED_PROXIES must be set: see docs/proxy.md."
)

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def is_known_host(environ: WSGIEnvironment, allowed: Collection[str]) -> bool:
    """Tell whether a request is addressed to one of these names; one with a dot in front allows all below it."""
    # Werkzeug's own trusted_hosts cuts IPv6 addresses at their first colon, and so refuses them all.
    host = re.sub(r":\d+$", "", get_host(environ).lower())
    return host in allowed or any(f".{host}".endswith(name) for name in allowed if name.startswith("."))


def is_same_origin(environ: WSGIEnvironment) -> bool:
    """Tell whether ``Origin`` names the very address the request was sent to."""
    return environ.get("HTTP_ORIGIN") == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"


def is_of_own_page(environ: WSGIEnvironment) -> bool:
    """Tell whether a page of this app made a request to Socket.IO that proves itself with a cookie."""
    # Browsers send Origin with every websocket and POST, but not with a GET to the page's own app, nor with that of an
    # <img> on any page: Sec-Fetch-Site tells these two apart.
    may_lack_origin = environ["REQUEST_METHOD"] == "GET" and environ.get("HTTP_UPGRADE", "").lower() != "websocket"
    is_own = is_same_origin(environ) or (may_lack_origin and "HTTP_ORIGIN" not in environ)
    return is_own and environ.get("HTTP_SEC_FETCH_SITE", "same-origin") in {"same-origin", "none"}
