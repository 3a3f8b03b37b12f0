"""Marked patients through every path of real processes: no marker is in anything that is written, but the databases."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from common.messages import BROWSER_NAMESPACE
from config.secrets import PROJECT_ROOT
from server.registry.artifact import MANIFEST_FILE, active_folder
from tests.browser.conftest import CHROMIUM_OPTIONS, PATIENCE_MS, find_chromium, load_sample
from tests.support.llm_faults import cuts
from tests.support.llm_server import LanguageModel, Reply, Script, answers, says, sends
from tests.support.made_requests import request
from tests.support.processes import TOKENS, Process, end_all, environment_of, free_ports, run
from tests.support.speaking import Browser, ClientApp
from tests.support.speaking import Page as PageConnection
from tests.support.truthful import explains
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(420)

MARKED: Final = {
    "resting_bp": 137.48213,
    "cholesterol": 263.91737,
    "max_heart_rate": 151.62943,
    "st_depression": 2.718283,
}
IMPOSSIBLE: Final = 9137.48213
BREAKING: Final = 264.91737
"""The cholesterol of the patient that the broken server fails at."""

REFERENCE: Final = "REFERENCE-CANARY"
REQUEST_ID: Final = "request-canary"
KEY: Final = "key-canary"
OF_THE_RECORD: Final = [*map(str, MARKED.values()), *(f"{value:g}" for value in (*MARKED.values(), IMPOSSIBLE))]
OF_THE_RECORD.append(str(BREAKING))
DATABASES: Final = ("predictions.sqlite", "client.sqlite", "backup.sqlite")
CLINICIAN: Final = "the-clinicians-token-of-this-test-of-32"
SETTINGS: Final = {
    "LLM_MODEL": "a/model",
    "LLM_TIMEOUT_SECONDS": "2",
    "LLM_API_KEY": KEY,
    "MODEL_WATCH_SECONDS": "0.2",
    "RECONNECT_MAX_SECONDS": "0.2",
    "CLIENT_ID": "Client-1",
    "CLIENT_1_CLINICIAN_TOKEN": CLINICIAN,
    "CLIENT_1_SECRET_KEY": "a-client-secret-key-of-this-test",
}
BROKEN_SERVER: Final = f"""
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
runpy.run_path("app.py", run_name="__main__")
"""

COMMANDS: Final = """
import runpy, sys
for words in sys.argv[1:]:
    sys.argv = words.split()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        print("ended with", end.code)
