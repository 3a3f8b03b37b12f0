"""What clinicians do to a page while a patient is under way, and what becomes of erased patients on open pages."""

import subprocess
from collections.abc import Sequence

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import LONG_MS, analyze_sample, load_sample
from tests.support.system_parts import Visitor
from tests.system.conftest import Installation


def expect_answered_once(page: Page, reference: str) -> None:
    entry = page.locator("#history-list li", has_text=reference)
    expect(entry).to_have_count(1, timeout=LONG_MS)
    expect(entry).not_to_contain_text("Queued", timeout=LONG_MS)


def answers(link: str, reference: str) -> list[str]:
    """Return the states of the requests with a reference in the history of a client app."""
    entries = Visitor(link).api("history?limit=200")["entries"]
    return [entry["state"] for entry in entries if entry["patient_reference"] == reference]


def erase(installation: Installation, reference: str) -> None:
    command = [".venv/bin/python", "-m", "server.store", "erase", "--patient-reference"]
    subprocess.run(command, cwd=installation.folder, input=f"{reference}\n".encode(), check=True, capture_output=True)


def test_a_connection_cut_between_sending_and_its_acknowledgement_queues_once(
    links: Sequence[str], clinic: Page
) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    clinic.route_web_socket("**/socket.io/**", pass_on)
    clinic.reload()
    expect(clinic.locator("#link-state")).to_contain_text("Connected")
    load_sample(clinic)
    clinic.locator("#field-patient_reference").fill("cut off")
    clinic.get_by_role("button", name="Analyze Patient Data").click(no_wait_after=True)
    sockets[-1].close()
    expect_answered_once(clinic, "cut off")
    assert answers(links[1], "cut off") == ["answered"]


def test_an_erased_patient_vanishes_from_every_open_page(
    installation: Installation, links: Sequence[str], clinic: Page, dashboard: Page
) -> None:
    for reference in ("stays here", "erased here"):
        analyze_sample(clinic, reference)
        expect_answered_once(clinic, reference)
    row = dashboard.locator("#prediction-rows tr", has_text="erased here")
    expect(row).to_have_count(1)
    total = Visitor(links[0]).api("status")["totals"]["predictions"]
    row.get_by_role("button").click()
    expect(dashboard.locator("#detail")).to_be_visible()
    expect(clinic.locator("#result")).to_contain_text("erased here")
    erase(installation, "erased here")
    expect(row).to_have_count(0)
    expect(dashboard.locator("#detail")).not_to_be_visible()
    expect(dashboard.locator("#total-predictions")).to_have_text(str(total - 1))
    expect(clinic.locator("#history-list li", has_text="erased here")).to_have_count(0)
    expect(clinic.locator("#result")).to_contain_text("was erased from the record")
    for page in (clinic, dashboard):
        assert "erased here" not in page.content()
        expect(page.locator("#history-list li, #prediction-rows tr", has_text="stays here")).to_have_count(1)
