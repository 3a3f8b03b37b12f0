"""From a patient to the painted row on real pages in Chromium; ``benchmarks.load --pages N`` runs it."""

import time
from contextlib import ExitStack, closing

from playwright.sync_api import Page, sync_playwright

from benchmarks.load import CONNECTIONS, RATES, WARM_UP_SECONDS, Latencies
from benchmarks.running import our_server
from benchmarks.traffic import Peers
from tests.browser.conftest import CHROMIUM_OPTIONS, find_chromium

PAINTED_SECONDS = 60.0

# Stamps each row with the wall clock once the frame that shows it has been handed to the screen.
_STAMP_ROWS = """
window.paintedAt = {};
addEventListener("DOMContentLoaded", () => {
  const rows = document.getElementById("prediction-rows");
  if (!rows) return;
  new MutationObserver((changes) => {
    const ids = changes.flatMap(({ addedNodes }) => [...addedNodes]).map((row) => row.dataset?.id).filter(Boolean);
    requestAnimationFrame(() => setTimeout(() => ids.forEach((id) => { window.paintedAt[id] ??= Date.now(); })));
  }).observe(rows, { childList: true });
});
"""


def print_pages(pages: int, seconds: float) -> None:
    """Measure send to saved answer, and send to a painted row on each of so many real pages."""
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_OPTIONS))
        stack.callback(chromium.close)
        server = stack.enter_context(our_server(CONNECTIONS))
        opened = []
        for _ in range(pages):
            page = chromium.new_context().new_page()
            page.add_init_script(_STAMP_ROWS)
            page.goto(f"{server.url}/sign-in#token={server.operator_token}")
            page.wait_for_selector("#live-state:has-text('Live')")
            opened.append(page)
        peers = stack.enter_context(closing(Peers(server, dashboards=1)))
        peers.on_schedule(RATES[0], WARM_UP_SECONDS)
        wall = time.time() - time.perf_counter()
        due = peers.on_schedule(RATES[0], seconds)
        painted = [Latencies(due, _painted(page, due, peers.prediction_ids, wall)) for page in opened]
    slowest = max(painted, key=lambda each: each.p99)
    print(f"{RATES[0]:.0f} predictions a second, {pages} dashboards open in Chromium on the same cores")
    print(f"  send to saved answer            {Latencies(due, peers.answered)}")
    print(f"  send to painted row, slowest    {slowest}   target: p99 under 150 ms\n", flush=True)


def _painted(page: Page, due: dict[str, float], prediction_ids: dict[str, str], wall: float) -> dict[str, float]:
    """Return when each row was painted; those that newer ones had pushed off the page before are left out."""
    newest = prediction_ids[list(due)[-1]]
    page.wait_for_function("id => id in window.paintedAt", arg=newest, timeout=PAINTED_SECONDS * 1000)
    stamps: dict[str, float] = page.evaluate("window.paintedAt")
    return {one: stamps[made] / 1000 - wall for one, made in prediction_ids.items() if one in due and made in stamps}
