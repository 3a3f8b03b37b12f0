"""Real clients of a real server: Socket.IO connections that keep what they hear in order, and plain HTTP."""

import http.client
import json
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.cookies import SimpleCookie
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import engineio
import socketio

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, PROTOCOL_VERSION, Event, Prediction
from common.web.codec import OrjsonCodec

WAIT_SECONDS = 30.0


class RefusedError(Exception):
    """The server refused a connection; ``error`` is what it sent as the reason."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


class _Ordered(engineio.Client):  # type: ignore[misc]
    def _trigger_event(self, event: str, *arguments: Any, **_: Any) -> Any:
        return super()._trigger_event(event, *arguments, run_async=False)


class _OrderedClient(socketio.Client):  # type: ignore[misc]
    def _engineio_client_class(self) -> type[_Ordered]:
        return _Ordered


class Connection:
    """One Socket.IO connection to one namespace."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        auth: object = None,
        headers: Mapping[str, str] | None = None,
        **websocket_options: object,
    ) -> None:
        self._namespace = namespace
        self._heard: list[tuple[str, Any]] = []
        self._events: Queue[tuple[str, Any]] = Queue()
        self._refusals: Queue[Any] = Queue()
        self._websocket: Any = None
        self.client = _OrderedClient(
            reconnection=False,
            json=OrjsonCodec,
            handle_sigint=False,
            websocket_extra_options=websocket_options,
        )
        self.client.on("*", lambda event, *data: self._events.put((event, data[0] if data else None)), namespace)
        self.client.on("connect_error", self._refusals.put, namespace)
        self.client.on("disconnect", lambda *_: self._events.put(("disconnect", None)), namespace)
        try:
            self.client.connect(
                url,
                headers=dict(headers or {}),
                auth=auth,
                namespaces=[namespace],
                transports=["websocket"],
                wait_timeout=WAIT_SECONDS,
            )
        except socketio.exceptions.ConnectionError:
            self.close()
            raise RefusedError(self._refusals.get(timeout=WAIT_SECONDS)) from None
        self._websocket = self.client.eio.ws  # the library forgets it, unclosed, when the server hangs up

    def next(self, event: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """Wait for an event; what came before it stays for others to take."""
        return self.next_of(event, wanted=wanted)[1]

    def next_of(
        self, *events: str, wanted: Callable[[Any], bool] = lambda _: True, seconds: float = WAIT_SECONDS
    ) -> tuple[str, Any]:
        """Wait for one of several events, and return its name as well."""
        for place, (name, data) in enumerate(self._heard):
            if name in events and wanted(data):
                return self._heard.pop(place)
        while True:
            name, data = self._events.get(timeout=seconds)
            if name in events and wanted(data):
                return name, data
            self._heard.append((name, data))

    def everything_heard(self) -> list[tuple[str, Any]]:
        """Return what came and was not taken, all of it that the server sent before it answered a last question."""
        self.ask("no_such_event")
        return self.unread()

    def unread(self) -> list[tuple[str, Any]]:
        """Return what came so far and was not taken."""
        while not self._events.empty():
            self._heard.append(self._events.get())
        return self._heard

    def ask(self, event: str, *arguments: object) -> Any:
        """Send an event and return its acknowledgement."""
        answers: Queue[Any] = Queue()
        self.client.emit(
            event, tuple(arguments) or None, namespace=self._namespace, callback=lambda *got: answers.put(got)
        )
        (answer,) = answers.get(timeout=WAIT_SECONDS)
        return answer

    def close(self) -> None:
        """Hang up, and wait until nothing more is read."""
        reading, websocket = self.client.eio.read_loop_task, self._websocket or self.client.eio.ws
        self.client.disconnect()
        if reading is not None:
            reading.join(WAIT_SECONDS)
        if websocket is not None:
            websocket.close()
            websocket.shutdown()  # what the server has closed is left open by the other


class Follower(Connection):
    """A connection that follows a log: it asks, applies the one answer, and asks again."""

    def __init__(self, url: str, namespace: str, **options: Any) -> None:
        super().__init__(url, namespace, **options)
        self.log: str | None = None
        self.after = 0
        self.ticket: str | None = None
        self.status: Any = None
        self.entries: list[Any] = []
        """What was read and not taken."""

    def follow(self, **changes: object) -> None:
        """Ask for what comes next; the answer is to be waited for."""
        self.client.emit(Event.FOLLOW, self.question() | changes, namespace=self._namespace)

    def question(self) -> dict[str, object]:
        return {"log": self.log, "after": self.after, "ticket": self.ticket}

    def next_changes(self) -> Any:
        """Wait for an answer, and apply it."""
        changes = self.next(Event.CHANGES)
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
        self.next("disconnect")
        return reason


class ClientApp(Follower):
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


class Page(Follower):
    """A page's connection, proved by its session's cookie."""

    def __init__(self, url: str, cookie: str, namespace: str = OPERATORS_NAMESPACE, **options: object) -> None:
        auth = {"protocol": PROTOCOL_VERSION}
        super().__init__(url, namespace, auth=auth, headers={"Cookie": cookie}, **options)


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
        with closing(self._connection()) as connection:
            connection.request(method, path, body=body, headers=sent)
            with connection.getresponse() as response:  # which owns the socket if the connection ends with it
                answer = Answer(response.status, response.headers, response.read())
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url).netloc
        if self._tls is None:
            return http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
        return http.client.HTTPSConnection(address, timeout=WAIT_SECONDS, context=self._tls)

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def csrf_token(self) -> str:
        found = re.search(rb'name="csrf-token" content="([^"]+)"', self.get("/sign-in").body)
        assert found
        return found.group(1).decode()

    def post(self, path: str, value: object, **headers: str | None) -> Answer:
        """Post JSON with a fresh CSRF token; a header given overrides the usual one."""
        usual: dict[str, str | None] = {} if "X_CSRFToken" in headers else {"X-CSRFToken": self.csrf_token()}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, headers=usual | given, body=json.dumps(value).encode())

    def sign_in(self, token: str) -> Answer:
        return self.post("/sign-in", {"token": token})
