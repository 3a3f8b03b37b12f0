"""The page of a model card: every number of the card is on it, as text, and nothing else."""

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from flask import Flask, render_template
from jinja2 import FileSystemLoader

from common.messages import RiskLevel
from common.rendered_card import RenderedCard
from common.web.app import UI_FOLDER
from config.secrets import PROJECT_ROOT
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import SHOWN, Estimate, Rates
from server.model_card_page import page_number, rendered
from server.registry.model_card import ModelCard, model_card
from tests.unit.test_pages import Page

EARLIER = "20260101T000000Z-0123456789ab"


@pytest.fixture
def card(detector: Detector) -> ModelCard:
    return model_card(detector.manifest)


def html_of(card: ModelCard, *, active: str = EARLIER, note: str | None = None, **more: Any) -> str:
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


def without_labels(card: ModelCard) -> ModelCard:
    """The card of a model whose evaluation had no patient with disease."""
    evaluation = card.quantitative_analyses

    def blind(rates: Rates) -> Rates:
        return rates.model_copy(update={"sensitivity": Estimate(value=None)})

    groups = [
        group.model_copy(
            update={"with_disease": 0, "medium_or_higher": blind(group.medium_or_higher), "high": blind(group.high)}
        )
        for group in evaluation.groups
    ]
    figures = {name: figure for name, figure in evaluation.figures.items() if "false_alarm" in name}
    changed = evaluation.model_copy(update={"with_disease": 0, "groups": groups, "figures": figures})
    return card.model_copy(update={"quantitative_analyses": changed, "weak_spots": []})


def with_details(card: ModelCard, **changes: object) -> ModelCard:
    return card.model_copy(update={"model_details": card.model_details.model_copy(update=changes)})


def test_every_number_stands_on_the_page_with_its_interval(card: ModelCard) -> None:
    evaluation, rows = card.quantitative_analyses, list(rows_of(html_of(card)))
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
    levels = [level.value for level in RiskLevel]
    assert [exact for _, exact in rows[-2:]] == [
        [counts[level] for level in levels]
        for counts in (evaluation.confusion.disease_free, evaluation.confusion.with_disease)
    ]


def test_every_sentence_of_the_card_stands_on_the_page(card: ModelCard) -> None:
    text = text_of(html_of(card))
    use, details = card.intended_use, card.model_details
    sentences = [*use.primary_uses, *use.primary_users, *use.out_of_scope, *card.weak_spots, *details.references]
    sentences += [*card.caveats_and_recommendations, card.data.label, card.metrics.anomaly_score]
    sentences += [details.algorithm, details.licence, details.version, card.data.training.sha256]
    assert card.weak_spots
    assert [sentence for sentence in sentences if sentence not in text] == []
    assert all(f"{name} {version}" in text for name, version in details.software.items())
    assert text.index(use.out_of_scope[0]) < text.index("AUROC")


def test_the_page_has_nothing_inline_and_every_reference_leads_somewhere(card: ModelCard) -> None:
    for changed in (card, without_labels(card), with_details(card, recalibrated_from=EARLIER)):
        parsed = Page()
        parsed.feed(
            html_of(changed, active=EARLIER, note="A copy.", versions=[card.version, EARLIER], json_address="/x")
        )
        assert parsed.with_tag("style") == []
        assert [text for _, text in parsed.scripts if text.strip()] == []
        assert [attributes for _, attributes in parsed.elements if "style" in attributes] == []
        assert [found for found, times in Counter(parsed.ids).items() if times > 1] == []
        for _, attributes in parsed.elements:
            assert set(attributes.get("aria-labelledby", "").split()) <= set(parsed.ids)
            if attributes.get("href", "").startswith("#"):
                assert attributes["href"][1:] in parsed.ids


def test_the_cards_words_are_text_and_never_markup(card: ModelCard) -> None:
    markup = "<img src=x onerror=alert(1)>"
    spoilt = card.model_copy(update={"weak_spots": [markup], "caveats_and_recommendations": [markup]})
    html = html_of(with_details(spoilt, name=markup, software={markup: markup}, references=[markup]))
    assert "<img" not in html
    assert html.count("&lt;img src=x") == 6


def test_a_model_without_labels_has_dashes_where_there_are_no_figures(card: ModelCard) -> None:
    html = html_of(without_labels(card))
    assert "No patient with disease was held out" in html
    assert not {"None", "nan"} & set(text_of(html).split())
    assert next(text for text, _ in rows_of(html) if text.startswith("female")).endswith("0 – not worked out")


def test_a_recalibrated_model_says_whose_figures_these_are(card: ModelCard) -> None:
    html = html_of(with_details(card, recalibrated_from=EARLIER), active=card.version)
    assert f"it is that of version {EARLIER}, from which this one was recalibrated" in text_of(html)
    assert html.count(f'href="/model/{EARLIER}"') == 2
    assert "was recalibrated" not in html_of(card)


def test_the_active_version_is_marked_and_the_others_lead_to_it(card: ModelCard) -> None:
    other = html_of(card, active=EARLIER)
    assert "This is not the active version" in text_of(other)
    assert f'href="/model/{EARLIER}"' in other
    active = html_of(card, active=card.version, versions=[card.version, EARLIER])
    assert "not the active version" not in text_of(active)
    assert f"{card.version} active shown here {EARLIER}" in text_of(active[active.index('id="versions"') :])


def test_a_model_is_called_signed_only_where_its_signature_was_verified(card: ModelCard) -> None:
    for signature, tag, sentence in (
        ("verified", "signed", "Signed, and verified with"),
        ("not checked", "signature not checked", "Signed, but not checked here"),
        ("none", "not signed", "Not signed."),
    ):
        html = html_of(with_details(card, signature=signature))
        assert f'<li class="tag">{tag}</li>' in html
        assert sentence in text_of(html)
