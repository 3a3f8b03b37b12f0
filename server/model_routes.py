"""The model card: as a page for operators, rendered for client apps to pass on, and as JSON for programs."""

from collections.abc import Mapping

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from common.web.sign_in import signed_in
from server.model_card_page import rendered
from server.readers import client_id_of_reader
from server.registry.card_lookup import ModelCards


def blueprint(cards: ModelCards, tokens: Mapping[str, str]) -> Blueprint:
    """Make the routes of the model cards; where no version is named, it is the one that scores now."""
    routes = Blueprint("model", __name__)

    @routes.get("/model")
    @routes.get("/model/<version>")
    @signed_in
    def page(version: str | None = None) -> ResponseReturnValue:
        card = cards.of(version)
        address = url_for("model.as_json", version=card.version)
        shown = rendered(card, active=cards.of().version, versions=cards.versions(), json_address=address)
        return render_template("model_card.html", card=shown, place="Server")

    @routes.get("/api/model")
    @routes.get("/api/model/<version>")
    def as_json(version: str | None = None) -> ResponseReturnValue:
        client_id_of_reader(tokens)
        return cards.of(version).model_dump(mode="json")

    @routes.get("/api/model/page")
    @routes.get("/api/model/<version>/page")
    def for_client_apps(version: str | None = None) -> ResponseReturnValue:
        client_id_of_reader(tokens)
        return rendered(cards.of(version), active=cards.of().version).to_wire()

    return routes
