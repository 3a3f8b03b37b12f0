"""What to change in the reverse proxy in front when it makes the app refuse a request: one sentence, of fixed words."""

import logging
import re
import time
from collections.abc import Mapping
from typing import Final, Literal

from werkzeug.exceptions import BadRequest

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS: Final = 60.0

UNDER_A_PATH: Final = (
    "This app cannot be reached under a path (X-Forwarded-Prefix): give it a host name or a port of its own, "
    "as deploy/nginx.conf does."
)
UNTOLD: Final = (
    "A proxy seems to be in front that this app was not told of: set TRUSTED_PROXIES=1, name the host in "
    "ALLOWED_HOSTS, and pass on Host, X-Forwarded-For and X-Forwarded-Proto as deploy/nginx.conf does."
)
WITHOUT_PORT: Final = (
    "The proxy in front drops the port from {header}: in nginx, write proxy_set_header {header} $http_host; "
    "($host has no port)."
)
OTHER_HOST: Final = (
    "Behind a proxy, {header} must be the address that people use: in nginx, write "
    "proxy_set_header {header} $http_host;"
)
OTHER_SCHEME: Final = (
    "The proxy in front does not pass on whether people use https: in nginx, write "
    "proxy_set_header X-Forwarded-Proto $scheme; and set TRUSTED_PROXIES to the number of proxies."
)

_FORWARDED = frozenset({"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED"})


def proxy_advice(
    environ: Mapping[str, object], refused: Literal["Host", "Origin"], *, trusted_proxies: int
) -> str | None:
    """Return what to change in the proxy, or nothing where no proxy seems to be why a header was refused.

    ``environ`` is as ``ProxyFix`` leaves it. No value of the request gets into the sentence.
    """
    header = "X-Forwarded-Host" if trusted_proxies and "HTTP_X_FORWARDED_HOST" in environ else "Host"
    through_proxy = not _FORWARDED.isdisjoint(environ) or environ.get("SERVER_PROTOCOL") == "HTTP/1.0"  # nginx's usual
    if refused == "Origin":
        # No page can set this header: in it the browser itself says whether page and request have one address.
        site = environ.get("HTTP_SEC_FETCH_SITE")
        scheme, _, address = str(environ.get("HTTP_ORIGIN", "")).partition("://")
        if not address or site in {"cross-site", "same-site"}:
            return None
        if address == environ.get("HTTP_HOST"):
            return OTHER_SCHEME if trusted_proxies else UNTOLD
        if re.sub(r":\d+$", "", address) == environ.get("HTTP_HOST"):
            told = trusted_proxies or scheme == environ["wsgi.url_scheme"]
            return WITHOUT_PORT.format(header=header) if told else UNTOLD
        through_proxy = through_proxy or site == "same-origin"
    if not through_proxy:
        return None
    return OTHER_HOST.format(header=header) if trusted_proxies else UNTOLD


def is_under_a_path(environ: Mapping[str, object], *, trusted_proxies: int) -> bool:
    """Tell whether a trusted proxy has cut a path off the address, so that no link of the app's pages leads back."""
    return trusted_proxies > 0 and str(environ.get("HTTP_X_FORWARDED_PREFIX", "")).strip("/ ") != ""


class ProxyAdvisor:
    """Adds the advice to an app's refusals, and logs each of its few sentences at most once a minute."""

    def __init__(self, trusted_proxies: int) -> None:
        self._trusted_proxies = trusted_proxies
        self._logged_at: dict[str, float] = {}

    def explained(self, refusal: str, environ: Mapping[str, object], refused: Literal["Host", "Origin"]) -> str:
        """Return the sentence of a refusal, followed by what to change in the proxy if that is why."""
        advice = proxy_advice(environ, refused, trusted_proxies=self._trusted_proxies)
        if advice is None:
            return refusal
        self._log(advice)
        return f"{refusal} {advice}"

    def require_no_path(self, environ: Mapping[str, object]) -> None:
        """Check that pages lead back to this app.

        Raises
        ------
        BadRequest
            When a trusted proxy serves the app under a path.
        """
        if is_under_a_path(environ, trusted_proxies=self._trusted_proxies):
            self._log(UNDER_A_PATH)
            raise BadRequest(UNDER_A_PATH)

    def _log(self, advice: str) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(advice, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
            self._logged_at[advice] = now
            log.warning("a request was refused: %s", advice)