"""


def marked(number: int, **changes: object) -> dict[str, Any]:
    """Return a request of a marked patient as client apps send it."""
    ids = {"request_id": f"{REQUEST_ID}-{number}", "patient_reference": REFERENCE}
    return request(number).to_wire() | ids | {"record": request(number).record.model_dump() | MARKED | changes}


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


def tells_back(reply: Reply) -> None:
    """Put what it was told, and markers, into its answer."""
    says(f"{reply.body['messages']} {OF_THE_RECORD}")(reply)


def refuses_with_everything(reply: Reply) -> None:
    reply.begin(500, {})
    reply.raw(json.dumps({"error": f"cannot explain {OF_THE_RECORD} of {REFERENCE}: {reply.body['messages']}"}))


FAILURES: Final[tuple[Script, ...]] = (
    refuses_with_everything,
    sends(f'data: {{"error": "cannot explain {OF_THE_RECORD[0]}"}}\n\n'),
    sends(f"data: {{{OF_THE_RECORD[0]}\n\n"),
    tells_back,
    cuts,
    answers(401),
)
"""Few enough in a row that calls are not paused before the last."""


@dataclass
class System:
    """A server, a client app and two browsers in folders of their own, and what HTTP, events and commands answered."""

    folder: Path
    environment: dict[str, str]
    language_model: LanguageModel
    processes: list[Process] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    """What explanations say, in pieces long enough to occur nowhere else."""

    def keep(self, *answers: object) -> None:
        self.answered += map(str, answers)


@contextmanager
def pages(folder: Path, executable: str) -> Iterator[list[Page]]:
    """Open two browsers, each with a profile on disk."""
    with sync_playwright() as playwright, ExitStack() as ending:
        opened = []
        for name in ("clinic", "dashboard"):
            profile = playwright.chromium.launch_persistent_context(
                folder / name, executable_path=executable, args=list(CHROMIUM_OPTIONS)
            )
            ending.callback(profile.close)
            profile.set_default_timeout(PATIENCE_MS)
            opened.append(profile.pages[0])
        yield opened


def use_pages(clinic: Page, dashboard: Page, *, client: str, server: str) -> None:
    """Submit and look as people do, with a history to come back to."""
    question = clinic.locator("#duplicate")
    clinic.add_locator_handler(question, lambda: question.get_by_role("button", name="Analyze as a new").click())
    clinic.goto(f"{client}/sign-in#token={CLINICIAN}")
    dashboard.goto(f"{server}/sign-in#token={TOKENS['OPERATOR_TOKEN']}")
    expect(dashboard.locator("#live-state")).to_contain_text("Live")
    submit(clinic)
    expect(clinic.locator("#prediction")).to_contain_text("disease-free")
    dashboard.locator("#prediction-rows tr", has_text=REFERENCE).first.click()
    for page in (clinic, dashboard):
        page.reload()
        expect(page.locator("body")).to_contain_text(REFERENCE)


def submit(clinic: Page) -> None:
    """Fill in the marked patient over a sample, and submit."""
    load_sample(clinic)
    for name, value in (MARKED | {"patient_reference": REFERENCE}).items():
        clinic.locator(f"#field-{name}").fill(str(value))
    clinic.get_by_role("button", name="Analyze Patient Data").click()


def send_what_is_valid_and_what_is_not(system: System, *, client: str, server: str) -> None:
    """Speak as another client app and as no page of ours would, and ask for everything there is and is not."""
    app = ClientApp(server, TOKENS["CLIENT_2_TOKEN"])
    system.keep(app.predict(marked(1)))
    system.sentences += [one for one in app.answered(f"{REQUEST_ID}-1").explanation.text.split(". ") if len(one) > 40]
    system.keep(app.predict(marked(1)), app.predict(marked(1, cholesterol=201.0)), app.refused(f"{REQUEST_ID}-1"))
    assert app.entry(is_explained)["explanation"]["source"] == "llm"
    for number, script in enumerate(FAILURES, start=60):
        system.language_model.script = script
        app.predict(marked(number, thallium_scan=None))
        app.answered(f"{REQUEST_ID}-{number}")
        system.keep(app.entry(is_explained)["explanation"]["reason"])
    system.keep(*map(app.predict, MALFORMED))
    system.keep(app.ask(REFERENCE, marked(2)), app.ask("predict", marked(3), marked(4)))
    app.close()
    ask_over_http(system, server, TOKENS["OPERATOR_TOKEN"])
    page = PageConnection(client, ask_over_http(system, client, CLINICIAN), BROWSER_NAMESPACE)
    system.keep(*(page.ask("submit", message) for message in MALFORMED), page.ask(REFERENCE, MARKED))
    page.close()


def is_explained(entry: Any) -> bool:
    return bool(entry["explanation"])


def ask_over_http(system: System, url: str, token: str) -> str:
    """Ask, signed in and not; return the cookie."""
    browser = Browser(url)
    system.keep(browser.sign_in(REFERENCE), *(browser.post("/sign-in", body) for body in ({"token": [MARKED]}, MARKED)))
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


def run_into_faults(system: System, clinic: Page, *, url: str) -> None:
    """Take the server away, lock its record, spoil its model, and let a handler that holds a patient fail."""
    system.processes[0].end(signal.SIGKILL)
    submit(clinic)
    expect(clinic.locator("#link-state")).not_to_contain_text("Connected")
    run(system.processes, system.environment, program=("-c", BROKEN_SERVER)).wait_until_started()
    expect(clinic.locator("#link-state")).to_contain_text("Connected")
    expect(clinic.locator("#prediction .explanation-reason")).to_be_visible()  # nothing is left to be stored
    app = ClientApp(url, TOKENS["CLIENT_3_TOKEN"])
    app.predict(marked(20, cholesterol=BREAKING))
    system.keep(app.refused(f"{REQUEST_ID}-20"))
    with closing(sqlite3.connect(system.folder / "server" / "predictions.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: app.predict(marked(21))["status"] == "refused")
        system.keep(app.predict(marked(22)))
        other.execute("ROLLBACK")
    (active_folder(system.folder / "model") / MANIFEST_FILE).write_text(json.dumps({REFERENCE: MARKED}))
    operator = Browser(url)
    operator.sign_in(TOKENS["OPERATOR_TOKEN"])
    wait_until(lambda: operator.get("/api/status").json["model"]["refused"])
    system.keep(operator.get("/api/status").body)
    app.close()


def use_commands(system: System) -> None:
    """Run the commands in one process, told the reference as often as they may ask for it."""
    commands = (
        f"server.store backup {system.folder / 'backup.sqlite'}",
        "server.store verify",
        "server.store erase --patient-reference --dry-run",
        "server.store erase --patient-reference --client Client-3",
        "server.store erase --patient-reference",
        "client.access client-1 audit show",
        "server.access audit show",
        f"server.access revoke {REFERENCE.lower()}",
    )
    program, asked = [sys.executable, "-c", COMMANDS, *commands], f"{REFERENCE}\n" * 40
    done = subprocess.run(
        program, cwd=PROJECT_ROOT, env=system.environment, input=asked, capture_output=True, text=True, check=False
    )
    assert done.stdout.count("ended with") == len(commands)
    system.keep(done.stdout, done.stderr)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> System:
    """Everything was tried, and everything has ended."""
    chromium = find_chromium()
    folder = tmp_path_factory.mktemp("canary")
    model = Path(shutil.copytree(detector_dir, folder / "model"))
    with LanguageModel(explains) as language_model, ExitStack() as ending:
        environment = environment_of(folder, model, "eventlet") | SETTINGS | {"LLM_BASE_URL": language_model.url}
        system = System(folder, environment, language_model)
        ending.callback(end_all, system.processes)
        server = run(system.processes, environment)
        desk = {"SERVER_URL": server.url, "PORT": str(free_ports(1)[0])}
        client = run(system.processes, environment | desk, "client")
        for process in system.processes:
            process.wait_until_started()
        with pages(folder / "profiles", chromium) as (clinic, dashboard):
            use_pages(clinic, dashboard, client=client.url, server=server.url)
            send_what_is_valid_and_what_is_not(system, client=client.url, server=server.url)
            run_into_faults(system, clinic, url=server.url)
        use_commands(system)
    return system


def found_in(content: bytes, markers: Sequence[str]) -> list[str]:
    """Return the markers that bytes hold, as UTF-8 or as the UTF-16 of a browser's databases."""
    return [one for one in markers if one.encode() in content or one.encode("utf-16-le") in content]


