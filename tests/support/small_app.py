"""A whole app that is as small as can be: a door, sign-in, and namespaces that follow a log in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from flask import Flask

from common.errors import NotAllowedError, StoreUnavailableError
from common.followers import ALL, MAX_ENTRIES, Peer, Run
from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, Event, Receipt
from common.web.app import make_app
from common.web.sockets import FollowedNamespace, RealTime
from config.secrets import CLIENT_IDS
from config.settings import ServerSettings


@dataclass
class ListLog:
    """A log in memory; each entry is (who may see it beside operators, what it says)."""

    entries: list[tuple[str, Any]] = field(default_factory=list)
    name: str = "one.0"
    generation: int = 0
    fails: bool = False

    @property
    def newest(self) -> int:
        return len(self.entries)

    def read(self, after: int, scope: str) -> Run:
        if self.fails:
            raise StoreUnavailableError
        end = min(len(self.entries), after + MAX_ENTRIES)
        seen = [
            {"sequence": after + n + 1, "said": said}
            for n, (who, said) in enumerate(self.entries[after:end])
            if scope in (ALL, who)
        ]
        return Run(after, end, end < len(self.entries), orjson.Fragment(orjson.dumps(seen)), None)


class Members(FollowedNamespace):
    """Lets client apps into ``/clients`` and people into ``/operators``."""

    events = frozenset({Event.PREDICT})
    before_admission: Callable[[object], object] = staticmethod(lambda _: None)

    def __init__(self, name: str, log: ListLog) -> None:
        super().__init__(name, log, status=lambda: None)
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
    clients: Members

    def token(self, client_id: str = "Client-1") -> str:
        return self.settings.secrets.client_tokens[client_id]


def small_app(settings: ServerSettings) -> SmallApp:
    key, tokens = settings.secrets.secret_key, settings.secrets.client_tokens
    app = make_app("server", settings, audience="server", title="Small", secret_key=key, check_ready=lambda: None)
    real_time = RealTime(app, settings, client_of_token={token: one for one, token in tokens.items()}.get)
    log = ListLog()
    clients = Members(CLIENTS_NAMESPACE, log)
    real_time.register(clients)
    real_time.register(Members(OPERATORS_NAMESPACE, log))
    return SmallApp(app, real_time, settings, log, clients)


def settings_in(folder: Path, async_mode: str, **changes: object) -> ServerSettings:
    """Return settings of a server that keeps everything in a folder of its own."""
    usual: dict[str, object] = {
        "socketio_async_mode": async_mode,
        "data_dir": folder / "data",
        "secrets_dir": folder / "secrets",
        "client_ids": CLIENT_IDS,
        "public_url": "",
        "allowed_hosts": ("127.0.0.1", "localhost", "[::1]"),
        "trusted_proxies": 0,
    }
    return ServerSettings.model_validate(usual | changes)
