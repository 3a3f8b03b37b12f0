"""The checker of the fault harness finds nothing in records without damage, and every kind of damage by its name."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.faults.checker import Kind, findings
from tests.faults.records import ClientRecord, DashboardRecord, Json, PageRecord, Records, ServerRecord
from tests.faults.schedules import DASHBOARD_LINKS, LINK_FAULTS, PROCESS_FAULTS, PROCESSES, make_schedule

BEFORE = 40
CLIENTS = ("Client-1", "Client-2")
NUMBERS = (1, 2, 3)
CORRECTED, CORRECTION = 1, 3
EXPLAINED = 2
"""The patient of each client app who gets a final explanation."""

FIRST = {"text": "The first.", "reason": None}
FINAL = {"text": "The first.", "reason": "nobody answered"}
IMPOSSIBLE = "impossible"
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
        "corrects": f"{client_id}-{CORRECTED}" if number == CORRECTION else None,
        **changed,
    }


def entry(client_id: str, number: int, **changed: object) -> Json:
    made = answer(client_id, number)
    kept = {name: made[name] for name in ("request_id", "patient_reference", "record")}
    explanation = FINAL if number == EXPLAINED else FIRST
    shown = {"state": "answered", "prediction": made, "explanation": explanation, "error": None}
    return kept | shown | {"corrects": made["corrects"], "superseded_by": superseded_by(made)} | changed


def superseded_by(made: Json) -> str | None:
    client_id, _, number = made["request_id"].rpartition("-")
    return f"{client_id}-{CORRECTION}" if number == str(CORRECTED) else None


def entries(client_id: str) -> list[Json]:
    return [entry(client_id, number) for number in NUMBERS]


def change(sequence: int, kind: str, made: Json, **changed: object) -> Json:
    told: Json = {name: made[name] for name in ("prediction_id", "client_id", "request_id")}
    nothing = dict.fromkeys(("prediction", "explanation", "error", "superseded_by"))
    return told | nothing | {"sequence": sequence, "kind": kind} | changed


def filed(sequence: int, made: Json) -> Json:
    key = {name: made[name] for name in ("client_id", "request_id")}
    return {"sequence": sequence, "body": made, "superseded_by": superseded_by(made)} | key


def page(client_id: str) -> PageRecord:
    seen = PageRecord(f"page of {client_id}", client_id=client_id, loaded=entries(client_id), invalid=[IMPOSSIBLE])
    for answered in entries(client_id):
        asked = ("record", "patient_reference", "corrects")
        seen.submitted[answered["request_id"]] = {name: answered[name] for name in asked}
        seen.saved.append(answered["request_id"])
        seen.see(answered | {"state": "queued", "prediction": None, "explanation": None})
        seen.see(answered)
    seen.submitted[IMPOSSIBLE] = {"record": {"age": 121}, "patient_reference": None}
    seen.refused[IMPOSSIBLE] = AN_ERROR
    return seen


def undamaged() -> Records:
    """Three patients at each of two client apps, all answered and shown everywhere; the last corrects the first.

    What each place shows is a copy of its own, or damage to one would damage the others as well.
    """
    answers = [answer(client_id, number) for number in NUMBERS for client_id in CLIENTS]
    made = list(enumerate(answers, BEFORE + 1))
    changes = [change(sequence, "prediction_made", one, prediction=one) for sequence, one in made]
    for one in [one for one in answers if one["awaits_explanation"]]:
        changes.append(change(BEFORE + 1 + len(changes), "explanation_finished", one, explanation=FINAL))
    for one in [one for one in answers if superseded_by(one)]:
        correction = superseded_by(one)
        changes.append(change(BEFORE + 1 + len(changes), "prediction_superseded", one, superseded_by=correction))
    totals = dict.fromkeys(CLIENTS, len(NUMBERS) - 1)
    shown: dict[str, Any] = {"loaded": answers, "after": BEFORE, "taken": changes, "totals": {"by_client": totals}}
    return Records(
        pages=[page(client_id) for client_id in CLIENTS],
        dashboards=[DashboardRecord(name, **deepcopy(shown)) for name in DASHBOARD_LINKS],
        server=ServerRecord(
            BEFORE, BEFORE + len(changes), deepcopy([filed(*one) for one in made]), deepcopy(changes), totals
        ),
        clients=[ClientRecord(client_id, entries(client_id)) for client_id in CLIENTS],
    )


def test_nothing_is_found_where_nothing_is_damaged() -> None:
    assert findings(undamaged()) == []


def disk(records: Records) -> list[Json]:
    return records.clients[0].requests


def body(records: Records) -> Json:
    made: Json = records.server.predictions[0]["body"]
    return made


def board(records: Records) -> DashboardRecord:
    return records.dashboards[1]


def loaded(reader: PageRecord | DashboardRecord) -> list[Json]:
    return reader.loaded or []


def log(records: Records, made: Json | None = None, **more: object) -> list[Json]:
    """The server's log, with one more entry if so asked."""
    server = records.server
    if made is not None:
        server.last += 1
        server.changes.append({**change(server.last, "prediction_made", made), **more})
    return server.changes


