"""The Flask app both processes start from: templates, shared files, headers, errors, sign-in and health."""

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Final, Generic, TypeVar

from flask import Blueprint, Flask, Response, redirect, render_template, request, send_from_directory
from flask.json.provider import JSONProvider
from flask.typing import ResponseReturnValue
from flask_compress import Compress
from flask_limiter import Limiter, RateLimitExceeded
from flask_wtf.csrf import CSRFError, CSRFProtect
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import BadRequest, HTTPException

from common.access.accounts import Account, People, built_in_tokens
from common.access.audit import AuditTrail
from common.access.file import AccessStore, file_of
from common.access.sessions import DISPLAY_SECONDS, sessions_of
from common.errors import (
    DetectionSystemError,
    InternalError,
    InvalidMessageError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    RateLimitedError,
)
from common.messages import WireError
from common.web.codec import OrjsonCodec
from common.web.cookies import AppSessions
from common.web.limits import make_limiter
from common.web.logs import named
from common.web.origin import FOREIGN_ORIGIN, SAFE_METHODS, UNTRUSTED_HOST, is_known_host, is_same_origin
from common.web.sign_in import Access, sign_in_blueprint
from config.secrets import PROJECT_ROOT
from config.settings import ClientSettings, ServerSettings

UI_FOLDER = PROJECT_ROOT / "common" / "ui"
UI_FILE_TYPES = frozenset({".css", ".js", ".svg"})
NODE_MODULES = PROJECT_ROOT / "node_modules"
VENDOR_PACKAGES = frozenset({"socket.io-client", "uuid"})

READY_SECONDS: Final = 1.0
"""How long the outcome of a check is reused: anyone may ask whether an app is ready, and a check uses the disk."""


T = TypeVar("T")


class OrjsonProvider(OrjsonCodec, JSONProvider):
    """Flask's JSON on orjson, as on the real-time side."""


def make_app(
    import_name: str,
    settings: ServerSettings | ClientSettings,
    *,
    audience: str,
    title: str,
    secret_key: str,
    check_ready: Callable[[], None],
    file: AccessStore | None = None,
    clock: Callable[[], float] = time.time,
    signed_out: Callable[[Account], None] = lambda _: None,
) -> Flask:
    """Make the Flask app of one process.

    ``audience`` names its cookie and is checked in it; ``check_ready`` raises the named error that keeps the process
    from doing its job. ``file`` is where its people are, if not in a file of its own. ``clock`` gives seconds since
    1970; ``signed_out`` hears of everybody who has signed out.
    """
    app = Flask(import_name)
    app.json = OrjsonProvider(app)
    app.session_interface = AppSessions()
    app.config.update(
        SECRET_KEY=secret_key,
        SESSION_COOKIE_NAME=f"hads_{audience}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.url.startswith("https://"),
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=DISPLAY_SECONDS,  # the cookie's; each session has its own end
        MAX_CONTENT_LENGTH=settings.max_message_bytes,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # the exact origin is checked here, with or without TLS
        COMPRESS_REGISTER=False,
    )
    # In this order: a wrong host is refused before it is counted, a flood before its origin and CSRF token are checked.
    app.before_request(partial(_require_known_host, settings.allowed_hosts))
    limiter = make_limiter(app, settings)
    app.before_request(_require_same_origin)
    CSRFProtect(app)
    _compress_answers(app)
    file = file or file_of(settings)
    failure = Remembered(partial(_failure_of, [file.check, check_ready]), READY_SECONDS)
    app.extensions["failure"] = failure
    app.register_blueprint(_shared_blueprint(failure, limiter))
    people = People(file)
    people.take_built_in(built_in_tokens(settings), settings.url, clock())
    access = app.extensions["access"] = Access(people, sessions_of(file, settings, clock), AuditTrail(file, clock))
    attempts = FixedWindowRateLimiter(file.counts) if file.counts else limiter.limiter
    app.register_blueprint(
        sign_in_blueprint(access, attempts, settings.socketio_async_mode, title=title, signed_out=signed_out)
    )
    app.register_error_handler(Exception, partial(_reply_with_error, limiter))
    return app


