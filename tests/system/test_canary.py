"""Marked patients through every path of real processes: no marker is in anything that is written, but the databases."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, Final, Self

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from common.messages import BROWSER_NAMESPACE
from config.secrets import PROJECT_ROOT
from tests.browser.conftest import CHROMIUM_OPTIONS, PATIENCE_MS, find_chromium
from tests.support.llm_server import LanguageModel, Reply
from tests.support.made_requests import request
from tests.support.speaking import Browser, ClientApp
from tests.support.speaking import Page as PageConnection
from tests.support.system_parts import free_ports
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(420)

MARKED: Final = {
    "resting_bp": 137.48213,
    "cholesterol": 263.91737,
    "max_heart_rate": 151.62943,
    "st_depression": 2.718283,
}
IMPOSSIBLE: Final = 9137.48213
REFERENCE: Final = "REFERENCE-CANARY"
REQUEST_ID: Final = "request-canary"
OF_THE_RECORD: Final = [*map(str, MARKED.values()), *(f"{value:g}" for value in MARKED.values()), "9137.48"]
BREAKING: Final = 264.91737
"""The cholesterol of the patient that the broken server fails at."""

MAY_HOLD: Final = ("predictions.sqlite", "client.sqlite", "backup.sqlite")
"""The two databases, with their journals, and the backup."""

SERVER_TOKENS: Final = {
    "SERVER_SECRET_KEY": "a-server-secret-key-of-this-test",
    "OPERATOR_TOKEN": "the-operators-token-of-this-test-of-32",
    "ADMINISTRATOR_TOKEN": "the-administrators-token-of-this-test",
    "CLIENT_1_TOKEN": "the-token-of-client-1-of-this-test-",
    "CLIENT_2_TOKEN": "the-token-of-client-2-of-this-test-",
    "CLIENT_3_TOKEN": "the-token-of-client-3-of-this-test-",
}
CLINICIAN: Final = "the-clinicians-token-of-this-test-of-32"

BROKEN_SERVER: Final = f"""
import sys
sys.path.insert(0, {str(PROJECT_ROOT)!r})
from common.web.concurrency import async_mode_of_environment, patch_standard_library
patch_standard_library(async_mode_of_environment())
import runpy
from server import predictions
as_it_was = predictions.facts_of
def fails_at_one_patient(record, *rest):
    if record.cholesterol == {BREAKING}:
        patient_held_here = record
        raise ValueError(f"cannot explain {{patient_held_here}} of {REFERENCE}")
    return as_it_was(record, *rest)
