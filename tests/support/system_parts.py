"""People at the pages of a running system: they sign in with a link and submit patients, over HTTP and Socket.IO."""

import json
import re
import socket
import time
import urllib.request
import uuid
from collections.abc import Iterable
from http.cookiejar import CookieJar
from typing import Any, Self

from common.messages import BROWSER_NAMESPACE, Event
from tests.support.speaking import Page


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, each another one."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Visitor:
    """Somebody at one app's page, signed in with its link."""

    def __init__(self, link: str) -> None:
        address, _, token = link.partition("#token=")
        self.url = address.removesuffix("/sign-in")
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._sign_in(token)

    def _sign_in(self, token: str) -> None:
        page = self.page("/sign-in")
        found = re.search(r'name="csrf-token" content="([^"]+)"', page)
        assert found, "the sign-in page has no CSRF token"
        headers = {"Content-Type": "application/json", "Origin": self.url, "X-CSRFToken": found[1]}
        body = json.dumps({"token": token}).encode()
        with self._opener.open(urllib.request.Request(f"{self.url}/sign-in", body, headers), timeout=20) as response:
            assert response.status == 204

    def page(self, path: str) -> str:
        with self._opener.open(f"{self.url}{path}", timeout=20) as response:
            return str(response.read().decode())

    def api(self, path: str) -> Any:
        return json.loads(self.page(f"/api/{path}"))

    @property
    def cookie(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)


class Clinician(Visitor):
    """A clinician at a client app's page, who submits patients and sees what becomes of them."""

    def __enter__(self) -> Self:
        self._page = Page(self.url, self.cookie, BROWSER_NAMESPACE)
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()

    def submit(self, **changes: object) -> str:
        """Submit a real patient, changed if need be; return the request's id once the client app has it on disk."""
        request_id = str(uuid.uuid4())
        message = {"request_id": request_id, "record": self.api("sample")["record"] | changes}
        receipt = self._page.ask(Event.SUBMIT, message)
        assert receipt["status"] == "saved", receipt
        return request_id

    def answers(self, request_ids: Iterable[str], seconds: float = 60) -> dict[str, dict[str, Any]]:
        """Wait for the predictions of these requests, at most so many seconds."""
        wanted = set(request_ids)
        found: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + seconds
        while wanted - set(found):
            assert time.monotonic() < deadline, f"{len(wanted - set(found))} requests were not answered"
            entry = self._page.entry(lambda change: change["entry"]["state"] != "queued")["entry"]
            assert entry["state"] == "answered", entry["error"]
            found[entry["request_id"]] = entry["prediction"]
        return {request_id: found[request_id] for request_id in wanted}


def stored_requests(operator: Visitor, client_id: str) -> list[str]:
    """Return the request ids of everything the server has stored for one client app."""
    found, before = [], ""
    while True:
        answer = operator.api(f"predictions?client={client_id}&limit=500&before={before}")
        found += [item["prediction"]["request_id"] for item in answer["predictions"]]
        before = answer["next_before"]
        if before is None:
            return found