def store_twice(records: Records) -> None:
    made = answer("Client-1", 1, prediction_id="again")
    log(records, made, prediction=made)
    records.server.predictions.append(filed(records.server.last, made))


def take_from_the_log(records: Records, place: int) -> None:
    log(records).pop(place)
    records.server.last -= 1
    for sequence, one in enumerate(log(records), BEFORE + 1):
        one["sequence"] = sequence


def explain_again(records: Records) -> None:
    log(records, AGAIN, **{**log(records)[-3], "sequence": records.server.last + 1})


Damage = Callable[[Records], object]
AGAIN = answer("Client-1", 1)
OTHER_TEXT = FINAL | {"text": "Another."}
UNSTORED = entry("Client-1", 2, prediction=answer("Client-1", 2, prediction_id="no"))
REFUSED = {"state": "refused", "prediction": None, "error": AN_ERROR}

DAMAGES: list[tuple[str, Kind, Damage]] = [
    ("lost on a client app's disk", Kind.LOST, lambda seen: disk(seen).pop()),
    ("left waiting", Kind.LOST, lambda seen: disk(seen)[-1].update(state="queued", prediction=None)),
    ("never shown", Kind.LOST, lambda seen: seen.pages[0].seen["Client-1-2"].pop()),
    ("another log", Kind.LOST, lambda seen: setattr(board(seen), "restarts", 1)),
    ("missed at a dashboard", Kind.LOST, lambda seen: board(seen).taken.pop(2)),
    ("not loaded by a dashboard", Kind.LOST, lambda seen: loaded(board(seen)).pop()),
    ("not loaded by a page", Kind.LOST, lambda seen: loaded(seen.pages[0]).pop()),
    ("a gap in the log", Kind.LOST, lambda seen: setattr(seen.server, "last", seen.server.last + 1)),
    ("kept out of the log", Kind.LOST, lambda seen: log(seen)[0].update(prediction_id="another")),
    ("an explanation never finished", Kind.LOST, lambda seen: take_from_the_log(seen, -3)),
    ("a correction not in the log", Kind.LOST, lambda seen: take_from_the_log(seen, -1)),
    ("a correction never told", Kind.LOST, lambda seen: disk(seen)[CORRECTED - 1].update(superseded_by=None)),
    ("an explanation never told", Kind.LOST, lambda seen: disk(seen)[EXPLAINED - 1].update(explanation=FIRST)),
    ("answered without storing", Kind.NOT_STORED, lambda seen: seen.pages[0].see(UNSTORED)),
    ("shown without storing", Kind.NOT_STORED, lambda seen: seen.server.predictions.pop()),
    ("stored twice", Kind.DOUBLED, store_twice),
    ("corrected by two", Kind.ALTERED, lambda seen: log(seen)[-1].update(superseded_by="Client-2-2")),
    ("corrected by nobody", Kind.NOT_STORED, lambda seen: disk(seen)[-1].update(superseded_by="no")),
    ("explained twice", Kind.DOUBLED, explain_again),
    ("shown twice", Kind.DOUBLED, lambda seen: board(seen).taken.insert(2, board(seen).taken[1])),
    ("counted wrong", Kind.DOUBLED, lambda seen: setattr(board(seen), "totals", {"by_client": {}})),
    ("read out of order", Kind.DISORDERED, lambda seen: seen.pages[0].disorder.append(3)),
    ("delivered to another", Kind.CROSSED, lambda seen: disk(seen).append(entry("Client-2", 3))),
    ("two answers mixed up", Kind.CROSSED, lambda seen: disk(seen)[0].update(prediction=answer("Client-1", 2))),
    ("logged as another's", Kind.CROSSED, lambda seen: log(seen)[0].update(client_id="Client-2")),
    ("a record", Kind.ALTERED, lambda seen: disk(seen)[0]["record"].update(age=99)),
    ("a reference", Kind.ALTERED, lambda seen: body(seen).update(patient_reference="bed 99")),
    ("a score's last digit", Kind.ALTERED, lambda seen: disk(seen)[0]["prediction"].update(anomaly_score=0.1 + 1e-15)),
    ("at a dashboard", Kind.ALTERED, lambda seen: board(seen).taken[0]["prediction"].update(anomaly_score=0.3)),
    ("an explanation", Kind.ALTERED, lambda seen: disk(seen)[EXPLAINED - 1].update(explanation=OTHER_TEXT)),
    ("loaded otherwise", Kind.ALTERED, lambda seen: loaded(seen.pages[0])[0].update(state="queued")),
    ("another patient explained", Kind.ALTERED, lambda seen: body(seen)["contributions"][1].update(value=1.0)),
    ("filed under another request", Kind.ALTERED, lambda seen: body(seen).update(request_id="Client-1-2")),
    ("refused silently", Kind.REFUSED, lambda seen: disk(seen)[-1].update(REFUSED)),
    ("refused in the log", Kind.REFUSED, lambda seen: log(seen, AGAIN, kind="request_refused", error=AN_ERROR)),
    ("refused at the page", Kind.REFUSED, lambda seen: seen.pages[0].refused.update({"Client-1-1": AN_ERROR})),
    ("kept, but impossible", Kind.REFUSED, lambda seen: disk(seen).append(entry("Client-1", 4, request_id=IMPOSSIBLE))),
]


