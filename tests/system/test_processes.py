"""The whole system as four processes of this machine, started and stopped by the launcher."""

import re
import stat
from collections.abc import Sequence

import pytest

from common import background
from tests.support.system_parts import Clinician, Visitor
from tests.support.waiting import wait_until
from tests.system.conftest import APPS, Installation


@pytest.fixture(scope="module")
def links(installation: Installation) -> Sequence[str]:
    return installation.start()


def is_refused(link: str) -> bool:
    return Visitor(link).sign_in_status == 401


def test_each_link_signs_in_at_its_own_app_alone(links: Sequence[str]) -> None:
    assert all("csrf-token" in Visitor(link).get("/").body.decode() for link in links)
    _, first, second, _ = links
    assert is_refused(f"{second.partition('#')[0]}#{first.partition('#')[2]}")


def test_settings_tokens_and_logs_are_for_their_owner_alone(installation: Installation, links: Sequence[str]) -> None:
    file = installation.folder / ".env"
    text = file.read_text()
    assert text.startswith("# chosen by hand\nSERVER_PORT=")
    assert text.count("OPERATOR_TOKEN=") == 1
    assert links[0].endswith("#token=chosen-by-hand")
    logs = [installation.folder / ".local" / "logs" / f"{name}.log" for name in APPS]
    assert {stat.S_IMODE(private.stat().st_mode) for private in (file, *logs)} == {0o600}
    tokens = [link.partition("#token=")[2] for link in links]
    assert not [token for log in logs for token in tokens if token in log.read_text()]


@pytest.mark.parametrize(("app", "number", "path"), [("server", 0, "predictions"), ("client-2", 2, "history")])
def test_the_command_adds_and_revokes_people_of_a_running_app(
    installation: Installation, links: Sequence[str], app: str, number: int, path: str
) -> None:
    link = installation.access(app, "add", "Ada Lovelace").splitlines()[-1]
    assert link.partition("#")[0] == links[number].partition("#")[0]
    ada = Visitor(link)
    installation.access(app, "revoke", "Ada Lovelace")
    wait_until(lambda: ada.get(f"/api/{path}").status == 401)
    assert is_refused(link)
    assert not is_refused(links[number])


def test_a_start_starts_nothing_unless_settings_have_changed_keeps_every_desks_patients_and_a_stop_leaves_nothing(
    installation: Installation, links: Sequence[str]
) -> None:
    def pids() -> list[int]:
        return [installation.pid(name) for name in APPS]

    submitted = []
    for number, link in enumerate(links[1:], start=1):
        with Clinician(link) as clinician:
            submitted.append(clinician.submit())
            (answer,) = clinician.answers(submitted[-1:]).values()
        assert answer["client_id"] == f"Client-{number}"
        assert Visitor(links[0]).api(f"predictions/{answer['prediction_id']}")["prediction"] == answer
    before = pids()
    assert installation.start() == links
    assert pids() == before
    file = installation.folder / ".env"
    file.write_text(re.sub(r"^(OPERATOR_TOKEN|CLIENT_1_TOKEN)=.*\n", "", file.read_text(), flags=re.M))
    server_link, *client_links = installation.start()
    assert client_links == list(links[1:])
    assert server_link != links[0]
    assert is_refused(links[0])
    assert not {*before} & {*pids()}
    for request_id, link in zip(submitted, client_links, strict=True):
        entries = Visitor(link).api("history")["entries"]
        assert (request_id, "answered") in [(entry["request_id"], entry["state"]) for entry in entries]
    with Clinician(links[1]) as clinician:  # with a token that is new at both
        assert clinician.answers([clinician.submit()])
    running = pids()
    for said in ("Stopped.\n", "Nothing was running.\n"):
        done = installation.launcher("stop")
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert not any(str(installation.folder) in background.command_line(pid) for pid in running)
