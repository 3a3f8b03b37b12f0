"""What people do at the server stands in the audit trail; for commands see tests/unit."""

from common.access.file import access_file
from tests.integration.server.conftest import Join, RunningServer, Watch
from tests.support.made_requests import request
from tests.support.speaking import Browser


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
    entries = administrator.get("/api/audit").json["entries"]  # newest first
    said = [(entry["role"], entry["action"], entry["target"]) for entry in reversed(entries)]
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


def test_the_trail_is_read_page_by_page(administrator: Browser) -> None:
    for _ in range(3):
        administrator.get("/api/predictions")
    first = administrator.get("/api/audit?limit=1").json
    assert first["next_before"] == first["entries"][0]["number"]
    older = administrator.get(f"/api/audit?before={first['next_before']}").json
    assert [entry["number"] for entry in older["entries"]] == list(range(first["next_before"] - 1, 0, -1))
