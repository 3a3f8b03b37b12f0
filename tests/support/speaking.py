"""Real clients of a real server: Socket.IO connections that keep what they hear in order, and plain HTTP."""

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.cookies import SimpleCookie
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, Event, Prediction
from tests.support.raw_socket import GoneError, RawSocket
from tests.support.waiting import WAIT_SECONDS

_PACKET: Final = re.compile(r"4(?P<type>\d)(?:(?P<namespace>/[^,]*),)?(?P<id>\d+)?(?P<data>.*)", re.DOTALL)


class RefusedError(GoneError):
    """The server refused the connection; ``said`` is the reason, or the HTTP status if there was no websocket yet."""


class Connection:
    """One Socket.IO connection to one namespace, read by the thread that owns it, whenever it waits for something.

    To follow a log it asks, applies the one answer, and asks again.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        auth: object = None,
        headers: Mapping[str, str] | None = None,
        source: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._prefix = "" if namespace == "/" else f"{namespace},"
        self._heard: list[tuple[str | int, Any]] = []
        self._numbers = count(1)
        self.log: str | None = None
        self.after = 0
        self.ticket: str | None = None
        self.status: Any = None
        self.entries: list[Any] = []
        """What was read and not taken."""
        with ExitStack() as undo:  # whatever keeps it from coming about, nobody else could close the socket
            self._raw = undo.enter_context(RawSocket(url, headers=headers, source=source, tls=tls))
            answer = self._raw.enter("" if namespace == "/" else namespace, auth) if self._raw.status == 101 else ""
            if not answer.startswith("40"):
                said = answer.removeprefix(f"44{self._prefix}")
                raise RefusedError(json.loads(said) if said else self._raw.status)
            undo.pop_all()

    def send(self, event: str, *arguments: object) -> int:
        """Send an event; return the number by which it will be acknowledged."""
        number = next(self._numbers)
        self._emit(event, *arguments, number=str(number))
        return number

    def _emit(self, event: str, *arguments: object, number: str = "") -> None:
        attached: list[bytes] = []

        def attach(value: bytes) -> dict[str, object]:
            attached.append(value)
            return {"_placeholder": True, "num": len(attached) - 1}

        text = json.dumps([event, *arguments], default=attach)
        self._raw.send(f"{f'45{len(attached)}-' if attached else '42'}{self._prefix}{number}{text}")
        for value in attached:
            self._raw.send(value)

    def next(self, event: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """Wait for an event; what came before it stays for others to take."""
        return self._wait_for(lambda name, data: name == event and wanted(data))

    def ask(self, event: str, *arguments: object) -> Any:
        """Send an event and return its acknowledgment."""
        number = self.send(event, *arguments)
        return self._wait_for(lambda name, _: name == number)

    def _wait_for(self, fits: Callable[[str | int, Any], bool]) -> Any:
        for place, (name, data) in enumerate(self._heard):
            if fits(name, data):
                del self._heard[place]
                return data
        deadline = time.monotonic() + WAIT_SECONDS
        while (heard := self.hear(deadline - time.monotonic())) is not None:
            if fits(*heard):
                return heard[1]
            self._heard.append(heard)
        raise TimeoutError

    def hear(self, seconds: float) -> tuple[str | int, Any] | None:
        """Return the next event, or acknowledgment by its number, and what it says; nothing if none comes in time.

        Raises
        ------
        GoneError
            When the connection has ended, or the namespace was left.
        """
        deadline = time.monotonic() + seconds
        try:
            while (content := self._raw.receive(deadline - time.monotonic())) is not None:
                if heard := self._understood(content):
                    return heard
        except TimeoutError:
            return None
        except ConnectionError as error:
            raise GoneError from error
        raise GoneError

    def hear_at_once(self) -> Iterator[tuple[str | int, Any]]:
        """Take what has come, of which there must be something, and yield as ``hear`` returns."""
        self._raw.read()
        while (content := self._raw.take()) is not None:
            if heard := self._understood(content):
                yield heard

    def _understood(self, content: bytes) -> tuple[str | int, Any] | None:
        if content == b"2":
            self._raw.send("3")
        elif found := _PACKET.fullmatch(content.decode()):
            data = orjson.loads(found["data"] or "null")
            if found["type"] not in "23":
                raise GoneError(data)
            name, *said = data if found["type"] == "2" else (int(found["id"]), *data)
            return name, said[0] if said else None
        return None

    def fileno(self) -> int:
        return self._raw.fileno()

    def unread(self) -> list[tuple[str | int, Any]]:
        """Return what came so far and was not taken: events and, by their numbers, acknowledgments."""
        with suppress(GoneError):
            while (heard := self.hear(0)) is not None:
                self._heard.append(heard)
        return self._heard

    def has_ended(self) -> bool:
        """Read on to the end; raises ``TimeoutError`` when it does not come."""
        try:
            self.next("no such event")
        except GoneError:
            return True
        return False

    def close(self) -> None:
        self._raw.close()

    def follow(self, **changes: object) -> None:
        """Ask for what comes next; the answer is to be waited for."""
        self._emit(Event.FOLLOW, {"log": self.log, "after": self.after, "ticket": self.ticket} | changes)

    def next_changes(self) -> Any:
        """Wait for an answer, and apply it."""
        return self.apply(self.next(Event.CHANGES))

    def apply(self, changes: Any) -> Any:
        """Move on by an answer, and keep its entries to be taken."""
        if (changes["log"], changes["after"]) != (self.log, self.after):
            self.entries.clear()
        self.log, self.after, self.ticket = changes["log"], changes["next_after"], changes["ticket"]
        self.entries += changes["entries"]
        self.status = changes["status"] or self.status
        return changes

    def ask_for_changes(self, **changes: object) -> Any:
        """Ask, and wait for the answer."""
        self.follow(**changes)
        return self.next_changes()

    def entry(self, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """Read on until there is such an entry, and take it."""
        while True:
            for place, entry in enumerate(self.entries):
                if wanted(entry):
                    return self.entries.pop(place)
            self.ask_for_changes()

    def status_with(self, wanted: Callable[[Any], bool]) -> Any:
        """Read on until the status is such."""
        while self.status is None or not wanted(self.status):
            self.ask_for_changes()
        return self.status

    def closing(self) -> Any:
        """Wait to be told why the connection is closed, and until it is."""
        reason = self.next(Event.CLOSING)["reason"]
        assert self.has_ended()
        return reason


class ClientApp(Connection):
    """A client app's connection, proved by its token."""

    def __init__(self, url: str, token: str, **changes: object) -> None:
        auth = {"protocol": PROTOCOL_VERSION, "instance": "a-test", "attempt": 1} | changes
        super().__init__(url, CLIENTS_NAMESPACE, auth=auth, headers={"Authorization": f"Bearer {token}"})

    def predict(self, message: object) -> Any:
        return self.ask(Event.PREDICT, message)

    def answered(self, request_id: str) -> Prediction:
        entry = self.entry(lambda one: one["kind"] == "prediction_made" and one["request_id"] == request_id)
        return Prediction.model_validate(entry["prediction"])

    def refused(self, request_id: str) -> Any:
        return self.entry(lambda one: one["kind"] == "request_refused" and one["request_id"] == request_id)["error"]


