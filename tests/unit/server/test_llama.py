"""A writer against a real HTTP server: what passes, is withheld, tried again and paused; and whom it asks."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from config.hosts import is_private
from server.explanation import endpoint
from server.explanation.endpoint import EndpointError
from server.explanation.llama import CLOSED, CircuitBreaker, LlamaWriter, NarrativeError, explanation_source
from server.explanation.prompt import prompt_of, sentences
from tests.support.clock import StoppedClock
from tests.support.llm_faults import stalls
from tests.support.llm_server import DONE, LanguageModel, Reply, Script, answers, event, in_turn, says, sends
from tests.support.narratives import GOOD_TEXT, GOOD_TEXT_FILLED, facts
from tests.support.writing import asked_but, settings_for, writer_at

BAD_TEXT = f"The patient should rest. {GOOD_TEXT}"
BROKEN_RULE = "its sentence 1 says what is not among the facts, or in words that cannot be checked"
GOOD = says(GOOD_TEXT)


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with LanguageModel(GOOD) as model:
        yield model


def write(writer: LlamaWriter, seconds: float = 10) -> str:
    """Return the text, or why there is none."""
    try:
        return writer.write(facts(), time.monotonic() + seconds)
    except NarrativeError as error:
        return str(error)


def bodies(model: LanguageModel) -> list[dict[str, Any]]:
    return [model.received.get(timeout=10).body for _ in range(model.received.qsize())]


def test_the_endpoint_is_asked_directly_with_the_prompt_alone_and_no_token_but_its_own(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # where nobody listens, and nobody is asked
    writer = writer_at(model.url, huggingface_api_token="hf_of_the_settings", llm_api_key="the-key")
    assert write(writer) == write(writer_at(model.url)) == GOOD_TEXT_FILLED
    asked, without_key = model.received.get(timeout=10), model.received.get(timeout=10)
    assert asked.headers["authorization"] == "Bearer the-key"
    assert "hf_of" not in str(asked.headers) + str(asked.body) + str(without_key.headers)
    assert (asked.path, asked.body["model"], asked.body["max_tokens"]) == ("/v1/chat/completions", "a/model", 400)
    assert asked.body["messages"] == prompt_of(facts())


def whole(content: str, finish: str = "stop", **more: str) -> Script:
    """A model that answers with one JSON object instead of a stream."""
    message = {"role": "assistant", "content": content, **more}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return sends(json.dumps(answer), headers={"Content-Type": "application/json"})


UNUSUAL = event(GOOD_TEXT.replace(" ", "\u2028", 1), "stop").replace(r"\u2028", "\u2028")
USAGE = 'data: {"choices": [], "usage": {"completion_tokens": 60, "prompt_tokens": 300, "total_tokens": 360}}\n\n'


@pytest.mark.parametrize(
    "script",
    [
        whole(GOOD_TEXT),
        whole(GOOD_TEXT, "eos_token", reasoning_content="thinking"),
        says(f"The age raises?</think> {GOOD_TEXT}"),
        sends(event(reasoning="thinking"), event(GOOD_TEXT, "eos_token"), DONE),
        sends(event(GOOD_TEXT, "stop"), USAGE, DONE),
        sends(event(GOOD_TEXT, "stop"), DONE, drips=""),
        sends(UNUSUAL.replace("data: ", "data:").replace("\n", "\r\n"), "data:[DONE]\r\n\r\n"),
    ],
)
def test_an_answer_is_understood_in_each_of_its_forms(model: LanguageModel, script: Script) -> None:
    model.script = script
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


def test_a_withheld_draft_is_written_once_more_told_of_the_broken_rule(model: LanguageModel) -> None:
    model.script = in_turn(says(BAD_TEXT), GOOD)
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED
    first, second = (body["messages"] for body in bodies(model))
    assert second[:-1] == first[:-1]
    assert BROKEN_RULE in second[-1]["content"].removeprefix(first[-1]["content"])
    assert "should rest" not in str(second)


@pytest.mark.parametrize(("seconds", "times"), [(10, 2), (1.9, 1)])
def test_a_second_bad_draft_is_the_last_and_needs_two_seconds(model: LanguageModel, seconds: float, times: int) -> None:
    model.script = says(BAD_TEXT)
    writer = writer_at(model.url)
    assert write(writer, seconds) == asked_but(f"its text was withheld because {BROKEN_RULE}")
    assert model.received.qsize() == times
    assert writer.circuit == CLOSED  # the endpoint works


def test_a_passing_failure_is_tried_once_more(model: LanguageModel) -> None:
    model.script = in_turn(answers(503), GOOD)
    assert write(writer_at(model.url)) == GOOD_TEXT_FILLED


def test_a_lasting_refusal_pauses_the_calls_and_says_what_to_do(model: LanguageModel) -> None:
    model.script, clock = answers(401), StoppedClock(1000.0)
    writer = writer_at(model.url, clock)
    reason = "the key was refused; check LLM_API_KEY in .env"
    assert write(writer) == asked_but(reason)
    assert (writer.circuit.state, writer.circuit.reason) == ("open", reason)
    assert write(writer) == f"The language model was not asked: calls to it are paused, because {reason}."
    assert model.received.qsize() == 1
    clock.now += 300
    model.script = GOOD
    assert write(writer) == GOOD_TEXT_FILLED
    assert writer.circuit == CLOSED


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"llm_model": "OFF", "huggingface_api_token": "hf_x"}, None, "LLM_MODEL is off"),
        ({}, None, "HUGGINGFACE_API_TOKEN is not set"),
        ({"huggingface_api_token": "hf_x"}, "a/model", "HUGGINGFACE_API_TOKEN is set."),
    ],
)
def test_who_explains_follows_from_the_settings(changes: dict[str, object], name: str | None, reason: str) -> None:
    source = explanation_source(settings_for("", **changes))
    assert (source.writer.model if source.writer else None) == name
    assert source.reason.startswith(reason)


def test_an_endpoint_that_knows_the_newer_name_of_the_limit_is_asked_by_it(model: LanguageModel) -> None:
    model.script = in_turn(answers(400, "Use 'max_completion_tokens' instead of 'max_tokens'."), GOOD, GOOD)
    writer = writer_at(model.url, llm_max_tokens=900)
    assert write(writer) == write(writer) == GOOD_TEXT_FILLED
    limits = [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in bodies(model)]
    assert limits == [(900, None), (None, 900), (None, 900)]


UNDER_GRAMMAR = "".join(either[-1] for either in sentences(facts()))


def decodes(reply: Reply) -> None:
    """A model that decodes under the regular expression that it is given."""
    regex = reply.body["structured_outputs"]["regex"]
    (says(UNDER_GRAMMAR) if re.fullmatch(regex, UNDER_GRAMMAR) else stalls)(reply)


@pytest.mark.parametrize("mode", ["automatic", "on"])
def test_an_endpoint_that_decodes_under_a_grammar_is_given_it(model: LanguageModel, mode: str) -> None:
    model.script = decodes
    writer = writer_at(model.url, llm_constrained_decoding=mode)
    assert "(reversible defect) also raises the score. A reversible defect is" in write(writer) + write(writer)
    for body in bodies(model):
        assert body["grammar"].startswith("root ::= ")
        assert body["guided_regex"] == body["structured_outputs"]["regex"]


@pytest.mark.parametrize("first", [answers(400, "grammar: unknown"), answers(422, "guided_regex is not allowed")])
def test_a_grammar_that_is_refused_is_left_out_unless_the_settings_insist(model: LanguageModel, first: Script) -> None:
    model.script = in_turn(first, GOOD, GOOD, first)
    writer = writer_at(model.url, llm_constrained_decoding="automatic")
    assert [write(writer) for _ in range(2)] == [GOOD_TEXT_FILLED] * 2
    assert ["grammar" in body for body in bodies(model)] == [True, False, False]
    assert writer.circuit == CLOSED
    assert "LLM_CONSTRAINED_DECODING" in write(writer_at(model.url, llm_constrained_decoding="on"))


ENDS = {
    "fails": EndpointError("of a reason"),
    "unexpected": ZeroDivisionError("of a reason"),
}
FIVE = ["fails"] * 5


def after(*calls: str | float) -> tuple[CircuitBreaker, StoppedClock]:
    """Return a breaker after calls that end like this, one after the other, and seconds that pass."""
    breaker = CircuitBreaker(clock := StoppedClock(1_000_000_000.0))
    for call in calls:
        if isinstance(call, float | int):
            clock.now += call
            continue
        with suppress(*map(type, ENDS.values())), breaker.watch():
            if call in ENDS:
                raise ENDS[call]
    return breaker, clock


@pytest.mark.parametrize(
    ("calls", "state", "seconds"),
    [
        ([*FIVE, 29.9], "open", 0.1),
        (["fails"] * 4 + ["succeeds"] + ["fails"] * 4, "closed", None),
        ([*FIVE, 30, "fails"], "open", 30),
        ([*FIVE, 30, "unexpected"], "open", 30),
    ],
)
def test_it_opens_and_closes_as_calls_end(calls: list[str | float], state: str, seconds: float | None) -> None:
    breaker, clock = after(*calls)
    until = None if seconds is None else datetime.fromtimestamp(clock.now + seconds, UTC)
    reason = None if state == "closed" else "of a reason"
    assert (breaker.status.state, breaker.status.until, breaker.status.reason) == (state, until, reason)


def test_after_the_pause_one_call_finds_out_and_the_others_are_not_made() -> None:
    breaker, _ = after(*FIVE, 30)
    with breaker.watch(), pytest.raises(NarrativeError, match=r"paused, because of a reason.$"), breaker.watch():
        pytest.fail("a second call was made")
    assert breaker.status == CLOSED


TOKEN = "hf_a_token_of_this_test"
NAME = "llama.hospital.example"


def ask(url: str, seconds: float = 10, **changes: object) -> str:
    hello = [{"role": "user", "content": "Hello"}]
    return endpoint.Endpoint(settings_for(url, **changes)).ask(hello, {}, deadline=time.monotonic() + seconds)


def lead_here(monkeypatch: pytest.MonkeyPatch, port: int) -> list[str]:
    """Have every name lead to a port of this machine, and return what is looked up."""
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def look_up(host: str, to: int, *more: object, **named: object) -> list[object]:
        asked.append(host)
        return resolve("127.0.0.1", port, *more, **named)  # type: ignore[return-value, arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_is_looked_up_once_and_nothing_is_sent_in_the_clear_to_a_public_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LanguageModel(says("Hello.")) as model:
        asked = lead_here(monkeypatch, port := int(model.url.split(":")[2].removesuffix("/v1")))
        assert ask(f"http://{NAME}:{port}/v1") == "Hello."
        assert model.received.get(timeout=10).headers["host"] == f"{NAME}:{port}"
        assert asked == [NAME]
        monkeypatch.setattr(endpoint, "is_private", {"127.0.0.1": False}.get)  # as if this address were public
        with pytest.raises(EndpointError, match="neither on this machine nor private; use https in LLM_BASE_"):
            ask(f"http://{NAME}:{port}/v1")
        assert model.received.empty()


def test_the_router_is_asked_over_tls_and_no_other_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hello = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                hello.extend(connection.recv(65536))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        asked = lead_here(monkeypatch, server.getsockname()[1])
        with pytest.raises(EndpointError, match="could not be reached"):
            ask("", huggingface_api_token=TOKEN, llm_api_key="other", llm_model="a/model:nscale")
        thread.join(10)
    assert asked == ["router.huggingface.co"]
    assert hello[0] == 0x16  # a TLS handshake, and nothing before it
    assert b"router.huggingface.co" in hello
    assert TOKEN.encode() not in hello


def test_the_library_asks_this_endpoint_alone_and_reports_on_its_use_to_nobody() -> None:
    import huggingface_hub  # noqa: PLC0415 - after the product, which sets what it reads when it is imported

    assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
    with LanguageModel(says("Hello.")) as model:
        with pytest.raises(LookupError):
            huggingface_hub.get_session().get(model.url)  # outside of a call nothing is sent
        assert model.received.empty()
        assert ask(model.url) == "Hello."
        assert "hf_hub/" in model.received.get(timeout=10).headers["user-agent"]


def test_an_address_is_private_or_not() -> None:
    private = ["127.0.0.1", "10.1.2.3", "169.254.1.1", "::1", "fd00::1", "fe80::1%1", "::ffff:10.1.2.3"]
    public = ["8.8.8.8", "172.32.0.1", "100.64.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
    assert [address for address in private + public if is_private(address)] == private
