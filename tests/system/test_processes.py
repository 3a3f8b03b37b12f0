"""The whole system as four processes of this machine, started and stopped by the launcher."""

import os
import re
import signal
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

import pytest

import launcher
from tests.support.system_parts import Clinician, Visitor, stored_requests
from tests.system.conftest import APPS, Installation

PATIENTS_A_STAGE = 10


@pytest.fixture(scope="module")
def links(installation: Installation) -> Sequence[str]:
    return installation.start()


def test_every_printed_link_signs_its_owner_in(links: Sequence[str]) -> None:
    titles = [Visitor(link).page("/") for link in links]
    assert len(titles) == 4
    assert all("csrf-token" in page for page in titles)


def test_nothing_is_readable_without_signing_in(links: Sequence[str]) -> None:
    for link, path in zip(links, ("changes", "history", "history", "history"), strict=True):
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(link.replace("/sign-in", f"/api/{path}").partition("#")[0], timeout=20)
        refused.value.close()


def test_a_link_of_one_desk_does_not_open_another(links: Sequence[str]) -> None:
    _, first, second, _ = links
    token = first.partition("#token=")[2]
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        Visitor(f"{second.partition('#')[0]}#token={token}")
    refused.value.close()


def test_the_settings_file_is_completed_and_never_overwritten(installation: Installation, links: Sequence[str]) -> None:
    file = installation.folder / ".env"
    text = file.read_text()
    assert text.startswith("# chosen by hand\nSERVER_PORT=")
    assert text.count("OPERATOR_TOKEN=") == 1
    assert links[0].endswith("#token=chosen-by-hand")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_start_starts_nothing_and_prints_the_same_links(
    installation: Installation, links: Sequence[str]
) -> None:
    before = [installation.pid(name) for name in APPS]
    assert installation.start() == links
    assert [installation.pid(name) for name in APPS] == before


def test_a_start_after_settings_changed_starts_anew_with_them(installation: Installation, links: Sequence[str]) -> None:
    file = installation.folder / ".env"
    before, text = [installation.pid(name) for name in APPS], file.read_text()
    file.write_text(text.replace("OPERATOR_TOKEN=chosen-by-hand\n", ""))
    server_link, *client_links = installation.start()
    assert client_links == list(links[1:])
    assert server_link != links[0]
    Visitor(server_link)
    assert not {*before} & {installation.pid(name) for name in APPS}
    file.write_text(text)
    assert installation.start() == links


def test_a_client_apps_token_is_renewed_by_removing_its_line(installation: Installation, links: Sequence[str]) -> None:
    file = installation.folder / ".env"
    text = file.read_text()
    file.write_text(re.sub(r"^CLIENT_1_TOKEN=.*\n", "", text, flags=re.M))
    assert installation.start() == links
    assert re.findall(r"^CLIENT_1_TOKEN=.+", file.read_text(), re.M) != re.findall(r"^CLIENT_1_TOKEN=.+", text, re.M)
    with Clinician(links[1]) as clinician:
        request_id = clinician.submit()
        assert clinician.answers([request_id])


def is_signed_out(visitor: Visitor, seconds: float = 20) -> bool:
    """Ask until the app no longer answers somebody."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            visitor.api("openapi.json")
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code == 401
    return False


@pytest.mark.parametrize(("app", "number"), [("server", 0), ("client-2", 2)])
def test_the_command_adds_and_revokes_people_of_a_running_app(
    installation: Installation, links: Sequence[str], app: str, number: int
) -> None:
    link = installation.access(app, "add", "Ada Lovelace").splitlines()[-1]
    assert link.partition("#")[0] == links[number].partition("#")[0]
    ada = Visitor(link)
    assert ada.api("openapi.json")
    assert "Ada Lovelace" in installation.access(app, "sessions")
    installation.access(app, "revoke", "Ada Lovelace")
    assert is_signed_out(ada)
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        Visitor(link)
    refused.value.close()
    assert Visitor(links[number]).api("openapi.json")


def test_logs_are_for_the_owner_alone_and_hold_no_token(installation: Installation, links: Sequence[str]) -> None:
    tokens = [link.partition("#token=")[2] for link in links]
    for name in APPS:
        log = installation.folder / ".local" / "logs" / f"{name}.log"
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        assert not any(token in log.read_text() for token in tokens)


def test_a_patient_from_each_desk_reaches_the_server(links: Sequence[str]) -> None:
    operator = Visitor(links[0])
    for number, link in enumerate(links[1:], start=1):
        with Clinician(link) as clinician:
            request_id = clinician.submit()
            prediction = clinician.answers([request_id])[request_id]
        stored = operator.api(f"predictions/{prediction['prediction_id']}")["prediction"]
        assert stored == prediction
        assert stored["client_id"] == f"Client-{number}"


def test_a_server_that_is_killed_and_started_again_loses_nothing(
    installation: Installation, links: Sequence[str]
) -> None:
    with Clinician(links[1]) as clinician:
        before = stored_requests(Visitor(links[0]), "Client-1")
        submitted = [clinician.submit() for _ in range(PATIENTS_A_STAGE)]
        os.kill(installation.pid("server"), signal.SIGKILL)
        submitted += [clinician.submit() for _ in range(PATIENTS_A_STAGE)]
        assert installation.start() == links
        submitted += [clinician.submit() for _ in range(PATIENTS_A_STAGE)]
        answers = clinician.answers(submitted)
    after = stored_requests(Visitor(links[0]), "Client-1")
    assert sorted(after) == sorted(before + submitted)
    assert {answer["request_id"] for answer in answers.values()} == set(submitted)


def test_stopping_leaves_no_process_and_stopping_again_is_no_error(
    installation: Installation, links: Sequence[str]
) -> None:
    pids = [installation.pid(name) for name in APPS]
    done = installation.launcher("stop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Stopped.\n", "")
    assert not any(str(installation.folder) in launcher.command_line(pid) for pid in pids)
    again = installation.launcher("stop")
    assert (again.returncode, again.stdout) == (0, "Nothing was running.\n")


def test_what_was_predicted_before_a_stop_is_there_after_the_next_start(
    installation: Installation, links: Sequence[str]
) -> None:
    assert installation.start() == links
    history = Visitor(links[2]).api("history")["entries"]
    assert [entry["state"] for entry in history] == ["answered"]
