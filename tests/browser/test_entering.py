"""What clinicians type or paste: read in their unit, asked about where it is unclear, kept until it is submitted."""

import re

import pytest
from playwright.sync_api import Locator, Page, Response, Route, expect

from tests.browser.conftest import LEVEL, App, OpenPage, entry, load_sample
from tests.browser.test_session import dialog_of, sign_in_as_ada
from tests.support.waiting import wait_until

UNCLEAR = "41\t0\t3\t130\t204\t0\t0\t172\t0\t1,4\t2\t0\t6\t0"
WORDS = "Age,Sex,Chest pain type,BP,Number of vessels fluro\n63,1,3,145/90,?"


@pytest.fixture
def form(clinic: Page) -> Page:
    clinic.context.grant_permissions(["clipboard-read", "clipboard-write"])
    clinic.get_by_role("button", name="Clear").click()
    return clinic


def paste(page: Page, text: str) -> Locator:
    page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    page.locator("#field-age").press("Control+V")
    dialog = page.get_by_role("dialog", name="Pasted row")
    expect(dialog).to_be_visible()
    return dialog


def fact(dialog: Locator, label: str) -> Locator:
    return dialog.locator("dt", has_text=re.compile(f"^{label}$")).locator("+ dd")


def chosen(page: Page, field: str) -> Locator:
    return page.locator(f"[data-field={field}] label:has(:checked)")


def test_cholesterol_is_typed_in_mmol_scored_in_mg_and_shown_again_as_typed(form: Page) -> None:
    load_sample(form)
    field, switch = form.locator("#field-cholesterol"), form.get_by_label("Unit of Serum cholesterol")
    field.fill("")
    field.press_sequentially("5,8")
    field.press("Tab")
    error = form.locator("#field-cholesterol-error")
    expect(error).to_contain_text("5.8 looks like mmol/L.")
    switch.select_option("mmol/L")
    expect(error).to_be_hidden()
    expect(form.locator("#field-cholesterol-scored")).to_have_text("Scored as 224.3 mg/dL.")
    form.locator("#field-patient_reference").fill("in mmol")
    form.locator("#analyze").click()
    expect(entry(form, "in mmol")).to_contain_text(LEVEL)
    form.get_by_text("Values entered").click()
    expect(form.locator("#prediction dl").first).to_contain_text("224.3 mg/dL")
    form.reload()
    expect(switch).to_have_value("mmol/L")  # remembered for the desk
    expect(field).to_have_value("")  # what was submitted is no draft
    switch.select_option("mg/dL")
    entry(form, "in mmol").get_by_role("button").click()
    form.get_by_role("button", name="Copy into the form").click()
    expect(field).to_have_value("5.8 mmol/L")
    expect(form.locator("#result-stale")).to_be_hidden()
    field.fill("6.1")
    field.press("Tab")
    form.get_by_role("button", name="Use 235.9 mg/dL").click()
    expect(field).to_have_value("6.1 mmol/L")


def test_codes_that_a_row_cannot_tell_are_asked_once_for_the_desk(form: Page) -> None:
    dialog = paste(form, UNCLEAR)
    expect(fact(dialog, "Chest pain type")).to_contain_text("see the question above")
    dialog.get_by_role("button", name="Fill the form").click()
    expect(dialog).to_be_visible()  # without an answer nothing is filled
    dialog.get_by_role("radio", name="asymptomatic · normal · down").check()
    expect(fact(dialog, "Slope of the ST segment")).to_have_text("down")
    dialog.get_by_role("button", name="Cancel").click()
    expect(form.locator("#field-age")).to_have_value("")
    paste(form, UNCLEAR).get_by_role("radio", name="asymptomatic · normal · down").check()
    dialog.get_by_role("button", name="Fill the form").press("Enter")
    expect(dialog).to_be_hidden()
    expect(form.locator("#field-st_depression")).to_have_value("1.4")
    expect(chosen(form, "chest_pain_type")).to_contain_text("asymptomatic")
    paste(form, UNCLEAR.replace("41\t0\t3", "41\t0\t1"))
    expect(dialog.get_by_role("radio", checked=True)).to_have_accessible_name("atypical angina · normal · down")
    dialog.get_by_role("button", name="Fill the form").press("Enter")
    form.get_by_role("button", name="Undo").click()
    expect(chosen(form, "chest_pain_type")).to_contain_text("asymptomatic")


