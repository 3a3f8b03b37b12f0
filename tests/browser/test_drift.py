"""The drift panel as operators use it, while the server tells of more and more patients of one desk."""

import json
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Locator, Page, expect

from server.drift.report import DriftReport
from tests.browser.conftest import scrolls_sideways
from tests.support.system_parts import Clinician

SENTENCE = "Serum cholesterol is not measured for 81\u202f% of Client-2's patients; in training 0\u202f%."


def report(patients: int) -> Any:
    """Tell of so many patients of Client-2, most of whose cholesterol is not measured."""
    field = {
        "name": "cholesterol", "label": "Serum cholesterol", "status": "large", "missing": 0.81,
        "missing_in_reference": 0.0, "psi_disease_free": 0.1, "psi_all_patients": None,
    }  # fmt: skip
    drifted = {
        "status": "large", "summary": "large drift", "since": "2026-11-30T10:22:05Z", "levels": "12 % are High",
        "findings": [{"status": "large", "sentence": SENTENCE}], "fields": [field],
    }  # fmt: skip
    groups = [{"client_id": one, "patients": 0, "summary": "0 of 100 patients needed"} for one in ("Client-1", None)]
    few = {"client_id": "Client-2", "patients": patients, "summary": f"{patients} of 100 patients needed"}
    told = {
        "model_version": "a version", "compared_with": "training", "patients_needed": 100, "window_patients": 500,
        "window_days": 30, "disease_free": 160, "with_disease": 137,
        "groups": [*groups, few | drifted if patients >= 100 else few],
    }  # fmt: skip
    return DriftReport.model_validate_json(json.dumps(told)).to_wire()


def tile(page: Page, name: str) -> Locator:
    return page.locator("#drift-groups > li").filter(has=page.locator("h3", has_text=name))


def test_an_open_dashboard_says_for_whom_what_is_no_longer_measured(links: Sequence[str], dashboard: Page) -> None:
    told = [report(81)]
    dashboard.route("**/api/drift", lambda route: route.fulfill(json=told[-1]))
    dashboard.reload()
    expect(dashboard.locator("#drift-state")).to_have_text("Too few patients")
    expect(dashboard.locator("#drift-groups")).to_be_hidden()
    expect(tile(dashboard, "All clients")).to_contain_text("0 of 100 patients needed")
    group = tile(dashboard, "Client-2")
    expect(group).to_contain_text("81 of 100 patients needed")
    expect(group.locator("details")).to_be_hidden()

    told.append(report(100))
    with Clinician(links[2]) as clinician:
        clinician.answers([clinician.submit()])
    expect(dashboard.locator("#drift-state")).to_contain_text("Client-2: large drift")
    expect(dashboard.locator("#drift-banner")).to_contain_text("Client-2: large drift")
    expect(dashboard.locator("#drift-advice")).to_be_visible()
    expect(group).to_contain_text(SENTENCE)
    expect(tile(dashboard, "Client-1")).to_contain_text("0 of 100 patients needed")

    summary, row = group.locator("summary"), group.locator("tbody tr", has_text="Serum cholesterol")
    summary.press("Enter")
    expect(row.locator("td").first).to_have_text("81\u202f%")
    told.append(report(101))
    with Clinician(links[2]) as clinician:
        clinician.answers([clinician.submit()])
    expect(group).to_contain_text("101 patients")
    expect(row).to_be_visible()  # what was opened stays open
    expect(summary).to_be_focused()
    dashboard.set_viewport_size({"width": 320, "height": 900})
    assert not scrolls_sideways(dashboard)
