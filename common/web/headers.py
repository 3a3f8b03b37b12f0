"""The security headers of every answer, Socket.IO's polling included."""

from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.datastructures import Headers

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def with_security_headers(environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
    """Return what begins an answer with the headers added that it does not set itself."""

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        completed = Headers(headers)  # what the answer itself sets stays
        for name, value in HEADERS.items():
            completed.setdefault(name, value)
        completed.setdefault("Cache-Control", "no-store")  # the pages' own files state how they may be cached
        if environ["wsgi.url_scheme"] == "https":
            completed.setdefault("Strict-Transport-Security", "max-age=31536000")
        return start_response(status, completed.to_wsgi_list(), exc_info)

    return start
