"""The dashboard while versions of the model come and go under it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from server.registry.artifact import FOREST_FILE, active_folder, load_detector
from tests.browser.conftest import OpenPage
from tests.support.model_versions import activate, flip_a_byte, replace_file
from tests.support.processes import TOKENS, Process, environment_of, run


@pytest.mark.full
def test_the_open_dashboard_follows_the_model_and_says_why_one_was_refused(
    processes: list[Process],
    tmp_path: Path,
    model_folder: Path,
    *,
    detector_dir: Path,
    other_detector_dir: Path,
    open_page: OpenPage,
) -> None:
    process = run(processes, environment_of(tmp_path, model_folder, "eventlet") | {"MODEL_WATCH_SECONDS": "0.1"})
    process.wait_until_started()
    first, second = (load_detector(directory).model_version for directory in (detector_dir, other_detector_dir))
    page = open_page(f"{process.url}/sign-in#token={TOKENS['OPERATOR_TOKEN']}")
    facts, banner = page.locator("#server-facts"), page.locator("#model-banner")
    expect(facts).to_contain_text(first)
    expect(banner).to_be_hidden()
    activate(other_detector_dir, model_folder)
    expect(facts).to_contain_text(second)
    flip_a_byte(active_folder(model_folder) / FOREST_FILE)
    expect(banner).to_contain_text("The files in the model's folder were refused")
    expect(banner).to_contain_text(f"version {second} goes on scoring")
    expect(banner).to_contain_text(FOREST_FILE)
    expect(facts).to_contain_text(second)
    replace_file(active_folder(other_detector_dir) / FOREST_FILE, active_folder(model_folder))
    expect(banner).to_be_hidden()
