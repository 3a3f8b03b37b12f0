"""The model card as a page for operators, and as JSON for operators and client apps."""

from collections.abc import Mapping

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from common.model_card import ModelCard
from common.web.model_card_page import model_card_page
from common.web.openapi import described
from common.web.sign_in import signed_in
from server.readers import client_id_of_reader
from server.registry.card_lookup import ModelCards


def blueprint(cards: ModelCards, tokens: Mapping[str, str]) -> Blueprint:
    """Make the routes of the model cards."""
    routes = Blueprint("model", __name__)

    @routes.get("/model")
    @signed_in
    def active_page() -> ResponseReturnValue:
        return _page(cards.active(), cards)

    @routes.get("/model/<version>")
    @signed_in
    def page(version: str) -> ResponseReturnValue:
        return _page(cards.of(version), cards)

    @routes.get("/api/model")
    @described("The card of the model that scores now.", ModelCard)
    def active() -> ResponseReturnValue:
        client_id_of_reader(tokens)
        return cards.active().to_wire()

    @routes.get("/api/model/<version>")
    @described("The card of one version of the model.", ModelCard)
    def one(version: str) -> ResponseReturnValue:
        client_id_of_reader(tokens)
        return cards.of(version).to_wire()

    return routes


def _page(card: ModelCard, cards: ModelCards) -> str:
    return model_card_page(
        card,
        active=cards.active().version,
        place="Server",
        versions=cards.versions(),
        json_address=url_for("model.one", version=card.version),
    )
