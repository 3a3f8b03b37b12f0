"""The model cards over HTTP: a page for operators, rendered for client apps to pass on, and JSON for programs."""

from collections.abc import Sequence
from pathlib import Path

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue
from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from common.errors import ArtifactError, NotFoundError
from common.messages import LEVELS
from common.patient import FIELDS
from common.rendered_card import RenderedCard
from common.web.sign_in import signed_in
from config.settings import TrainingSettings
from server.anomaly.evaluation_figures import RATES, SHOWN, by_level, level_text
from server.readers import client_id_of_reader
from server.registry.artifact import VERSIONS_FOLDER, read_manifest, version_names
from server.registry.current_model import CurrentModel
from server.registry.model_card import Card, model_card

_SIGNATURES = {
    "verified": ("signed", "Signed, and verified with the server's MODEL_SIGNING_KEY."),
    "not checked": ("signature not checked", "Signed, but not checked here: no MODEL_SIGNING_KEY is set."),
    "none": ("not signed", "Not signed. A hash of its content is part of its name."),
}


def blueprint(model: CurrentModel, folder: Path, key: SecretStr | None) -> Blueprint:
    """Make the routes of the model cards; where no version is named, it is the one that scores now."""
    routes = Blueprint("model", __name__)

    def card_of(version: str | None) -> Card:
        """Make a card from a verified manifest: in memory for the active version, on disk for the others."""
        manifest = model.detector.manifest
        if version not in (None, manifest.model_version):
            if version not in version_names(folder):
                raise NotFoundError("There is no model version of this name on this server. It may have been removed.")
            try:
                manifest = read_manifest(folder / VERSIONS_FOLDER / version, key=key)
            except ArtifactError as error:
                # The reason names folders of this machine: it is for its operators, on the command line.
                raise NotFoundError(
                    f"Model version {version} is stored here but cannot be used, so nothing of it is shown. To see "
                    "why: python train_model.py --list"
                ) from error
        return model_card(manifest, key=key)

    @routes.get("/model")
    @routes.get("/model/<version>")
    @signed_in
    def page(version: str | None = None) -> ResponseReturnValue:
        card, active = card_of(version), model.detector.model_version
        versions = sorted({*version_names(folder), active}, reverse=True)
        address = url_for("model.as_json", version=card["model_details"]["version"])
        shown = rendered(card, active=active, versions=versions, json_address=address)
        return render_template("model_card.html", card=shown, place="Server")

    @routes.get("/api/model")
    @routes.get("/api/model/<version>")
    def as_json(version: str | None = None) -> ResponseReturnValue:
        client_id_of_reader()
        content: Card = to_jsonable_python(card_of(version))
        return content

    @routes.get("/api/model/page")
    @routes.get("/api/model/<version>/page")
    def for_client_apps(version: str | None = None) -> ResponseReturnValue:
        client_id_of_reader()
        return rendered(card_of(version), active=model.detector.model_version).to_wire()

    return routes


def rendered(card: Card, *, active: str, versions: Sequence[str] = (), json_address: str | None = None) -> RenderedCard:
    """Return a card as HTML; ``active`` names the version that scores now, ``versions`` those with a card."""
    details, evaluation, metrics = card["model_details"], card["quantitative_analyses"], card["metrics"]
    tag, signature = _SIGNATURES[details["signature"]]
    by_design = metrics["false_alarm_rate_by_design"]
    all_patients = {"name": "all patients"} | {
        level: {rate: evaluation.estimate(f"{rate}_{level}") for rate in RATES} for level in by_design
    }
    settings = TrainingSettings.model_fields
    html = render_template(
        "model_card_sections.html",
        card=card,
        signature=signature,
        active=active,
        versions=versions,
        json_address=json_address,
        figures=[(shown, evaluation.figures[name]) for name, shown in SHOWN.items() if name in evaluation.figures],
        levels=[(level_text(at), at, score, by_design[at]) for at, score in by_level(metrics["thresholds"]).items()],
        groups=[all_patients | evaluation.model_dump(include={"disease_free", "with_disease"}), *evaluation.groups],
        risk_levels=[level.value for level in LEVELS],
        field_labels=[FIELDS[name].label for name in card["factors"]["fields"]],
        # Each setting under its own description, up to what that says of the consequences.
        parameters={
            str(settings[name].description).partition(":")[0].rstrip("."): value
            for name, value in details["parameters"]
        },
        number=page_number,
        per_100=per_100,
    )
    # A client app shows the tags around the card: it cannot see into the HTML.
    tags = {tag: ""} | ({"recalibrated": "warn"} if details["recalibrated_from"] else {})
    return RenderedCard(version=details["version"], active=active, name=details["name"], tags=tags, html=html)


def per_100(share: float) -> str:
    """Return a measured share (0 to 1) as a rounded number of 100 patients, as the pages do; never none, never all."""
    least, most = 0.01, 0.99
    if share < least:
        return "fewer than 1"
    return "more than 99" if share > most else f"{100 * share:.0f}"


def page_number(value: float, style: str) -> str:
    """Return a number as it is printed, with a real minus sign."""
    return format(value, style).replace("-", "\u2212")
