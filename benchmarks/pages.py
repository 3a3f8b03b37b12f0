"""From a patient to the painted row on real pages in Chromium; ``benchmarks.load --pages N`` runs it."""

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from functools import partial

from playwright.sync_api import Page, sync_playwright

from benchmarks.load import ANSWERS, CONNECTIONS, RATES, WARM_UP_SECONDS, Latencies, print_rates, slowest
from benchmarks.running import our_servers
from benchmarks.traffic import Made, Peers
from tests.browser.conftest import CHROMIUM_OPTIONS, find_chromium
from tests.support.processes import TOKENS

PAINTED_MS = 60_000.0

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
    print(f"{pages} dashboards open in Chromium on the same cores; target: a painted row with a p99 under 150 ms")
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(CHROMIUM_OPTIONS))
        stack.callback(chromium.close)
        (server,) = stack.enter_context(our_servers(1, CONNECTIONS))
        opened = []
        for _ in range(pages):
            page = chromium.new_context().new_page()
            page.add_init_script(_STAMP_ROWS)
            page.goto(f"{server.url}/sign-in#token={TOKENS['OPERATOR_TOKEN']}")
            page.wait_for_selector("#live-state:has-text('Live')")
            opened.append(page)
        peers = stack.enter_context(closing(Peers(server, dashboards=1)))
        print_rates(RATES[:1], partial(_measured, peers, opened, seconds))


def _measured(peers: Peers, opened: Iterable[Page], seconds: float, rate: float) -> dict[str, Latencies]:
    peers.on_schedule(rate, WARM_UP_SECONDS)
    wall = time.time() - time.perf_counter()
    due = peers.on_schedule(rate, seconds)
    painted = slowest(_painted(page, due, peers.made, wall) for page in opened)
    return {ANSWERS: Latencies(due, peers.answered), "send to painted row, slowest": painted}


def _painted(page: Page, due: Mapping[str, float], made: Mapping[str, Made], wall: float) -> Latencies:
    """Measure until each row was painted; those that newer ones had pushed off the page before are left out."""
    page.wait_for_function("id => id in window.paintedAt", arg=made[list(due)[-1]].row, timeout=PAINTED_MS)
    stamps: dict[str, float] = page.evaluate("window.paintedAt")
    painted = {one: stamps[made[one].row] / 1000 - wall for one in due if made[one].row in stamps}
    return Latencies({one: due[one] for one in painted}, painted)
