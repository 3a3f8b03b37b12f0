"""The HTTP API of the patient form: the draft that is kept of it, and rows that are pasted into it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from client.outbox import Outbox
from client.pasted_row import read_row
from common.access.accounts import People
from common.errors import InvalidMessageError, NotAllowedError
from common.web.sign_in import current_account, signed_in

DRAFT_LIFE: Final = timedelta(days=7)
"""After its last change."""


def blueprint(outbox: Outbox, people: People, clock: Callable[[], datetime]) -> Blueprint:
    """Make the routes of the form."""
    routes = Blueprint("form", __name__)

    @routes.get("/api/draft")
    @signed_in
    def draft() -> ResponseReturnValue:
        erase_old_drafts(outbox, people, clock())
        kept = outbox.draft_of(current_account().id)
        return {"draft": orjson.Fragment(kept) if kept else None}

    @routes.put("/api/draft")
    @signed_in
    def keep_draft() -> ResponseReturnValue:
        outbox.keep_draft(_person(), request.get_data(as_text=True), clock())
        return "", 204

    @routes.delete("/api/draft")
    @signed_in
    def erase_draft() -> ResponseReturnValue:
        outbox.erase_draft(_person())
        return "", 204

    @routes.post("/api/paste")
    @signed_in
    def paste() -> ResponseReturnValue:
        text = _given().get("text")
        if not isinstance(text, str):
            raise InvalidMessageError(fields={"text": ["must be text"]})
        return jsonify(read_row(text))

    return routes


def erase_old_drafts(outbox: Outbox, people: People, now: datetime) -> None:
    """Erase drafts that nobody has changed for long, or whose account is gone."""
    outbox.erase_old_drafts([account.id for account in people.all() if account.revoked_at is None], now - DRAFT_LIFE)


def _person() -> str:
    person = current_account().id
    if _given().get("person") != person:  # from the page of somebody who was signed in before
        raise NotAllowedError("Somebody else has signed in.")
    return person


def _given() -> dict[str, Any]:
    given = request.get_json(silent=True)
    if not isinstance(given, dict):
        raise InvalidMessageError(fields={"message": ["must be an object"]})
    return given
