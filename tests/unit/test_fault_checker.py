"""The checker of the fault harness finds nothing in records without damage, and every kind of damage by its name."""

import copy
from collections.abc import Callable

import pytest

from tests.faults.checker import Kind, findings
from tests.faults.records import ClientRecord, DashboardRecord, Json, PageRecord, Records, ServerRecord
from tests.faults.schedules import DASHBOARD_LINKS, LINK_FAULTS, PROCESS_FAULTS, PROCESSES, make_schedule

BEFORE = 40
CLIENTS = ("Client-1", "Client-2")
PATIENTS = 3
EXPLAINED = 2
"""The patient of each client app who gets a final explanation."""

FIRST = {"text": "The first.", "reason": None}
FINAL = {"text": "The first.", "reason": "nobody answered"}
AN_ERROR = {"code": "invalid_record", "message": "Some fields cannot be accepted.", "retryable": False, "fields": {}}


def answer(client_id: str, number: int, **changed: object) -> Json:
    record = {"age": 50 + number, "cholesterol": 200.5 + number, "st_slope": None}
    return {
        "prediction_id": f"prediction-{client_id}-{number}",
        "request_id": f"{client_id}-{number}",
        "client_id": client_id,
        "patient_reference": f"bed {number}",
        "record": record,
        "anomaly_score": 0.1 * number,
        "contributions": [{"field": name, "value": value} for name, value in record.items()],
        "explanation": FIRST,
        "awaits_explanation": number == EXPLAINED,
        **changed,
    }


def entry(client_id: str, number: int, **changed: object) -> Json:
    made = answer(client_id, number)
    kept = {name: made[name] for name in ("request_id", "patient_reference", "record")}
    explanation = FINAL if number == EXPLAINED else FIRST
    return {**kept, "state": "answered", "prediction": made, "explanation": explanation, "error": None, **changed}


def change(sequence: int, kind: str, made: Json, **changed: object) -> Json:
    told: Json = {name: made[name] for name in ("prediction_id", "client_id", "request_id")}
    return told | {"sequence": sequence, "kind": kind, "prediction": None, "explanation": None, "error": None} | changed


def filed(sequence: int, made: Json) -> Json:
    return {"sequence": sequence, "body": made} | {name: made[name] for name in ("client_id", "request_id")}


def page(client_id: str) -> PageRecord:
    seen = PageRecord(f"page of {client_id}", client_id=client_id)
    for number in range(1, PATIENTS + 1):
        answered = entry(client_id, number)
        request_id = answered["request_id"]
        seen.submitted[request_id] = {name: answered[name] for name in ("record", "patient_reference")}
        seen.saved.append(request_id)
        seen.see(entry(client_id, number, state="queued", prediction=None, explanation=None))
        seen.see(answered)
        seen.loaded.append(answered)
    seen.submitted["impossible"] = {"record": {"age": 121}, "patient_reference": None}
    seen.invalid.append("impossible")
    seen.refused["impossible"] = AN_ERROR
    return seen


def undamaged() -> Records:
    """Three patients at each of two client apps, all answered and shown everywhere."""
    answers = [answer(client_id, number) for number in range(1, PATIENTS + 1) for client_id in CLIENTS]
    made = list(enumerate(answers, BEFORE + 1))
    changes = [change(sequence, "prediction_made", one, prediction=one) for sequence, one in made]
    awaited = [one for one in answers if one["awaits_explanation"]]
    for sequence, one in enumerate(awaited, BEFORE + 1 + len(made)):
        changes.append(change(sequence, "explanation_finished", one, explanation=FINAL))
    totals = dict.fromkeys(CLIENTS, PATIENTS)
    records = Records(
        pages=[page(client_id) for client_id in CLIENTS],
        dashboards=[
            DashboardRecord(name, loaded=answers, after=BEFORE, taken=changes, totals={"by_client": totals})
            for name in DASHBOARD_LINKS
        ],
        server=ServerRecord(BEFORE, BEFORE + len(changes), [filed(*one) for one in made], changes, totals),
        clients=[
            ClientRecord(client_id, [entry(client_id, number) for number in range(1, PATIENTS + 1)])
            for client_id in CLIENTS
        ],
    )
    return copy.deepcopy(records)


def test_nothing_is_found_where_nothing_is_damaged() -> None:
    assert findings(undamaged()) == []


def lose_at_the_server(records: Records) -> None:
    lost = records.server.predictions.pop()
    records.server.changes = [row for row in records.server.changes if row["sequence"] != lost["sequence"]]


def store_twice(records: Records) -> None:
    records.server.last += 1
    made = answer("Client-1", 1, prediction_id="again")
    records.server.predictions.append(filed(records.server.last, made))
    records.server.changes.append(change(records.server.last, "prediction_made", made, prediction=made))


def explain_twice(records: Records) -> None:
    records.server.last += 1
    records.server.changes.append(records.server.changes[-1] | {"sequence": records.server.last})


def never_finish_an_explanation(records: Records) -> None:
    records.server.changes.pop()
    records.server.last -= 1


def refuse_in_the_log(records: Records) -> None:
    records.server.last += 1
    made = answer("Client-1", 1, prediction_id=None)
    records.server.changes.append(change(records.server.last, "request_refused", made, error=AN_ERROR))


def server(damage: Callable[[list[Json], list[Json]], object]) -> Callable[[Records], object]:
    return lambda records: damage(records.server.predictions, records.server.changes)


def disk(damage: Callable[[list[Json]], object]) -> Callable[[Records], object]:
    return lambda records: damage(records.clients[0].requests)


