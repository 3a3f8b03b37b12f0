"""The page of a model card: every number of the card is on it, as text, and nothing else."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from flask import Flask, render_template
from jinja2 import FileSystemLoader

from common.messages import LEVELS
from common.rendered_card import RenderedCard
from common.web.app import UI_FOLDER
from config.secrets import PROJECT_ROOT
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import SHOWN, Estimate
from server.model_routes import page_number, rendered
from server.registry.model_card import Card, model_card
from tests.unit.test_pages import Page, assert_nothing_inline, assert_references_lead_somewhere

EARLIER = "20260101T000000Z-0123456789ab"


@pytest.fixture
def card(detector: Detector) -> Card:
    return model_card(detector.manifest)


@pytest.fixture
def unlabeled(detector: Detector) -> Card:
    """The card of a model whose evaluation had no patient with disease."""
    evaluation = detector.manifest.evaluation
    figures = {name: figure for name, figure in evaluation.figures.items() if "false_alarm" in name}
    changed = evaluation.model_copy(update={"with_disease": 0, "groups": [], "figures": figures})
    return model_card(detector.manifest.model_copy(update={"evaluation": changed}))


def html_of(card: Card, *, active: str = EARLIER, note: str | None = None, **more: Any) -> str:
    """The page: what is rendered of the card, sent, and shown in the frame."""
    app = Flask(__name__)
    app.jinja_env.loader = FileSystemLoader([UI_FOLDER / "templates", PROJECT_ROOT / "server" / "templates"])
    app.jinja_env.globals["csrf_token"] = lambda: "token"
    with app.test_request_context():
        sent = rendered(card, active=active, **more).model_dump_json()
        return render_template(
            "model_card.html", card=RenderedCard.model_validate_json(sent), place="Client-1", note=note
        )


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def rows_of(html: str) -> Iterator[tuple[str, list[float]]]:
    """Yield the text of each row of the tables, and the exact numbers in it."""
    for row in re.findall(r"<tr .*?</tr>", html, re.DOTALL):
        yield text_of(row), [float(number) for number in re.findall(r'<data[^>]* value="([^"]+)"', row)]


def numbers(*estimates: Estimate | None) -> list[float]:
    """The numbers of estimates in the order they are printed."""
    found = [(estimate.value, estimate.low, estimate.high) for estimate in estimates if estimate is not None]
    return [number for estimate in found for number in estimate if number is not None]


def with_details(card: Card, **changes: object) -> Card:
    return card | {"model_details": card["model_details"] | changes}


def test_every_number_stands_on_the_page_with_its_interval(card: Card) -> None:
    evaluation, rows = card["quantitative_analyses"], list(rows_of(html_of(card)))
    assert len(evaluation.figures) > 10
    for name, figure in evaluation.figures.items():
        shown = SHOWN[name]
        printed = [page_number(number, shown.style) for number in numbers(figure.ours, figure.usual)]
        ((text, exact),) = [
            row for row in rows if row[0].startswith(f"{shown.title.replace('90%', '90 %')} {printed[0]}")
        ]
        assert exact == numbers(figure.ours, figure.usual), name
        assert all(number in text for number in printed)
    for group in evaluation.groups:
        assert [exact for text, exact in rows if text.startswith(f"{group.name} ")] == [
            [group.disease_free, *numbers(rates.false_alarm_rate), group.with_disease, *numbers(rates.sensitivity)]
            for rates in (group.medium_or_higher, group.high)
        ]
    together = [exact for text, exact in rows if text.startswith("all patients ")]
    assert [exact[0] for exact in together] == [evaluation.disease_free] * 2
    assert numbers(evaluation.estimate("sensitivity_high")) == together[1][-3:]
    levels = [level.value for level in LEVELS]
    counted = [[counts[level] for level in levels] for counts in evaluation.confusion.values()]
    assert [exact for _, exact in rows[-2:]] == counted


def test_every_sentence_of_the_card_stands_on_the_page(card: Card) -> None:
    text = text_of(html_of(card))
    use, details = card["intended_use"], card["model_details"]
    sentences = [*use["primary_uses"], *use["primary_users"], *use["out_of_scope"], *card["weak_spots"]]
    sentences += [*details["references"], *card["caveats_and_recommendations"], card["data"]["label"]]
    sentences += [card["metrics"]["anomaly_score"], details["algorithm"], details["license"], details["version"]]
    sentences += [f"{name} {version}" for name, version in details["software"].items()]
    sentences += ["Trees in the isolation forest50", "Seed of every random choice in training0"]
    assert card["weak_spots"]
    assert [sentence for sentence in sentences if sentence not in text] == []
    assert text.index(use["out_of_scope"][0]) < text.index("AUROC")


def test_the_page_has_nothing_inline_and_every_reference_leads_somewhere(card: Card, unlabeled: Card) -> None:
    for changed in (unlabeled, with_details(card, recalibrated_from=EARLIER)):
        parsed = Page()
        parsed.feed(html_of(changed, note="A copy.", versions=[EARLIER], json_address="/x"))
        assert_nothing_inline(parsed)
        assert_references_lead_somewhere(parsed)


def test_the_cards_words_are_text_and_never_markup(card: Card) -> None:
    markup = "<img src=x onerror=alert(1)>"
    spoilt = card | {"weak_spots": [markup], "caveats_and_recommendations": [markup]}
    html = html_of(with_details(spoilt, name=markup, software={markup: markup}, references=[markup]))
    assert "<img" not in html
    assert html.count("&lt;img src=x") == 6


def test_a_model_without_labels_has_dashes_where_there_are_no_figures(unlabeled: Card) -> None:
    html = html_of(unlabeled)
    assert "No patient with disease was held out" in html
    assert not {"None", "nan"} & set(text_of(html).split())
    assert next(text for text, _ in rows_of(html) if text.startswith("all patients")).endswith("0 – not worked out")


def test_the_page_says_whose_figures_these_are_and_which_version_is_active(card: Card) -> None:
    version = card["model_details"]["version"]
    recalibrated = html_of(with_details(card, recalibrated_from=EARLIER), active=version)
    assert f"it is that of version {EARLIER}, from which this one was recalibrated" in text_of(recalibrated)
    active = html_of(card, active=version, versions=[version, EARLIER])
    assert "was recalibrated" not in active
    assert f"{version} active shown here {EARLIER}" in text_of(active[active.index('id="versions"') :])


@pytest.mark.parametrize(
    ("signature", "tag"), [("verified", "signed"), ("not checked", "signature not checked"), ("none", "not signed")]
)
def test_a_model_is_called_signed_only_where_its_signature_was_verified(card: Card, signature: str, tag: str) -> None:
    assert f'<li class="tag">{tag}</li>' in html_of(with_details(card, signature=signature))
