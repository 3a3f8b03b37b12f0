"""Every route an app has, found in the app itself, so that none can be forgotten."""

from collections.abc import Iterator
from typing import NamedTuple

from flask import Flask
from werkzeug.routing import Rule

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN = frozenset(
    {
        *("static", "shared.ui", "shared.vendor", "shared.livez", "shared.readyz"),
        *("sign_in.page", "sign_in.state", "server.status"),
    }
)
"""What anybody may get; the start page leads to the sign-in."""
FILES = frozenset({"static", "shared.ui", "shared.vendor"})
EXISTING = {
    "/static/<path:filename>": "/static/dashboard.css",
    "/ui/<path:name>": "/ui/base.css",
    "/vendor/<package>/<path:name>": "/vendor/uuid/package.json",
}


class Route(NamedTuple):
    """One rule as it can be asked for; ``path`` has something that does not exist in each of its places."""

    endpoint: str
    method: str
    path: str


def routes_of(app: Flask) -> list[Route]:
    return [route for rule in app.url_map.iter_rules() for route in _routes(rule)]


def changing(app: Flask) -> list[Route]:
    """Return the routes that change state."""
    return [route for route in routes_of(app) if route.method not in SAFE]


def readable(app: Flask) -> list[Route]:
    return [route for route in routes_of(app) if route.method == "GET"]


def _routes(rule: Rule) -> Iterator[Route]:
    path = EXISTING.get(rule.rule, rule.rule)
    for argument in rule.arguments:
        for converter in ("", "path:", "int:"):
            path = path.replace(f"<{converter}{argument}>", "1")
    for method in sorted(rule.methods or ()):
        yield Route(rule.endpoint, method, path)
