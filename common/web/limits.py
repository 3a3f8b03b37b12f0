"""How much one person, one client app and one address may ask for, over HTTP; counted in memory."""

from flask import Flask, request
from flask_limiter import ApplicationLimit, Limiter
from flask_limiter.util import get_remote_address

from common.errors import NotSignedInError
from common.web.sign_in import caller, identity_of
from config.settings import ClientSettings, ServerSettings


def make_limiter(app: Flask, settings: ServerSettings | ClientSettings) -> Limiter:
    """Limit every route of the app by who asks and by their address; a route's own limits come on top.

    Who asks is the client app or the session that a request has proved; without either, or with a wrong token, it is
    the address. The sign-in is counted separately, by address alone: no flood of other requests closes it.
    """
    per_address = f"{settings.address_requests_per_minute} per minute"
    return Limiter(
        _who,
        app=app,
        application_limits=[
            ApplicationLimit(f"{settings.requests_per_minute} per minute", scope="one", exempt_when=_is_counted_apart),
            ApplicationLimit(per_address, key_function=get_remote_address, scope=_address_scope),
        ],
        # The library counts nothing that has no name, or that of ``static``.
        request_identifier=lambda: "file" if request.endpoint == "static" else request.endpoint or "unknown",
        storage_uri="memory://",
        strategy="fixed-window",
        fail_on_first_breach=True,
    )


def _is_counted_apart() -> bool:
    return _address_scope(request.endpoint or "") != "address"


def _address_scope(endpoint: str) -> str:
    """Return what a request of an address is counted with: the sign-in, the files that its page needs, or the rest."""
    if endpoint in {"sign_in.page", "sign_in.begin"}:
        return "sign-in"
    return "files" if endpoint in {"static", "shared.ui", "shared.vendor"} else "address"


def _who() -> str:
    # A header or cookie that proves nothing gives no count of its own, or each made-up one would begin at zero.
    try:
        return identity_of(caller())
    except NotSignedInError:
        return get_remote_address()
