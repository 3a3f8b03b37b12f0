"""The Flask app both processes start from: templates, shared files, headers, errors, sign-in and health."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path, PurePosixPath

import orjson
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from flask.json.provider import JSONProvider
from flask.typing import ResponseReturnValue
from flask_compress import Compress
from flask_limiter import Limiter, RateLimitExceeded
from flask_wtf.csrf import CSRFError, CSRFProtect
from jinja2 import ChoiceLoader, FileSystemLoader
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from common.access.accounts import People, built_in_tokens
from common.access.audit import AuditTrail
from common.access.file import AccessFile, access_file
from common.access.sessions import DISPLAY_SECONDS, sessions_of
from common.errors import (
    DetectionSystemError,
    InternalError,
    InvalidMessageError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    RateLimitedError,
    TooManyAttemptsError,
)
from common.messages import WireError
from common.web.cookies import AppSessions
from common.web.limits import make_limiter, seconds_to_next_window
from common.web.origin import require_known_host, require_same_origin
from common.web.proxy_advice import ProxyAdvisor
from common.web.readiness import RememberedCheck
from common.web.sign_in import Access, SignIn, sign_in_blueprint
from config.secrets import PROJECT_ROOT
from config.settings import ClientSettings, ServerSettings

UI_FOLDER = PROJECT_ROOT / "common" / "ui"
NODE_MODULES = PROJECT_ROOT / "node_modules"
VENDOR_PACKAGES = frozenset({"socket.io-client", "chart.js", "uuid"})

HTTP_ERRORS: Mapping[int, type[DetectionSystemError]] = {404: NotFoundError, 403: NotAllowedError}

UI_FILE_TYPES = frozenset({".css", ".js", ".svg"})


class OrjsonProvider(JSONProvider):
    """Flask's JSON on orjson, as on the real-time side."""

    def dumps(self, obj: object, **_: object) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: object) -> object:
        return orjson.loads(s)


def make_app(
    import_name: str,
    settings: ServerSettings | ClientSettings,
    *,
    audience: str,
    title: str,
    secret_key: str,
    check_ready: Callable[[], None],
    clock: Callable[[], float] = time.time,
) -> Flask:
    """Make the Flask app of one process.

    ``audience`` names its cookie and is checked in it; ``check_ready`` raises the named error that keeps the process
    from doing its job. ``clock`` gives seconds since 1970.
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
        WTF_CSRF_SSL_STRICT=False,  # the exact origin is checked below, with or without TLS
    )
    app.jinja_env.loader = ChoiceLoader(
        [FileSystemLoader(Path(app.root_path) / "templates"), FileSystemLoader(UI_FOLDER / "templates")]
    )
    app.before_request(lambda: require_known_host(request, settings.allowed_hosts))
    limiter = app.config["LIMITER"] = make_limiter(app, settings)
    CSRFProtect(app)
    advisor = app.config["PROXY_ADVISOR"] = ProxyAdvisor(settings.trusted_proxies)
    app.before_request(lambda: advisor.require_no_path(request.environ))
    app.before_request(lambda: require_same_origin(request))
    app.register_error_handler(Exception, _reply_with_error)
    _compress_answers(app)
    file = AccessFile(access_file(settings.data_dir, settings.app_name))

    def check() -> None:
        file.check()
        check_ready()

    app.register_blueprint(_shared_blueprint(RememberedCheck(check, clock=time.monotonic), limiter))
    access = app.extensions["access"] = _access(file, settings, clock)
    sign_in = SignIn(access.people, limiter, settings.socketio_async_mode)
    app.register_blueprint(sign_in_blueprint(access, sign_in, title=title))
    return app


def _access(file: AccessFile, settings: ServerSettings | ClientSettings, clock: Callable[[], float]) -> Access:
    people = People(file)
    people.take_built_in(built_in_tokens(settings), settings.url, clock())
    return Access(people, sessions_of(file, settings, clock), AuditTrail(file, clock))


def trust_proxies(app: Flask, count: int) -> None:
    """Believe the X-Forwarded headers of ``count`` proxies; called last, so that the door sees the result as well."""
    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def _compress_answers(app: Flask) -> None:
    """Compress whatever a browser lets be compressed but parts of files; an ETag names the encoding as well."""
    app.config["COMPRESS_REGISTER"] = False
    compress = Compress(app)

    @app.after_request
    def compressed(response: Response) -> Response:
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return response
        if response.is_streamed:  # a file; read whole, so that its ETag can be compared with the one of the compressed
            response.direct_passthrough = False
            response.get_data()
        return compress.after_request(response)


def _shared_blueprint(check_ready: Callable[[], None], limiter: Limiter) -> Blueprint:
    blueprint = Blueprint("shared", __name__)

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
    @limiter.exempt  # whoever floods the app must not have it restarted as well
    def readyz() -> ResponseReturnValue:
        check_ready()
        return {"status": "ready"}

    return blueprint


def _reply_with_error(error: Exception) -> ResponseReturnValue:
    """Answer a failure once, for every route: JSON for programs, a page or the sign-in for people."""
    named, status = _named(error)
    response = make_response(_as_page_or_json(named, status))
    if isinstance(named, TooManyAttemptsError | RateLimitedError):
        response.headers["Retry-After"] = str(named.retry_after)
    return response


def _as_page_or_json(named: DetectionSystemError, status: int) -> ResponseReturnValue:
    wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    if not wants_page or request.path.startswith("/api/"):
        return jsonify(error=WireError.of(named).to_wire()), status
    if isinstance(named, NotSignedInError):
        return redirect(url_for("sign_in.page"))
    return render_template("error.html", error=named, status=status), status


def _named(error: Exception) -> tuple[DetectionSystemError, int]:
    if isinstance(error, DetectionSystemError):
        return error, error.status
    if isinstance(error, CSRFError):
        return NotAllowedError("The page is out of date. Reload it and try again."), 400
    if isinstance(error, RateLimitExceeded):
        return RateLimitedError(seconds_to_next_window(current_app.config["LIMITER"])), RateLimitedError.status
    if isinstance(error, HTTPException):
        code = error.code or InternalError.status
        usual = InvalidMessageError if code < InternalError.status else InternalError
        return HTTP_ERRORS.get(code, usual)(None if code == NotFoundError.status else error.description), code
    current_app.logger.error("a request failed: %s", type(error).__name__, exc_info=error)
    return InternalError(), 500
