"""Sign-in with a one-click link or a name and password; who is signed in, and as what."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Blueprint, Response, current_app, render_template, request, session
from flask.typing import ResponseReturnValue

from common.access.accounts import Account, Session, hash_of, name_key
from common.access.attempts import Attempts, Counted
from common.access.roles import Role
from common.access.sessions import Sessions
from common.errors import InvalidMessageError, NotAllowedError, NotSignedInError
from common.web.cookies import ENDS_AT, KEY, known_device, remember_device
from common.web.tokens import tokens_equal

UNGUESSABLE_CHARACTERS: Final = 32
"""A token from here on is taken for one that was made; a shorter one was chosen by hand, and is slow to guess at."""

NO_LINK: Final = "This link or token is not valid. Use the newest one you were given."
NO_PASSWORD: Final = "Name and password do not belong together. Check both."  # noqa: S105 - says so to people

CheckPassword = Callable[[str | None, str], bool]


class SignIn:
    """Finds out whose a token, or a name and password are, with pauses that grow while attempts fail."""

    def __init__(self, sessions: Sessions, check_password: CheckPassword, *, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._check_password = check_password
        self._attempts = Attempts(clock=clock)

    def by_token(self, token: str, address: str) -> Account:
        """Return the account of a token; a valid one that was made is never made to wait.

        Raises
        ------
        NotSignedInError
            If it is nobody's.
        TooManyAttemptsError
            If too many were nobody's.
        """
        account = self._of_token(token)
        was_made = len(token) >= UNGUESSABLE_CHARACTERS
        if account is not None and was_made:
            return account
        by_hand = [] if was_made else [Counted(("chosen by hand", ""), 5, 60)]
        self._attempts.begin([_by_address(address), *by_hand])
        if account is None:
            raise NotSignedInError(NO_LINK)
        self._attempts.succeeded(by_hand)
        return account

    def by_password(self, name: str, password: str, address: str) -> Account:
        """Return the account of a name and password.

        Who fails from elsewhere does not make those wait who have signed in from the same browser before.

        Raises
        ------
        NotSignedInError
            If they do not belong together.
        TooManyAttemptsError
            If too many did not.
        """
        named = [account for account in self._sessions.accounts() if name_key(account.name) == name_key(name)]
        account = named[0] if named else None
        device = known_device(account.id) if account else None
        mine = Counted(("device", device), 10, 300) if device else Counted(("name", hash_of(name_key(name))), 5, 300)
        self._attempts.begin([mine] if device else [mine, _by_address(address)])
        kept = account.password_hash if account else None
        if not self._check_password(kept, password) or account is None:
            raise NotSignedInError(NO_PASSWORD)
        self._attempts.succeeded([mine])
        return account

    def _of_token(self, token: str) -> Account | None:
        given = hash_of(token)
        matches = [one for one in self._sessions.accounts() if one.token_hash and tokens_equal(given, one.token_hash)]
        return matches[0] if matches else None


def _by_address(address: str) -> Counted:
    """Return a generous allowance: a whole clinic may come from the one address of its proxy."""
    return Counted(("address", address), 50, 60)


def sign_in_blueprint(sign_in: SignIn, sessions: Sessions, *, title: str) -> Blueprint:
    """Make the routes ``/sign-in``, ``/sign-out`` and ``/activity``."""
    blueprint = Blueprint("sign_in", __name__)

    @blueprint.get("/sign-in")
    def page() -> ResponseReturnValue:
        return render_template("sign_in.html", title=title, has_passwords=sessions.has_passwords)

    @blueprint.post("/sign-in")
    def begin() -> ResponseReturnValue:
        given, address = _credentials(), request.remote_addr or ""
        response = Response(status=204)
        if "token" in given:
            account = sign_in.by_token(given["token"], address)
        else:
            account = sign_in.by_password(given["name"], given["password"], address)
            remember_device(response, account.id)
        _begin(sessions, account, address)
        return response

    @blueprint.post("/sign-out")
    def end() -> ResponseReturnValue:
        ended = current_session()
        session.clear()
        if ended is not None:
            sessions.end(ended)
        return "", 204

    @blueprint.post("/activity")
    def activity() -> ResponseReturnValue:
        """Hear from a page that somebody is there: being asked is all it takes."""
        require_sign_in(current_app.config)
        return "", 204

    @blueprint.record_once
    def keep(state: Any) -> None:
        state.app.config.update(SIGN_IN_SESSIONS=sessions)

    _add_hooks(blueprint, sessions)
    return blueprint


def _add_hooks(blueprint: Blueprint, sessions: Sessions) -> None:
    @blueprint.before_app_request
    def note_activity() -> None:
        if _is_from_a_person() and (here := current_session()):
            sessions.touch(here)

    @blueprint.app_context_processor
    def for_templates() -> dict[str, Account | None]:
        here = current_session()
        return {"account": here.account if here else None}


def require_sign_in(config: Mapping[str, Any]) -> None:
    """Check the session of the current request, over HTTP or in a Socket.IO handshake.

    Raises
    ------
    NotSignedInError
        If there is none or it has ended.
    """
    if not is_signed_in(config):
        raise NotSignedInError


def require_role(*roles: Role) -> Account:
    """Return who acts in the current request, if it is somebody in one of these roles.

    Raises
    ------
    NotSignedInError
        If nobody is signed in.
    NotAllowedError
        If somebody else is.
    """
    account = current_account()
    if account.role not in roles:
        raise NotAllowedError(f"This is for {' and '.join(f'{role}s' for role in roles)} only.")
    return account


def is_signed_in(config: Mapping[str, Any]) -> bool:
    return _session_at(config["SIGN_IN_SESSIONS"]) is not None


def current_account() -> Account:
    """Return who acts in the current request or Socket.IO event.

    Raises
    ------
    NotSignedInError
        If nobody is signed in.
    """
    here = current_session()
    if here is None:
        raise NotSignedInError
    return here.account


def current_session() -> Session | None:
    """Return the open session of the current request or Socket.IO event."""
    return _session_at(current_app.config["SIGN_IN_SESSIONS"])


def _session_at(sessions: Sessions) -> Session | None:
    return sessions.find(str(session.get(KEY, "")))


def _begin(sessions: Sessions, account: Account, address: str) -> None:
    """Put a new session in the place of the browser's earlier one, of which nothing is taken over."""
    before = current_session()
    key, begun = sessions.begin(account, address)
    session.clear()
    session.update({KEY: key, ENDS_AT: begun.ends_at})
    if before is not None:
        sessions.end(before)


def _credentials() -> Mapping[str, str]:
    """Return the token, or the name and the password of the request."""
    body = request.get_json(silent=True)
    wanted = ("name", "password") if isinstance(body, dict) and "password" in body else ("token",)
    given = body if isinstance(body, dict) else {}
    wrong = [name for name in wanted if not isinstance(given.get(name), str)]
    if wrong:
        raise InvalidMessageError(fields={name: ["must be text"] for name in wrong})
    return {name: given[name] for name in wanted}


def _is_from_a_person() -> bool:
    """Tell whether a request is a person's doing: what a page fetches and asks again and again by itself is not."""
    fetched = request.blueprint == "shared" or request.endpoint == "static"
    return request.method == "POST" or not (fetched or request.path.startswith("/api/"))
