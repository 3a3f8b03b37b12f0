"""Accounts: who may be added, what is kept of a proof, and what the command says, does and writes down."""

import io
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.access.accounts import People, hash_of
from common.access.audit import AuditTrail
from common.access.command import main
from common.access.file import AccessFile, access_file
from common.access.passwords import is_password, password_hash
from common.access.roles import BuiltInToken, Role
from common.errors import InvalidAccountError, StoreUnavailableError
from config.settings import ClientSettings, ServerSettings

Said = Callable[..., str]
GOOD = "correct horse battery staple"
OPERATOR = BuiltInToken(Role.OPERATOR, "OPERATOR_TOKEN", "the operators' token")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return access_file(tmp_path, "server")


@pytest.fixture
def people(file: Path) -> People:
    return People(AccessFile(file))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Run the command for the server, and return what it says."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments, ServerSettings) == 0
        return capsys.readouterr().out

    return run


def test_the_file_is_for_its_owner_alone(file: Path) -> None:
    for name in ("as it was made", "as it was copied back"):
        People(AccessFile(file)).add(name, Role.OPERATOR, name, 0)
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}
        file.chmod(0o644)
        file.parent.chmod(0o755)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\u202eb", "ADMINISTRATOR ", "Ada", " ada ", "\uff21da"])
def test_a_name_that_would_mislead_or_is_taken_is_refused(people: People, name: str) -> None:
    ada = people.add("Ada", Role.OPERATOR, "a token", 0)
    with pytest.raises(InvalidAccountError):
        people.add(name, Role.OPERATOR, "another token", 0)
    assert people.all() == [ada]


def test_a_revoked_account_has_no_proof_left(people: People) -> None:
    account = people.add("Ada", Role.OPERATOR, "a token", 0)
    people.set_password(account, password_hash(GOOD, "Ada"))
    people.revoke(people.find("Ada"), 5)
    with pytest.raises(InvalidAccountError, match="in use"):  # it was typed meanwhile
        people.set_password(account, password_hash(GOOD, "Ada"))
    revoked = people.find("Ada")
    assert (revoked.token_hash, revoked.password_hash, revoked.revoked_at) == (None, None, 5)
    people.give_link(revoked, "another token")
    renewed = people.find("Ada")
    assert (renewed.token_hash, renewed.password_hash, renewed.revoked_at) == (hash_of("another token"), None, None)
    people.revoke(renewed, 6)
    second = people.add("Ada", Role.OPERATOR, "a third token", 7)  # the name is free
    assert people.find("ada") == second
    with pytest.raises(InvalidAccountError, match="already"):
        people.give_link(people.find(account.id), "a fourth token")


def test_the_settings_link_is_revoked_until_they_give_another(people: People) -> None:
    people.take_built_in([OPERATOR], "http://here", 0)
    people.revoke(people.find("operator"), 1)
    people.take_built_in([OPERATOR], "http://here", 2)
    assert people.find("operator").revoked_at == 1
    with pytest.raises(InvalidAccountError, match="OPERATOR_TOKEN"):
        people.give_link(people.find("operator"), "another")
    with pytest.raises(InvalidAccountError, match="person"):
        people.set_password(people.find("operator"), "a hash")
    people.take_built_in([BuiltInToken(Role.OPERATOR, "OPERATOR_TOKEN", "another")], "http://there", 3)
    assert people.find("operator").revoked_at is None
    assert people.url() == "http://there"


def test_a_file_that_is_gone_or_damaged_is_an_error_and_no_empty_list(people: People, file: Path) -> None:
    file.write_bytes(b"something else, and no database at all" * 100)
    with pytest.raises(StoreUnavailableError):
        people.all()
    file.unlink()
    with pytest.raises(StoreUnavailableError):
        people.all()
    assert not file.exists()


@pytest.mark.parametrize("password", ["x" * 14, "x" * 129, "abababababababab", "i am ada lovelace"])
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(InvalidAccountError):
        password_hash(password, "Ada Lovelace")


def test_a_password_is_checked_however_the_keyboard_wrote_it() -> None:
    kept = password_hash("cafe\u0301 au lait, s'il vous plait", "Ada")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert is_password(kept, "caf\u00e9 au lait, s'il vous plait")
    for wrong in ("", "cafe au lait, s'il vous plait", "x" * 5000):
        assert not is_password(kept, wrong)
    assert not is_password(None, GOOD)


def test_the_command_adds_lists_renews_and_revokes_and_writes_it_down(
    command: Said, people: People, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = command("add", "Ada Lovelace", "--role", "administrator")
    account_id, token = re.search(r"\((\w+)\)", added)[1], added.strip().rpartition("#token=")[2]  # type: ignore[index]
    assert len(token) >= 43
    assert people.find(account_id).token_hash == hash_of(token)
    renewed = command("link", "ada lovelace").strip().rpartition("#token=")[2]
    assert people.find(account_id).token_hash == hash_of(renewed) != hash_of(token)
    listed = command("list")
    assert re.search(rf"^{account_id}  Ada Lovelace  administrator  link ", listed, re.M)
    monkeypatch.setattr(sys, "stdin", io.StringIO(GOOD + "\n"))
    command("password", account_id)
    assert is_password(people.find(account_id).password_hash, GOOD)
    assert "link, password" in command("list")
    assert "can no longer sign in" in command("revoke", account_id)
    assert "nothing: revoked" in command("list")
    kept = file.read_bytes()
    assert token.encode() not in kept
    assert renewed.encode() not in kept
    trail = [
        (entry.role, entry.action, entry.target) for entry in AuditTrail(AccessFile(file), clock=lambda: 0).newest(9)
    ]
    changes = ("account_revoked", "password_set", "account_renewed", "account_added")
    assert trail == [("command", action, account_id) for action in changes]
    shown = command("audit", "show").splitlines()
    assert [line.split()[0] for line in shown] == ["1", "2", "3", "4"]
    assert f"(command)  account_revoked  {account_id}" in shown[-1]


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "said"),
    [
        (ServerSettings, ["link", "nobody"], 1, "no account with this name"),
        (ClientSettings, ["client-1", "add", "Ada", "--role", "operator"], 1, "has no such role"),
        (ClientSettings, ["../etc", "list"], 2, "CLIENT_ID must be a name"),
        (ServerSettings, ["end", "nothing"], 1, "already ended"),
    ],
)
@pytest.mark.usefixtures("command")
def test_what_the_command_cannot_do_is_a_sentence(
    settings: type[ServerSettings] | type[ClientSettings], arguments: list[str], code: int, said: str, capsys: Any
) -> None:
    assert main(arguments, settings) == code
    assert said in capsys.readouterr().err


def test_an_env_file_that_is_no_text_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / ".env").write_bytes(b"LLM_MODEL=M\xfcller")
    monkeypatch.setitem(ServerSettings.model_config, "env_file", file)
    assert main(["list"], ServerSettings) == 2
    assert "is not UTF-8 text" in capsys.readouterr().err
