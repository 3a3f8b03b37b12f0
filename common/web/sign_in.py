"""Sign-in with a one-click link or a name and password; who is signed in, and as what."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from typing import Final, ParamSpec, TypeVar

from flask import Blueprint, Flask, current_app, render_template, request, session
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from limits import RateLimitItem, parse
from limits.strategies import RateLimiter

from common.access.accounts import Account, People, hash_of, name_key
from common.access.audit import Action, Actor, AuditTrail
from common.access.passwords import is_password
from common.access.roles import Role
from common.access.sessions import Session, Sessions
from common.access.tokens import UNKNOWN_TOKEN, bearer_token
from common.errors import (
    InvalidMessageError,
    NotAllowedError,
    NotSignedInError,
    StoreUnavailableError,
    TooManyAttemptsError,
)
from common.web.concurrency import run_aside
from common.web.cookies import ENDS_AT, KEY

log = logging.getLogger(__name__)

UNGUESSABLE_CHARACTERS: Final = 32
"""A token this long was made by a program; a shorter one was chosen by hand, and could be guessed."""

PER_NAME: Final = parse("10 per 5 minutes")
BY_HAND: Final = "tokens chosen by hand"
"""All of them count as one name; a right proof sets the count of its name back."""

PER_ADDRESS: Final = parse("50 per minute")
"""Generous: a whole clinic may come from the one address of its proxy."""

NO_LINK: Final = "This link or token is not valid. Use the newest one you were given."
NO_PASSWORD: Final = "Wrong name or password."  # noqa: S105 - says so to people

P = ParamSpec("P")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Access:
    """Who may use one app, who is signed in, and who did what."""

    people: People
    sessions: Sessions
    trail: AuditTrail


def access_of(app: Flask) -> Access:
    """Return the access of an app that ``make_app`` made."""
    access: Access = app.extensions["access"]
    return access


def current_session() -> Session | None:
    """Return the open session of the current request or Socket.IO handshake."""
    return access_of(current_app).sessions.find(str(session.get(KEY, "")))


def current_account() -> Account:
    """Return who acts in the current request.

    Raises
    ------
    NotSignedInError
        If nobody is signed in.
    """
    return _require_session().account


def caller() -> str | Session:
    """Return who makes the current request: a client app, by its id, or a person's session.

    Raises
    ------
    NotSignedInError
        If it is nobody known.
    """
    token = bearer_token(request.headers.get("Authorization"))
    if token is None:
        return _require_session()
    # A wrong token is refused even beside a good cookie: a program must not do more than its token allows.
    client_id: str | None = current_app.extensions["client_of_token"](token)
    if client_id is None:
        raise NotSignedInError(UNKNOWN_TOKEN)
    return client_id


def identity_of(caller: str | Session) -> str:
    """Return what a caller is counted by."""
    return caller.id if isinstance(caller, Session) else caller


def _require_session() -> Session:
    here = current_session()
    if here is None:
        raise NotSignedInError
    return here


def signed_in_as(*roles: Role) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """Refuse a view to everybody who is not signed in, in one of these roles."""

    def guard(view: Callable[P, Answer]) -> Callable[P, Answer]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Answer:
            if current_account().role not in roles:
                raise NotAllowedError(f"This is for {' and '.join(f'{role}s' for role in roles)} only.")
            return view(*args, **kwargs)

        return guarded

    return guard


signed_in = signed_in_as(*Role)
"""Refuse a view to everybody who is not signed in."""


def audited(action: Action) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """Put it into the audit trail when a person has used a view, with the first part of its address.

    A client app that reads its own patients is no person, and what was refused was not done.
    """

    def note(view: Callable[P, Answer]) -> Callable[P, Answer]:
        @wraps(view)
        def noted(*args: P.args, **kwargs: P.kwargs) -> Answer:
            acting = current_session()
            answer = view(*args, **kwargs)
            if acting is not None:
                target = next(iter((request.view_args or {}).values()), "")
                access_of(current_app).trail.record(actor_of(acting.account, _address()), action, target)
            return answer

        return noted

    return note


def actor_of(account: Account, address: str) -> Actor:
    """Return an account as the audit trail names it."""
    return Actor(account.id, account.name, account.role, address)


class _Attempts:
    """Finds out whose a token, or a name and password are; what could be guessed has few attempts."""

    def __init__(self, people: People, limits: RateLimiter, async_mode: str) -> None:
        self._people = people
        self._limits = limits
        self._async_mode = async_mode
        self._one_password_at_a_time = threading.Lock()  # each takes 64 MiB and a tenth of a second

    def account_of(self, given: Mapping[str, str], address: str) -> Account:
        """Return whose a proof is; a valid token that was made works after any number of attempts.

        Raises
        ------
        NotSignedInError
            If it is nobody's.
        TooManyAttemptsError
            If too many were tried.
        """
        token = given.get("token")
        was_made = token is not None and len(token) >= UNGUESSABLE_CHARACTERS
        if token and was_made and (account := self._people.of_token(token)):
            return account
        # Attempts are counted before they are checked, so that many at once are no more than one after the other.
        self._count(PER_ADDRESS, address)
        if was_made:
            raise NotSignedInError(NO_LINK)
        self._count(PER_NAME, key := BY_HAND if token is not None else hash_of(name_key(given["name"])))
        found = self._people.of_token(token) if token is not None else self._by_password(given)
        if found is None:
            raise NotSignedInError(NO_LINK if token is not None else NO_PASSWORD)
        self._limits.clear(PER_NAME, "sign-in", key)
        return found

    def _by_password(self, given: Mapping[str, str]) -> Account | None:
        # Outside of the lock: only the hash takes long, and only one at a time may take its memory.
        account = self._people.named(given["name"])
        kept = account.password_hash if account else None
        with self._one_password_at_a_time:  # without an account it takes as long
            is_right = run_aside(self._async_mode, partial(is_password, kept), given["password"])
        return account if is_right else None

    def _count(self, limit: RateLimitItem, key: str) -> None:
        if not self._limits.hit(limit, "sign-in", key):
            window = self._limits.get_window_stats(limit, "sign-in", key)
            raise TooManyAttemptsError(max(1, math.ceil(window.reset_time - time.time())))


def sign_in_blueprint(
    access: Access, limits: RateLimiter, async_mode: str, *, title: str, signed_out: Callable[[Account], None]
) -> Blueprint:
    """Make the routes by which sessions begin, end, go on and are asked for."""
    blueprint = Blueprint("sign_in", __name__)
    people, sessions, trail = access.people, access.sessions, access.trail
    attempts = _Attempts(people, limits, async_mode)

    @blueprint.get("/sign-in")
    def page() -> ResponseReturnValue:
        return render_template("sign_in.html", title=title, has_passwords=people.have_passwords())

    @blueprint.post("/sign-in")
    def begin() -> ResponseReturnValue:
        given = _credentials()
        try:
            account = attempts.account_of(given, _address())
        except NotSignedInError:
            trail.record(Actor("", "", "", _address()), Action.SIGN_IN_FAILED)
            raise
        before = current_session()  # the browser's earlier one, of which nothing is taken over
        key, begun = sessions.begin(account, _address())
        session.clear()
        session.update({KEY: key, ENDS_AT: begun.ends_at})
        generate_csrf()  # now: tabs that ask for one at the same time would each get, and keep, another
        if before is not None:
            sessions.end(before)
        trail.record(actor_of(account, _address()), Action.SIGNED_IN)
        return "", 204

    @blueprint.post("/sign-out")
    def end() -> ResponseReturnValue:
        ended = current_session()
        session.clear()
        if ended is not None:
            sessions.end(ended)
            trail.record(actor_of(ended.account, _address()), Action.SIGNED_OUT)
            try:
                signed_out(ended.account)
            except StoreUnavailableError:  # the person is out all the same
                log.warning("what a person left unfinished could not be erased at the sign-out")
        return "", 204

    _add_session(blueprint, sessions)
    return blueprint


def _add_session(blueprint: Blueprint, sessions: Sessions) -> None:
    @blueprint.get("/api/session")
    def state() -> ResponseReturnValue:
        """Tell a page who is signed in and for how long, and give it the session's current CSRF token."""
        told = {"csrf_token": generate_csrf(), "account": None}
        if (here := current_session()) is None:
            return told
        seconds_left, is_idle = sessions.time_left(here)
        return told | {"account": here.account.id, "seconds_left": seconds_left, "is_idle": is_idle}

    @blueprint.post("/activity")
    @signed_in
    def activity() -> ResponseReturnValue:
        """Hear from a page that a person is there: being asked is all it takes."""
        return "", 204

    @blueprint.before_app_request
    def note_activity() -> None:
        # What a page fetches, or asks again and again without a person's doing, keeps no session open.
        is_fetched = request.blueprint == "shared" or request.endpoint == "static" or request.path.startswith("/api/")
        if (request.method == "POST" or not is_fetched) and (here := current_session()):
            sessions.touch(here)

    @blueprint.app_context_processor
    def for_templates() -> dict[str, Account | None]:
        here = current_session()
        return {"account": here.account if here else None}


def _address() -> str:
    return request.remote_addr or ""


def _credentials() -> Mapping[str, str]:
    """Return the token, or the name and the password of the request."""
    body = request.get_json(silent=True)
    given = body if isinstance(body, dict) else {}
    wanted = ("name", "password") if "password" in given else ("token",)
    if wrong := [name for name in wanted if not isinstance(given.get(name), str)]:
        raise InvalidMessageError(fields={name: ["must be text"] for name in wrong})
    return {name: given[name] for name in wanted}
