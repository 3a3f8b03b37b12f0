"""Whatever a peer sends, the server goes on: no traceback, no stopped handler, nothing left behind."""

import json
import threading
from contextlib import closing, suppress

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from common.messages import CLIENTS_NAMESPACE, PROTOCOL_VERSION
from common.web.logs import OWN_PACKAGES
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.made_requests import request
from tests.support.raw_socket import RawSocket
from tests.support.speaking import ClientApp
from tests.support.waiting import wait_until

MESSAGES_EACH = 20

LIMITS = {"events_per_second": 100_000, "address_requests_per_minute": 10_000_000, "requests_per_minute": 1_000_000}

numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.sampled_from([2**63, -(2**70), 10**40, 1e308]))
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
events = st.sampled_from(["predict", "connect", "disconnect", "message", "submit", "changes", "", "x" * 300])
namespaces = st.sampled_from(["", "/", "/clients,", "/operators,", "/nowhere,", "/clients", "/clients?a=1,", ","])
ids = st.sampled_from(["", "0", "7", "²", "9" * 99, "9" * 200])
kinds = st.sampled_from(["40", "41", "42", "43", "44", "450-", "451-", "459999999-", "461-", "47", "4", "3", "5"])
altered = st.builds(
    lambda field, value: json.dumps(["predict", request(1).to_wire() | {field: value}]),
    st.sampled_from([*request(1).to_wire(), "unknown"]),
    values,
)
odd = st.sampled_from(['["predict",NaN]', '["predict",1e999]', "{", '[""]', "[]", "{}", "[" * 1025 + "]" * 1025])
event_bodies = st.builds(lambda event, value: json.dumps([event, value]), events, values)
bodies = st.one_of(event_bodies, altered, odd, values.map(json.dumps), st.text(max_size=30))
framed = st.builds(lambda *parts: "".join(parts), kinds, namespaces, ids, bodies)
texts = st.one_of(framed, st.text(max_size=9), st.sampled_from(["", "1", "2", "2probe", "0", "bAAAA", "b!", "4null"]))
frames = st.one_of(texts, texts, texts, st.binary(max_size=60))
opcodes = st.sampled_from([None, None, None, None, None, None, None, 0, 3, 8, 9, 10, 11])
messages = st.lists(st.tuples(frames, opcodes), min_size=MESSAGES_EACH, max_size=MESSAGES_EACH)


def fuzz(server: RunningServer, examples: int) -> None:
    """Send so many runs of messages over websockets, before and after having been let in."""

    @seed(20261123)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(messages, st.booleans())
    def websockets(sent: list[tuple[str | bytes, int | None]], is_let_in: bool) -> None:
        with RawSocket(server.url, token=server.token("Client-3")) as peer, suppress(ConnectionError):
            if is_let_in:
                peer.enter(CLIENTS_NAMESPACE, {"protocol": PROTOCOL_VERSION, "instance": "fuzz", "attempt": 1})
            for frame, opcode in sent:
                peer.send(frame, kind=opcode)

    websockets()


@pytest.mark.parametrize("examples", [40, pytest.param(5000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_messages_of_any_kind_do_no_harm(
    start_server: StartServer, caplog: pytest.LogCaptureFixture, examples: int
) -> None:
    server = start_server(**LIMITS)
    fuzz(server, 10)
    before = threading.active_count()  # green threads count as well
    fuzz(server, examples)
    wait_until(lambda: server.server.real_time.connections["now"] == 0)
    wait_until(lambda: threading.active_count() <= before + 2)
    with closing(ClientApp(server.url, server.token())) as client:
        client.predict(request(1).to_wire())
        assert client.answered("request-1").request_id == "request-1"
    ours = [record for record in caplog.records if record.name.partition(".")[0] in OWN_PACKAGES]
    assert [record for record in ours if record.exc_info or record.levelname == "ERROR"] == []
