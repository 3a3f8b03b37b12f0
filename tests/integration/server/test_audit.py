"""What people and commands do at the server stands in the audit trail."""

import pytest

from common.access.command import main as access
from common.access.file import access_file
from config.settings import ServerSettings
from server.store.__main__ import main as store
from tests.integration.server.conftest import Join, RunningServer, Watch
from tests.support.made_requests import request
from tests.support.speaking import Browser


def actions(administrator: Browser, path: str = "/api/audit") -> list[tuple[str, str, str]]:
    """Return who did what to what, oldest first, without what administrators do."""
    entries = administrator.get(path).json["entries"]
    said = [(entry["role"], entry["action"], entry["target"]) for entry in reversed(entries)]
    return [one for one in said if one[0] != "administrator"]


def test_signing_in_reading_watching_and_signing_out_are_recorded(
    running: RunningServer, administrator: Browser, join: Join, watch: Watch, signed_in: Browser
) -> None:
    client = join()
    message = request(1).model_copy(update={"patient_reference": "Bed 12"})
    client.predict(message.to_wire())
    made = client.answered(message.request_id)
    watch()
    assert Browser(running.url).sign_in("wrong-but-of-thirty-two-characters-or-more").status == 401
    signed_in.get("/api/predictions")
    signed_in.get(f"/api/predictions/{made.prediction_id}")
    signed_in.get("/api/predictions/no-such")
    signed_in.get("/api/changes")
    signed_in.post("/sign-out", {})
    said = actions(administrator)
    assert ("", "sign_in_failed", "") in said
    assert ("operator", "watched_live", "") in said
    assert said[-4:] == [
        ("operator", "read_predictions", ""),
        ("operator", "read_prediction", made.prediction_id),
        ("operator", "read_change_log", ""),
        ("operator", "signed_out", ""),
    ]
    kept = access_file(running.settings.data_dir, "server").read_bytes()
    assert not [
        secret for secret in (running.operator_token, str(message.patient_reference)) if secret.encode() in kept
    ]


def test_a_flood_of_wrong_links_does_not_fill_the_trail(running: RunningServer) -> None:
    """What is too much is not tried, and not written down: anybody could fill the disk otherwise."""
    stranger = Browser(running.url)
    token = stranger.csrf_token()
    wrong = {"token": "wrong-but-of-thirty-two-characters-or-more"}
    statuses = [stranger.post("/sign-in", wrong, X_CSRFToken=token).status for _ in range(100)]
    actions = [entry.action for entry in running.server.real_time.access.trail.newest(200)]
    assert actions.count("sign_in_failed") == statuses.count(401) == 50
    assert stranger.sign_in(running.operator_token).status == 204  # a link that was made works all the same


def test_only_administrators_read_the_trail_page_by_page(
    running: RunningServer, administrator: Browser, signed_in: Browser
) -> None:
    assert signed_in.get("/api/audit").status == 403
    assert Browser(running.url).get("/api/audit").status == 401
    first = administrator.get("/api/audit?limit=1").json
    assert first["next_before"] == first["entries"][0]["number"]
    older = administrator.get(f"/api/audit?before={first['next_before']}").json
    assert [entry["number"] for entry in older["entries"]] == list(range(first["next_before"] - 1, 0, -1))
    assert actions(administrator)[-1][1] == "signed_in"


def test_commands_stand_in_the_trail_of_a_running_server(
    running: RunningServer, administrator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(running.settings.data_dir))
    monkeypatch.setenv("SECRETS_DIR", str(running.settings.secrets_dir))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{running.database}")
    assert access(["add", "Ada"], ServerSettings) == 0
    assert store(["erase", "--older-than", "1", "--dry-run"]) == 0
    assert store(["erase", "--older-than", "1", "--client", "Client-1"]) == 0
    said = actions(administrator)
    assert [(role, action) for role, action, _ in said[-2:]] == [
        ("command", "account_added"),
        ("command", "predictions_erased"),
    ]
    assert said[-1][2] == "Client-1"