def _require_known_host(allowed_hosts: Collection[str]) -> None:
    if not is_known_host(request.environ, allowed_hosts):
        raise BadRequest(UNTRUSTED_HOST)


def _require_same_origin() -> None:
    if request.method not in SAFE_METHODS and not is_same_origin(request.environ):
        raise NotAllowedError(FOREIGN_ORIGIN)


def _compress_answers(app: Flask) -> None:
    compress = Compress(app)

    @app.after_request
    def compressed(response: Response) -> Response:
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return response
        # A file is read whole first: its ETag has to name the encoding as well, and is compared with the browser's.
        if response.is_streamed:
            response.direct_passthrough = False
            response.get_data()
        return compress.after_request(response)


def _shared_blueprint(failure: Callable[[], DetectionSystemError | None], limiter: Limiter) -> Blueprint:
    """Add the templates and files that pages share, and the routes that tell whether the app lives and is ready."""
    blueprint = Blueprint("shared", __name__, template_folder=str(UI_FOLDER / "templates"))

    @blueprint.get("/ui/<path:name>")
    def ui(name: str) -> Response:
        if PurePosixPath(name).suffix not in UI_FILE_TYPES:
            raise NotFoundError
        return send_from_directory(UI_FOLDER, name)

    @blueprint.get("/vendor/<package>/<path:name>")
    def vendor(package: str, name: str) -> Response:
        if package not in VENDOR_PACKAGES:
            raise NotFoundError
        return send_from_directory(NODE_MODULES / package, name)

    @blueprint.get("/livez")
    @limiter.exempt
    def livez() -> ResponseReturnValue:
        return {"status": "alive"}

    @blueprint.get("/readyz")
    @limiter.exempt  # a flood must not have the app restarted as well
    def readyz() -> ResponseReturnValue:
        if failed := failure():
            raise failed.with_traceback(None)  # it is raised again and again, and would collect tracebacks
        return {"status": "ready"}

    return blueprint


class Remembered(Generic[T]):
    """What a function found, for so many seconds; one caller looks at a time, or many would keep the disk busy."""

    def __init__(self, look: Callable[[], T], seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._turn = threading.Lock()
        self._until = -math.inf
        self._found: T

    def __call__(self) -> T:
        with self._turn:
            if time.monotonic() >= self._until:
                self._found = self._look()
                self._until = time.monotonic() + self._seconds
            return self._found


def _failure_of(checks: Sequence[Callable[[], None]]) -> DetectionSystemError | None:
    try:
        for check in checks:
            check()
    except DetectionSystemError as error:
        return error
    return None


def _reply_with_error(limiter: Limiter, error: Exception) -> ResponseReturnValue:
    """Answer a failure once, for every route: JSON for programs, a page or the sign-in for people."""
    shown, status = _shown(error, limiter)
    headers = {"Retry-After": str(shown.retry_after)} if isinstance(shown, RateLimitedError) else {}
    wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    # A page's own scripts fetch from /api/ with the headers of a browser: they get JSON all the same.
    if not wants_page or request.path.startswith("/api/"):
        return {"error": WireError.of(shown).to_wire()}, status, headers
    if isinstance(shown, NotSignedInError):
        return redirect("/sign-in")
    return render_template("error.html", error=shown, status=status), status, headers


def _shown(error: Exception, limiter: Limiter) -> tuple[DetectionSystemError, int]:
    """Return the named error that is shown for a failure, and the status of the answer."""
    if isinstance(error, CSRFError):
        return NotAllowedError("The page is out of date. Reload it and try again."), 400
    if isinstance(error, RateLimitExceeded):
        reached = limiter.current_limit
        seconds = math.ceil(reached.window.reset_time - time.time()) if reached else 1
        return RateLimitedError(max(1, seconds)), RateLimitedError.status
    if isinstance(error, HTTPException):
        code = error.code or InternalError.status
        usual = InvalidMessageError if code < InternalError.status else InternalError
        kind = {404: NotFoundError, 403: NotAllowedError}.get(code, usual)
        return kind(None if kind is NotFoundError else error.description), code
    shown = named(error, "a request failed")
    return shown, shown.status
