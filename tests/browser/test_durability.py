"""What clinicians do to a page while a patient is under way, and what becomes of erased patients on open pages."""

import subprocess
from collections.abc import Sequence

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import LEVEL, analyze_sample, entry, row
from tests.support.system_parts import Visitor
from tests.system.conftest import Installation


def test_a_connection_cut_before_the_acknowledgment_queues_once(links: Sequence[str], clinic: Page) -> None:
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    clinic.route_web_socket("**/socket.io/**", pass_on)
    clinic.reload()
    expect(clinic.locator("#link-state")).to_contain_text("Connected")
    analyze_sample(clinic, "cut off")
    sockets[-1].close()
    expect(entry(clinic, "cut off")).to_contain_text(LEVEL)
    entries = Visitor(links[1]).api("history?limit=200")["entries"]
    assert [one["state"] for one in entries if one["patient_reference"] == "cut off"] == ["answered"]


def test_an_erased_patient_vanishes_from_every_open_page(
    installation: Installation, links: Sequence[str], clinic: Page, dashboard: Page
) -> None:
    for reference in ("stays here", "erased here"):
        analyze_sample(clinic, reference)
        expect(entry(clinic, reference)).to_contain_text(LEVEL)
    erased = row(dashboard, "erased here")
    expect(erased).to_have_count(1)
    total = Visitor(links[0]).api("status")["totals"]["predictions"]
    erased.get_by_role("button").click()
    expect(dashboard.locator("#detail")).to_be_visible()
    expect(clinic.locator("#result")).to_contain_text("erased here")
    erase = [".venv/bin/python", "-m", "server.store", "erase", "--patient-reference"]
    subprocess.run(erase, cwd=installation.folder, input=b"erased here\n", check=True, capture_output=True)
    expect(erased).to_have_count(0)
    expect(dashboard.locator("#detail")).not_to_be_visible()
    expect(dashboard.locator("#total-predictions")).to_have_text(str(total - 1))
    expect(entry(clinic, "erased here")).to_have_count(0)
    expect(clinic.locator("#result")).to_contain_text("was erased from the record")
    for page in (clinic, dashboard):
        assert "erased here" not in page.content()
        assert "stays here" in page.content()