predictions.facts_of = fails_at_one_patient
runpy.run_path({str(PROJECT_ROOT / "server" / "app.py")!r}, run_name="__main__")
"""


class App:
    """One process, and the file that everything it says is in."""

    def __init__(self, command: Sequence[str], folder: str, environment: dict[str, str], said: Path) -> None:
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        self._said = said.open("ab")
        self._lines: Queue[bytes] = Queue()
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT_ROOT / folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._said,
            stdin=subprocess.DEVNULL,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        assert b"Open http" in self._lines.get(timeout=120), said.read_text()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.write(line)
            self._said.flush()
            self._lines.put(line)

    def end(self, *, suddenly: bool = False) -> None:
        (self._process.kill if suddenly else self._process.terminate)()
        self._process.wait(30)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()


@dataclass
class System:
    """A server, a client app and two browsers in folders of their own, and what HTTP and events answered."""

    folder: Path
    server_environment: dict[str, str]
    client_environment: dict[str, str]
    server: App | None = None
    client: App | None = None
    answered: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def start_server(self, *command: str) -> None:
        log = self.folder / "written" / "server.log"
        self.server = App(command or ("app.py",), "server", self.server_environment, log)

    def start_client(self) -> None:
        self.client = App(("app.py",), "client", self.client_environment, self.folder / "written" / "client.log")

    def command(self, *words: str, asked: str = "") -> None:
        """Run one of the server's commands, and keep what it says."""
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=PROJECT_ROOT,
            env=self.server_environment,
            input=asked,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.keep(done.returncode, done.stdout, done.stderr)

    def keep(self, *answers: object) -> None:
        self.answered += map(str, answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for app in (self.client, self.server):
            if app is not None:
                app.end()


def environments(folder: Path, model: Path, language_model: str) -> System:
    server_port, client_port = free_ports(2)
    common = os.environ | {
        "DATA_DIR": str(folder / "data"),
        "SECRETS_DIR": str(folder / "secrets"),
        "LOG_LEVEL": "DEBUG",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PUBLIC_URL": "",
    }
    server = common | SERVER_TOKENS
    server |= {"PORT": str(server_port), "MODEL_DIR": str(model), "MODEL_WATCH_SECONDS": "0.2"}
    server |= {"LLM_MODEL": "a/model", "LLM_BASE_URL": language_model, "LLM_TIMEOUT_SECONDS": "2", "DATABASE_URL": ""}
    client = common | {"PORT": str(client_port), "CLIENT_ID": "Client-1", "RECONNECT_MAX_SECONDS": "0.2"}
    client |= {"SERVER_URL": f"http://127.0.0.1:{server_port}", "CLIENT_1_TOKEN": SERVER_TOKENS["CLIENT_1_TOKEN"]}
    client |= {"CLIENT_1_CLINICIAN_TOKEN": CLINICIAN, "CLIENT_1_SECRET_KEY": "a-client-secret-key-of-this-test"}
    (folder / "written").mkdir()
    return System(folder, server, client)


def marked(number: int, **changes: object) -> dict[str, Any]:
    """Return a request of a marked patient as client apps send it."""
    record = request(number).record.model_dump() | MARKED | changes
    return request(number).to_wire() | {
        "request_id": f"{REQUEST_ID}-{number}",
        "patient_reference": REFERENCE,
        "record": record,
    }


def tells_back(reply: Reply) -> None:
    """Fail as a language model's server, with everything in its answer."""
    reply.begin(500, "application/json")
    reply.raw(json.dumps({"error": f"cannot explain {OF_THE_RECORD} of {REFERENCE}: {reply.body['messages']}"}))


MALFORMED: Final[tuple[object, ...]] = (
    REFERENCE,
    [MARKED],
    {REFERENCE: MARKED},
    marked(50) | {"record": str(MARKED)},
    marked(51, cholesterol=str(MARKED["cholesterol"])),
    marked(52) | {REFERENCE: IMPOSSIBLE},
    marked(53) | {"record": {**MARKED, REFERENCE: [[[[IMPOSSIBLE]]]]}},
    marked(54) | {"patient_reference": [REFERENCE]},
    marked(55, resting_bp=IMPOSSIBLE),
)


def speak_as_client_app(system: System) -> None:
    """Send the server what is valid, refused, malformed and repeated, as another client app."""
    assert system.server is not None
    app = ClientApp(system.server.url, SERVER_TOKENS["CLIENT_2_TOKEN"])
    system.keep(app.predict(marked(1)))
    system.texts.append(app.answered(f"{REQUEST_ID}-1").explanation.text)
    system.keep(app.predict(marked(1)), app.predict(marked(1, cholesterol=201.0)), app.refused(f"{REQUEST_ID}-1"))
    for message in MALFORMED:
        system.keep(app.predict(message))
    system.keep(app.ask(REFERENCE, marked(2)), app.ask("predict", marked(3), marked(4)))
    app.close()


def speak_as_page(system: System, cookie: str) -> None:
    """Send the client app what no page of ours would."""
    assert system.client is not None
    page = PageConnection(system.client.url, cookie, BROWSER_NAMESPACE)
    for message in MALFORMED:
        system.keep(page.ask("submit", message))
    system.keep(page.ask(REFERENCE, MARKED))
    page.close()


def ask_over_http(system: System, url: str, token: str) -> str:
    """Ask for everything there is and is not, signed in and not; return the cookie."""
    browser = Browser(url)
    system.keep(
        browser.sign_in(REFERENCE), browser.post("/sign-in", {"token": [MARKED]}), browser.post("/sign-in", MARKED)
    )
    system.keep(browser.request("POST", "/sign-in", body=f"{{{REFERENCE}: {IMPOSSIBLE}".encode()))
    assert browser.sign_in(token).status == 204
    for path in ("/api/status", "/readyz", "/livez", "/api/drift", "/model"):
        system.keep(browser.get(path).body)
    for path in (f"/{REFERENCE}", f"/api/predictions/{REFERENCE}", f"/model/{REFERENCE}", f"/ui/{REFERENCE}.css"):
        system.keep(browser.get(path).status)
    for query in (f"level={REFERENCE}", f"limit={IMPOSSIBLE}", f"before={REFERENCE}", f"client={REFERENCE}"):
        system.keep(browser.get(f"/api/predictions?{query}").status, browser.get(f"/api/history?{query}").status)
    system.keep(browser.get("/api/status", Host=f"{REFERENCE}:5000").status)
    return browser.cookie


def use_pages(system: System, clinic: Page, dashboard: Page) -> None:
    """Submit and look as people do, with a history to come back to."""
    assert system.client is not None
    assert system.server is not None
    clinic.goto(f"{system.client.url}/sign-in#token={CLINICIAN}")
    dashboard.goto(f"{system.server.url}/sign-in#token={SERVER_TOKENS['OPERATOR_TOKEN']}")
    expect(dashboard.locator("#live-state")).to_contain_text("Live")
    submit(clinic)
    expect(clinic.locator("#prediction")).to_contain_text("disease-free")
    row = dashboard.locator("#prediction-rows tr", has_text=REFERENCE).first
    expect(row).to_be_visible()
    row.click()
    for page in (clinic, dashboard):
        page.reload()
        expect(page.locator("body")).to_contain_text(REFERENCE)


def submit(clinic: Page) -> None:
    """Fill in the marked patient over a sample, and submit."""
    clinic.get_by_role("button", name="Load Sample Patient Data").click()
    expect(clinic.locator("#field-age")).not_to_have_value("")
    for name, value in MARKED.items():
        clinic.locator(f"#field-{name}").fill(str(value))
    clinic.locator("#field-patient_reference").fill(REFERENCE)
    clinic.get_by_role("button", name="Analyze Patient Data").click()


def run_into_faults(system: System, clinic: Page) -> None:
    """Take the server away, lock its record, spoil its model, and let a handler that holds a patient fail."""
    assert system.server is not None
    system.server.end(suddenly=True)
    submit(clinic)
    expect(clinic.locator("#link-state")).not_to_contain_text("Connected")
    system.start_server("-c", BROKEN_SERVER)
    expect(clinic.locator("#link-state")).to_contain_text("Connected")
    expect(clinic.locator("#prediction .explanation-reason")).to_be_visible()  # nothing is left to be stored
    app = ClientApp(system.server.url, SERVER_TOKENS["CLIENT_3_TOKEN"])
    app.predict(marked(20, cholesterol=BREAKING))
    system.keep(app.refused(f"{REQUEST_ID}-20"))
    record = system.folder / "data" / "server" / "predictions.sqlite"
    with closing(sqlite3.connect(record, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: app.predict(marked(21))["status"] == "refused")
        system.keep(app.predict(marked(22)))
        other.execute("ROLLBACK")
    spoilt = Path(system.server_environment["MODEL_DIR"]) / "manifest.json"
    spoilt.write_text(json.dumps({REFERENCE: MARKED}))
    operator = Browser(system.server.url)
    operator.sign_in(SERVER_TOKENS["OPERATOR_TOKEN"])
    system.keep(operator.get("/api/status").body)
    app.close()


def use_commands(system: System) -> None:
    backup = system.folder / "backup.sqlite"
    system.command("server.store", "backup", str(backup))
    system.command("server.store", "verify")
    system.command("server.store", "erase", "--patient-reference", "--dry-run", asked=f"{REFERENCE}\n")
    system.command("server.store", "erase", "--patient-reference", "--client", "Client-3", asked=f"{REFERENCE}\n")
    system.command("server.store", "erase", "--patient-reference", asked=f"{REFERENCE}\n" * 40)
    system.command("client.access", "client-1", "audit", "show")
    for words in (["audit", "show"], ["list"], ["revoke", REFERENCE.lower()]):
        system.command("server.access", *words)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> System:
    """Everything was tried, and everything has ended."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("Chromium is not installed, so the pages cannot be tried: apt-get install chromium")
    folder = tmp_path_factory.mktemp("canary")
    model = shutil.copytree(detector_dir, folder / "model")
    with LanguageModel(tells_back) as language_model, environments(folder, model, language_model.url) as system:
        system.start_server()
        system.start_client()
        with sync_playwright() as playwright:
            profiles: list[BrowserContext] = [
                playwright.chromium.launch_persistent_context(
                    folder / "profiles" / name, executable_path=chromium, args=list(CHROMIUM_OPTIONS)
                )
                for name in ("clinic", "dashboard")
            ]
            clinic, dashboard = (profile.pages[0] for profile in profiles)
            for page in (clinic, dashboard):
                page.set_default_timeout(PATIENCE_MS)
            use_pages(system, clinic, dashboard)
            assert system.server is not None
            assert system.client is not None
            speak_as_client_app(system)
            ask_over_http(system, system.server.url, SERVER_TOKENS["OPERATOR_TOKEN"])
            speak_as_page(system, ask_over_http(system, system.client.url, CLINICIAN))
            run_into_faults(system, clinic)
            for profile in profiles:
                profile.close()
        use_commands(system)
    return system


def sentences(system: System) -> list[str]:
    """Return what explanations say, in pieces long enough to be nobody else's words."""
    return [piece for text in system.texts for piece in text.split(". ") if len(piece) > 40]


def found_in(content: bytes, markers: Sequence[str]) -> list[str]:
    """Return the markers that bytes hold, as UTF-8 or as the UTF-16 of a browser's databases."""
    return [one for one in markers if one.encode() in content or one.encode("utf-16-le") in content]


def written(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_markers_went_all_the_way(system: System) -> None:
    """Without this the others would prove nothing."""
    with closing(sqlite3.connect(system.folder / "backup.sqlite")) as backup:
        stored = "".join(str(row) for row in backup.execute("SELECT body FROM predictions"))
    assert found_in(stored.encode(), [REFERENCE, *map(str, MARKED.values())]) == [REFERENCE, *map(str, MARKED.values())]
    log = (system.folder / "written" / "server.log").read_text()
    assert "Traceback" in log
    assert "ValueError" in log
    assert len(sentences(system)) >= 1
    assert "erased" in "".join(system.answered)


def test_no_log_of_a_process_holds_one(system: System) -> None:
    markers = [*OF_THE_RECORD, REFERENCE, REQUEST_ID, str(BREAKING), *sentences(system)]
    found = {path.name: found_in(content, markers) for path, content in written(system.folder / "written").items()}
    assert found == {"server.log": [], "client.log": []}


def test_no_error_status_page_or_command_holds_a_value_or_a_reference(system: System) -> None:
    assert found_in("\n".join(system.answered).encode(), [*OF_THE_RECORD, REFERENCE, *sentences(system)]) == []


def test_no_file_but_the_databases_holds_one(system: System) -> None:
    markers = [*OF_THE_RECORD, REFERENCE, REQUEST_ID, *sentences(system)]
    files = {
        **written(system.folder / "data"),
        **written(system.folder / "model"),
        **written(system.folder / "secrets"),
    }
    spoilt = system.folder / "model" / "manifest.json"  # by this test
    others = {path for path in files if not path.name.startswith(MAY_HOLD)} - {spoilt}
    assert len([path for path in others if path.name == "access.sqlite"]) == 2
    assert {path.name: found for path in others if (found := found_in(files[path], markers))} == {}


def test_no_name_of_a_file_is_one(system: System) -> None:
    names = "\n".join(str(path) for path in system.folder.rglob("*"))
    assert found_in(names.encode(), [*OF_THE_RECORD, REFERENCE, REQUEST_ID]) == []


def test_nothing_in_a_browsers_profile_holds_one(system: System) -> None:
    """Local and session storage, databases, caches and history, as the browser left them on disk."""
    markers = [*OF_THE_RECORD, REFERENCE, *sentences(system)]
    files = written(system.folder / "profiles")
    assert len(files) > 20
    assert {str(path): found for path, content in files.items() if (found := found_in(content, markers))} == {}


def test_no_token_is_where_a_page_can_put_it(system: System) -> None:
    """The browser's own history keeps the links that were opened; SECURITY.md says so."""
    stores = {"Local Storage", "Session Storage", "IndexedDB", "Cache", "Network"}
    files = written(system.folder / "profiles")
    kept = {path: content for path, content in files.items() if stores & set(path.parts)}
    assert kept
    tokens = [CLINICIAN, SERVER_TOKENS["OPERATOR_TOKEN"]]
    assert {str(path): found for path, content in kept.items() if (found := found_in(content, tokens))} == {}
