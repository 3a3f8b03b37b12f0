"""The page of a model card: every number of the card is on it, as text, and nothing else."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template
from jinja2 import FileSystemLoader

from common.messages import RiskLevel
from common.rendered_card import RenderedCard
from common.web.app import UI_FOLDER
from config.secrets import PROJECT_ROOT
from server.anomaly.evaluation_figures import SHOWN, Estimate, Figure, GroupRates, Rates
from server.model_card_page import page_number, rendered
from server.registry.artifact import CARD_FILE
from server.registry.model_card import ModelCard
from tests.unit.test_pages import Page

EARLIER = "20260101T000000Z-0123456789ab"
NOTHING = Estimate(value=None)


@dataclass
class Tables(HTMLParser):
    """The body rows of a page's tables: the text of each cell, and the exact numbers in it."""

    rows: list[tuple[list[str], list[float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._cells: list[str] | None = None
        self._numbers: list[float] = []
        self._in_row = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._cells, self._numbers = [], []
        if tag in ("th", "td") and self._cells is not None:
            self._cells.append("")
        if tag == "data" and self._cells is not None:
            self._numbers.append(float(dict(attributes)["value"] or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self._cells is not None:
            self.rows.append(([" ".join(cell.split()) for cell in self._cells], self._numbers))
            self._cells = None

    def handle_data(self, data: str) -> None:
        if self._cells:
            self._cells[-1] += data


@pytest.fixture
def card(detector_dir: Path) -> ModelCard:
    """The card that a training wrote."""
    return ModelCard.model_validate_json((detector_dir / CARD_FILE).read_bytes())


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


def rows_of(html: str) -> list[tuple[list[str], list[float]]]:
    tables = Tables()
    tables.feed(html)
    return tables.rows


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def numbers(*estimates: Estimate | None) -> list[float]:
    """The numbers of estimates in the order they are printed."""
    found = [(estimate.value, estimate.low, estimate.high) for estimate in estimates if estimate is not None]
    return [number for estimate in found for number in estimate if number is not None]


def printed(estimate: Estimate, style: str) -> str:
    interval = f" ({page_number(estimate.low, style)} to {page_number(estimate.high, style)})"
    return page_number(estimate.value, style) + (interval if estimate.low is not None else "")


def without_labels(card: ModelCard) -> ModelCard:
    """The card of a model whose evaluation had no patient with disease."""
    evaluation = card.quantitative_analyses

    def blind(rates: Rates) -> Rates:
        return rates.model_copy(update={"sensitivity": NOTHING})

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


def test_every_figure_stands_on_the_page_with_its_interval_beside_the_usual_forests(card: ModelCard) -> None:
    rows = {cells[0]: (cells[1:], numbers) for cells, numbers in rows_of(html_of(card))}
    figures = card.quantitative_analyses.figures
    assert len(figures) > 10
    for name, figure in figures.items():
        shown = SHOWN[name]
        cells, found = rows[shown.title.replace("90%", "90 %")]
        assert found == numbers(figure.ours, figure.usual), name
        assert cells[0] == printed(figure.ours, shown.style)
        if figure.usual:
            assert cells[1] == printed(figure.usual, shown.style)


def test_every_group_stands_on_the_page_at_both_levels(card: ModelCard) -> None:
    rows = rows_of(html_of(card))
    groups = card.quantitative_analyses.groups
    assert [group.name for group in groups] == card.factors.subgroups

    def expected(group: GroupRates, rates: Rates) -> list[float]:
        sizes: Sequence[float] = (group.disease_free, group.with_disease)
        return [sizes[0], *numbers(rates.false_alarm_rate), sizes[1], *numbers(rates.sensitivity)]

    for group in groups:
        found = [numbers for cells, numbers in rows if cells[0] == group.name]
        assert found == [expected(group, group.medium_or_higher), expected(group, group.high)]


def test_patients_by_level_are_the_cards(card: ModelCard) -> None:
    rows = {cells[0]: numbers for cells, numbers in rows_of(html_of(card))}
    confusion = card.quantitative_analyses.confusion
    levels = [level.value for level in RiskLevel]
    assert rows["Disease-free"] == [confusion.disease_free[level] for level in levels]
    assert rows["With disease"] == [confusion.with_disease[level] for level in levels]


def test_every_sentence_of_the_card_stands_on_the_page(card: ModelCard) -> None:
    text = text_of(html_of(card))
    use, details = card.intended_use, card.model_details
    sentences = [*use.primary_uses, *use.primary_users, *use.out_of_scope, *card.weak_spots, *details.references]
    sentences += [*card.caveats_and_recommendations, card.data.label, card.metrics.anomaly_score]
    sentences += [details.algorithm, details.licence, details.version, card.data.training.sha256]
    assert card.weak_spots
    assert [sentence for sentence in sentences if sentence not in text] == []
    assert all(f"{name} {version}" in text for name, version in details.software.items())


def test_what_it_is_not_for_comes_before_how_well_it_does(card: ModelCard) -> None:
    text = text_of(html_of(card))
    assert text.index("Intended use") < text.index(card.intended_use.out_of_scope[0]) < text.index("AUROC")


@pytest.mark.parametrize("kind", ["as trained", "without labels", "recalibrated"])
def test_the_page_has_nothing_inline_and_every_reference_leads_somewhere(card: ModelCard, kind: str) -> None:
    changed = {
        "as trained": card,
        "without labels": without_labels(card),
        "recalibrated": with_details(card, recalibrated_from=EARLIER),
    }[kind]
    parsed = Page()
    parsed.feed(html_of(changed, active=EARLIER, note="A copy.", versions=[card.version, EARLIER], json_address="/x"))
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
    assert "None" not in html
    assert "nan" not in text_of(html).split()
    (female, *_) = [cells for cells, _ in rows_of(html) if cells[0] == "female"]
    assert female[3:] == ["0", "– not worked out"]


def test_a_recalibrated_model_says_whose_figures_these_are(card: ModelCard) -> None:
    html = html_of(with_details(card, recalibrated_from=EARLIER), active=card.version)
    assert f"it is that of version {EARLIER}, from which this one was recalibrated" in text_of(html)
    assert html.count(f'href="/model/{EARLIER}"') == 2
    assert "was recalibrated" not in html_of(card)


def test_a_version_that_is_not_the_active_one_says_so_and_leads_to_that(card: ModelCard) -> None:
    html = html_of(card, active=EARLIER)
    assert "This is not the active version" in text_of(html)
    assert f'href="/model/{EARLIER}"' in html
    assert "not the active version" not in text_of(html_of(card, active=card.version))


def test_the_versions_there_are_have_links_and_the_active_one_is_marked(card: ModelCard) -> None:
    html = html_of(card, active=card.version, versions=[card.version, EARLIER])
    listed = text_of(html[html.index('id="versions"') :])
    assert f"{card.version} active shown here {EARLIER}" in listed
    assert f'href="/model/{EARLIER}"' in html


def test_a_figure_that_has_no_title_yet_is_shown_all_the_same(card: ModelCard) -> None:
    evaluation = card.quantitative_analyses
    new = {**evaluation.figures, "a_new_figure": Figure(ours=Estimate(value=0.25, low=0.125, high=0.5))}
    changed = card.model_copy(update={"quantitative_analyses": evaluation.model_copy(update={"figures": new})})
    rows = {cells[0]: numbers for cells, numbers in rows_of(html_of(changed))}
    assert rows["a new figure"] == [0.25, 0.125, 0.5]


@pytest.mark.parametrize(
    ("signature", "tag", "sentence"),
    [
        ("verified", "signed", "Signed, and verified with"),
        ("not checked", "signature not checked", "It carries a signature that was not checked here"),
        ("none", "not signed", "Not signed."),
    ],
)
def test_a_model_is_called_signed_only_where_its_signature_was_verified(
    card: ModelCard, signature: str, tag: str, sentence: str
) -> None:
    html = html_of(with_details(card, signature=signature))
    assert f'<li class="tag">{tag}</li>' in html
    assert sentence in text_of(html)