def test_what_cannot_be_read_stays_empty_and_a_next_row_takes_the_reference_away(form: Page) -> None:
    form.locator("#field-patient_reference").fill("bed 12")
    dialog = paste(form, WORDS)
    expect(fact(dialog, "Resting blood pressure")).to_contain_text("“145/90” must be a number")
    expect(fact(dialog, "Major vessels")).to_have_text("not measured")
    dialog.get_by_role("button", name="Fill the form").click()
    expect(form.locator("#field-patient_reference")).to_have_value("bed 12")
    expect(form.locator("#field-resting_bp")).to_have_value("")
    expect(form.locator("#field-resting_bp-none")).not_to_be_checked()
    expect(chosen(form, "major_vessels")).to_contain_text("Not measured")
    paste(form, WORDS).get_by_role("button", name="Fill the form").click()
    expect(form.locator("#field-patient_reference")).to_have_value("")  # it may have been the last patient's


def is_kept(answer: Response) -> bool:
    return answer.request.method == "PUT" and answer.ok


def type_draft(page: Page) -> None:
    sign_in_as_ada(page)
    expect(page.locator("#analyze")).to_be_enabled()
    with page.expect_response(is_kept):
        page.get_by_label("Patient reference").fill("half a draft")
        page.locator("#field-age").fill("12/8")
        page.locator("#field-thallium_scan-7").check()


def expect_draft(page: Page) -> None:
    expect(page.locator("#entry-note")).to_contain_text("Your unfinished entry was restored.")
    expect(page.get_by_label("Patient reference")).to_have_value("half a draft")
    expect(page.locator("#field-age")).to_have_value("12/8")
    expect(page.locator("#field-thallium_scan-7")).to_be_checked()


def test_a_draft_outlives_reload_back_and_the_end_of_a_session_and_ends_when_it_is_cleared(
    client: App, open_page: OpenPage
) -> None:
    page = open_page(f"{client.url}/sign-in")
    type_draft(page)
    page.goto(f"{client.url}/model")
    page.go_back()
    expect_draft(page)
    page.locator("#field-age").fill("61")  # and away within the pause before it is saved
    page.reload()
    expect(page.locator("#field-age")).to_have_value("61")
    with page.expect_response(is_kept):
        page.locator("#field-age").fill("12/8")
    client.end_sessions()
    dialog_of(page).get_by_role("link", name="Leave this page").click()
    sign_in_as_ada(page)
    expect_draft(page)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#entry-note")).to_contain_text("The form was cleared.")
    page.reload()
    expect(page.locator("#analyze")).to_be_enabled()
    assert page.evaluate("fetch('/api/draft').then((answer) => answer.json())") == {"draft": None}
    expect(page.get_by_label("Patient reference")).to_have_value("")


def test_a_draft_never_replaces_what_was_typed_meanwhile(client: App, open_page: OpenPage) -> None:
    page = open_page(f"{client.url}/sign-in")
    type_draft(page)
    held: list[Route] = []
    page.route("**/api/draft", lambda route: held.append(route) if route.request.method == "GET" else route.continue_())
    page.reload()
    page.get_by_label("Patient reference").fill("somebody else")
    wait_until(lambda: bool(held))
    held[0].continue_()
    expect(page.locator("#entry-note")).to_contain_text("You have an earlier unfinished entry.")
    expect(page.get_by_label("Patient reference")).to_have_value("somebody else")
    page.get_by_role("button", name="Use it instead").click()
    expect(page.get_by_label("Patient reference")).to_have_value("half a draft")


def test_a_tab_whose_draft_another_one_replaced_says_so_and_keeps_it_again_when_that_one_is_cleared(
    client: App, open_page: OpenPage
) -> None:
    page = open_page(f"{client.url}/sign-in")
    type_draft(page)
    other = page.context.new_page()
    other.goto(client.url)
    expect_draft(other)
    with page.expect_response(is_kept):
        other.get_by_role("button", name="Clear").click()
    other.get_by_label("Patient reference").fill("somebody else")
    expect(page.locator("#entry-note")).to_contain_text("The form was changed in another tab.")
    with page.expect_response(is_kept):
        other.get_by_role("button", name="Clear").click()
    expect(page.locator("#entry-note")).to_be_empty()
    page.reload()
    expect_draft(page)
