"""The change log and the list over HTTP: each reader sees what it may, page by page; its order see tests/faults."""

from typing import Any

from common.errors import InternalError
from common.messages import Changes, WireError
from tests.integration.server.conftest import Join, RunningServer
from tests.support.made_requests import NOON, id_of, request
from tests.support.speaking import Browser


def bearer(token: str) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {token}", "Cookie": None}


def predict(join: Join, count: int, client_id: str = "Client-1", *, first: int = 1) -> None:
    client = join(client_id)
    for number in range(first, first + count):
        client.predict(request(number).to_wire())
        client.answered(id_of(number))


def pages(browser: Browser, query: str = "", **headers: str | None) -> list[Changes]:
    """Read the log to its end as a reader does."""
    read: list[Changes] = []
    after = 0
    while True:
        read.append(Changes.model_validate(browser.get(f"/api/changes?after={after}{query}", **headers).json))
        after = read[-1].next_after
        if not read[-1].has_more:
            return read


def test_a_client_reads_its_own_entries_with_its_token(join: Join, running: RunningServer) -> None:
    predict(join, 4)
    predict(join, 3, "Client-2")
    predict(join, 2, first=10)
    reader = Browser(running.url)
    for client_id, numbers in (("Client-1", [1, 2, 3, 4, 8, 9]), ("Client-2", [5, 6, 7]), ("Client-3", [])):
        read = pages(reader, "&limit=2", **bearer(running.token(client_id)))
        entries = [entry for page in read for entry in page.entries]
        assert [entry.sequence for entry in entries] == numbers
        assert {entry.client_id for entry in entries} <= {client_id}
        assert {page.totals for page in read} == {None}


def test_a_token_reads_the_log_and_the_model_card_alone_and_a_wrong_one_nothing(
    running: RunningServer, signed_in: Browser
) -> None:
    reader, headers = Browser(running.url), bearer(running.token())
    assert reader.get("/api/status", **headers).json == {"status": "ready", "ready": True}
    for path in ("/api/predictions", "/api/predictions/x", "/api/drift", "/model"):
        assert reader.get(path, **headers).status == 401
    assert reader.get("/api/model", **headers).status == 200
    for wrong in ("Bearer wrong", "Bearer", "bearer  ", "Basic dXNlcjpwYXNz", "Bearer \xe9", "wrong"):
        answer = reader.get("/api/changes", Authorization=wrong)
        assert (answer.status, answer.error["code"]) == (401, "not_signed_in")
    assert signed_in.get("/api/changes", Authorization="Bearer wrong").status == 401  # no cookie mends it


def test_a_bad_number_is_refused_by_name(signed_in: Browser) -> None:
    digit_of_another_script = "after=%D9%A3"
    for query in ("after=-1", digit_of_another_script, "after=99999999999999999999", "limit=0", "limit=many"):
        error = signed_in.get(f"/api/changes?{query}").error
        assert (error["code"], list(error["fields"])) == ("invalid_message", [query.partition("=")[0]])


def test_a_page_holds_500_entries_at_most_and_who_is_ahead_gets_the_first(
    running: RunningServer, signed_in: Browser
) -> None:
    refused = {("Client-1", f"request-{number}"): WireError.of(InternalError()) for number in range(1, 503)}
    running.server.service.store.append([], refused, NOON)
    for query in ("limit=1000", "limit=1000&after=600"):
        page = signed_in.get(f"/api/changes?{query}").json
        told = (page["after"], len(page["entries"]), page["has_more"], page["next_after"])
        assert told == (0, 500, True, 500)
    assert len(signed_in.get("/api/changes?limit=").json["entries"]) == 200


def test_the_list_is_filtered_and_paged_from_the_newest(join: Join, signed_in: Browser) -> None:
    predict(join, 5)
    predict(join, 2, "Client-2")

    def sequences(query: str) -> list[int]:
        return [item["sequence"] for item in signed_in.get(f"/api/predictions?{query}").json["predictions"]]

    assert sequences("client=Client-2") == [7, 6]
    assert sequences("limit=3") == [7, 6, 5]
    assert sequences("limit=3&before=5") == [4, 3, 2]
    assert sequences("client=nobody") == []
    by_level = {level: sequences(f"level={level}") for level in ("Low", "Medium", "High")}
    assert sorted(number for numbers in by_level.values() for number in numbers) == list(range(1, 8))
    assert signed_in.get("/api/predictions?level=Extreme").error["fields"].keys() == {"level"}
    assert signed_in.get("/api/predictions?limit=7").json["next_before"] == 1
    assert signed_in.get("/api/predictions?limit=8").json["next_before"] is None


def test_status_tells_what_the_server_counted(join: Join, signed_in: Browser, running: RunningServer) -> None:
    predict(join, 2)
    status: dict[str, Any] = signed_in.get("/api/status").json
    assert status["model"] == running.server.service.model.status.to_wire()
    assert status["totals"]["predictions"] == 2
    assert [client["connected"] for client in status["clients"]] == [True, False, False]
    assert status["store"] == {"backend": "sqlite", "ok": True, "reason": None}
    assert status["explanations"]["source"] == "template"
    assert signed_in.get("/api/model").json["model_details"]["version"] == status["model"]["version"]
