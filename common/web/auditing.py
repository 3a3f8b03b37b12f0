"""What people do at an app goes into its audit trail: requests by their endpoint, and live connections."""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from flask import Flask, Response, g, request

from common.access.accounts import Session
from common.access.audit.trail import Action, Actor, AuditTrail
from common.errors import AuditUnavailableError, NotSignedInError
from common.web.sign_in import current_session

_OF_EVERY_APP: Mapping[str, Action] = {
    "sign_in.begin": Action.SIGNED_IN,
    "sign_in.end": Action.SIGNED_OUT,
    "sessions.end": Action.SESSION_ENDED,
}


def audit_requests(app: Flask, trail: AuditTrail, actions: Mapping[str, Action]) -> None:
    """Put what people do into the trail, by endpoint.

    Without a trail nobody signs in and nothing is changed; what is there can still be read, since a patient may need
    it, and the app says that it is not ready.
    """
    app.config["AUDIT_TRAIL"] = trail
    audited = {**_OF_EVERY_APP, **actions}

    @app.before_request
    def begin() -> None:
        if request.endpoint in audited:
            g.acting = current_session()
            if request.method == "POST":
                trail.require_writable()

    @app.after_request
    def note(response: Response) -> Response:
        if action := audited.get(request.endpoint or ""):
            _note(trail, action, response.status_code)
        return response


def _note(trail: AuditTrail, action: Action, status: int) -> None:
    address = request.remote_addr or ""
    if status < HTTPStatus.BAD_REQUEST:
        acting = g.acting if action is Action.SIGNED_OUT else current_session()
        if acting is not None:  # a client app that reads its own patients is no person
            _record(trail, _actor(acting, address), action, next(iter((request.view_args or {}).values()), ""))
    elif action is Action.SIGNED_IN and status == NotSignedInError.status:  # in a pause nothing was tried
        _record(trail, Actor("", "", "", address), Action.SIGN_IN_FAILED, "")


def note_event(trail: AuditTrail, acting: Session, address: str, action: Action, target: str = "") -> None:
    """Put what a person does over a live connection into the trail."""
    _record(trail, _actor(acting, address), action, target)


def _record(trail: AuditTrail, actor: Actor, action: Action, target: str) -> None:
    with suppress(AuditUnavailableError):  # the trail has logged why, and the app is not ready
        trail.record(actor, action, target)


def _actor(session: Session, address: str) -> Actor:
    account = session.account
    return Actor(account.id, account.name, account.role, address)
