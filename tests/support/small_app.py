"""A whole app that is as small as can be: a door, sign-in, and namespaces that follow a log in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from flask import Flask

from common.access.sessions import Sessions
from common.errors import NotAllowedError
from common.followers import ALL, Peer, Run
from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, Event, Message, Receipt
from common.web.app import make_app, trust_proxies
from common.web.sockets import FollowedNamespace, RealTime
from config.settings import ServerSettings

MAX_ENTRIES = 500


@dataclass
class ListLog:
    """A log in memory; each entry is (who may see it beside operators, what it says)."""

    entries: list[tuple[str, Any]] = field(default_factory=list)
    name: str = "one.0"
    generation: int = 0
    reads: int = 0
    fails: bool = False

    @property
    def newest(self) -> int:
        return len(self.entries)

    def read(self, after: int, scope: str) -> Run:
        self.reads += 1
        end = min(len(self.entries), after + MAX_ENTRIES)
        seen = [
            {"sequence": after + n + 1, "said": said}
            for n, (who, said) in enumerate(self.entries[after:end])
            if scope in (ALL, who)
        ]
        return Run(after, end, end < len(self.entries), orjson.Fragment(orjson.dumps(seen)), None)


class Told(Message):
    """A status of one word."""

    word: str


class Members(FollowedNamespace):
    """Lets client apps into ``/clients`` and people into ``/operators``."""

    events = frozenset({Event.PREDICT})
    before_admission: Callable[[object], object] = staticmethod(lambda _: None)

    def __init__(self, name: str, log: ListLog, told: list[str], **options: Any) -> None:
        super().__init__(name, log, status=lambda: Told(word=told[-1]) if told else None, **options)
        self.log = log
        self.gone: list[str] = []

    def admit(self, peer: Peer, auth: object, sid: str) -> str:
        self.before_admission(auth)
        if (peer.client_id is None) == (self.name == CLIENTS_NAMESPACE):
            raise NotAllowedError
        return peer.client_id or ALL

    def on_predict(self, sid: str, peer: Peer, message: object) -> Receipt:
        self.log.entries.append((peer.client_id or ALL, message))
        self.followers.nudge()
        return Receipt(status="accepted")

    def left(self, sid: str, peer: Peer) -> None:
        self.gone.append(peer.client_id or "a person")


@dataclass
class SmallApp:
    """The parts of the app that tests look at."""

    app: Flask
    real_time: RealTime
    settings: ServerSettings
    log: ListLog
    told: list[str]
    clients: Members
    operators: Members

    @property
    def sessions(self) -> Sessions:
        return self.real_time.sessions

    def say(self, *said: object, to: str = "Client-1") -> None:
        self.log.entries.extend((to, one) for one in said)
        for members in (self.clients, self.operators):
            members.followers.nudge()

    def tell(self, word: str) -> None:
        self.told.append(word)
        for members in (self.clients, self.operators):
            members.followers.nudge()

    def token(self, client_id: str = "Client-1") -> str:
        return self.settings.secrets.client_tokens[client_id]


def small_app(
    settings: ServerSettings, clock: Callable[[], float] = time.time, reload_beyond: int | None = None
) -> SmallApp:
    """Make the app; ``reload_beyond`` is that of ``/operators``."""
    app = make_app(
        "server",
        settings,
        audience="server",
        title="Small",
        secret_key=settings.secrets.secret_key,
        check_ready=lambda: None,
        clock=clock,
    )
    tokens = {token: client_id for client_id, token in settings.secrets.client_tokens.items()}
    real_time = RealTime(app, settings, client_of_token=tokens.get)
    log, told = ListLog(), ["ready"]
    clients = Members(CLIENTS_NAMESPACE, log, [])
    operators = Members(OPERATORS_NAMESPACE, log, told, reload_beyond=reload_beyond)
    real_time.register(clients)
    real_time.register(operators)
    trust_proxies(app, settings.trusted_proxies)
    return SmallApp(app, real_time, settings, log, told, clients, operators)


def settings_in(folder: Path, async_mode: str, **changes: object) -> ServerSettings:
    """Return settings of a server that keeps everything in a folder of its own."""
    usual: dict[str, object] = {
        "socketio_async_mode": async_mode,
        "data_dir": folder / "data",
        "secrets_dir": folder / "secrets",
        "client_ids": ("Client-1", "Client-2", "Client-3"),
        "public_url": "",
        "allowed_hosts": ("127.0.0.1", "localhost", "[::1]"),
        "trusted_proxies": 0,
    }
    return ServerSettings.model_validate(usual | changes)