def found_in_files(folder: Path, markers: Sequence[str]) -> dict[Path, list[str]]:
    contents = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(contents) > 20
    return {path: found for path, content in contents.items() if (found := found_in(content, markers))}


def test_the_markers_went_all_the_way(system: System) -> None:
    """Without this the others would prove nothing."""
    with closing(sqlite3.connect(system.folder / "backup.sqlite")) as backup:
        stored = str(backup.execute("SELECT body FROM predictions").fetchall())
    wanted = [REFERENCE, *map(str, MARKED.values())]
    assert found_in(stored.encode(), wanted) == wanted
    assert "ValueError" in "".join(process.text for process in system.processes)
    assert system.sentences
    assert system.language_model.received.qsize() > len(FAILURES)
    assert "erased" in "".join(system.answered)


def test_no_answer_page_or_command_holds_one(system: System) -> None:
    assert found_in("\n".join(system.answered).encode(), [*OF_THE_RECORD, REFERENCE, *system.sentences]) == []


def test_no_prompt_holds_one(system: System) -> None:
    asked = str([(reply.path, reply.headers, reply.body) for reply in list(system.language_model.received.queue)])
    assert found_in(asked.encode(), [*OF_THE_RECORD, REFERENCE, REQUEST_ID, "Client-1", "Client-2"]) == []


def test_no_file_but_the_databases_holds_one_and_no_name_of_a_file_is_one(system: System) -> None:
    """Among them are the logs, and the browsers' profiles as they left them: storage, databases, caches and history."""
    markers = [*OF_THE_RECORD, REFERENCE, KEY, *system.sentences]
    names = {path.name for path in found_in_files(system.folder, markers)}
    assert {name for name in names if not name.startswith(DATABASES)} == {MANIFEST_FILE}  # the one that was spoilt
    named = [path for path in found_in_files(system.folder, [REQUEST_ID]) if not path.name.startswith(DATABASES)]
    assert {path.suffix for path in named} == {".log"}  # by their ids, which say nothing, requests are followed there
    assert found_in("\n".join(map(str, system.folder.rglob("*"))).encode(), [*markers, REQUEST_ID]) == []


def test_no_token_is_where_a_page_can_put_it(system: System) -> None:
    """The browser's own history keeps the links that were opened; SECURITY.md says so."""
    stores = {"Local Storage", "Session Storage", "IndexedDB", "Cache", "Network"}
    found = found_in_files(system.folder / "profiles", [CLINICIAN, TOKENS["OPERATOR_TOKEN"]])
    assert {path: tokens for path, tokens in found.items() if stores & set(path.parts)} == {}
