"""The people of several servers: the same rules in PostgreSQL as in the file of one, and attempts counted together."""

from pathlib import Path

import pytest
from limits import parse
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import Engine

from common.access.accounts import People
from common.access.audit import Action, Actor, AuditTrail
from common.access.command import main
from common.access.file import file_of
from common.access.roles import BuiltInToken, Role
from common.access.sessions import Sessions
from common.errors import InvalidAccountError, NotSignedInError
from config.secrets import ConfigurationError
from config.settings import ServerSettings
from server.store.access import AccessDatabase, access_store, copy_people, without_people

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)

OPERATOR = BuiltInToken(Role.OPERATOR, "OPERATOR_TOKEN", "the operators' token")


@pytest.fixture
def stores(engine: Engine) -> list[AccessDatabase]:
    return [AccessDatabase(engine) for _ in range(2)]


def test_a_person_added_at_one_server_is_known_and_revoked_at_another(stores: list[AccessDatabase]) -> None:
    here, there = (People(store) for store in stores)
    ada = here.add("Ada", Role.OPERATOR, "a token", 0)
    with pytest.raises(InvalidAccountError):
        there.add("ADA", Role.OPERATOR, "another", 0)
    assert there.of_token("a token") == ada
    there.revoke(ada, 1)
    assert here.of_token("a token") is None
    with pytest.raises(NotSignedInError):
        Sessions(stores[0], seconds=60, idle_seconds=60, clock=lambda: 0, fresh_seconds=0).begin(ada, "")
    assert here.add("Ada", Role.OPERATOR, "a third", 2) == there.find("ada")  # the name is free again


def test_attempts_add_up_until_they_are_forgotten(stores: list[AccessDatabase]) -> None:
    limit = parse("3 per minute")
    here, there = (FixedWindowRateLimiter(store.counts) for store in stores if store.counts)
    assert [one.hit(limit, "ada") for one in (here, there, here, there)] == [True, True, True, False]
    assert there.hit(limit, "another")
    there.clear(limit, "ada")
    assert here.hit(limit, "ada")


def test_people_and_trail_move_over_from_the_file(engine: Engine, tmp_path: Path) -> None:
    settings = ServerSettings.model_validate({"data_dir": tmp_path})
    assert copy_people(settings, without_people(engine)) == 0
    file = file_of(settings)
    AuditTrail(file, lambda: 0).record(Actor("", "", ""), Action.SIGNED_IN)
    ada = People(file).add("Ada", Role.OPERATOR, "a token", 0)
    assert copy_people(settings, without_people(engine)) == 1
    with pytest.raises(ConfigurationError, match="has accounts"):
        without_people(engine)
    database = AccessDatabase(engine)
    assert People(database).of_token("a token") == ada
    AuditTrail(database, lambda: 0).record(Actor("", "", ""), Action.SIGNED_OUT)
    assert [one.action for one in AuditTrail(database, lambda: 0).newest(9)] == ["signed_out", "signed_in"]


def test_the_command_works_on_the_database(
    stores: list[AccessDatabase], url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["add", "Ada"], ServerSettings, access_store) == 0
    assert "has not been started" in capsys.readouterr().err
    for store in stores:
        People(store).take_built_in([OPERATOR], "https://here", 0)
    assert main(["revoke", "ada"], ServerSettings, access_store) == 0
    assert {one.name: bool(one.revoked_at) for one in People(stores[0]).all()} == {"Ada": True, "Operator": False}
    trail = AuditTrail(stores[1], lambda: 0).newest(9)
    assert [one.action for one in trail] == ["account_revoked", "account_added"]