def at_page(damage: Callable[[PageRecord], object]) -> Callable[[Records], object]:
    return lambda records: damage(records.pages[0])


def at_dashboard(damage: Callable[[DashboardRecord], object]) -> Callable[[Records], object]:
    return lambda records: damage(records.dashboards[1])


DAMAGES: dict[str, tuple[Kind, Callable[[Records], object]]] = {
    "lost at the server": (Kind.LOST, lose_at_the_server),
    "lost on a client app's disk": (Kind.LOST, disk(lambda rows: rows.pop())),
    "left waiting": (Kind.LOST, disk(lambda rows: rows[-1].update(state="queued", prediction=None))),
    "never shown": (Kind.LOST, at_page(lambda page: page.seen["Client-1-2"].pop())),
    "another log at a page": (Kind.LOST, at_page(lambda page: setattr(page, "restarts", 1))),
    "missed at a dashboard": (Kind.LOST, at_dashboard(lambda board: board.taken.pop(2))),
    "another log at a dashboard": (Kind.LOST, at_dashboard(lambda board: setattr(board, "restarts", 1))),
    "not loaded by a dashboard": (Kind.LOST, at_dashboard(lambda board: board.loaded.pop())),
    "a gap in the log": (Kind.LOST, lambda records: setattr(records.server, "last", records.server.last + 1)),
    "kept out of the log": (Kind.LOST, server(lambda _, log: log[0].update(prediction_id="another"))),
    "an explanation never finished": (Kind.LOST, never_finish_an_explanation),
    "an explanation never told": (Kind.LOST, disk(lambda rows: rows[EXPLAINED - 1].update(explanation=FIRST))),
    "answered without storing": (
        Kind.NOT_STORED,
        at_page(lambda page: page.see(entry("Client-1", 2, prediction=answer("Client-1", 2, prediction_id="no")))),
    ),
    "shown without storing": (Kind.NOT_STORED, server(lambda rows, _: rows.pop())),
    "stored twice": (Kind.DOUBLED, store_twice),
    "explained twice": (Kind.DOUBLED, explain_twice),
    "shown twice": (Kind.DOUBLED, at_dashboard(lambda board: board.taken.insert(2, board.taken[1]))),
    "listed twice": (Kind.DOUBLED, at_page(lambda page: page.loaded.append(page.loaded[0]))),
    "counted wrong": (Kind.DOUBLED, at_dashboard(lambda board: setattr(board, "totals", {"by_client": {}}))),
    "read out of order": (Kind.DISORDERED, at_page(lambda page: page.disorder.append(3))),
    "delivered to another": (Kind.CROSSED, disk(lambda rows: rows.append(entry("Client-2", 3)))),
    "shown to another": (Kind.CROSSED, at_page(lambda page: page.see(entry("Client-2", 3)))),
    "two answers mixed up": (Kind.CROSSED, disk(lambda rows: rows[0].update(prediction=answer("Client-1", 2)))),
    "logged as another's": (Kind.CROSSED, server(lambda _, log: log[0].update(client_id="Client-2"))),
    "a record altered": (Kind.ALTERED, disk(lambda rows: rows[0]["record"].update(age=99))),
    "a reference altered": (Kind.ALTERED, server(lambda rows, _: rows[0]["body"].update(patient_reference="bed 99"))),
    "a score altered": (
        Kind.ALTERED,
        disk(lambda rows: rows[0]["prediction"].update(anomaly_score=rows[0]["prediction"]["anomaly_score"] + 1e-15)),
    ),
    "a score altered at a dashboard": (
        Kind.ALTERED,
        at_dashboard(lambda board: board.taken[0]["prediction"].update(anomaly_score=0.3)),
    ),
    "an explanation altered": (
        Kind.ALTERED,
        disk(lambda rows: rows[EXPLAINED - 1].update(explanation=FINAL | {"text": "Another."})),
    ),
    "an explanation altered at a dashboard": (
        Kind.ALTERED,
        at_dashboard(lambda board: board.taken[-1].update(explanation=FINAL | {"text": "Another."})),
    ),
    "loaded otherwise": (Kind.ALTERED, at_page(lambda page: page.loaded[0].update(state="queued"))),
    "another patient explained": (
        Kind.ALTERED,
        server(lambda rows, _: rows[0]["body"]["contributions"][1].update(value=1.0)),
    ),
    "filed under another request": (
        Kind.ALTERED,
        server(lambda rows, _: rows[0]["body"].update(request_id="Client-1-2")),
    ),
    "refused silently": (
        Kind.REFUSED,
        disk(lambda rows: rows[-1].update(state="refused", prediction=None, error=AN_ERROR)),
    ),
    "refused in the log": (Kind.REFUSED, refuse_in_the_log),
    "refused at the page": (Kind.REFUSED, at_page(lambda page: page.refused.update({"Client-1-1": AN_ERROR}))),
    "the impossible kept": (
        Kind.REFUSED,
        disk(lambda rows: rows.append(entry("Client-1", 4, request_id="impossible"))),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_by_its_name(name: str) -> None:
    kind, damage = DAMAGES[name]
    records = undamaged()
    damage(records)
    assert kind in {finding.kind for finding in findings(records)}


def test_a_seed_always_gives_the_same_schedule_and_seeds_give_every_fault() -> None:
    assert make_schedule(7) == make_schedule(7)
    faults = [fault for seed in range(100) for fault in make_schedule(seed)]
    assert {fault.kind for fault in faults} == {*PROCESS_FAULTS, *LINK_FAULTS}
    assert {fault.target for fault in faults if not fault.of_link} == {*PROCESSES}
