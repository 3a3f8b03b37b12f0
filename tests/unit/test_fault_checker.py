"""The checker of the fault harness finds nothing in records without damage, and every kind of damage by its name."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import Kind, findings
from tests.faults.controls import CONTROLS, Edit
from tests.faults.records import ClientRecord, DashboardRecord, PageRecord, Records, ServerRecord, Wire
from tests.faults.schedules import DASHBOARD_LINKS, LINK_FAULTS, PROCESS_FAULTS, PROCESSES, make_schedule
from tests.faults.system import copy_tree

BEFORE = 40
CLIENTS = ("Client-1", "Client-2")
PATIENTS = 3
EXPLAINED = 2
"""The patient of each client app who gets a final explanation."""

FINAL = {"text": "The first.", "reason": "nobody answered"}
AN_ERROR = {"code": "invalid_record", "message": "Some fields cannot be accepted.", "retryable": False, "fields": {}}

Damage = Callable[[Records], object]


def request_id(client_id: str, number: int) -> str:
    return f"{client_id}-{number}"


def answer(client_id: str, number: int) -> Wire:
    record = {"age": 50 + number, "cholesterol": 200.5 + number, "st_slope": None}
    return {
        "prediction_id": f"prediction-{client_id}-{number}",
        "request_id": request_id(client_id, number),
        "client_id": client_id,
        "outbox_number": number,
        "patient_reference": f"bed {number}",
        "record": record,
        "anomaly_score": 0.1 * number,
        "contributions": [{"field": name, "value": value} for name, value in record.items()],
        "explanation": {"text": "The first.", "reason": None},
        "awaits_explanation": number == EXPLAINED,
    }


def entry(client_id: str, number: int, state: str) -> Wire:
    made = answer(client_id, number)
    kept = {name: made[name] for name in ("request_id", "outbox_number", "patient_reference", "record")}
    if state != "answered":
        return kept | {"state": state, "prediction": None, "explanation": None, "error": None}
    explanation = FINAL if number == EXPLAINED else made["explanation"]
    return kept | {"state": state, "prediction": made, "explanation": explanation, "error": None}


def page(client_id: str) -> PageRecord:
    seen = PageRecord(f"page of {client_id}", client_id)
    for number in range(1, PATIENTS + 1):
        made, name = answer(client_id, number), request_id(client_id, number)
        seen.submitted[name] = {"record": made["record"], "patient_reference": made["patient_reference"]}
        seen.queued[name] = number
        for state in ("queued", "answered"):
            seen.see(entry(client_id, number, state))
    seen.histories.append(list(seen.queued))
    seen.submitted["impossible"] = {"record": {"age": 121}, "patient_reference": None}
    seen.invalid.append("impossible")
    seen.refused["impossible"] = AN_ERROR
    return seen


def change(kind: str, made: Wire, explanation: Wire | None) -> Wire:
    logged = {name: made[name] for name in ("prediction_id", "client_id")}
    return logged | {"kind": kind, "explanation": explanation}


def undamaged() -> Records:
    """Three patients at each of two client apps, all answered and shown everywhere."""
    answers = [answer(client_id, number) for number in range(1, PATIENTS + 1) for client_id in CLIENTS]
    changes = [change("prediction_made", made, None) for made in answers]
    changes += [change("explanation_finished", made, FINAL) for made in answers if made["awaits_explanation"]]
    for sequence, logged in enumerate(changes, start=BEFORE + 1):
        logged["sequence"] = sequence
    totals = dict.fromkeys(CLIENTS, PATIENTS)
    made_at = dict(enumerate(answers, start=BEFORE + 1))
    taken = [logged | {"prediction": made_at.get(logged["sequence"])} for logged in changes]
    filed = [
        {"sequence": sequence, "body": made} | {name: made[name] for name in ("client_id", "request_id")}
        for sequence, made in made_at.items()
    ]
    records = Records(
        pages=[page(client_id) for client_id in CLIENTS],
        dashboards=[DashboardRecord(name, BEFORE, taken, totals={"by_client": totals}) for name in DASHBOARD_LINKS],
        server=ServerRecord(BEFORE, BEFORE + len(changes), filed, changes, totals),
        clients=[
            ClientRecord(client_id, [entry(client_id, number, "answered") for number in range(1, PATIENTS + 1)])
            for client_id in CLIENTS
        ],
    )
    return copy.deepcopy(records)


def kinds(records: Records) -> set[Kind]:
    return {finding.kind for finding in findings(records)}


def test_nothing_is_found_where_nothing_is_damaged() -> None:
    assert findings(undamaged()) == []


def lose_at_the_server(records: Records) -> None:
    lost = records.server.predictions.pop()
    records.server.changes = [row for row in records.server.changes if row["sequence"] != lost["sequence"]]


def lose_on_a_client_disk(records: Records) -> None:
    records.clients[0].requests.pop()


def leave_waiting(records: Records) -> None:
    records.clients[0].requests[-1].update(state="queued", prediction=None)


def never_show(records: Records) -> None:
    records.pages[0].seen["Client-1-2"].pop()


def miss_at_a_dashboard(records: Records) -> None:
    records.dashboards[1].taken.pop(2)


def begin_the_log_anew(records: Records) -> None:
    records.dashboards[1].restarts = 1


def leave_a_gap_in_the_log(records: Records) -> None:
    records.server.last += 1


def keep_a_prediction_out_of_the_log(records: Records) -> None:
    records.server.changes[0]["prediction_id"] = "another"


def never_finish_an_explanation(records: Records) -> None:
    records.server.changes.pop()
    records.server.last -= 1


def never_tell_an_explanation(records: Records) -> None:
    row = records.clients[0].requests[EXPLAINED - 1]
    row["explanation"] = row["prediction"]["explanation"]


def answer_without_storing(records: Records) -> None:
    made = answer("Client-1", 2) | {"prediction_id": "never-stored"}
    records.pages[0].see(entry("Client-1", 2, "answered") | {"prediction": made})


def show_without_storing(records: Records) -> None:
    records.server.predictions.pop()


def store_twice(records: Records) -> None:
    last = records.server.last = records.server.last + 1
    made = answer("Client-1", 1) | {"prediction_id": "again"}
    filed = {"client_id": "Client-1", "request_id": "Client-1-1", "sequence": last, "body": made}
    records.server.predictions.append(filed)
    records.server.changes.append(change("prediction_made", made, None) | {"sequence": last})


def explain_twice(records: Records) -> None:
    last = records.server.last = records.server.last + 1
    records.server.changes.append(records.server.changes[-1] | {"sequence": last})


def show_a_row_twice(records: Records) -> None:
    records.dashboards[0].taken.insert(2, records.dashboards[0].taken[1])


def list_twice(records: Records) -> None:
    records.pages[1].histories[0].append("Client-2-1")


def number_twice(records: Records) -> None:
    records.clients[0].requests[1]["outbox_number"] = 1


def count_wrong(records: Records) -> None:
    records.dashboards[0].totals = {"by_client": {"Client-1": PATIENTS, "Client-2": PATIENTS + 1}}


def store_out_of_order(records: Records) -> None:
    rows = records.server.predictions
    rows[0], rows[2] = rows[2] | {"sequence": rows[0]["sequence"]}, rows[0] | {"sequence": rows[2]["sequence"]}


def show_out_of_order(records: Records) -> None:
    taken = records.dashboards[0].taken
    taken[0], taken[1] = taken[1], taken[0]


def queue_out_of_order(records: Records) -> None:
    queued = records.pages[0].queued
    queued["Client-1-1"], queued["Client-1-2"] = queued["Client-1-2"], queued["Client-1-1"]


def deliver_to_another(records: Records) -> None:
    records.clients[1].requests.append(entry("Client-1", 3, "answered"))


def show_to_another(records: Records) -> None:
    records.pages[1].see(entry("Client-1", 3, "answered"))


def mix_up_two_answers(records: Records) -> None:
    records.clients[0].requests[0]["prediction"] = answer("Client-1", 2)


def log_as_anothers(records: Records) -> None:
    records.server.changes[0]["client_id"] = "Client-2"


def alter_a_record(records: Records) -> None:
    records.clients[0].requests[0]["record"]["age"] += 1


def alter_a_reference(records: Records) -> None:
    records.server.predictions[0]["body"]["patient_reference"] = "bed 99"


def alter_a_score(records: Records) -> None:
    records.clients[0].requests[0]["prediction"]["anomaly_score"] += 1e-15


def alter_a_score_at_a_dashboard(records: Records) -> None:
    records.dashboards[0].taken[0]["prediction"]["anomaly_score"] = 0.3


def alter_an_explanation(records: Records) -> None:
    records.clients[0].requests[EXPLAINED - 1]["explanation"] = FINAL | {"text": "Another."}


def alter_an_explanation_at_a_dashboard(records: Records) -> None:
    records.dashboards[0].taken[-1]["explanation"] = FINAL | {"text": "Another."}


def alter_a_number(records: Records) -> None:
    records.pages[0].queued["Client-1-3"] = 4


def answer_in_two_ways(records: Records) -> None:
    different = answer("Client-1", 2) | {"anomaly_score": 0.9}
    records.pages[0].see(entry("Client-1", 2, "answered") | {"prediction": different})


def explain_another_patient(records: Records) -> None:
    records.server.predictions[0]["body"]["contributions"][1]["value"] = 1.0


def file_under_another_request(records: Records) -> None:
    records.server.predictions[0]["body"]["request_id"] = "Client-1-2"


def show_another_entry(records: Records) -> None:
    records.dashboards[0].taken[0]["prediction_id"] = "another"


def refuse_silently(records: Records) -> None:
    records.clients[0].requests[-1].update(state="refused", prediction=None, error=AN_ERROR)


def refuse_at_the_page(records: Records) -> None:
    records.pages[0].refused["Client-1-1"] = AN_ERROR


def keep_the_impossible(records: Records) -> None:
    kept = entry("Client-1", 4, "answered") | {"request_id": "impossible"}
    records.clients[0].requests.append(kept)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lose_at_the_server, Kind.LOST),
        (lose_on_a_client_disk, Kind.LOST),
        (leave_waiting, Kind.LOST),
        (never_show, Kind.LOST),
        (miss_at_a_dashboard, Kind.LOST),
        (begin_the_log_anew, Kind.LOST),
        (leave_a_gap_in_the_log, Kind.LOST),
        (keep_a_prediction_out_of_the_log, Kind.LOST),
        (never_finish_an_explanation, Kind.LOST),
        (never_tell_an_explanation, Kind.LOST),
        (answer_without_storing, Kind.NOT_STORED),
        (show_without_storing, Kind.NOT_STORED),
        (store_twice, Kind.DOUBLED),
        (explain_twice, Kind.DOUBLED),
        (show_a_row_twice, Kind.DOUBLED),
        (list_twice, Kind.DOUBLED),
        (number_twice, Kind.DOUBLED),
        (count_wrong, Kind.DOUBLED),
        (store_out_of_order, Kind.REORDERED),
        (show_out_of_order, Kind.REORDERED),
        (queue_out_of_order, Kind.REORDERED),
        (deliver_to_another, Kind.CROSSED),
        (show_to_another, Kind.CROSSED),
        (mix_up_two_answers, Kind.CROSSED),
        (log_as_anothers, Kind.CROSSED),
        (alter_a_record, Kind.ALTERED),
        (alter_a_reference, Kind.ALTERED),
        (alter_a_score, Kind.ALTERED),
        (alter_a_score_at_a_dashboard, Kind.ALTERED),
        (alter_an_explanation, Kind.ALTERED),
        (alter_an_explanation_at_a_dashboard, Kind.ALTERED),
        (alter_a_number, Kind.ALTERED),
        (answer_in_two_ways, Kind.ALTERED),
        (explain_another_patient, Kind.ALTERED),
        (file_under_another_request, Kind.ALTERED),
        (show_another_entry, Kind.ALTERED),
        (refuse_silently, Kind.REFUSED),
        (refuse_at_the_page, Kind.REFUSED),
        (keep_the_impossible, Kind.REFUSED),
    ],
)
def test_damage_is_found_by_its_name(damage: Damage, kind: Kind) -> None:
    records = undamaged()
    damage(records)
    assert kind in kinds(records)


def test_records_that_were_kept_are_checked_as_they_were(tmp_path: Path) -> None:
    records = undamaged()
    store_twice(records)
    records.save(tmp_path / "records.json")
    assert Records.load(tmp_path / "records.json") == records
    assert findings(Records.load(tmp_path / "records.json")) == findings(records)


def test_a_seed_always_gives_the_same_schedule_and_seeds_give_every_fault() -> None:
    assert make_schedule(7) == make_schedule(7)
    faults = [fault for seed in range(100) for fault in make_schedule(seed)]
    assert {fault.kind for fault in faults} == {*PROCESS_FAULTS, *LINK_FAULTS}
    assert {fault.target for fault in faults if not fault.of_link} == {*PROCESSES}


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_what_a_control_changes_still_stands_in_the_product(name: str, tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    CONTROLS[name].apply(tree)
    for edit in CONTROLS[name].edits:
        changed = (tree / edit.file).read_text()
        assert edit.new in changed
        compile(changed, edit.file, "exec")


def test_a_control_that_no_longer_fits_the_product_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one = 1\n")
    with pytest.raises(ValueError, match="no longer holds once"):
        Edit("a.py", "two = 2", "two = 3").apply(tmp_path)