def withdraw(records: Records) -> None:
    """One more patient, who was withdrawn before the answer: what is left is a tombstone in the log."""
    gone = answer("Client-1", 4)
    noted, request_id = records.pages[0], gone["request_id"]
    noted.submitted[request_id] = {name: gone[name] for name in ("record", "patient_reference")}
    noted.saved.append(request_id)
    noted.withdrawn.append(request_id)
    log(records, gone, kind="prediction_erased", prediction_id=None)
    for dashboard in records.dashboards:
        dashboard.taken.append(log(records)[-1])


def test_what_was_withdrawn_is_gone_for_good_or_answered() -> None:
    records = undamaged()
    records.pages[0].withdrawn.append("Client-1-1")  # which was answered first
    withdraw(records)
    assert findings(records) == []
    disk(records).append(entry("Client-1", 4, state="withdrawing", prediction=None))
    assert Kind.LOST in {finding.kind for finding in findings(records)}


@pytest.mark.parametrize(("kind", "damage"), [pytest.param(*one, id=name) for name, *one in DAMAGES])
def test_damage_is_found_by_its_name(kind: Kind, damage: Damage) -> None:
    records = undamaged()
    damage(records)
    assert kind in {finding.kind for finding in findings(records)}


def test_a_seed_always_gives_the_same_schedule_and_seeds_give_every_fault() -> None:
    assert make_schedule(7) == make_schedule(7)
    faults = [fault for seed in range(100) for fault in make_schedule(seed)]
    assert {fault.kind for fault in faults} == {*PROCESS_FAULTS, *LINK_FAULTS}
    assert {fault.target for fault in faults if not fault.of_link} == {*PROCESSES}