class Page(Connection):
    """A page's connection, proved by its session's cookie."""

    def __init__(
        self, url: str, cookie: str, namespace: str = OPERATORS_NAMESPACE, *, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(url, namespace, auth={"protocol": PROTOCOL_VERSION}, headers={"Cookie": cookie}, tls=tls)


Dashboard = Page


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        assert set(self.json) == {"error"}
        return self.json["error"]


class Browser:
    """Speaks HTTP as a browser would: with its cookie, and the page's origin and CSRF token where state changes."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._tls = tls
        self.cookies: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        cookies = self.cookies.copy()  # another thread may be signing out
        return "; ".join(f"{name}={value}" for name, value in cookies.items())

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str | None] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send one request, its path exactly as it is; a header given as ``None`` is left out."""
        usual: dict[str, str | None] = {"Cookie": self.cookie or None}
        if method == "POST":
            usual |= {"Origin": self.url, "Content-Type": "application/json"}
        sent = {name: value for name, value in (usual | dict(headers or {})).items() if value is not None}
        address = urlsplit(self.url).netloc
        if self._tls is None:
            opened = http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
        else:
            opened = http.client.HTTPSConnection(address, timeout=WAIT_SECONDS, context=self._tls)
        with closing(opened) as connection:
            connection.request(method, path, body=body, headers=sent)
            with connection.getresponse() as response:  # which owns the socket if the connection ends with it
                answer = Answer(response.status, response.headers, response.read())
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def csrf_token(self) -> str:
        found = re.search(rb'name="csrf-token" content="([^"]+)"', self.get("/sign-in").body)
        if found is None:
            raise ConnectionError("there is no sign-in page")  # an app that is just stopping, for example
        return found.group(1).decode()

    def post(self, path: str, value: object, **headers: str | None) -> Answer:
        """Post JSON with a fresh CSRF token; a header given overrides the usual one."""
        usual: dict[str, str | None] = {} if "X_CSRFToken" in headers else {"X-CSRFToken": self.csrf_token()}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, headers=usual | given, body=json.dumps(value).encode())

    def sign_in(self, token: str) -> Answer:
        return self.post("/sign-in", {"token": token})
