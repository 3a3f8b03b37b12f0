"""The pages' HTML: nothing inline, a labeled control for each field, and nothing referred to that is not there."""

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.access.accounts import Account
from common.access.roles import Role
from common.errors import NotFoundError
from common.messages import PROTOCOL_VERSION
from common.patient import FIELDS, FieldDescription
from config.secrets import PROJECT_ROOT

UI = PROJECT_ROOT / "common" / "ui"
PAGES = dict.fromkeys(["client_dashboard.html", "sign_in.html", "error.html"], "client")
PAGES |= dict.fromkeys(["server_dashboard.html", "sessions.html"], "server")

SCRIPTS = {
    file: file.read_text(encoding="utf-8")
    for folder in (UI, *(PROJECT_ROOT / app / "static" for app in ("client", "server")))
    for file in folder.glob("*.js")
}

CHOICES = {"`unit-${field.name}`, switchOf(field).value", '`paste-${question.about}`, names.join(" ")'}
"""What pages have the browser keep, beside the theme."""


class Page(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []

    def feed(self, data: str) -> None:
        self.scripts: list[tuple[str, str]] = re.findall(r"<script([^>]*)>(.*?)</script>", data, re.S)
        self.legends = dict(re.findall(r'<fieldset[^>]* data-field="(\w+)"[^>]*>\s*<legend>([^<]*[^<\s])', data))
        super().feed(data)
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def with_tag(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(name: str, fields: Mapping[str, FieldDescription] = FIELDS) -> Page:
    folders = [PROJECT_ROOT / PAGES[name] / "templates", UI / "templates"]
    environment = Environment(loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined)
    administrator = Account("administrator", "Administrator", Role.ADMINISTRATOR, 0)
    desk = {"client_id": "Client-1", "title": "Client-1", "fields": fields}
    failure = {"error": NotFoundError(), "status": 404}
    context = {"csrf_token": lambda: "token", "account": administrator, "has_passwords": True, **desk, **failure}
    parsed = Page()
    parsed.feed(environment.get_template(name).render(context))
    return parsed


@pytest.fixture(params=sorted(PAGES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def assert_nothing_inline(parsed: Page) -> None:
    assert parsed.with_tag("style") == []
    for tag, attributes in parsed.elements:
        assert [key for key in attributes if key == "style" or key.startswith("on")] == [], tag
    for opening, text in parsed.scripts:
        assert "application/json" in opening or not text.strip()


def assert_references_lead_somewhere(parsed: Page) -> None:
    known = set(parsed.ids)
    assert len(known) == len(parsed.ids)  # an id stands once
    for _, attributes in parsed.elements:
        for key in ("for", "aria-labelledby", "aria-describedby"):
            assert set(attributes.get(key, "").split()) <= known
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in known


def test_no_page_has_inline_script_or_style_and_references_inside_a_page_lead_somewhere(name: str) -> None:
    assert_nothing_inline(page(name))
    assert_references_lead_somewhere(page(name))


def test_every_file_of_ours_that_a_page_loads_is_there(name: str) -> None:
    parsed = page(name)
    named = [item.get("src") or item.get("href", "") for item in parsed.with_tag("script") + parsed.with_tag("link")]
    loaded = [address.lstrip("/").split("/", 1) for address in named if address]
    folders = {"ui": UI, "static": PROJECT_ROOT / PAGES[name] / "static"}
    assert [rest for kind, rest in loaded if not (folders[kind] / rest).is_file()] == []
    assert len(loaded) >= 2


def test_the_pages_speak_the_protocol_of_the_apps() -> None:
    assert f"const PROTOCOL = {PROTOCOL_VERSION};" in SCRIPTS[UI / "socket.js"]


@pytest.mark.parametrize("template", ["client_dashboard.html", "server_dashboard.html", "sessions.html"])
def test_every_element_a_script_asks_for_by_id_is_on_its_page(template: str) -> None:
    known = set(page(template).ids)
    for script, text in SCRIPTS.items():
        if script.parts[-3] == PAGES[template] and (script.stem == "sessions") == (template == "sessions.html"):
            assert set(re.findall(r'(?:byId|copyOf)\("([\w-]+)"\)', text)) <= known, script.name


def test_every_field_has_a_labeled_control_that_offers_what_it_may_be() -> None:
    parsed = page("client_dashboard.html")
    inputs = {item["id"]: item for item in parsed.with_tag("input") if "id" in item}
    labeled = {label["for"] for label in parsed.with_tag("label") if "for" in label}
    for name, description in FIELDS.items():
        assert (f"field-{name}-none" in inputs) is not description.required
        if description.codes:
            assert parsed.legends[name] == description.label
            values = [item["value"] for item in inputs.values() if (item.get("name"), item["type"]) == (name, "radio")]
            assert values == [str(code) for code in description.codes] + ([] if description.required else [""])
        else:
            assert f"field-{name}" in labeled
            control = inputs[f"field-{name}"]
            assert (control["type"], control["inputmode"]) == ("text", "decimal")
            assert f"field-{name}-range" in control["aria-describedby"]


def test_a_field_that_is_in_no_group_is_drawn_all_the_same() -> None:
    extra = FieldDescription("Troponin", "Troponin", "ng/L", (0, 50), (0, 500), name="troponin")
    parsed = page("client_dashboard.html", {**FIELDS, "troponin": extra})
    assert "field-troponin" in parsed.ids


@pytest.mark.parametrize("template", ["client_dashboard.html", "server_dashboard.html"])
def test_page_data_holds_the_field_descriptions_and_cannot_end_its_script(template: str) -> None:
    nasty = FieldDescription("</script><b>", "x", codes={1: "</script>"}, name="nasty")
    parsed = page(template, {**FIELDS, "nasty": nasty})
    (text,) = [text for opening, text in parsed.scripts if "field-descriptions" in opening]
    described = json.loads(text)
    assert [item["name"] for item in described] == [*FIELDS, "nasty"]
    assert described[-1]["label"] == "</script><b>"


def test_patient_data_goes_into_no_address_and_no_browser_storage() -> None:
    for form in page("client_dashboard.html").with_tag("form") + page("sign_in.html").with_tag("form"):
        assert form["method"] == "dialog"
    for script, text in SCRIPTS.items():
        stored = re.findall(r"(?:localStorage|sessionStorage)\.\w+\([^)]*\)", text)
        allowed = {'localStorage.getItem("theme")', 'localStorage.setItem("theme", name)'}
        if script.name == "desk_choices.js":
            allowed = {"localStorage.getItem(`desk-${name}`)", "localStorage.setItem(`desk-${name}`, choice)"}
        assert set(stored) <= allowed, script.name
        assert set(re.findall(r"\bremember\((.+)\);", text)) <= CHOICES


def test_no_script_puts_markup_into_a_page() -> None:
    for text in SCRIPTS.values():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
